# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reference points of all machines of a collection at one moment: made, converted, exported and destroyed together."""

import itertools
import os
import random

import pytest
from exports import variants, verify
from gi.repository import GLib
from harness import MANAGER, ROOT, Scratch
from harness.source import LONG
from qemu_house import RESTARTED, Armed, Snapshots, armed_house, second_disk

STANDARD, RECOVERY = 1, 2
OLD, NOW = 0x11, 0x22
STEPS = int(os.environ.get('VIRTASK_STEPS', 12 if LONG else 1))  # of each operation
POINTS = 'ReferencePointCollection'

numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield armed_house(scratch)


@pytest.fixture(scope='module')
def trio(house):
    """One that runs, one that is off and one that is saved, with something on their second disks."""
    machines = []
    for name in ('runninggroup', 'offgroup', 'savedgroup'):
        machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))
        machine.write(OLD, targets=['hdb'])
        machines.append(machine)
    house.do(machines[0].guest, 'Startup')
    house.do(machines[2].guest, 'Startup')
    machines[2].guest.wait_first_tick(1)
    house.do(machines[2].guest, 'Save')
    return machines


class Shop:
    """A collection of the three."""

    def __init__(self, house, machines):
        self.house, self.client, self.machines = house, house.client, machines
        self.path = house.client.call(MANAGER, 'Manager', 'DefineCollection', 'ssqa{sv}', f'shop{next(numbers)}', '', 0, {})
        for machine in machines:
            house.client.call(self.path, 'Collection', 'AddMember', 'o', machine.guest.path)

    def get(self, name):
        return self.client.get(self.path, 'Collection', name)

    def begin(self, member='CreateReferencePoint', kind=2, **settings):
        return self.client.call(self.path, 'Collection', member, 'qa{sv}', kind, settings)

    def do(self, task):
        properties = self.client.wait_task(task)
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        return properties['ResultObject']

    def destroy(self, path):
        self.do(self.client.call(path, POINTS, 'Destroy', 'a{sv}', {}))

    def convert(self, path):
        return self.client.call(path, 'SnapshotCollection', 'ConvertToReferencePoint', 'a{sv}', {})

    def points(self):
        return [point for machine in self.machines for point in machine.points]

    def snapshots(self):
        return [path for machine in self.machines for path in machine.paths]

    def assert_whole(self):
        assert [self.house.state(machine.guest) for machine in self.machines] == ['running', 'turned-off', 'saved']
        for machine in self.machines:
            machine.assert_reads(OLD, targets=['hdb'])
            machine.assert_whole()


@pytest.fixture
def shop(house, trio):
    if not house.daemon.process.running:
        house.daemon.start()
    shop = Shop(house, trio)
    yield shop
    for path in shop.get('ReferencePointCollections'):
        shop.destroy(path)
    for path in shop.get('SnapshotCollections'):
        shop.do(house.client.call(path, 'SnapshotCollection', 'Destroy', 'a{sv}', {}))
    assert shop.points() == shop.snapshots() == []
    house.client.call(shop.path, 'Collection', 'Destroy')


def job_type(house, task):
    return house.client.get(task, 'ConcreteJob', 'JobType')


def test_all_at_one_moment(house, shop):
    task = shop.begin(ElementName=GLib.Variant('s', 'nightly'))
    path = shop.do(task)
    assert job_type(house, task) == 205 and len(house.client.get(task, 'Task', 'SubTasks')) == 3
    assert int(house.client.call(task, 'Task', 'GetResults')['StoppedUSec']) > 0
    shown = house.client.get_all(path, POINTS)
    points = shop.points()
    assert path.startswith(f'{ROOT}/referencepointcollection/_') and len(points) == 3
    assert {key: value for key, value in shown.items() if key not in ('CollectionID', 'CreationTime')} == {
        'ElementName': 'nightly', 'Collection': shop.path, 'ReferencePoints': points, 'ReferencePointType': 2, 'ConsistencyLevel': 2,
        'HasAssociatedLog': False}
    assert shop.get('ReferencePointCollections') == [path] and shop.get('SnapshotCollections') == [] and shop.snapshots() == []
    assert path in house.client.objects()
    shop.assert_whole()

    house.daemon.restart()
    house.client.wait_property(path, POINTS, 'ReferencePoints', points)
    assert house.client.get_all(path, POINTS) == shown
    shop.machines[0].destroy_point(points[0])
    house.client.wait_property(path, POINTS, 'ReferencePoints', points[1:])
    task = house.client.call(path, POINTS, 'RemoveAssociatedData', 'a{sv}', {})
    assert house.client.wait_task(task)['ResultName'] == 'success' and job_type(house, task) == 207
    task = house.client.call(path, POINTS, 'Destroy', 'a{sv}', {})
    shop.do(task)
    assert job_type(house, task) == 208
    assert shop.get('ReferencePointCollections') == shop.points() == [] and path not in house.client.objects()
    shop.assert_whole()


def test_what_can_not_be(house, shop):
    def refused(path, interface, member, signature, *arguments):
        return house.client.error(path, interface, member, signature, *arguments).short

    assert refused(shop.path, 'Collection', 'CreateReferencePoint', 'qa{sv}', 1, {}) == 'NotSupported'
    assert refused(shop.path, 'Collection', 'CreateReferencePoint', 'qa{sv}', 0, {}) == 'InvalidArgument'
    standard = shop.do(shop.begin('CreateSnapshot', STANDARD))
    assert refused(standard, 'SnapshotCollection', 'ConvertToReferencePoint', 'a{sv}', {}) == 'NotSupported'
    assert shop.points() == [] and len(shop.snapshots()) == 3


def test_recovery_snapshots_become_reference_points(house, shop):
    """Also that of the machine that is saved, which has a copy of its state."""
    snapshots = shop.do(shop.begin('CreateSnapshot', RECOVERY))
    name = house.client.get(snapshots, 'SnapshotCollection', 'ElementName')
    seen = len(house.client.signals)
    task = shop.convert(snapshots)
    path = shop.do(task)
    assert job_type(house, task) == 200
    assert path == snapshots.replace('/snapshotcollection/', '/referencepointcollection/')
    assert snapshots not in house.client.objects() and shop.snapshots() == []
    assert shop.get('SnapshotCollections') == [] and shop.get('ReferencePointCollections') == [path]
    assert house.client.get(path, POINTS, 'ReferencePoints') == shop.points() and len(shop.points()) == 3
    assert house.client.get(path, POINTS, 'ElementName') == name
    removed = [signal.arguments for signal in house.client.signals[seen:] if signal.member == 'InterfacesRemoved']
    assert [snapshots, ['org.virtask1.SnapshotCollection']] in [list(arguments) for arguments in removed]
    shop.assert_whole()
    house.daemon.restart()
    house.client.wait_property(path, POINTS, 'ReferencePoints', shop.points())


def test_one_of_them_is_a_point_already(house, shop):
    snapshots = shop.do(shop.begin('CreateSnapshot', RECOVERY))
    first = house.client.call(shop.machines[0].paths[0], 'Snapshot', 'ConvertToReferencePoint', 'a{sv}', {})
    shop.do(first)
    path = shop.do(shop.convert(snapshots))
    assert house.client.get(path, POINTS, 'ReferencePoints') == shop.points() and len(shop.points()) == 3


# --- Exports ---

def test_exports_of_all_and_of_what_has_changed(house, shop):
    base = shop.do(shop.begin())
    shop.machines[1].write(NOW, targets=['hdb'])
    path = shop.do(shop.begin())
    shop.machines[1].write(OLD, targets=['hdb'])
    directory = house.scratch / f'to{next(numbers)}'
    directory.mkdir()

    def begin(**settings):
        return house.client.call(path, POINTS, 'ExportReferencePoint', 'sa{sv}', str(directory), settings)

    task = begin(BaseReferencePointCollection=GLib.Variant('o', base), VirtualMachinesToDisksToExport=GLib.Variant(
        'a{oas}', {shop.machines[1].guest.path: ['hdb'], shop.machines[2].guest.path: []}))
    shop.do(task)
    assert job_type(house, task) == 206
    manifests = {machine.guest.name: verify(directory / machine.guest.name) for machine in shop.machines}
    assert [manifests[machine.guest.name]['machine']['uuid'] for machine in shop.machines] == [machine.guest.uuid for machine in shop.machines]
    differs = {name: sorted(disk['target'] for disk in manifest['disks'] if disk.get('differs')) for name, manifest in manifests.items()}
    assert differs == {'runninggroup': ['hda', 'hdb'], 'offgroup': ['hdb'], 'savedgroup': ['hda', 'hdb']}

    def fails(name, **settings):
        task = begin(**settings)
        assert house.client.wait_task(task)['ErrorName'] == f'org.virtask1.Error.{name}'

    directory = house.scratch / f'to{next(numbers)}'
    directory.mkdir()
    other = f'{ROOT}/vm/_00000000_0000_4000_8000_000000000000'
    fails('InvalidArgument', VirtualMachinesToDisksToExport=GLib.Variant('a{oas}', {other: ['hda']}))
    fails('NoSuchCollection', BaseReferencePointCollection=GLib.Variant('o', path[:-1] + ('0' if path[-1] != '0' else '1')))
    refused = house.client.error(path, POINTS, 'ExportReferencePoint', 'sa{sv}', str(directory),
                                 {'BaseReferencePointCollection': GLib.Variant('o', shop.path)})
    assert refused.short == 'InvalidArgument'
    refused = house.client.error(path, POINTS, 'ExportReferencePoint', 'sa{sv}', str(directory), variants({'CopyVmStorage': True}))
    assert refused.short == 'InvalidArgument'
    assert not list(directory.iterdir())


# --- Death after single steps ---

OPERATIONS = {
    'create': (lambda shop: None, lambda shop: shop.begin()),
    'convert': (lambda shop: shop.do(shop.begin('CreateSnapshot', RECOVERY)), lambda shop: shop.convert(shop.get('SnapshotCollections')[0])),
    'destroy': (lambda shop: shop.do(shop.begin()),
                lambda shop: shop.client.call(shop.get('ReferencePointCollections')[0], POINTS, 'Destroy', 'a{sv}', {})),
}


def clear(shop):
    for path in shop.get('ReferencePointCollections'):
        shop.destroy(path)
    for path in shop.get('SnapshotCollections'):
        shop.do(shop.client.call(path, 'SnapshotCollection', 'Destroy', 'a{sv}', {}))
    assert shop.points() == shop.snapshots() == []


@pytest.mark.parametrize('name', OPERATIONS if LONG or 'VIRTASK_STEP' in os.environ else ['convert'])
def test_dies_after_a_step(house, shop, name):
    prepare, action = OPERATIONS[name]
    armed = Armed(house)
    prepare(shop)
    armed.arm(0)
    shop.do(action(shop))
    armed.disarm()
    total = armed.count()
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed).sample(range(1, total + 1), min(STEPS, total))
    if 'VIRTASK_STEP' in os.environ:
        chosen = [int(number) for number in os.environ['VIRTASK_STEP'].split(',')]
    print(f'{name}: {total} steps, seed {seed}, dies after {chosen}')
    for number in chosen:
        clear(shop)
        prepare(shop)
        known = shop.snapshots(), shop.points()
        task = armed.die(number, lambda: action(shop))
        house.client.wait(lambda: house.client.get(MANAGER, 'Manager', 'Connected'), what='the hypervisor')
        if task is None or task not in house.client.objects():
            assert (shop.snapshots(), shop.points()) == known
            shop.assert_whole()
            continue
        properties = house.client.wait_task(task)
        print(name, number, properties['ResultName'], properties['ErrorDescription'])
        assert properties['ErrorName'] in ('', RESTARTED), properties
        if properties['ResultName'] != 'success':
            assert (shop.snapshots(), shop.points()) == known
        elif name == 'destroy':
            assert shop.points() == shop.get('ReferencePointCollections') == []
        else:
            assert shop.snapshots() == shop.get('SnapshotCollections') == []
            assert shop.get('ReferencePointCollections') == [properties['ResultObject']]
            assert house.client.get(properties['ResultObject'], POINTS, 'ReferencePoints') == shop.points()
            assert len(shop.points()) == 3
        shop.assert_whole()
