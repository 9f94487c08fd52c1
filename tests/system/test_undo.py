# SPDX-License-Identifier: LGPL-2.1-or-later
"""Undo disks: what a machine has written is thrown away, kept or merged, and its disks are not touched before."""

import contextlib
import hashlib
import itertools
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest
from gi.repository import GLib
from harness import MANAGER, Scratch
from harness.source import LONG
from qemu_house import DISKS, Armed, Moments, Snapshots, armed_house, run, second_disk

VM = 'VirtualMachine'
DISCARD, KEEP, COMMIT = range(3)
OLD, NEW = 0x11, 0x22

# Behind a libvirtd all of them in the full counts; else only how a machine goes off.
pytestmark = pytest.mark.below(*(('embed', 'libvirtd') if LONG else ('embed',)))

numbers = itertools.count()


class Undoable(Snapshots):
    """A machine with two disks that hold OLD, and its undo disks."""

    def __init__(self, house, guest):
        super().__init__(house, guest)
        self.write(OLD)
        self.bases = self.images()

    def set(self, undoable=True, action=None):
        self.client.call(self.guest.path, VM, 'SetUndoable', 'b', undoable)
        if action is not None:
            self.client.call(self.guest.path, VM, 'SetUndoAction', 'u', action)

    def begin_merge(self, **options):
        return self.client.call(self.guest.path, VM, 'MergeUndoDisks', 'a{sv}', options)

    def merge(self):
        properties = self.client.wait_task(self.begin_merge())
        assert properties['ResultName'] == 'success', properties
        return properties

    def discard(self):
        self.client.call(self.guest.path, VM, 'DiscardUndoDisks')

    @property
    def settings(self):
        return self.client.get(self.guest.path, VM, 'Undoable'), self.client.get(self.guest.path, VM, 'UndoAction')

    def hashes(self):
        """The disks as files: nobody may have touched them."""
        return {target: hashlib.sha256(open(path, 'rb').read()).digest() for target, (path, _) in self.bases.items()}

    def assert_base_reads(self, pattern):
        for path, form in self.bases.values():
            assert 'verification failed' not in run('qemu-io', '-rU', '-f', form, '-c', f'read -P {pattern} 512k 64k', path)

    def overlays(self):
        """Every file beside the disks that could be an undo disk."""
        return sorted(path for directory in {pathlib.Path(path).parent for path, _ in self.bases.values()}
                      for path in directory.glob(f'*.undo.{self.guest.uuid[:8]}-*'))

    def assert_whole_undo(self):
        """The machine has undo disks on its disks and nothing else is there; all are clean."""
        now = self.images()
        assert sorted(path for path, _ in now.values()) == [str(path) for path in self.overlays()]
        for path, form in now.values():
            assert form == 'qcow2'
            run('qemu-img', 'check', '-q', '-f', 'qcow2', path)

    def assert_no_undo(self):
        assert self.images() == self.bases and not self.overlays()

    def wait_applied(self, seen):
        """The task of the service's own that follows a machine going off, after a place in the signals."""
        def is_it(found):
            task = self.client.get_all(found.path, 'Task')
            return (task['Operation'], task['Subject']) == ('vm-apply-undo-action', self.guest.path)
        task = self.client.wait_signal('Completed', where=is_it, after=seen).path
        return self.client.get_all(task, 'Task')


def make(house, **keywords):
    name = f'undo{next(numbers)}'
    return Undoable(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name), **keywords))


@pytest.fixture
def machine(house):
    return make(house)


@pytest.fixture
def undoable(machine):
    machine.set()
    return machine


# --- What they are ---

def test_what_a_machine_writes_goes_into_them(machine):
    assert machine.settings == (False, KEEP)
    before = machine.hashes()
    machine.set()
    assert machine.settings == (True, KEEP)
    machine.assert_whole_undo()
    machine.bring('running')
    machine.guest.wait_ticks(5)
    machine.house.do(machine.guest, 'TurnOff')
    assert machine.count_on_disk() > 0
    machine.write(NEW)
    machine.assert_reads(NEW)
    assert machine.hashes() == before
    machine.assert_whole_undo()


def test_changes_are_announced(machine):
    client, seen = machine.client, len(machine.client.signals)
    machine.set(action=COMMIT)
    for name in ('Undoable', 'UndoAction'):
        client.wait_signal('PropertiesChanged', machine.guest.path, lambda signal: name in signal.changed, after=seen)


def test_to_enable_them_twice_changes_nothing(undoable):
    undoable.write(NEW)
    undoable.set()
    undoable.assert_reads(NEW)
    undoable.assert_whole_undo()


def test_disabled_the_machine_has_its_disks_as_they_were(undoable):
    undoable.write(NEW)
    undoable.set(False)
    undoable.assert_no_undo()
    undoable.assert_reads(OLD)
    assert undoable.settings == (False, KEEP)


def test_a_qcow2_disk_has_one_as_well(house):
    machine = make(house, disk_format='qcow2')
    machine.set()
    machine.write(NEW)
    machine.assert_base_reads(OLD)
    machine.merge()
    machine.assert_base_reads(NEW)


@pytest.mark.parametrize('state', ['running', 'paused', 'saved'])
def test_only_a_machine_that_is_off_gets_or_loses_them(machine, state):
    machine.bring(state)
    for value in (True, False):
        assert machine.house.refused(machine.guest, 'SetUndoable', 'b', value) == 'MachineActive'
    machine.client.call(machine.guest.path, VM, 'SetUndoAction', 'u', COMMIT)
    assert machine.settings == (False, COMMIT)


def test_an_action_that_is_none(machine):
    assert machine.house.refused(machine.guest, 'SetUndoAction', 'u', 3) == 'InvalidArgument'


# --- Discard and merge ---

def test_discard(undoable):
    undoable.write(NEW)
    undoable.discard()
    undoable.assert_reads(OLD)
    undoable.assert_whole_undo()
    undoable.write(NEW)
    undoable.assert_reads(NEW)


def test_merge(undoable):
    undoable.write(NEW)
    undoable.write(NEW, '8M', ['hdb'])
    seen = len(undoable.client.signals)
    task = undoable.merge()
    assert (task['PercentCompleted'], task['Operation']) == (100, 'vm-merge-undo-disks')
    assert task['BytesDone'] == task['BytesTotal'] > 8 << 20
    undoable.assert_base_reads(NEW)
    undoable.assert_reads(NEW, length='8M', targets=['hdb'])
    undoable.assert_whole_undo()
    assert all(path.stat().st_blocks * 512 < 1 << 20 for path in undoable.overlays())
    states = [signal.arguments for signal in undoable.client.signals[seen:]
              if signal.member == 'StateChanged' and signal.path == undoable.guest.path]
    assert states == [(1, 9), (9, 1)]
    undoable.set(False)
    undoable.assert_no_undo()
    undoable.assert_reads(NEW)


def test_merge_of_a_saved_machine(undoable):
    undoable.bring('saved')
    before = undoable.guest.ticks
    undoable.merge()
    undoable.assert_whole_undo()
    undoable.go_on('saved', before)


@pytest.mark.parametrize('state', ['running', 'paused'])
def test_a_machine_that_runs_refuses(undoable, state):
    undoable.bring(state)
    assert undoable.house.refused(undoable.guest, 'MergeUndoDisks', 'a{sv}', {}) == 'AlreadyRunning'
    assert undoable.house.refused(undoable.guest, 'DiscardUndoDisks') == 'RunningOrSaved'


def test_a_saved_machine_does_not_lose_what_its_memory_rests_on(undoable):
    undoable.bring('saved')
    assert undoable.house.refused(undoable.guest, 'DiscardUndoDisks') == 'RunningOrSaved'


def test_without_them_there_is_nothing_to_merge_or_discard(machine):
    assert machine.house.refused(machine.guest, 'MergeUndoDisks', 'a{sv}', {}) == 'InvalidState'
    assert machine.house.refused(machine.guest, 'DiscardUndoDisks') == 'InvalidState'


def fails(machine, error):
    """A merge that fails changes nothing."""
    before = machine.hashes()
    task = machine.client.wait_task(machine.begin_merge())
    assert task['ErrorName'].rpartition('.')[2] == error, task
    assert machine.hashes() == before
    machine.assert_reads(NEW)
    machine.assert_whole_undo()


def test_a_disk_that_can_only_be_read(undoable):
    undoable.write(NEW)
    path = next(iter(undoable.bases.values()))[0]
    os.chmod(path, 0o444)
    fails(undoable, 'FileReadOnly')


def test_a_disk_that_another_machine_rests_on(house, undoable):
    undoable.write(NEW)
    path, form = undoable.bases['hdb']
    overlay = house.scratch / f'{undoable.guest.name}-other.qcow2'
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', path, '-F', form, overlay)
    house.register(f'{undoable.guest.name}-other', boot=False, devices=(
        f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{overlay}'/><target dev='hdb' bus='ide'/></disk>"))
    fails(undoable, 'ParentInUse')


@contextlib.contextmanager
def opened(path, form):
    """Another program has the image open to write to it."""
    with subprocess.Popen(['qemu-io', '-f', form, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b'length\n')
        other.stdin.flush()
        other.stdout.readline()  # it has answered
        yield
        other.stdin.close()


def test_a_disk_that_somebody_has_open(undoable):
    """The merge fails in its middle: the machine has what it had, but only together with the undo disks."""
    undoable.write(NEW)
    with opened(*undoable.bases['hdb']):
        task = undoable.client.wait_task(undoable.begin_merge())
    assert task['ErrorName'].rpartition('.')[2] == 'FileInUse', task
    undoable.assert_reads(NEW)
    assert undoable.house.refused(undoable.guest, 'DiscardUndoDisks') == 'InvalidState'
    assert undoable.house.refused(undoable.guest, 'SetUndoable', 'b', False) == 'InvalidState'
    undoable.bring('running')
    undoable.house.do(undoable.guest, 'TurnOff')
    undoable.assert_reads(NEW)
    undoable.merge()
    undoable.assert_base_reads(NEW)
    undoable.discard()


@pytest.mark.below('embed')
def test_an_image_that_somebody_laid_on_one_is_not_pulled_away(house, undoable):
    undoable.write(NEW)
    target, (path, _) = next(iter(undoable.images().items()))
    top = house.scratch / f'{undoable.guest.name}-top.qcow2'
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', path, '-F', 'qcow2', top)
    definition = house.below.root / f'etc/qemu/{undoable.guest.name}.xml'
    text = definition.read_text(encoding='utf-8').replace(path, str(top))
    house.daemon.kill()
    definition.write_text(text, encoding='utf-8')
    house.daemon.start()
    assert undoable.images()[target][0] == str(top)
    assert house.refused(undoable.guest, 'DiscardUndoDisks') == 'InvalidState'
    task = undoable.client.wait_task(undoable.begin_merge())
    assert task['ErrorName'].rpartition('.')[2] == 'InvalidState'
    undoable.assert_reads(NEW)


# --- The action ---

def power_off(machine, how):
    """Off, in one of the ways; what the service did then of its own, or None where that is part of the task."""
    house, guest, seen = machine.house, machine.guest, len(machine.client.signals)
    if how == 'TurnOff':
        house.do(guest, 'TurnOff')
        return None
    if how == 'by-itself':
        guest.send('p')
    elif how == 'killed':
        os.kill(house.below.qemu_pid(guest.name), signal.SIGKILL)
    else:
        house.daemon.kill()
        os.kill(house.below.qemu_pid(guest.name), signal.SIGKILL)
        house.daemon.start()
    return machine.wait_applied(seen)


WAYS = ['TurnOff', 'by-itself', 'killed', 'without-the-service']


@pytest.mark.below('embed', 'libvirtd')
@pytest.mark.parametrize('how', WAYS)
def test_what_is_to_be_discarded_is(undoable, how):
    undoable.set(action=DISCARD)
    before = undoable.hashes()
    undoable.bring('running')
    undoable.guest.wait_ticks(3)
    applied = power_off(undoable, how)
    assert not applied or applied['ResultName'] == 'success'
    assert undoable.count_on_disk() == 0
    undoable.assert_reads(OLD)
    undoable.assert_whole_undo()
    assert undoable.hashes() == before


@pytest.mark.below('embed', 'libvirtd')
@pytest.mark.parametrize('how', WAYS)
def test_what_is_to_be_merged_is(undoable, how):
    undoable.write(NEW)
    undoable.set(action=COMMIT)  # later: what a machine that is off has written is settled by that
    undoable.bring('running')
    undoable.guest.wait_ticks(3)
    undoable.assert_base_reads(OLD)
    seen = len(undoable.client.signals)
    applied = power_off(undoable, how) or undoable.wait_applied(seen)
    assert applied['ResultName'] == 'success'
    undoable.assert_base_reads(NEW)
    undoable.assert_whole_undo()


def test_what_is_kept_is_there_after_the_next_start(undoable):
    undoable.bring('running')
    undoable.guest.wait_ticks(3)
    undoable.house.do(undoable.guest, 'TurnOff')
    kept = undoable.count_on_disk()
    undoable.house.daemon.restart()
    assert undoable.count_on_disk() == kept > 0


def test_a_new_action_is_not_for_what_was_kept(undoable):
    undoable.write(NEW)
    undoable.set(action=DISCARD)
    undoable.house.daemon.restart()
    undoable.client.wait(lambda: undoable.client.get(MANAGER, 'Manager', 'Connected'))
    undoable.assert_reads(NEW)


def test_a_start_finds_them_discarded_already(undoable):
    """The guest that goes off and is started again at once does not see what it had written."""
    undoable.set(action=DISCARD)
    undoable.bring('running')
    undoable.guest.wait_ticks(3)
    undoable.guest.send('p')
    undoable.client.wait_property(undoable.guest.path, VM, 'StateName', lambda state: state in ('turned-off', 'merging-drives'))
    undoable.house.do(undoable.guest, 'Startup', 'a{sv}', {'Queue': GLib.Variant('b', True)})
    undoable.guest.wait_first_tick(undoable.guest.processes)
    undoable.house.do(undoable.guest, 'TurnOff')
    undoable.assert_reads(OLD)


def test_save_is_refused_while_they_are_to_be_discarded(undoable):
    undoable.set(action=DISCARD)
    undoable.bring('running')
    error = undoable.client.error(undoable.guest.path, VM, 'Save', 'a{sv}', {})
    assert error.short == 'UndoDisksMarkedForDeletion' and '0x80004005' in error.message
    undoable.client.call(undoable.guest.path, VM, 'SetUndoAction', 'u', KEEP)
    undoable.house.do(undoable.guest, 'Save')


def test_a_saved_machine_is_not_off(undoable):
    undoable.set(action=COMMIT)
    before = undoable.hashes()
    undoable.bring('saved')
    count = undoable.guest.ticks
    undoable.house.daemon.restart()
    assert undoable.hashes() == before
    undoable.house.do(undoable.guest, 'Startup')
    undoable.guest.assert_goes_on(count)


# --- Beside everything else ---

def test_there_are_no_snapshots_meanwhile(machine):
    snapshot = machine.take(DISKS, ElementName='s1')
    machine.bases = machine.images()
    machine.set()
    assert machine.refused(DISKS) == 'InvalidState'
    assert machine.client.error(machine.guest.path, 'ReferencePointService', 'CreateReferencePoint', 'qa{sv}', 2, {}).short == 'InvalidState'
    for method in ('Apply', 'Destroy', 'DestroyTree'):
        assert machine.client.error(snapshot, 'Snapshot', method, 'a{sv}', {}).short == 'InvalidState'
    machine.write(NEW)
    machine.merge()
    machine.set(False)
    machine.assert_reads(NEW)
    machine.assert_reads(OLD, snapshot)
    machine.do(snapshot, 'Destroy')
    machine.assert_reads(NEW)


def test_delete_takes_them_and_leaves_the_disks(undoable):
    undoable.write(NEW)
    before = undoable.hashes()
    undoable.house.do(undoable.guest, 'Delete')
    assert not undoable.overlays()
    assert undoable.hashes() == before


@pytest.mark.below('embed')
def test_an_export_holds_what_the_machine_has(house, undoable, directory):
    undoable.write(NEW)
    house.do(undoable.guest, 'ExportSystemDefinition', 'sa{sv}', str(directory), {})
    undoable.house.do(undoable.guest, 'Delete')
    task = undoable.client.wait_task(undoable.client.call(
        MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(directory / undoable.guest.name), {}))
    assert task['ResultName'] == 'success', task
    assert undoable.settings == (False, KEEP)
    undoable.assert_reads(NEW)


@pytest.mark.below('embed')
def test_a_live_export_of_a_machine_with_undo_disks(house, undoable, directory):
    undoable.write(NEW)
    undoable.bring('running')
    before = undoable.images()
    house.do(undoable.guest, 'ExportSystemDefinition', 'sa{sv}', str(directory), {'CaptureLiveState': GLib.Variant('q', 0)})
    assert undoable.images() == before
    house.do(undoable.guest, 'TurnOff')
    undoable.discard()
    undoable.assert_reads(OLD)
    undoable.assert_whole_undo()


def test_one_disk_that_can_have_none(house):
    name = f'undo{next(numbers)}'
    disk = second_disk(house.scratch, name).replace("<target dev='hdb' bus='ide'/>", "<target dev='sda' bus='scsi'/><shareable/>").replace('qcow2', 'raw')
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=disk))
    assert house.refused(machine.guest, 'SetUndoable', 'b', True) == 'NotSupported'
    assert not list(house.scratch.path.glob(f'*.undo.{machine.guest.uuid[:8]}-*'))


# --- Interruptions ---

@pytest.fixture(scope='module')
def armed():
    with Scratch() as scratch:
        yield Armed(armed_house(scratch))


def steps(armed, machine, action):
    """How many there are."""
    armed.arm(0)
    action(machine)
    count = armed.count()
    armed.disarm()
    return count


ACTIONS = {
    'enable': lambda machine: machine.client.call(machine.guest.path, VM, 'SetUndoable', 'b', True),
    'disable': lambda machine: machine.client.call(machine.guest.path, VM, 'SetUndoable', 'b', False),
    'discard': lambda machine: machine.client.call(machine.guest.path, VM, 'DiscardUndoDisks'),
    'merge': lambda machine: machine.client.wait_task(machine.begin_merge()),
}
# What the disks may hold afterwards.
RESULTS = {'enable': {OLD}, 'disable': {OLD, NEW}, 'discard': {OLD, NEW}, 'merge': {NEW}}


def content(machine):
    """What all disks hold: none may be of another moment than the others."""
    found = set()
    for pattern in (OLD, NEW):
        with contextlib.suppress(AssertionError):
            machine.assert_reads(pattern)
            found.add(pattern)
    assert len(found) == 1
    return found.pop()


def settled(machine):
    """Nothing is left to do: the service has done what there was when it came back."""
    machine.client.wait(lambda: machine.client.get(MANAGER, 'Manager', 'Connected'))
    for task in machine.client.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {}):
        machine.client.wait_task(task[-1])


@pytest.mark.below('embed')
@pytest.mark.parametrize('kind', ACTIONS)
def test_the_service_dies_after_each_step(armed, kind):
    house = armed.house

    def prepared():
        machine = make(house)
        if kind != 'enable':
            machine.set()
            machine.write(NEW)
        return machine

    count = steps(armed, prepared(), ACTIONS[kind])
    assert count > 3
    numbers_of_steps = range(1, count + 1)
    for number in numbers_of_steps if LONG else random.SystemRandom().sample(numbers_of_steps, 4):
        machine = prepared()

        def action():
            if kind != 'merge':
                return ACTIONS[kind](machine)
            return machine.begin_merge()

        armed.die(number, action)
        settled(machine)
        assert content(machine) in RESULTS[kind], number
        if machine.settings[0]:
            machine.assert_whole_undo()
            if kind == 'merge':
                machine.merge()
                machine.assert_base_reads(NEW)
        else:
            machine.assert_no_undo()
        machine.bring('running')
        house.do(machine.guest, 'TurnOff')
        house.do(machine.guest, 'Delete')


# --- Killed at random moments of a merge ---

KILLS = 50 if LONG else 4
MIB = 512 if LONG else 192


@pytest.fixture(scope='module')
def large(house):
    """A merge of it takes a while."""
    name = f'undo{next(numbers)}'
    machine = Undoable(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '2G')))
    machine.set()
    return machine


def fill(machine):
    machine.write(NEW)
    machine.write(NEW, f'{MIB}M', ['hdb'])


def begin_large(machine):
    """Begins to merge, and waits until it does."""
    task = machine.begin_merge()
    machine.client.wait_property(task, 'Task', 'IsCancelable', False)
    return task, time.monotonic()


def qemu_img(house):
    """The qemu-img of the service."""
    children = pathlib.Path(f'/proc/{house.daemon.pid}/task').glob('*/children')
    pids = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for pid in (pid for file in children for pid in file.read_text(encoding='ascii').split()):
            if os.path.basename(os.readlink(f'/proc/{pid}/exe')) == 'qemu-img':
                pids.append(int(pid))
    return pids


@pytest.mark.below('embed')
@pytest.mark.parametrize('victim', ['service', 'qemu-img'])
def test_killed_at_random_moments_of_a_merge(house, large, victim):
    fill(large)
    task, start = begin_large(large)
    large.client.wait_task(task)
    duration = time.monotonic() - start
    moments = Moments(f'kill of {victim} in a merge of undo disks', KILLS)
    for part in moments:
        fill(large)
        task, start = begin_large(large)
        house.pass_time(start + part * duration - time.monotonic())
        moments.hit(not large.client.get(task, 'Task', 'IsComplete'))
        if victim == 'service':
            house.daemon.kill()
            house.daemon.start()
        else:
            for pid in qemu_img(house):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        name = large.client.wait_task(task)['ErrorName'].rpartition('.')[2]
        assert name in (('', 'ServiceRestarted') if victim == 'service' else ('', 'Failed', 'Backend')), name
        large.assert_reads(NEW)
        large.assert_reads(NEW, length=f'{MIB}M', targets=['hdb'])
        if name in ('Failed', 'Backend'):  # in the middle; otherwise nothing was written
            assert house.refused(large.guest, 'DiscardUndoDisks') == 'InvalidState'
        if name:
            large.merge()
        large.assert_base_reads(NEW)
        large.assert_whole_undo()
        assert all(path.stat().st_blocks * 512 < 1 << 20 for path in large.overlays())
    moments.check()
    large.bring('running')
    house.do(large.guest, 'TurnOff')
