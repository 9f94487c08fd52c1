# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots that are destroyed: whatever is merged, all others and the machine still hold what they held, byte for byte."""

import itertools
import pathlib

import pytest
from harness.source import LONG, rows
from qemu_house import DISKS, FULL, Snapshots, run, second_disk

pytestmark = pytest.mark.below('embed')

MIB = 64 if LONG else 1

numbers = itertools.count()


@pytest.fixture
def machine(house):
    """A new one, with a second disk."""
    name = f'chain{next(numbers)}x'
    return Levels(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '1G')))


class Levels(Snapshots):
    """Each level is a number that is written to two places of the second disk: one that all levels write to, and one of its own."""

    def write_level(self, level):
        path, form = self.images()['hdb']
        run('qemu-io', '-f', form, '-c', f'write -P {level} 0 64k', '-c', f'write -P {level} {level * MIB}M {MIB}M', path)

    def assert_levels(self, *levels, snapshot=None):
        """It holds these and no other, the last one on top."""
        path, form = self.images(snapshot)['hdb']
        reads = [f'read -P {levels[-1]} 0 64k', *(f'read -P {level if level in levels else 0} {level * MIB}M {MIB}M' for level in range(1, 9))]
        printed = run('qemu-io', '-rU', '-f', form, *(word for read in reads for word in ('-c', read)), path)
        assert 'failed' not in printed, (snapshot, levels, printed)

    def chain(self, length, kind=DISKS):
        """A snapshot at each level, and the machine one level further."""
        paths = {}
        for level in range(1, length + 1):
            self.write_level(level)
            paths[level] = self.take(kind, ElementName=f's{level}')
        self.write_level(length + 1)
        return paths


@pytest.mark.parametrize('which', rows([1, 3, 5], [1, 3], [3]))
@pytest.mark.parametrize('state', rows(['turned-off', 'running', 'paused', 'saved'], ['turned-off', 'running', 'saved'], ['running']))
def test_one_of_a_chain_of_five(machine, state, which):
    paths = machine.chain(5)
    parents = {level: machine.get(path)['Parent'] for level, path in paths.items()}
    machine.bring(state)
    before = machine.guest.ticks
    task = machine.do(paths[which], 'Destroy')
    assert task['PercentCompleted'] == 100
    machine.assert_whole()
    left = [level for level in paths if level != which]
    assert machine.paths == [paths[level] for level in left]
    if which < 5:
        assert machine.get(paths[which + 1])['Parent'] == parents[which]
    for level in left:
        machine.assert_levels(*range(1, level + 1), snapshot=paths[level])
    machine.go_on(state, before)
    machine.assert_levels(1, 2, 3, 4, 5, 6)
    machine.assert_whole()
    for level in left if LONG else left[1:3]:
        machine.do(paths[level], 'Apply')
        machine.assert_levels(*range(1, level + 1))
        machine.assert_whole()


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_all_of_a_chain_one_after_the_other(machine, state):
    """The oldest first, then what is in the middle."""
    images = machine.images()
    paths = machine.chain(5)
    machine.bring(state)
    before = machine.guest.ticks
    for level in (1, 3, 2, 5, 4):
        machine.do(paths.pop(level), 'Destroy')
        machine.assert_whole()
        for other, path in paths.items():
            machine.assert_levels(*range(1, other + 1), snapshot=path)
    assert machine.images() == images
    machine.go_on(state, before)
    machine.assert_levels(1, 2, 3, 4, 5, 6)


def test_a_chain_that_was_made_while_it_ran(machine):
    """libvirt notes all of it in the definition then."""
    machine.bring('running')
    paths = [machine.take(DISKS) for _ in range(3)]
    machine.house.do(machine.guest, 'TurnOff')
    for path in (paths[1], paths[0], paths[2]):
        machine.do(path, 'Destroy')
        machine.assert_whole()
        machine.bring('running')
        machine.house.do(machine.guest, 'TurnOff')


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_one_with_two_branches(machine, state):
    """s1 ── s2 ──┬── s3 ── was now
                  ├── s4 ── s5
                  └── now"""
    paths = machine.chain(3)
    machine.do(paths[2], 'Apply')
    machine.write_level(4)
    paths[4] = machine.take(DISKS, ElementName='s4')
    machine.write_level(5)
    paths[5] = machine.take(DISKS, ElementName='s5')
    machine.do(paths[2], 'Apply')
    machine.write_level(6)
    machine.bring(state)
    before = machine.guest.ticks
    content = {1: (1,), 3: (1, 2, 3), 4: (1, 2, 4), 5: (1, 2, 4, 5)}
    assert machine.get(paths[2])['Children'] == [paths[3], paths[4]]

    def check():
        machine.assert_whole()
        for level, levels in content.items():
            machine.assert_levels(*levels, snapshot=paths[level])
        machine.assert_levels(1, 2, 6)

    machine.do(paths[2], 'Destroy')
    check()
    assert machine.get(paths[1])['Children'] == [paths[3], paths[4]]
    machine.do(paths[3], 'Destroy')
    del content[3]
    check()
    machine.do(paths[1], 'Destroy')
    del content[1]
    check()
    machine.go_on(state, before)
    machine.do(paths[4], 'Apply')
    machine.assert_levels(1, 2, 4)
    machine.do(paths[5], 'Apply')
    machine.assert_levels(1, 2, 4, 5)
    machine.assert_whole()


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_a_tree(machine, state):
    paths = machine.chain(4)
    machine.do(paths[3], 'Apply')
    machine.write_level(5)
    machine.bring(state)
    before = machine.guest.ticks
    seen = len(machine.client.signals)
    machine.do(paths[2], 'DestroyTree')
    gone = [signal.arguments[0] for signal in machine.client.signals[seen:] if signal.member == 'InterfacesRemoved']
    assert [path for path in gone if '/snapshot/' in path] == [paths[4], paths[3], paths[2]]
    assert machine.paths == [paths[1]]
    assert machine.client.get(machine.guest.path, 'VirtualMachine', 'CurrentSnapshot') == paths[1]
    machine.assert_whole()
    machine.assert_levels(1, snapshot=paths[1])
    machine.go_on(state, before)
    machine.assert_levels(1, 2, 3, 5)
    machine.do(paths[1], 'DestroyTree')
    assert machine.paths == []
    machine.assert_levels(1, 2, 3, 5)


def test_memory_goes_with_its_snapshot(machine):
    machine.bring('running')
    paths = [machine.take(FULL) for _ in range(3)]
    assert len(machine.state_files()) == 3
    machine.do(paths[1], 'ClearState')
    machine.assert_whole()
    machine.do(paths[0], 'Destroy')
    machine.assert_whole()
    process = machine.guest.processes + 1
    machine.do(paths[2], 'Apply')
    machine.guest.wait_first_tick(process)
    machine.do(paths[1], 'Apply')
    assert machine.house.state(machine.guest) == 'turned-off'
    machine.do(paths[1], 'DestroyTree')
    assert machine.state_files() == set()
    machine.assert_whole()


def test_a_disk_that_came_later_is_not_ours_to_remove(house):
    """It has no part in the snapshot that is applied, and stays as a file. What was on top of it is waste."""
    machine = Levels(house, house.register('later', boot=False, memory=32))
    path = machine.take(DISKS)
    own = house.scratch / 'owned-by-somebody.qcow2'
    run('qemu-img', 'create', '-q', '-f', 'qcow2', own, '64M')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 1M', own)
    house.daemon.stop()
    definition = house.scratch / 'later.xml'
    text = run('virsh', '-q', '-c', house.below.uri, 'dumpxml', '--security-info', 'later')
    disk = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{own}'/><target dev='hdb' bus='ide'/></disk></devices>"
    definition.write_text(text.replace('</devices>', disk), encoding='utf-8')
    run('virsh', '-q', '-c', house.below.uri, 'define', definition)
    house.daemon.start()
    assert str(own) in {image for image, _ in machine.images().values()}
    machine.do(path, 'Apply')
    assert own.exists() and 'hdb' not in machine.images()
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 7 0 1M', own)
    machine.do(path, 'Destroy')
    machine.assert_whole()
    assert own.exists()


@pytest.mark.parametrize('method', ['Destroy', 'DestroyTree', 'ClearState'])
def test_what_writes_into_images_can_not_be_cancelled(machine, method):
    path = machine.chain(2)[1]
    task = machine.start(path, method)
    assert machine.client.get(task, 'Task', 'IsCancelable') is False
    assert machine.client.error(task, 'Task', 'Cancel').short in ('NotCancelable', 'AlreadyComplete')
    assert machine.client.wait_task(task)['ResultName'] == 'success'


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_the_machine_says_when_it_merges(machine, state):
    paths = machine.chain(1)
    machine.bring(state)
    seen = len(machine.client.signals)
    machine.do(paths[1], 'Destroy')
    announced = [signal.changed['OperationalStatus'] for signal in machine.client.signals[seen:]
                 if signal.path == machine.guest.path and signal.member == 'PropertiesChanged' and 'OperationalStatus' in signal.changed]
    assert announced == [[11, 32770], [11, 32772], [2]]


def test_the_progress_is_that_of_all_merges(machine):
    """In bytes, and never back."""
    mib = 128
    for level in range(1, 4):
        path, form = machine.images()['hdb']
        run('qemu-io', '-f', form, '-c', f'write -P {level} 0 {mib}M', path)
        first = machine.paths[0] if level > 1 else machine.take(DISKS)
        if level > 1:
            machine.take(DISKS)
    run('qemu-io', '-f', 'qcow2', '-c', f'write -P 9 0 {mib}M', machine.images()['hdb'][0])
    task = machine.start(first, 'DestroyTree')
    machine.client.wait_task(task)
    seen = [signal.changed for signal in machine.client.signals if signal.member == 'PropertiesChanged' and signal.path == task]
    totals = [changed['BytesTotal'] for changed in seen if changed.get('BytesTotal')]
    done = [changed['BytesDone'] for changed in seen if 'BytesDone' in changed]
    assert totals and all(total >= 3 * mib << 20 for total in totals), totals
    assert done == sorted(done) and done[-1] > mib << 20, done
    machine.assert_whole()


@pytest.mark.parametrize('killed', [False, True])
def test_a_machine_that_is_deleted_takes_the_memory_along(machine, killed):
    """Disk images stay."""
    house = machine.house
    machine.bring('running')
    machine.take(FULL)
    house.do(machine.guest, 'TurnOff')
    machine.take(DISKS)
    (machine.house.below.saved_states / f'{machine.guest.uuid}.save').touch()  # of a machine with a strange name
    overlays = [path for path, _ in machine.images().values()]
    if killed:
        house.daemon.stop()
        with house.daemon.crash('after_unlink', f'/{machine.guest.name}.xml'):
            house.daemon.start()
            task = house.begin(machine.guest, 'Delete')
            house.daemon.wait_killed()
        house.daemon.start()
        assert house.client.wait_task(task)['ResultName'] == 'success'
    else:
        house.do(machine.guest, 'Delete')
    assert machine.state_files() == {'save'}
    assert all(pathlib.Path(path).exists() for path in overlays)
