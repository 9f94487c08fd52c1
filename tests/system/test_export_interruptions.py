# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of a machine whose daemon or worker dies, at random moments and after single steps, and exports to a disk that is full (security.md T8, T9,
T11). There is a whole bundle or nothing, the task says which, and the images are what they were, bit for bit."""

import contextlib
import itertools
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest
from exports import begin, begin_halfway, export, fail, go_on, verify, workers
from harness import BUILD, Scratch
from harness.source import LONG
from qemu_house import House, Moments, Snapshots, run, second_disk
from test_export import DISKS, digests, write
from test_snapshots_interruptions import RESTARTED, Armed

KILLS = 100 if LONG else 3  # of either
STEPS = int(os.environ.get('VIRTASK_STEPS', 0 if LONG else 4))  # 0: all
SIZES = 32 if LONG else 6
DATA_MIB = 1024 if LONG else 192
REMOVED_SECONDS = 2  # after the start of the next daemon
TRIES = 5
ENOUGH = 10000  # inodes

pytestmark = pytest.mark.root

numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        # A file system of any size; the daemon sees only what is mounted before it starts.
        (scratch / 'small').mkdir()
        run('mount', '-t', 'tmpfs', '-o', f'nr_inodes={ENOUGH}', 'small', scratch / 'small')
        scratch.callback(run, 'umount', '--lazy', scratch / 'small')
        yield House(scratch, 'embed', environment={
            'LD_PRELOAD': str(BUILD / 'tests/crash-point.so'), 'VIRTASK_CRASH_ARM': str(scratch / 'armed'),
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'})


def new_machine(house, name):
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))
    write(machine, 1)
    return machine


@pytest.fixture(scope='module')
def machine(house):
    return new_machine(house, 'web1')


@pytest.fixture(scope='module')
def large(house):
    """With so much data that there is a middle."""
    machine = new_machine(house, 'large')
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '4G')
    run('qemu-io', '-f', form, '-c', f'write -P 7 64M {DATA_MIB}M', path)
    return machine


@pytest.fixture(scope='module')
def merged(house):
    """The settings of an export of one of its snapshots, which is merged."""
    machine = new_machine(house, 'merged')
    machine.take(DISKS, ElementName='first')
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '4G')
    run('qemu-io', '-f', form, '-c', f'write -P 7 64M {DATA_MIB}M', path)
    return machine, {'CopySnapshotConfiguration': 2, 'SnapshotVirtualSystem': machine.take(DISKS, ElementName='second'), 'BackupIntent': 1}


@pytest.fixture
def directory(house):
    path = house.scratch / f'to{next(numbers)}'
    path.mkdir()
    yield path
    run('rm', '-r', path)


def check(machine, directory, task, before):
    """The truth, and nothing but a whole bundle; answers the name of the result, or None of a task that has never been."""
    left = [path.name for path in directory.iterdir()]
    assert left in ([], [machine.guest.name])
    if left:
        verify(directory / machine.guest.name)
    assert digests(machine) == before
    if task is None or task not in machine.client.objects():
        assert not left
        return None
    properties = machine.client.get_all(task, 'Task')
    assert properties['ErrorName'] == ('' if left else RESTARTED), properties
    return properties['ResultName']


def clear(directory):
    for path in directory.iterdir():
        run('rm', '-r', path)


# --- Death ---

def test_the_daemon_dies_after_a_step(house, machine, directory):
    armed, before = Armed(house), digests(machine)
    armed.arm(0)
    export(machine, directory)
    armed.disarm()
    total = armed.count()
    clear(directory)
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed).sample(range(1, total + 1), min(STEPS or total, total))
    print(f'{total} steps, seed {seed}, dies after {chosen}')
    for number in chosen:
        task = armed.die(number, lambda: begin(machine, directory))
        if task and task in house.client.objects():
            house.client.wait_task(task, REMOVED_SECONDS)
        print(f'step {number}: {check(machine, directory, task, before)}')
        clear(directory)
    verify(export(machine, directory))


def duration_of(machine, directory):
    """The best of three."""
    def measure():
        start = time.monotonic()
        export(machine, directory)
        seconds = time.monotonic() - start
        clear(directory)
        return seconds
    return min(measure() for _ in range(3))


@pytest.mark.parametrize('victim', ['daemon', 'worker'])
def test_killed_at_a_random_moment(house, large, directory, victim):
    before, duration = digests(large), duration_of(large, directory)
    moments, results = Moments(f'kill of the {victim} in an export', KILLS), {}
    for part in moments:
        start = time.monotonic()
        task = begin(large, directory)
        house.pass_time(start + part * duration - time.monotonic())
        moments.hit(any('.partial-' in path.name for path in directory.iterdir()))
        if victim == 'daemon':
            house.daemon.kill()
            house.daemon.start()
            house.client.wait_task(task, REMOVED_SECONDS)
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

@pytest.fixture
def small(house):
    """Sets the size of the file system, and its number of inodes."""
    path = house.scratch / 'small'

    def resize(size, inodes=ENOUGH):
        run('mount', '-o', f'remount,size={size},nr_inodes={inodes}', path)
        return path
    yield resize
    clear(path)


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
    for number in range(2, inodes + 1, 1 if LONG else 4):
        small(1 << 30, number)
        assert fail(machine, path) == 'DiskFull' and not list(path.iterdir()), number
    assert digests(machine) == before
    small(1 << 30)
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
