# SPDX-License-Identifier: LGPL-2.1-or-later
"""A caller who changes what his path means while the export goes on (security.md T4): a directory becomes a link to one of root's and a directory
again, as fast as the computer can. Nothing of root's is touched, and an export is whole where it was to be, or ends in a clean error."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from export_houses import House
from harness import BUILD, Process, Scratch
from harness.process import TIMEOUT
from harness.source import LONG
from houses import DENIED_NAME, GRANTED

pytestmark = pytest.mark.root

SECONDS = 60 if LONG else 3
SWAPS = 100_000 if LONG else 1000  # at least
ERRORS = {DENIED_NAME, 'org.virtask1.Error.PathNotFound'}

# Swaps two names until its stdin ends, and prints how often. The first may be a pattern.
SWAPPER = """\
import ctypes, glob, select, sys
libc, (first, second), swaps = ctypes.CDLL(None, use_errno=True), sys.argv[1:], 0
AT_FDCWD, RENAME_EXCHANGE = -100, 2
while not select.select([0], [], [], 0)[0]:
    for _ in range(200):
        path = glob.glob(first) if '*' in first else [first]
        if path and libc.renameat2(AT_FDCWD, path[0].encode(), AT_FDCWD, second.encode(), RENAME_EXCHANGE) == 0:
            swaps += 1
print(swaps)
"""


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch)


class Swapper:
    """The process, and how often it has swapped."""

    def __init__(self, house, first, second):
        told, self._tell = os.pipe()
        self._process = Process(house.scratch, 'swapper', [sys.executable, '-c', SWAPPER, first, second], user=GRANTED, stdin=told)
        os.close(told)
        self.swaps = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._tell)
        self._process.wait()
        self.swaps = int(self._process.log.splitlines()[-1])


def directory(path, owner=GRANTED):
    path.mkdir()
    shutil.chown(path, owner, owner)
    return path


def outcome(house, path, **keywords):
    """The name of the error, or ''."""
    return house.granted.wait_task(house.begin(path, **keywords))['ErrorName']


# path below the directory that is swapped -> settings, and where the bundle is below it
PATHS = {
    'the last component': ('', {}, 'web1'),
    'one in the middle': ('inside', {}, 'inside/web1'),
    'above the directory itself': ('inside/new', {'subdirectory': False}, 'inside/new'),
}


@pytest.mark.parametrize('name', PATHS)
def test_a_directory_that_becomes_a_link(house, name):
    below, keywords, bundle = PATHS[name]
    base = directory(house.home / f'base{len(os.listdir(house.home))}')
    real = directory(base / 'swapped')
    directory(real / 'inside')
    (base / 'link').symlink_to(house.secret)
    fd, ends, results = os.open(real, os.O_PATH), time.monotonic() + SECONDS / len(PATHS), {}

    def met_both():
        return '' in results and len(results) > 1

    with house.untouched(), Swapper(house, base / 'swapped', base / 'link') as swapper:
        while time.monotonic() < ends or not met_both() and time.monotonic() < ends + TIMEOUT:
            error = outcome(house, base / 'swapped' / below, **keywords)
            results[error] = results.get(error, 0) + 1
            path = f'/proc/self/fd/{fd}/{bundle}'
            if not error:
                subprocess.run([BUILD / 'virtask-bundle', 'verify', path], check=True, pass_fds=[fd])
                shutil.rmtree(path)
            assert os.listdir(f'/proc/self/fd/{fd}') == ['inside'] and os.listdir(f'/proc/self/fd/{fd}/inside') == []
    os.close(fd)
    print(f'{name}: {swapper.swaps} swaps, {results}')
    assert met_both() and set(results) <= {'', *ERRORS}
    assert swapper.swaps >= SWAPS // len(PATHS)
    assert {path.owner() for path in base.rglob('*') if not path.is_symlink()} == {GRANTED}


def test_what_is_in_the_unfinished_bundle_becomes_a_link(house):
    """Who destroys his own export gets none, and nothing else."""
    base = directory(house.home / f'base{len(os.listdir(house.home))}')
    (base / 'link').symlink_to(house.secret)
    ends, results = time.monotonic() + SECONDS / len(PATHS), {}
    with house.untouched(), Swapper(house, f'{base}/.web1.partial-*/disks', base / 'link') as swapper:
        while time.monotonic() < ends:
            error = outcome(house, base)
            results[error] = results.get(error, 0) + 1
            shutil.rmtree(base / 'web1', ignore_errors=True)
    print(f'{swapper.swaps} swaps, {results}')
    assert swapper.swaps > 0
    assert not list(base.glob('.web1.partial-*'))
    assert outcome(house, directory(base / 'again')) == ''
