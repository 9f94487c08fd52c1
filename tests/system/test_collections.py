# SPDX-License-Identifier: LGPL-2.1-or-later
"""Collections of machines, and the snapshots that are taken of all of them at one moment."""

import uuid

import pytest
from harness import MANAGER, ROOT
from qemu_house import Snapshots, variant

pytestmark = pytest.mark.below('embed')

COLLECTIONS = f'{ROOT}/collection'
MACHINES, OF_COLLECTIONS = 0, 1
STANDARD, RECOVERY = 1, 2
BEFORE, AFTER = 0x11, 0x22
NOBODY = str(uuid.UUID(int=1))


class Collection:
    """A collection on the bus."""

    def __init__(self, house, name, members=(), kind=MACHINES):
        self.house, self.client = house, house.client
        self.path = self.client.call(MANAGER, 'Manager', 'DefineCollection', 'ssqa{sv}', name, '', kind, {})
        for member in members:
            self.call('AddMember', 'o', member.path)

    def call(self, method, signature='', *arguments):
        return self.client.call(self.path, 'Collection', method, signature, *arguments)

    def refused(self, method, signature='', *arguments):
        return self.client.error(self.path, 'Collection', method, signature, *arguments).short

    def get(self, name):
        return self.client.get(self.path, 'Collection', name)

    def begin(self, kind=STANDARD, **settings):
        return self.call('CreateSnapshot', 'qa{sv}', kind, {key: variant(value) for key, value in settings.items()})

    def take(self, kind=STANDARD, **settings):
        """A snapshot of all; its path and the properties of the task."""
        properties = self.client.wait_task(self.begin(kind, **settings))
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        return properties['ResultObject'], properties

    def results(self, task):
        return self.client.call(f'{ROOT}/task/{task["ID"]}', 'Task', 'GetResults')


def group(house, path):
    return house.client.get_all(path, 'SnapshotCollection')


def do(house, path, method):
    task = house.client.call(path, 'SnapshotCollection', method, 'a{sv}', {})
    return house.client.wait_task(task)


@pytest.fixture(scope='module')
def pair(house):
    """Two guests that run, and one that does not."""
    return [house.register('web'), house.register('db'), house.register('off', boot=False)]


def define(house, name, kind=MACHINES, given=''):
    return house.client.error(MANAGER, 'Manager', 'DefineCollection', 'ssqa{sv}', name, given, kind, {}).short


# --- What a collection is ---

def test_a_collection_is_kept(house, pair):
    collection = Collection(house, 'shop')
    assert house.client.wait_signal('InterfacesAdded', where=lambda signal: signal.arguments[0] == collection.path)
    seen = len(house.client.signals)
    for guest in (pair[1], pair[0], pair[1]):
        collection.call('AddMember', 'o', guest.path)
    expected = {'CollectionID': collection.path.rpartition('/_')[2].replace('_', '-'), 'ElementName': 'shop', 'Type': MACHINES,
                'Members': [pair[1].path, pair[0].path], 'SnapshotCollections': [], 'ReferencePointCollections': []}
    assert house.client.get_all(collection.path, 'Collection') == expected
    collection.call('Rename', 's', 'läden')
    house.client.wait_signal('PropertiesChanged', collection.path, lambda signal: signal.changed.get('ElementName') == 'läden', seen)
    house.daemon.restart()
    assert house.client.get_all(collection.path, 'Collection') == {**expected, 'ElementName': 'läden'}
    collection.call('RemoveMember', 'o', pair[1].path)
    collection.call('RemoveMember', 'o', pair[1].path)
    assert collection.get('Members') == [pair[0].path]
    seen = len(house.client.signals)
    collection.call('Destroy')
    house.client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == collection.path, after=seen)
    house.daemon.restart()
    assert collection.path not in house.client.objects()


def test_an_id_that_is_given(house):
    given = str(uuid.uuid4())
    path = house.client.call(MANAGER, 'Manager', 'DefineCollection', 'ssqa{sv}', 'mine', given, MACHINES, {})
    assert path == f'{COLLECTIONS}/_{given.replace("-", "_")}'
    assert define(house, 'other', given=given) == 'DuplicateName'
    house.client.call(path, 'Collection', 'Destroy')


@pytest.mark.parametrize(('name', 'kind', 'given', 'error'), [
    ('', 0, '', 'NameEmpty'), ('a/b', 0, '', 'NameInvalidChar'), ('x' * 81, 0, '', 'NameTooLong'), ('x', 2, '', 'InvalidArgument'),
    ('x', 0, 'nonsense', 'InvalidArgument'), ('x', 0, NOBODY.upper() + 'A', 'InvalidArgument')])
def test_collections_that_can_not_be(house, name, kind, given, error):
    assert define(house, name, kind, given) == error


def test_members_that_can_not_be(house, pair):
    machines, outer = Collection(house, 'machines'), Collection(house, 'outer', kind=OF_COLLECTIONS)
    inner = Collection(house, 'inner', kind=OF_COLLECTIONS)
    assert machines.refused('AddMember', 'o', outer.path) == 'InvalidArgument'
    assert outer.refused('AddMember', 'o', pair[0].path) == 'InvalidArgument'
    assert outer.refused('AddMember', 'o', MANAGER) == 'InvalidArgument'
    assert outer.refused('AddMember', 'o', outer.path) == 'InvalidArgument'
    assert machines.refused('AddMember', 'o', f'{ROOT}/vm/_{NOBODY.replace("-", "_")}') == 'NoSuchVirtualMachine'
    assert outer.refused('AddMember', 'o', f'{COLLECTIONS}/_{NOBODY.replace("-", "_")}') == 'NoSuchCollection'
    outer.call('AddMember', 'o', inner.path)
    assert inner.refused('AddMember', 'o', outer.path) == 'InvalidArgument'
    inner.call('Destroy')
    assert outer.get('Members') == []
    for collection in (machines, outer):
        assert collection.refused('CreateSnapshot', 'qa{sv}', STANDARD, {}) == 'InvalidState'
        assert collection.refused('CreateSnapshot', 'qa{sv}', 3, {}) == 'InvalidArgument'
        collection.call('Destroy')


def test_a_member_that_has_vanished(house):
    guest = house.register('short-lived', boot=False)
    collection = Collection(house, 'with a gap', [guest])
    house.client.call(guest.path, 'VirtualMachine', 'Unregister')
    assert collection.get('Members') == [guest.path]
    error = house.client.error(collection.path, 'Collection', 'CreateSnapshot', 'qa{sv}', STANDARD, {})
    assert error.short == 'NoSuchVirtualMachine' and guest.uuid in error.message
    collection.call('RemoveMember', 'o', guest.path)
    assert collection.get('Members') == []
    collection.call('Destroy')


# --- Snapshots of all ---

def assert_no_snapshots(house, guests):
    for guest in guests:
        machine = Snapshots(house, guest)
        assert machine.paths == []
        machine.assert_whole()


def assert_runs(guests):
    for guest in guests:
        guest.assert_goes_on(guest.ticks)


def test_a_snapshot_of_all(house, pair):
    collection = Collection(house, 'shop', pair)
    web, db, off = (Snapshots(house, guest) for guest in pair)
    ticks = [guest.ticks for guest in pair]
    path, task = collection.take(ElementName='tuesday', Notes='before the update')
    assert_runs(pair[:2])
    assert task['Subject'] == collection.path and task['Operation'] == 'collection-snapshot' and task['Description'] == 'Taking a snapshot of shop'
    parts = [house.client.get_all(part, 'Task') for part in task['SubTasks']]
    assert [part['Subject'] for part in parts] == [guest.path for guest in pair]
    assert {part['ResultName'] for part in parts} == {'success'}
    assert {part['Parent'] for part in parts} == {f'{ROOT}/task/{task["ID"]}'}
    results = collection.results(task)
    assert 0 < int(results['SpreadUSec']) < int(results['StoppedUSec'])

    values = group(house, path)
    assert values | {'CreationTime': 0} == {
        'CollectionID': path.rpartition('/_')[2].replace('_', '-'), 'ElementName': 'tuesday', 'Collection': collection.path,
        'Snapshots': [part['ResultObject'] for part in parts], 'SnapshotType': STANDARD, 'ConsistencyLevel': 2, 'CreationTime': 0}
    assert collection.get('SnapshotCollections') == [path]
    for machine, part in zip((web, db, off), parts):
        snapshot = machine.get(part['ResultObject'])
        assert (snapshot['Name'], snapshot['Notes'], snapshot['SnapshotType'], snapshot['SnapshotCollection']) == ('tuesday', 'before the update', 3, path)
        machine.assert_whole()

    house.daemon.restart()
    assert group(house, path) == values
    house.client.call(path, 'SnapshotCollection', 'Rename', 's', 'wednesday')
    assert group(house, path)['ElementName'] == 'wednesday'

    applied = do(house, path, 'Apply')
    assert applied['ResultName'] == 'success', applied['ErrorDescription']
    assert [house.state(guest) for guest in pair] == ['turned-off'] * 3
    for machine, part, tick in zip((web, db), parts, ticks):
        assert tick - 5 <= machine.count_on_disk() <= machine.guest.ticks
        assert machine.count_on_disk() == machine.count_on_disk(part['ResultObject'])
    for guest in pair[:2]:
        house.do(guest, 'Startup')
        guest.wait_first_tick(guest.processes)
    destroyed = do(house, path, 'Destroy')
    assert destroyed['ResultName'] == 'success', destroyed['ErrorDescription']
    assert path not in house.client.objects() and collection.get('SnapshotCollections') == []
    assert_no_snapshots(house, pair)
    assert_runs(pair[:2])
    collection.call('Destroy')


def test_machines_in_all_states(house):
    """Of a saved one its state is copied; a paused one stays paused; a machine that is in two collections has one part."""
    guests = [house.register(f'state{number}', boot=number < 2, memory=32) for number in range(3)]
    running, paused, saved = guests
    house.client.call(paused.path, 'VirtualMachine', 'Pause')
    house.do(saved, 'Startup')
    saved.wait_ticks()
    house.do(saved, 'Save')
    inner = [Collection(house, 'one', [running, paused]), Collection(house, 'two', [saved, running])]
    outer = Collection(house, 'all', inner, OF_COLLECTIONS)
    path, task = outer.take(RECOVERY)
    assert len(task['SubTasks']) == 3
    assert [house.state(guest) for guest in guests] == ['running', 'paused', 'saved']
    kinds = {house.client.get(snapshot, 'Snapshot', 'VirtualMachine'): house.client.get(snapshot, 'Snapshot', 'SnapshotType')
             for snapshot in group(house, path)['Snapshots']}
    assert kinds == {running.path: 32768, paused.path: 32768, saved.path: 2}
    assert group(house, path)['SnapshotType'] == RECOVERY
    # The collection may go; the snapshots stay.
    for collection in [outer, *inner]:
        collection.call('Destroy')
    assert group(house, path)['Collection'] == '/'
    # One of the snapshots goes by itself.
    one = next(snapshot for snapshot in group(house, path)['Snapshots'] if snapshot.startswith(paused.path))
    Snapshots(house, paused).do(one, 'Destroy')
    assert len(group(house, path)['Snapshots']) == 2
    assert house.client.error(path, 'SnapshotCollection', 'Apply', 'a{sv}', {}).short == 'NoSuchSnapshot'
    assert do(house, path, 'Destroy')['ResultName'] == 'success'
    assert_no_snapshots(house, guests)
    house.do(saved, 'Startup')
    saved.wait_first_tick(2)
    for guest in guests:
        house.do(guest, 'TurnOff')
