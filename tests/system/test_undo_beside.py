# SPDX-License-Identifier: LGPL-2.1-or-later
"""Undo disks, and others who start, copy and delete machines beside us, and steps that fail in their middle: nothing that a machine has written gets lost."""

import contextlib
import os
import pathlib
import shutil
import uuid

import pytest
from gi.repository import GLib
from harness import MANAGER, Scratch
from qemu_house import House, Snapshots, run, second_disk
from test_undo import DISCARD, NEW, OLD, VM, make, numbers, opened, settled

LATER = 0x33

TOOL = '''#!/bin/sh
{tool} "$@" || exit
if test -p "{scratch}/reached-$1"; then
        echo >"{scratch}/reached-$1"
        read -r word <{scratch}/on
fi
exit 0
'''


@pytest.fixture(scope='module')
def house():
    """Its qemu-img can be stopped when it has merged an image, and before the daemon knows."""
    with Scratch() as scratch:
        tools = scratch / 'tools'
        tools.mkdir()
        file = tools / 'qemu-img'
        file.write_text(TOOL.format(tool=shutil.which('qemu-img'), scratch=scratch.path), encoding='ascii')
        file.chmod(0o755)
        yield House(scratch, 'embed', environment={'PATH': f'{tools}:{os.environ["PATH"]}'})


@pytest.fixture
def undoable(house):
    machine = make(house)
    machine.set()
    machine.write(NEW)
    return machine


@contextlib.contextmanager
def stopped(house, verb, action):
    """Stopped at the end of the first qemu-img of this kind that the action brings; what that answers."""
    reached, on = (house.scratch / name for name in (f'reached-{verb}', 'on'))
    os.mkfifo(reached)
    os.mkfifo(on)
    answer = action()
    reached.read_text(encoding='ascii')
    reached.unlink()
    try:
        yield answer
    finally:
        on.write_text('on\n', encoding='ascii')
        on.unlink()


@contextlib.contextmanager
def merged(machine):
    """Stopped when the first disk was merged, and its undo disk is not empty yet; the task, and that undo disk."""
    with stopped(machine.house, 'commit', machine.begin_merge) as task:
        yield task, next(iter(machine.images().values()))[0]


def test_what_a_guest_writes_while_its_disks_are_merged_is_not_lost(undoable):
    """virsh has started the machine, and it is off again, between the merge and the emptying."""
    with merged(undoable) as (task, overlay):
        run('qemu-io', '-f', 'qcow2', '-c', f'write -P {LATER} 256k 64k', overlay)
    properties = undoable.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    undoable.assert_base_reads(NEW)
    assert 'verification failed' not in run('qemu-io', '-rU', '-f', 'qcow2', '-c', f'read -P {LATER} 256k 64k', overlay)
    undoable.assert_whole_undo()


def test_an_undo_disk_is_not_pulled_away_from_a_guest(undoable):
    """virsh starts the machine between the merge and the emptying, and it runs."""
    with contextlib.ExitStack() as stack:
        with merged(undoable) as (task, overlay):
            file = os.stat(overlay)
            stack.enter_context(opened(overlay, 'qcow2'))
        properties = undoable.client.wait_task(task)
        assert properties['ErrorName'].rpartition('.')[2] == 'FileInUse', properties
        assert os.stat(overlay).st_ino == file.st_ino
    undoable.assert_reads(NEW)
    undoable.merge()
    undoable.assert_base_reads(NEW)
    undoable.assert_whole_undo()


def test_a_discard_does_not_pull_one_away_from_a_guest(undoable):
    overlay = undoable.images()['hdb'][0]
    with opened(overlay, 'qcow2'):
        assert undoable.house.refused(undoable.guest, 'DiscardUndoDisks') == 'FileInUse'
    undoable.assert_reads(NEW)
    undoable.discard()
    undoable.assert_reads(OLD)


def test_a_discard_that_fails_changes_nothing(undoable):
    """Neither at once nor later: what it did not discard can be merged."""
    obstacle = pathlib.Path(undoable.images()['hdb'][0] + '.new')
    obstacle.mkdir()
    undoable.client.error(undoable.guest.path, VM, 'DiscardUndoDisks')
    undoable.assert_reads(NEW)
    obstacle.rmdir()
    undoable.merge()
    undoable.assert_base_reads(NEW)
    undoable.assert_whole_undo()


def test_a_discard_is_not_done_again_on_what_was_written_since(house, undoable):
    """The service dies when the last one was discarded, and somebody else starts the machine before it is back."""
    with house.daemon.crash('after_rename', '-hdb.qcow2'):
        house.daemon.restart()
        undoable.client.wait(lambda: undoable.client.get(MANAGER, 'Manager', 'Connected'))
        undoable.client.error(undoable.guest.path, VM, 'DiscardUndoDisks')
        house.daemon.wait_killed()
    undoable.assert_reads(OLD)
    undoable.write(LATER)
    house.daemon.start()
    settled(undoable)
    undoable.assert_reads(LATER)
    undoable.assert_whole_undo()
    undoable.discard()
    undoable.assert_reads(OLD)


def interrupt(machine):
    """A merge that came half the way."""
    with opened(*machine.bases['hdb']):
        task = machine.client.wait_task(machine.begin_merge())
    assert task['ErrorName'].rpartition('.')[2] == 'FileInUse', task


def test_a_machine_is_not_deleted_in_the_middle_of_a_merge(undoable):
    """Its disks would be neither what they were nor what they were to be."""
    interrupt(undoable)
    task = undoable.client.wait_task(undoable.house.begin(undoable.guest, 'Delete'))
    assert task['ErrorName'].rpartition('.')[2] == 'InvalidState', task
    undoable.assert_reads(NEW)
    undoable.merge()
    undoable.house.do(undoable.guest, 'Delete')
    undoable.assert_base_reads(NEW)


def test_a_merge_in_its_middle_does_not_keep_a_machine_from_starting(undoable):
    """What was to be discarded is kept, as it can't be."""
    interrupt(undoable)
    undoable.set(action=DISCARD)
    undoable.bring('running')
    undoable.guest.wait_ticks(3)
    undoable.house.do(undoable.guest, 'TurnOff')
    undoable.house.do(undoable.guest, 'Startup', 'a{sv}', {'Queue': GLib.Variant('b', True)})
    undoable.house.do(undoable.guest, 'TurnOff')
    undoable.assert_reads(NEW)
    undoable.client.wait_task(undoable.begin_merge(Queue=GLib.Variant('b', True)))
    undoable.assert_base_reads(NEW)


def test_power_is_cut_by_force_whatever_the_disks_do(undoable):
    """The undo disks are discarded afterwards, by a task of the service's own."""
    undoable.set(action=DISCARD)
    undoable.bring('running')
    undoable.guest.wait_ticks(3)
    seen = len(undoable.client.signals)

    def turn_off():
        task = undoable.house.begin(undoable.guest, 'TurnOff', 'a{sv}', {'Force': GLib.Variant('b', True)})
        return undoable.client.wait_task(task)

    with stopped(undoable.house, 'create', turn_off) as properties:
        assert properties['ResultName'] == 'success', properties
    assert undoable.wait_applied(seen)['ResultName'] == 'success'
    undoable.assert_reads(OLD)
    undoable.assert_whole_undo()


def test_a_copy_of_a_machine_has_not_its_undo_disks(house, undoable):
    """virt-clone copies the disks, and what is noted with them."""
    text = (house.below.root / f'etc/qemu/{undoable.guest.name}.xml').read_text(encoding='utf-8')
    other = str(uuid.uuid4())
    text = text.replace(f'<uuid>{undoable.guest.uuid}<', f'<uuid>{other}<').replace(f'<name>{undoable.guest.name}<', f'<name>{undoable.guest.name}-copy<')
    for overlay, _ in undoable.images().values():
        shutil.copyfile(overlay, f'{overlay}.copy')
        text = text.replace(f"<source file='{overlay}'", f"<source file='{overlay}.copy'")
    path = undoable.client.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', text, {})
    assert undoable.client.get(path, VM, 'Undoable') is False
    task = undoable.client.wait_task(undoable.client.call(path, VM, 'Delete', 'a{sv}', {}))
    assert task['ResultName'] == 'success', task
    undoable.assert_reads(NEW)
    undoable.discard()
    undoable.assert_reads(OLD)


def test_one_file_that_is_two_disks(house):
    """By two names: what the one disk has written would be merged over what the other has."""
    name = f'undo{next(numbers)}'
    disk = second_disk(house.scratch, name)
    link = house.scratch / f'{name}-link.qcow2'
    link.symlink_to(house.scratch / f'{name}-data.qcow2')
    twice = disk + disk.replace(f'{name}-data', f'{name}-link').replace('hdb', 'hdc')
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=twice))
    machine.client.call(machine.guest.path, VM, 'SetUndoable', 'b', True)
    machine.write(NEW, targets=['hdb'])
    machine.write(LATER, targets=['hdc'])
    task = machine.client.wait_task(machine.client.call(machine.guest.path, VM, 'MergeUndoDisks', 'a{sv}', {}))
    assert task['ErrorName'].rpartition('.')[2] == 'ParentInUse', task
    machine.assert_reads(NEW, targets=['hdb'])
    machine.assert_reads(LATER, targets=['hdc'])


def test_a_whole_scsi_device_can_have_none(house):
    """The guest writes to it, and nothing could take that back."""
    name = f'undo{next(numbers)}'
    device = "<disk type='block' device='lun'><driver name='qemu' type='raw'/><source dev='/dev/sg-none'/><target dev='sda' bus='scsi'/></disk>"
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=device))
    assert house.refused(machine.guest, 'SetUndoable', 'b', True) == 'NotSupported'
