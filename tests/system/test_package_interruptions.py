# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages whose daemon or worker dies, after single steps and at random moments, and packages on a disk that is full: there is a whole one or nothing,
the task says which, and the images are what they were. The houses are those of the exports."""

import os
import signal
import time

import imports
import pytest
from exports import digests, workers
from harness import MANAGER
from harness.source import LONG
from imports import everything, imported_by
from interruptions import (DATA_MIB, ENOUGH, check_end, clear, die_after_steps, house, large, machine,  # pylint: disable=unused-import
                           small)
from packages import Package, begin, export, fail
from qemu_house import RESTARTED, Moments, run

KILLS = 100 if LONG else 1  # of either
SIZES = 16 if LONG else 4
PARTS = (2, 8, 32) if LONG else (8,)  # of the room that an import needs
NAME = 'web.ova'

pytestmark = pytest.mark.root


def check(machine, directory, task, before):
    return check_end(machine, directory, task, before, directory / NAME, Package)


def test_the_daemon_dies_after_a_step(house, machine, directory):
    before, path = digests(machine), directory / NAME
    for task in die_after_steps(house, lambda: begin(machine, path), lambda _: path.unlink()):
        print(check(machine, directory, task, before))
        clear(directory)


@pytest.fixture(scope='module')
def duration(house, large):
    """Seconds that it takes to export it."""
    start = time.monotonic()
    export(large, house.scratch / NAME)
    return time.monotonic() - start


@pytest.mark.parametrize('victim', ['daemon', 'worker'])
def test_killed_at_a_random_moment(house, large, directory, duration, victim):
    before = digests(large)
    moments = Moments(f'kill of the {victim} in a package', KILLS)
    for part in moments:
        start = time.monotonic()
        task = begin(large, directory / NAME)
        house.pass_time(start + part * duration - time.monotonic())
        moments.hit(any('.partial-' in path.name for path in directory.iterdir()))
        if victim == 'daemon':
            house.daemon.kill()
            house.daemon.start()
            check(large, directory, task, before)
        else:
            for pid in workers(house):
                os.kill(pid, signal.SIGKILL)
            error = house.client.wait_task(task)['ErrorName']
            assert error in ('', 'org.virtask1.Error.Failed')
            assert [path.name for path in directory.iterdir()] == ([] if error else [NAME])
            assert digests(large) == before
        clear(directory)
    moments.check()


def test_a_disk_of_any_size(machine, small):
    before = digests(machine)
    path = small(1 << 30)
    need = export(machine, path / NAME).path.stat().st_blocks * 512
    clear(path)
    for number in range(1, SIZES + 1):
        small(need * number // (SIZES + 1) & -4096)
        assert fail(machine, path / NAME) == 'DiskFull' and not list(path.iterdir()), number
    small(1 << 30, 1)
    assert fail(machine, path / NAME) == 'DiskFull' and not list(path.iterdir())
    assert digests(machine) == before
    small(1 << 30, ENOUGH)
    export(machine, path / NAME)


def test_a_disk_that_gets_full(house, large, small):
    """There was room when it began."""
    before = digests(large)
    path = small((DATA_MIB + 512) << 20)
    task = begin(large, path / NAME)
    house.client.wait(lambda: house.client.get(task, 'Task', 'BytesDone') > 0, what='bytes')
    used = os.statvfs(path)
    # Less than it has already.
    small((used.f_blocks - used.f_bavail + 16) * used.f_frsize)
    properties = house.client.wait_task(task)
    assert properties['ErrorName'] == 'org.virtask1.Error.DiskFull', properties['ErrorDescription']
    assert not list(path.iterdir())
    assert digests(large) == before


# --- Imports ---

def test_the_daemon_dies_after_a_step_of_an_import(house, machine, directory):
    package = export(machine, directory / NAME).path
    (house.below.root / 'images').mkdir(exist_ok=True)
    before = everything(house)
    for task in die_after_steps(house, lambda: imports.begin(house, package, Name='back'), lambda task: imports.remove(imported_by(house, task))):
        properties = house.client.wait_task(task) if task in house.client.objects() else {'ErrorName': None, 'ResultName': 'none'}
        print(properties['ResultName'])
        assert properties['ErrorName'] in (None, '', RESTARTED), properties
        if properties['ResultName'] == 'success':
            house.client.wait(lambda: properties['ResultObject'] in house.client.get(MANAGER, 'Manager', 'VirtualMachines'), what='the machine')
            back = imported_by(house, task)
            assert_same(machine, back)
            imports.remove(back)
        assert everything(house) == before


def assert_same(machine, back):
    for target, (path, form) in machine.images().items():
        run('qemu-img', 'compare', '-f', form, '-F', 'qcow2', path, back.images()[target][0])


def test_no_room_for_an_import(house, large, directory, small):
    """A package is smaller than what is in it."""
    package = export(large, directory / NAME).path
    before = everything(house)
    for part in PARTS:
        path = small((DATA_MIB << 20) // part)
        error, _ = imports.fail(house, package, Name='back', StorageDirectory=str(path))
        assert error == 'DiskFull' and not list(path.iterdir()), part
    assert everything(house) == before
    if not LONG:
        return
    path = small((DATA_MIB + 64) << 20)
    back = imports.import_(house, package, Name='back', StorageDirectory=str(path))
    assert_same(large, back)
    house.do(back.guest, 'Delete')
