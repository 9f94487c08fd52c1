# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of a machine whose daemon or worker dies, at random moments and after single steps, and exports to a disk that is full (security.md T8, T9,
T11). There is a whole bundle or nothing, the task says which, and the images are what they were, bit for bit."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest
from exports import begin, begin_halfway, digests, export, fail, go_on, new_machine, verify, workers
from harness.source import LONG
from interruptions import DATA_MIB, check_end, clear, die_after_steps, house, large, machine, small  # pylint: disable=unused-import
from qemu_house import DISKS, Moments, run

KILLS = 100 if LONG else 3  # of either
SIZES = 32 if LONG else 6
TRIES = 5

pytestmark = pytest.mark.root


@pytest.fixture(scope='module')
def merged(house):
    """The settings of an export of one of its snapshots, which is merged."""
    machine = new_machine(house, 'merged')
    machine.take(DISKS, ElementName='first')
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '4G')
    run('qemu-io', '-f', form, '-c', f'write -P 7 64M {DATA_MIB}M', path)
    return machine, {'CopySnapshotConfiguration': 2, 'SnapshotVirtualSystem': machine.take(DISKS, ElementName='second'), 'BackupIntent': 1}


# --- Death ---

def check(machine, directory, task, before):
    return check_end(machine, directory, task, before, directory / machine.guest.name, verify)


def test_the_daemon_dies_after_a_step(house, machine, directory):
    before = digests(machine)
    for task in die_after_steps(house, lambda: begin(machine, directory), lambda _: clear(directory)):
        print(check(machine, directory, task, before))
        clear(directory)
    verify(export(machine, directory))


def is_begun(directory):
    return any('.partial-' in path.name for path in directory.iterdir())


def wait_begun(house, task, directory):
    """Until something is there; when that was. Nobody tells of that."""
    while not is_begun(directory) and not house.client.get(task, 'Task', 'IsComplete'):
        pass
    return time.monotonic()


def duration_of(house, machine, directory):
    """From then on; the best of three."""
    def measure():
        task = begin(machine, directory)
        start = wait_begun(house, task, directory)
        house.client.wait_task(task)
        seconds = time.monotonic() - start
        clear(directory)
        return seconds
    return min(measure() for _ in range(3))


@pytest.mark.parametrize('victim', ['daemon', 'worker'])
def test_killed_at_a_random_moment(house, large, directory, victim):
    before, duration = digests(large), duration_of(house, large, directory)
    moments, results = Moments(f'kill of the {victim} in an export', KILLS), {}
    for part in moments:
        task = begin(large, directory)
        start = wait_begun(house, task, directory)
        house.pass_time(start + part * duration - time.monotonic())
        moments.hit(is_begun(directory))
        if victim == 'daemon':
            house.daemon.kill()
            house.daemon.start()
        else:
            for pid in workers(house):
                os.kill(pid, signal.SIGKILL)
            error = house.client.wait_task(task)['ErrorName']
            if error:
                assert error == 'org.virtask1.Error.Failed' and not list(directory.iterdir())
                results[error] = results.get(error, 0) + 1
                assert digests(large) == before
                continue
        result = check(large, directory, task, before)
        results[result] = results.get(result, 0) + 1
        clear(directory)
    print(results)
    moments.check()
    verify(export(large, directory))


def programs(pid):
    """Processes below this one by their names."""
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have ended just now
            for child in (task / 'children').read_text(encoding='ascii').split():
                yield pathlib.Path(f'/proc/{child}/comm').read_text(encoding='ascii').strip(), int(child)
                yield from programs(child)


def pids_of(house, name):
    return [pid for program, pid in programs(house.daemon.pid) if program == name[:15]]


def wait_for_program(house, task, name):
    """Until it runs for the task; when that was. Nobody tells of that."""
    while not house.client.get(task, 'Task', 'IsComplete'):
        if pids_of(house, name):
            break
    return time.monotonic()


def measure_program(house, machine, directory, settings, name):
    """How long it works for an export; the best of three."""
    def measure():
        task = begin(machine, directory, **settings)
        last = first = wait_for_program(house, task, name)
        while not house.client.get(task, 'Task', 'IsComplete'):
            last = time.monotonic() if pids_of(house, name) else last
        clear(directory)
        return last - first
    return min(measure() for _ in range(3))


@pytest.mark.parametrize('victim', ['qemu-img', 'qemu-storage-daemon'])
def test_what_merges_is_killed(house, merged, directory, victim):
    machine, settings = merged
    before, duration = digests(machine), measure_program(house, machine, directory, settings, victim)
    moments, failures = Moments(f'kill of {victim} in an export', KILLS), 0
    for part in moments:
        task = begin(machine, directory, **settings)
        start = wait_for_program(house, task, victim)
        house.pass_time(start + part * duration - time.monotonic())
        killed = pids_of(house, victim)
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        moments.hit(killed)
        error = house.client.wait_task(task)['ErrorName']
        left = list(directory.iterdir())
        assert error.rpartition('.')[2] in ('', 'Failed', 'Backend') and len(left) == (not error), (error, left)
        if left:
            verify(left[0])
        assert killed or not error
        failures += bool(error)
        assert digests(machine) == before
        clear(directory)
    print(f'{failures} of {KILLS} failed')
    moments.check()
    verify(export(machine, directory, **settings))


# --- A disk that is full ---

def test_a_disk_of_any_size(machine, small):
    before = digests(machine)
    path = small(1 << 30)
    bundle = export(machine, path)
    need = sum(file.stat().st_blocks * 512 for file in bundle.rglob('*') if file.is_file())
    inodes = 2 + sum(1 for _ in bundle.rglob('*'))
    clear(path)
    for number in range(1, SIZES + 1):
        small(need * number // (SIZES + 1) & -4096)
        assert fail(machine, path) == 'DiskFull' and not list(path.iterdir()), number
    for number in range(2, inodes, 1 if LONG else 4):
        small(1 << 30, number)
        assert fail(machine, path) == 'DiskFull' and not list(path.iterdir()), number
    assert digests(machine) == before
    small(1 << 30, inodes)
    verify(export(machine, path))


def test_a_disk_that_somebody_else_fills(house, large, small):
    """There was room when it began."""
    before = digests(large)
    path = small((DATA_MIB + 512) << 20)
    for _ in range(TRIES):
        task, pids = begin_halfway(house, path, lambda: begin(large, path))
        status = os.statvfs(path)
        subprocess.run(['fallocate', '-l', str((status.f_bavail * status.f_frsize) - (1 << 20)), path / 'filler'], check=True)
        go_on(pids)
        error = house.client.wait_task(task)['ErrorName']
        (path / 'filler').unlink()
        if error:
            break
        clear(path)
    assert error == 'org.virtask1.Error.DiskFull' and not list(path.iterdir())
    assert digests(large) == before
