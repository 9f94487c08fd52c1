# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reference points: the images above one hold what has changed since; it is no snapshot for clients and one for libvirt, and goes without a trace."""

import itertools
import os
import random
import xml.etree.ElementTree as ElementTree

import pytest
from exports import variants, verify
from gi.repository import GLib
from harness import ROOT, Scratch
from harness.source import LONG, rows
from qemu_house import DISKS, RECOVERY, RESTARTED, Armed, House, Snapshots, armed_house, run, second_disk

OLD, NOW, LATER = 0x11, 0x22, 0x33
STEPS = int(os.environ.get('VIRTASK_STEPS', 12 if LONG else 1))  # of each operation

numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield armed_house(scratch)


class Points(Snapshots):
    """A machine that is off, with a raw disk (hda, of which it boots) and one that is qcow2."""

    def point(self, path):
        return self.client.get_all(path, 'ReferencePoint')

    def convert(self, snapshot, **settings):
        return self.client.call(snapshot, 'Snapshot', 'ConvertToReferencePoint', 'a{sv}',
                                {key: GLib.Variant('q', value) for key, value in settings.items()})

    def refused(self, kind, **settings):
        return self.client.error(self.guest.path, 'ReferencePointService', 'CreateReferencePoint', 'qa{sv}', kind,
                                 {key: GLib.Variant('q', value) for key, value in settings.items()}).short


@pytest.fixture
def machine(house):
    if not house.daemon.process.running:
        house.daemon.start()
    name = f'point{next(numbers)}x'
    return Points(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))


def test_what_is_shown(house, machine):
    machine.write(OLD, targets=['hdb'])
    seen = len(house.client.signals)
    path = machine.take_point(ElementName='Monday')
    assert path == f'{machine.guest.path}/referencepoint/Monday' and machine.points == [path]
    point = machine.point(path)
    created = point.pop('CreationTime')
    assert created > 1_600_000_000_000_000
    assert point == {'InstanceID': f'{machine.guest.uuid}/Monday', 'ElementName': 'Monday', 'VirtualMachine': machine.guest.path,
                     'ReferencePointType': 2, 'ConsistencyLevel': 2, 'HasAssociatedData': False,
                     'VirtualDiskIdentifiers': ['hda', 'hdb'], 'ResilientChangeTrackingIdentifiers': ['Monday/hda', 'Monday/hdb']}
    assert machine.paths == [] and house.client.get(machine.guest.path, 'VirtualMachine', 'CurrentSnapshot') == '/'
    assert house.client.get(machine.guest.path, 'ReferencePointService', 'SupportedReferencePointTypes') == [2]
    added = [signal for signal in house.client.signals[seen:] if signal.member == 'InterfacesAdded' and signal.path == ROOT]
    assert path in [signal.arguments[0] for signal in added]
    assert house.client.announced(machine.guest.path, 'ReferencePointService', 'ReferencePoints') == [[path]]
    assert house.client.announced(machine.guest.path, 'VirtualMachine', 'Snapshots') == []

    second = machine.take_point()
    assert second.endswith('/reference_2dpoint_2d1') and machine.points == [path, second]
    machine.destroy_point(path)
    machine.destroy_point(second)
    removed = [signal.arguments[0] for signal in house.client.signals[seen:] if signal.member == 'InterfacesRemoved']
    assert [path_ for path_ in removed if '/referencepoint/' in path_] == [path, second]
    assert machine.points == []
    machine.assert_reads(OLD, targets=['hdb'])
    machine.assert_whole()


def test_a_task_tells_what_it_did(house, machine):
    task = machine.begin_point()
    properties = house.client.wait_task(task)
    job = house.client.get_all(task, 'ConcreteJob')
    assert (properties['Operation'], job['JobType']) == ('reference-point-create', 201)
    assert house.client.call(task, 'Task', 'GetResults')['ReferencePointId'] == 'reference-point-1'
    point = properties['ResultObject']
    task = house.client.call(point, 'ReferencePoint', 'RemoveAssociatedData', 'a{sv}', {})
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert house.client.get(task, 'ConcreteJob', 'JobType') == 204 and machine.points == [point]
    task = machine.start_destroy(point)
    assert house.client.wait_task(task)['Subject'] == machine.guest.path
    assert house.client.get(task, 'ConcreteJob', 'JobType') == 202


@pytest.mark.parametrize('state', rows(['turned-off', 'running', 'paused', 'saved'], ['running', 'saved'], ['running']))
def test_changes_are_above_it(machine, state):
    """In any state of the machine, of a raw disk and of one that is not."""
    machine.write(OLD, targets=['hdb'])
    machine.bring(state)
    before = machine.guest.ticks
    point = machine.take_point()
    below, now = machine.images(point), machine.images()
    assert {form for _, form in below.values()} == {'raw', 'qcow2'}
    assert all(path != now[target][0] for target, (path, _) in below.items())
    if state == 'running':
        machine.guest.wait(lambda: machine.guest.ticks > before + 2, 'the guest to count')
    assert machine.house.state(machine.guest) == state
    machine.assert_whole()
    machine.destroy_point(point)
    assert machine.images() == below
    machine.go_on(state, before)
    machine.assert_reads(OLD, targets=['hdb'])
    machine.assert_whole()


@pytest.mark.parametrize('order', list(itertools.permutations(range(3))) if LONG else [(1, 0, 2)])
def test_what_each_saw_stays_until_it_goes(machine, order):
    """Three, with a change between them."""
    points = []
    for pattern in (1, 2, 3):
        machine.write(pattern, targets=['hdb'])
        points.append(machine.take_point())
    machine.write(4, targets=['hdb'])
    for index in order:
        machine.destroy_point(points[index])
        points[index] = None
        for pattern, point in enumerate(points, 1):
            if point:
                machine.assert_reads(pattern, point, targets=['hdb'])
        machine.assert_reads(4, targets=['hdb'])
        machine.assert_whole()


def test_between_snapshots(house, machine):
    """The line of snapshots leaves them out, whatever is done to it, and they stay."""
    machine.write(OLD, targets=['hdb'])
    first = machine.take(DISKS)
    point = machine.take_point()
    second = machine.take(DISKS)
    third = machine.take(DISKS)
    last = machine.take_point()
    assert machine.paths == [first, second, third] and machine.points == [point, last]
    assert machine.get(second)['Parent'] == first and machine.get(first)['Children'] == [second]
    assert house.client.get(machine.guest.path, 'VirtualMachine', 'CurrentSnapshot') == third
    machine.write(NOW, targets=['hdb'])

    machine.do(first, 'Apply')
    assert house.client.get(machine.guest.path, 'VirtualMachine', 'CurrentSnapshot') == first
    assert machine.points == [point, last]
    machine.assert_reads(OLD, targets=['hdb'])
    machine.assert_whole()
    machine.write(LATER, targets=['hdb'])
    machine.do(second, 'DestroyTree')
    assert machine.paths == [first] and machine.points == [point, last]
    machine.assert_whole()
    machine.do(first, 'DestroyTree')
    assert machine.paths == [] and machine.points == [point, last]
    machine.assert_reads(LATER, targets=['hdb'])
    machine.assert_reads(OLD, last, targets=['hdb'])
    machine.assert_whole()
    machine.destroy_point(last)
    machine.destroy_point(point)
    machine.assert_reads(LATER, targets=['hdb'])
    machine.assert_whole()


@pytest.mark.parametrize('state', rows(['turned-off', 'running'], ['running'], ['turned-off']))
def test_a_recovery_snapshot_becomes_one(house, machine, state):
    machine.write(OLD, targets=['hdb'])
    machine.bring(state)
    before = machine.guest.ticks
    snapshot = machine.take(RECOVERY, ElementName='nightly')
    created = machine.get(snapshot)['CreationTime']
    seen = len(house.client.signals)
    task = machine.convert(snapshot)
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    assert house.client.get(task, 'ConcreteJob', 'JobType') == 200
    point = properties['ResultObject']
    assert point == f'{machine.guest.path}/referencepoint/nightly'
    assert machine.paths == [] and machine.points == [point] and snapshot not in house.client.objects()
    removed = [signal.arguments[0] for signal in house.client.signals[seen:] if signal.member == 'InterfacesRemoved']
    assert removed == [snapshot]
    shown = machine.point(point)
    assert (shown['ElementName'], shown['ConsistencyLevel'], shown['CreationTime']) == ('nightly', 2, created)
    machine.assert_whole()
    machine.destroy_point(point)
    machine.go_on(state, before)
    machine.assert_reads(OLD, targets=['hdb'])
    machine.assert_whole()


def test_the_variables_of_the_firmware_stay(house):
    """For an export, also of one that was a snapshot. A guest that runs is stopped for the moment."""
    machine = Points(house, house.register(f'uefi{next(numbers)}x', boot=False, memory=128, uefi=True))
    house.do(machine.guest, 'Startup')
    snapshot, point = machine.take(RECOVERY), machine.take_point()
    assert house.client.wait_task(machine.convert(snapshot))['ResultName'] == 'success'
    assert machine.state_files() == {'snapshot-1.nvram', 'reference-point-1.nvram'}
    machine.assert_whole()
    house.do(machine.guest, 'TurnOff')
    for path in machine.points:
        machine.destroy_point(path)
    assert point not in machine.points and machine.state_files() == set()
    machine.assert_whole()


def test_what_can_not_be(house, machine):
    assert machine.refused(1) == 'NotSupported'
    assert machine.refused(0) == machine.refused(3) == machine.refused(2, ConsistencyLevel=3) == 'InvalidArgument'
    disks, recovery = machine.take(DISKS), machine.take(RECOVERY, ConsistencyLevel=2)
    assert house.client.error(disks, 'Snapshot', 'ConvertToReferencePoint', 'a{sv}', {}).short == 'NotSupported'
    error = house.client.error(recovery, 'Snapshot', 'ConvertToReferencePoint', 'a{sv}', {'ConsistencyLevel': GLib.Variant('q', 1)})
    assert error.short == 'InvalidState'
    machine.bring('saved')
    assert machine.refused(2, ConsistencyLevel=1) == 'InvalidState'
    assert machine.points == [] and machine.paths == [disks, recovery]
    house.client.call(machine.guest.path, 'VirtualMachine', 'DiscardSavedState')


def test_points_know_each_other_after_a_restart(house, machine):
    points = [machine.take_point(), machine.take_point()]
    shown = [machine.point(point) for point in points]
    house.daemon.kill()
    house.daemon.start()
    house.client.wait_property(machine.guest.path, 'ReferencePointService', 'ReferencePoints', points)
    assert [machine.point(point) for point in points] == shown


# --- Exports ---

def test_an_export_has_what_was_there(house, machine):
    machine.write(OLD, targets=['hdb'])
    point = machine.take_point()
    machine.write(NOW, targets=['hdb'])
    machine.bring('running')
    directory = house.scratch / f'bundles{next(numbers)}'
    directory.mkdir()

    def export(**settings):
        task = house.client.call(point, 'ReferencePoint', 'Export', 'sa{sv}', str(directory), variants(settings))
        assert house.client.get(task, 'ConcreteJob', 'JobType') == 203
        return house.client.wait_task(task)

    assert export()['ResultName'] == 'success'
    bundle = directory / machine.guest.name
    manifest = verify(bundle)
    assert manifest['machine']['uuid'] == machine.guest.uuid
    assert sorted(disk['target'] for disk in manifest['disks']) == ['hda', 'hdb']
    image = next(disk['images'][0] for disk in manifest['disks'] if disk['target'] == 'hdb')
    assert 'failed' not in run('qemu-io', '-f', 'qcow2', '-c', f'read -P {OLD} 512k 64k', bundle / image)

    directory /= 'one'
    assert export(DisksToExport=['hdb'], CreateVmExportSubdirectory=False)['ResultName'] == 'success'
    with_data = {disk['target'] for disk in verify(directory)['disks'] if 'backing' not in disk}
    assert with_data == {'hdb'}

    directory = house.scratch / 'nothing'
    directory.mkdir()
    assert export(DisksToExport=['hdx'])['ErrorName'] == 'org.virtask1.Error.InvalidArgument'
    for base, name in ((f'{machine.guest.path}/referencepoint/none', 'NoSuchSnapshot'), (machine.guest.path, 'InvalidArgument')):
        error = house.client.error(point, 'ReferencePoint', 'Export', 'sa{sv}', str(directory), {'BaseReferencePoint': GLib.Variant('o', base)})
        assert error.short == name
    assert not list(directory.iterdir())
    machine.destroy_point(point)
    house.do(machine.guest, 'TurnOff')
    machine.assert_whole()


def test_an_export_of_what_has_changed(house, machine):
    """64 KiB of it, and no more."""
    machine.write(OLD, length='4M', targets=['hdb'])
    base = machine.take_point()
    machine.write(NOW, targets=['hdb'])
    point = machine.take_point()
    machine.write(LATER, length='8M', targets=['hdb'])
    directory = house.scratch / f'bundles{next(numbers)}'

    def export(path, **settings):
        task = house.client.call(path, 'ReferencePoint', 'Export', 'sa{sv}', str(directory),
                                 {**settings, 'CreateVmExportSubdirectory': GLib.Variant('b', False)})
        return house.client.wait_task(task)

    assert export(point, BaseReferencePoint=GLib.Variant('o', base))['ResultName'] == 'success'
    manifest = verify(directory)
    assert {disk['target']: disk['differs'] for disk in manifest['disks']} == {'hda': True, 'hdb': True}
    image, = next(disk['images'] for disk in manifest['disks'] if disk['target'] == 'hdb')
    assert (directory / image).stat().st_size < 1 << 20
    run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', machine.images(base)['hdb'][0], '-F', 'qcow2', directory / image)
    printed = run('qemu-io', '-f', 'qcow2', '-c', f'read -P {NOW} 512k 64k', '-c', f'read -P {OLD} 576k 64k', directory / image)
    assert 'failed' not in printed

    directory = house.scratch / f'bundles{next(numbers)}'
    properties = export(base, BaseReferencePoint=GLib.Variant('o', point))
    assert properties['ErrorName'] == 'org.virtask1.Error.InvalidArgument' and not directory.exists()
    machine.destroy_point(base)
    machine.destroy_point(point)
    machine.assert_whole()


# --- Death after single steps ---

def take_recovery(machine):
    machine.take(RECOVERY)


def take_point(machine):
    machine.take_point()


# name: (state, what there is, what is done, how many points there are if it has succeeded)
OPERATIONS = {
    'create-running': ('running', (), lambda machine: machine.begin_point(), 1),
    'create-off': ('turned-off', (take_point,), lambda machine: machine.begin_point(), 2),
    'create-saved': ('saved', (), lambda machine: machine.begin_point(), 1),
    'convert-running': ('running', (take_recovery,), lambda machine: machine.convert(machine.paths[0]), 1),
    'destroy-running': ('running', (take_point, take_point), lambda machine: machine.start_destroy(machine.points[0]), 1),
    'destroy-off': ('turned-off', (take_point, take_point), lambda machine: machine.start_destroy(machine.points[0]), 1),
    'destroy-tree-off': ('turned-off', (take_recovery, take_recovery, take_point),
                         lambda machine: machine.start(machine.paths[0], 'DestroyTree'), 1),
}


def prepare(machine, name):
    for path in machine.paths:
        if path in machine.paths:
            machine.do(path, 'DestroyTree')
    for point in machine.points:
        machine.destroy_point(point)
    state, made, _, _ = OPERATIONS[name]
    machine.write(OLD, targets=['hdb'])
    for make in made:
        make(machine)
    machine.write(NOW, targets=['hdb'])
    machine.bring(state)


@pytest.mark.parametrize('name', OPERATIONS if LONG or 'VIRTASK_STEP' in os.environ else ('create-running', 'destroy-off'))
def test_dies_after_a_step(house, machine, name):
    state, made, action, points = OPERATIONS[name]
    armed = Armed(house)
    prepare(machine, name)
    before = machine.guest.ticks
    armed.arm(0)
    assert house.client.wait_task(action(machine))['ResultName'] == 'success'
    armed.disarm()
    machine.go_on(state, before)
    total = armed.count()
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed).sample(range(1, total + 1), min(STEPS, total))
    if 'VIRTASK_STEP' in os.environ:
        chosen = [int(number) for number in os.environ['VIRTASK_STEP'].split(',')]
    print(f'{name}: {total} steps, seed {seed}, dies after {chosen}')
    for number in chosen:
        prepare(machine, name)
        before = machine.guest.ticks
        known = machine.paths, machine.points
        task = armed.die(number, lambda: action(machine))
        house.client.wait_property(machine.guest.path, 'VirtualMachine', 'StateName', state)
        if task is None or task not in house.client.objects():
            assert (machine.paths, machine.points) == known
        else:
            properties = house.client.wait_task(task)
            print(name, number, properties['ResultName'], properties['ErrorDescription'])
            assert properties['ErrorName'] in ('', RESTARTED), properties
            if properties['ResultName'] == 'success':
                assert machine.paths == [] and len(machine.points) == points
            else:
                assert (machine.paths, machine.points) == known
        machine.assert_whole()
        machine.go_on(state, before)
        machine.assert_reads(NOW, targets=['hdb'])


# --- virsh beside us ---

@pytest.mark.root
def test_virsh_sees_a_snapshot():
    with Scratch() as scratch:
        house = House(scratch, 'libvirtd')
        machine = Points(house, house.register('beside', boot=False, memory=32, disk_format='qcow2'))
        point = machine.take_point(ElementName='one')
        assert house.below.virsh('snapshot-list', 'beside', '--name').split() == ['one']
        text = house.below.virsh('dumpxml', '--inactive', 'beside')
        notes = [node for node in ElementTree.fromstring(text).find('metadata').iter() if node.tag.endswith('}snapshot')]
        assert [(node.get('id'), node.get('type')) for node in notes] == [('one', '32769')]
        house.below.virsh('snapshot-delete', 'beside', 'one', '--metadata')
        house.client.wait_property(machine.guest.path, 'ReferencePointService', 'ReferencePoints', [])
        assert point not in house.client.objects()
