# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of other products (.ova) as tasks: what is in them is what the machine has, and there is a whole one or none."""

import os
import signal

import pytest
from exports import count_in, digests, fill, new_machine, workers, write, written_to
from packages import CPUS, DISK, IDE, MEMORY, begin, export, fail, refused
from qemu_house import DISKS, run

pytestmark = pytest.mark.below('embed')

CRASH, SAVED, APPLICATION = 0, 1, 2


@pytest.fixture
def machine(house):
    return new_machine(house)


@pytest.fixture
def running(house, machine):
    """It counts, on its first disk as well; the second one has data for a second or more."""
    fill(machine)
    house.do(machine.guest, 'Startup')
    machine.guest.wait_ticks(3)
    yield machine
    machine.guest.wait_ticks(3)
    assert machine.paths == []
    machine.assert_whole()
    house.do(machine.guest, 'TurnOff')


@pytest.fixture
def large(machine):
    fill(machine)
    return machine


def wait_half(machine, path, **settings):
    """An export of which a part is written."""
    task = begin(machine, path, **settings)
    machine.client.wait(lambda: machine.client.get(task, 'Task', 'BytesDone') > 8 << 20 or machine.client.get(task, 'Task', 'IsComplete'),
                        what='bytes')
    return task


# --- What is in it ---

def test_a_machine_that_is_off(machine, directory):
    before = digests(machine)
    package = export(machine, directory / 'web.ova')
    assert package.names == ['web.ovf', 'web.mf', 'web-disk1.vmdk', 'web-disk2.vmdk']
    package.assert_holds(directory / 'out', *machine.images().values())
    assert [item['VirtualQuantity'] for item in package.items(CPUS) + package.items(MEMORY)] == ['1', '32']
    assert len(package.items(IDE)) == 1
    assert [item['AddressOnParent'] for item in package.items(DISK)] == ['0', '1']
    assert package.path.stat().st_mode & 0o777 == 0o600
    assert digests(machine) == before


def test_chains_become_one_image(machine, directory):
    machine.take(DISKS, ElementName='first')
    write(machine, 2)
    machine.take(DISKS, ElementName='second')
    write(machine, 3)
    export(machine, directory / 'web.ova').assert_holds(directory / 'out', *machine.images().values())


def test_an_excluded_disk_does_not_travel(machine, directory):
    assert fail(machine, directory / 'web.ova', ExcludedVirtualHardDisks=['vdz']) == 'InvalidArgument'
    package = export(machine, directory / 'web.ova', ExcludedVirtualHardDisks=['hda'])
    package.assert_holds(directory / 'out', machine.images()['hdb'])
    assert [item['AddressOnParent'] for item in package.items(DISK)] == ['1']
    assert export(machine, directory / 'none.ova', ExcludedVirtualHardDisks=['hda', 'hdb']).disks == []


def test_any_name_will_do(machine, directory):
    assert export(machine, directory / '.-a').names[0] == 'machine.ovf'
    assert export(machine, directory / 'größer.ova').names[0] == 'größer.ovf'


def test_a_machine_that_runs(house, running, directory):
    before = running.guest.wait_ticks()
    package = export(running, directory / 'web.ova', CaptureLiveState=CRASH)
    package.unpack(directory / 'out')
    run('qemu-img', 'convert', '-O', 'raw', directory / 'out' / package.disks[0], directory / 'raw')
    assert before <= count_in(directory / 'raw', 'raw') <= running.guest.wait_ticks()
    run('qemu-img', 'compare', '-U', '-f', 'vmdk', '-F', 'qcow2', directory / 'out' / package.disks[1], running.images()['hdb'][0])
    running.guest.assert_goes_on(before)
    (directory / 'ends').mkdir()
    goes_on_when_its_export_ends(house, running, directory / 'ends')


def goes_on_when_its_export_ends(house, running, directory):
    """Which it does in the middle, with the daemon."""
    before = running.guest.wait_ticks()
    task = wait_half(running, directory / 'web.ova', CaptureLiveState=CRASH)
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert not list(directory.iterdir())
    running.guest.assert_goes_on(before)


# --- What is refused ---

def test_a_package_has_no_memory(house, machine, directory):
    assert refused(machine, directory / 'web.ova', CaptureLiveState=SAVED) == 'InvalidArgument'
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    assert refused(machine, directory / 'web.ova') == 'InvalidState'
    house.do(machine.guest, 'Save')
    assert refused(machine, directory / 'web.ova') == 'InvalidState'
    assert refused(machine, directory / 'web.ova', CaptureLiveState=CRASH) == 'InvalidState'
    assert not list(directory.iterdir())


def test_what_is_there_is_not_replaced(machine, directory):
    (directory / 'web.ova').write_bytes(b'his')
    assert fail(machine, directory / 'web.ova') == 'FileExists'
    assert (directory / 'web.ova').read_bytes() == b'his'
    assert fail(machine, directory) == 'FileExists'
    assert fail(machine, directory / 'missing' / 'web.ova') == 'PathNotFound'
    assert refused(machine, 'web.ova') == 'BadPath'
    assert refused(machine, directory / 'web.ova', CopyVmStorage=False) == 'InvalidArgument'
    assert [path.name for path in directory.iterdir()] == ['web.ova']


def test_an_image_that_somebody_writes_to_is_refused(machine, directory):
    with written_to(*machine.images()['hdb']):
        assert fail(machine, directory / 'web.ova') == 'FileInUse'
    assert not list(directory.iterdir())


# --- Interruptions ---

def test_one_that_is_cancelled_leaves_nothing(large, directory):
    before = digests(large)
    task = wait_half(large, directory / 'web.ova')
    large.client.call(task, 'Task', 'Cancel')
    assert large.client.wait_task(task)['ResultName'] == 'cancelled'
    assert not list(directory.iterdir())
    assert digests(large) == before


def test_a_killed_worker_leaves_nothing(house, large, directory):
    task = wait_half(large, directory / 'web.ova')
    for pid in workers(house):
        os.kill(pid, signal.SIGKILL)
    assert large.client.wait_task(task)['ResultName'] == 'unexpected-error'
    assert not list(directory.iterdir())


def test_a_killed_daemon_takes_it_along(house, large, directory):
    task = wait_half(large, directory / 'web.ova')
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert not list(directory.iterdir())
    export(large, directory / 'web.ova')
