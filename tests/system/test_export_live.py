# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of machines that run: they run on, what is exported is of one moment, and nothing is left of it."""

import os
import signal
import subprocess

import pytest
from exports import begin, begin_halfway, count_in, export, fail, go_on, numbers, sources, variants, verify
from harness import Embed, LinuxGuest, Scratch
from qemu_house import DISKS, FULL, Snapshots, run, second_disk

pytestmark = pytest.mark.below('embed')

CRASH, SAVED, APPLICATION = 0, 1, 2


@pytest.fixture
def machine(house):
    """It runs and counts, on its first disk as well; the second one has 192 MiB of data. Each test leaves it so."""
    name = f'live{next(numbers)}x'
    guest = house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '1G'))
    machine = Snapshots(house, guest)
    path, form = machine.images()['hdb']
    run('qemu-io', '-f', form, '-c', 'write -P 7 64M 192M', path)
    house.do(guest, 'Startup')
    guest.wait_ticks(3)
    yield machine
    guest.wait_ticks(3)
    assert machine.paths == []
    machine.assert_whole()
    house.do(guest, 'TurnOff')


def test_the_guest_runs_on(machine, directory):
    before = machine.guest.wait_ticks()
    bundle = export(machine, directory, CaptureLiveState=CRASH)
    manifest = verify(bundle)
    assert manifest['machine']['state'] == 'turned-off' and manifest['snapshots'] == []
    assert before <= count_in(bundle / 'disks/hda.raw', 'raw') <= machine.guest.wait_ticks()
    assert sources(bundle / 'machine.xml') == [f'{bundle}/disks/hda.raw', f'{bundle}/disks/hdb.qcow2']
    assert 'virtask' not in (bundle / 'machine.xml').read_text(encoding='utf-8'), 'notes of the snapshot that is gone'
    machine.guest.assert_goes_on(before)


def test_it_has_to_be_asked_for(machine, directory):
    def error(**settings):
        return machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory), variants(settings)).short

    assert error() == 'InvalidState'
    assert error(CaptureLiveState=SAVED, CopyVmRuntimeInformation=False) == 'InvalidArgument'
    assert error(CaptureLiveState=SAVED, CopyVmStorage=False) == 'InvalidArgument'
    assert error(CaptureLiveState=CRASH, CopyVmStorage=False) == 'InvalidState'
    assert not list(directory.iterdir())


def test_the_definition_alone(machine, directory):
    bundle = export(machine, directory, CaptureLiveState=CRASH, CopyVmStorage=False, ExportForLiveMigration=True)
    assert verify(bundle)['disks'] == []
    assert sources(bundle / 'machine.xml') == [path for path, _ in machine.images().values()]


def test_with_its_memory(machine, directory):
    before = machine.guest.wait_ticks()
    bundle = export(machine, directory, CaptureLiveState=SAVED)
    manifest = verify(bundle)
    assert (manifest['machine']['state'], manifest['machine']['saved-state']) == ('saved', 'state/saved')
    assert (bundle / 'state/saved').read_bytes()[:16] == b'LibvirtQemudSave'
    assert before <= count_in(bundle / 'disks/hda.raw', 'raw')
    assert 'virsh restore' in (bundle / 'README').read_text(encoding='utf-8')


def test_virsh_goes_on_from_its_memory(house, machine, directory):
    """As the README of the bundle says, on a connection that has never heard of us."""
    bundle = export(machine, directory, CaptureLiveState=SAVED)
    counted = count_in(bundle / 'disks/hda.raw', 'raw')
    with Scratch() as elsewhere:
        other = Embed(elsewhere, name='elsewhere')
        with subprocess.Popen(['virsh', '-c', other.uri], cwd=bundle, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as virsh:
            virsh.stdin.write('define machine.xml\nrestore state/saved --xml machine.xml\n')
            virsh.stdin.flush()
            house.client.wait(lambda: virsh.poll() is not None or count_in(bundle / 'disks/hda.raw', 'raw') > counted + 10, what='the guest to go on')
            output, _ = virsh.communicate(f'destroy {machine.guest.name}\nundefine {machine.guest.name}\nquit\n')
    assert 'Domain restored' in output, output
    assert count_in(bundle / 'disks/hda.raw', 'raw') > counted + 10


def test_its_snapshots_travel(machine, directory):
    machine.take(DISKS, ElementName='before')
    machine.guest.wait_ticks(3)
    full = machine.take(FULL, ElementName='with memory')
    machine.guest.wait_ticks(3)
    manifest = verify(export(machine, directory, CaptureLiveState=CRASH))
    assert [snapshot['id'] for snapshot in manifest['snapshots']] == [machine.get(path)['ID'] for path in machine.paths]
    assert [snapshot['memory'] for snapshot in manifest['snapshots']] == [None, 'snapshots/2.memory']
    chains = {disk['target']: len(disk['images']) for disk in manifest['disks']}
    assert chains == {'hda': 3, 'hdb': 3}
    without = verify(export(machine, directory / 'without', CaptureLiveState=CRASH, CopyVmRuntimeInformation=False, CreateVmExportSubdirectory=False))
    assert [snapshot['memory'] for snapshot in without['snapshots']] == [None, None]
    alone = verify(export(machine, directory / 'alone', CopySnapshotConfiguration=2, SnapshotVirtualSystem=full, CreateVmExportSubdirectory=False))
    assert alone['machine']['state'] == 'saved' and alone['disks'][0]['images'] == ['disks/hda.qcow2']
    machine.assert_whole()
    for path in machine.paths:
        machine.do(path, 'Destroy')


def test_a_paused_machine_stays_paused(house, machine, directory):
    machine.client.call(machine.guest.path, 'VirtualMachine', 'Pause')
    error = machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory),
                                 variants({'CaptureLiveState': APPLICATION}))
    assert error.short == 'InvalidState'
    verify(export(machine, directory, CaptureLiveState=CRASH))
    assert house.state(machine.guest) == 'paused'
    machine.client.call(machine.guest.path, 'VirtualMachine', 'Resume')


def test_without_an_agent_it_is_not_application_consistent(machine, directory):
    assert fail(machine, directory, CaptureLiveState=APPLICATION) == 'NotSupported'
    assert not list(directory.iterdir())


def test_an_excluded_disk_is_named(machine, directory):
    original = machine.images()['hdb'][0]
    bundle = export(machine, directory, CaptureLiveState=CRASH, CopySnapshotConfiguration=1, ExcludedVirtualHardDisks=['hdb'])
    assert [disk['target'] for disk in verify(bundle)['disks']] == ['hda'] and sources(bundle / 'machine.xml')[1] == original


# --- Interruptions ---

def begin_live(house, machine, directory):
    return begin_halfway(house, directory, lambda: begin(machine, directory, CaptureLiveState=CRASH))


def test_one_that_is_cancelled_leaves_nothing(house, machine, directory):
    task, pids = begin_live(house, machine, directory)
    machine.client.call(task, 'Task', 'Cancel')
    go_on(pids)
    assert machine.client.wait_task(task)['ResultName'] == 'cancelled'
    assert not list(directory.iterdir())


def test_a_target_that_is_taken_leaves_nothing(machine, directory):
    verify(export(machine, directory, CaptureLiveState=CRASH))
    assert fail(machine, directory, CaptureLiveState=CRASH) == 'FileExists'


def test_a_killed_daemon_leaves_nothing(house, machine, directory):
    before = machine.guest.wait_ticks()
    task, _ = begin_live(house, machine, directory)
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert not list(directory.iterdir())
    machine.guest.assert_goes_on(before)


def test_a_guest_that_dies_meanwhile(house, machine, directory):
    """What was copied is of a moment when it lived."""
    task, pids = begin_live(house, machine, directory)
    os.kill(house.below.qemu_pid(machine.guest.name), signal.SIGKILL)
    go_on(pids)
    properties = machine.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    verify(directory / machine.guest.name)
    house.client.wait(lambda: house.state(machine.guest) == 'turned-off', what='the end of the guest')
    house.do(machine.guest, 'Startup')


# --- With an agent ---

def test_application_consistent(house, directory):
    guest = house.register('agent', kind=LinuxGuest)
    machine = Snapshots(house, guest)
    manifest = verify(export(machine, directory, CaptureLiveState=APPLICATION))
    assert manifest['machine']['state'] == 'turned-off'
    guest.wait_ticks(3)
    assert machine.paths == []
    machine.assert_whole()
