# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtask-bundle dies before, or in the middle of, each of its calls that change a file system (security.md T8), or each of these calls fails once,
or from then on (T11). Under the name of the bundle there is a whole one, or nothing; and nothing that can't be removed."""

import errno
import resource
import signal

import pytest
from bundles import NAME, PARTIAL, Sources, error_of, remove, verify, write
from harness import BUILD, Scratch
from harness.source import rows

PRELOAD = {'LD_PRELOAD': BUILD / 'tests/fault-point.so'}


@pytest.fixture(scope='module')
def sources():
    with Scratch() as scratch:
        yield Sources(scratch.path)


@pytest.fixture
def directory(scratch):
    path = scratch / 'to'
    path.mkdir()
    return path


def count_calls(sources, directory, replace_empty=False):
    answer = directory.parent / 'count'
    done = write(sources, directory, replace_empty, VIRTASK_FAULT_COUNT=answer, **PRELOAD)
    count = int(answer.read_text(encoding='ascii'))
    assert done.returncode == 0, done
    verify(directory / NAME)
    clear(directory)
    assert count > 40
    return count


def clear(directory):
    for path in directory.iterdir():
        (directory / PARTIAL).exists() or path.rename(directory / PARTIAL)
        remove(directory)


def check(directory, done=None):
    """A whole bundle, or nothing; answers which."""
    whole = (directory / NAME).exists() and any((directory / NAME).iterdir())
    if whole:
        verify(directory / NAME)
    assert done is None or whole == (done.returncode == 0), done
    return whole


DEATHS = [(fault, replace_empty) for fault in ('kill', 'half') for replace_empty in (False, True)]


@pytest.mark.parametrize('fault, replace_empty', rows(DEATHS, DEATHS, DEATHS[-1:]))
def test_it_dies(sources, directory, fault, replace_empty):
    whole = 0
    count = count_calls(sources, directory, replace_empty)
    for at in range(1, count + 1):
        (directory / NAME).mkdir() if replace_empty else None
        done = write(sources, directory, replace_empty, VIRTASK_FAULT=fault, VIRTASK_FAULT_AT=at, **PRELOAD)
        assert done.returncode == -signal.SIGKILL, (at, done)
        whole += check(directory)
        remove(directory)
        assert {path.name for path in directory.iterdir()} <= {NAME}
        clear(directory)
    print(f'{fault}: {count} calls, whole after {whole}')
    assert 1 <= whole <= 2  # the last is the sync of the directory


def test_it_is_stopped(sources, directory):
    """With SIGTERM before each call."""
    for at in range(1, count_calls(sources, directory) + 1):
        done = write(sources, directory, VIRTASK_FAULT='term', VIRTASK_FAULT_AT=at, **PRELOAD)
        assert error_of(done) in ('', 'Cancelled'), (at, done)
        assert check(directory, done) or not list(directory.iterdir())
        clear(directory)


# errno -> what it is called
REASONS = {
    errno.ENOSPC: 'DiskFull',
    errno.EDQUOT: 'DiskFull',
    errno.EFBIG: 'FileTooLarge',
    errno.EIO: 'Failed',
    errno.EROFS: 'FileReadOnly',
}
USUAL = (errno.ENOSPC, errno.EIO)


@pytest.mark.parametrize('lasts', [False, True])
@pytest.mark.parametrize('reason', rows(REASONS, USUAL, USUAL[:1]), ids=errno.errorcode.get)
def test_a_call_fails(sources, directory, reason, lasts):
    failures = 0
    count = count_calls(sources, directory)
    for at in range(1, count + 1):
        done = write(sources, directory, VIRTASK_FAULT=reason, VIRTASK_FAULT_AT=at, **{'VIRTASK_FAULT_LASTS': 1} if lasts else {}, **PRELOAD)
        failures += done.returncode != 0
        assert error_of(done) == (REASONS[reason] if done.returncode else ''), (at, done)
        assert done.returncode in (0, 1), (at, done)
        if lasts and reason == errno.EIO:  # then nothing can be undone
            check(directory)
        else:
            assert check(directory, done) or not list(directory.iterdir()), (at, done)
        clear(directory)
    print(f'{errno.errorcode[reason]}: {failures} failures at {count} calls')
    assert failures > 0.7 * count


@pytest.mark.parametrize('fault', ['short', errno.EINTR])
def test_a_call_does_less_than_it_was_to(sources, directory, fault):
    for at in range(1, count_calls(sources, directory) + 1):
        done = write(sources, directory, VIRTASK_FAULT=fault, VIRTASK_FAULT_AT=at, **PRELOAD)
        assert done.returncode == 0 or fault == errno.EINTR and error_of(done) == 'Failed', (at, done)
        assert check(directory, done) or not list(directory.iterdir()), (at, done)
        clear(directory)


def test_directories_that_can_not_be_synced(sources, directory):
    """Not every file system has that."""
    done = write(sources, directory, VIRTASK_FAULT='directories', **PRELOAD)
    assert done.returncode == 0 and check(directory, done), done


def test_a_limit_of_the_size_of_files(sources, directory):
    """An error, no signal."""
    done = write(sources, directory, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert error_of(done) == 'FileTooLarge', done
    assert not list(directory.iterdir())
