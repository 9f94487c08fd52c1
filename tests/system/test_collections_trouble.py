# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of several machines that fail, are cancelled, or whose daemon dies: all machines or none, and all of them go on."""

import time

import pytest
from harness.namespace import Namespace
from harness.source import LONG
from qemu_house import BIG, RESTARTED, House, Moments, Snapshots
from test_collections import STANDARD, Collection, assert_no_snapshots, assert_runs, do, group

pytestmark = pytest.mark.below('embed')

KILLS = 10 if LONG else 1  # of each: create, apply, destroy


@pytest.fixture(scope='module')
def trio(house):
    return [house.register(f'one{number}of3', memory=32) for number in range(3)]


@pytest.fixture(scope='module')
def collection(house, trio):
    return Collection(house, 'trio', trio)


def busy_with(house, guest):
    """A task that holds the machine until it is cancelled or done: it saves a lot."""
    return house.begin(guest, 'Save')


def test_a_busy_machine(house, trio):
    big = house.register('busy', memory=BIG)
    collection = Collection(house, 'with a busy one', [trio[0], big])
    task = busy_with(house, big)
    error = house.client.error(collection.path, 'Collection', 'CreateSnapshot', 'qa{sv}', STANDARD, {})
    assert error.short == 'InUse' and task in error.message
    waiting = collection.begin(Queue=True)
    assert house.client.get(waiting, 'ConcreteJob', 'JobState') == 3
    # It holds nothing while it waits.
    house.client.call(trio[0].path, 'VirtualMachine', 'Pause')
    house.client.call(trio[0].path, 'VirtualMachine', 'Resume')
    house.client.wait_task(task)
    properties = house.client.wait_task(waiting)
    # Disks alone would not fit the state that it has saved meanwhile.
    assert properties['ErrorName'] == 'org.virtask1.Error.InvalidState', properties
    assert_no_snapshots(house, [trio[0], big])

    task = collection.begin()
    assert house.refused(trio[0], 'Save', 'a{sv}', {}) == 'InUse'
    assert house.client.error(collection.path, 'Collection', 'Rename', 's', 'x').short in ('InUse', 'UnknownObject')
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties['ErrorDescription']
    assert do(house, properties['ResultObject'], 'Destroy')['ResultName'] == 'success'
    house.client.call(big.path, 'VirtualMachine', 'DiscardSavedState')


def test_a_part_is_not_cancelled_alone(house, trio):
    """The copy of a large saved state is what can be cancelled."""
    big = house.register('large', memory=BIG)
    house.do(big, 'Save')
    collection = Collection(house, 'with a large one', [trio[0], big])
    task = collection.begin()
    part = house.client.get(task, 'Task', 'SubTasks')[1]
    house.client.wait(lambda: house.client.get(task, 'Task', 'PercentCompleted') > 0, what='progress')
    assert house.client.error(part, 'Task', 'Cancel').short == 'NotCancelable'
    house.client.call(task, 'Task', 'Cancel')
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'cancelled'
    assert [house.client.get(sub, 'Task', 'ResultName') for sub in properties['SubTasks']] == ['cancelled'] * 2
    assert_no_snapshots(house, [trio[0], big])
    assert house.state(big) == 'saved'
    assert_runs([trio[0]])
    house.client.call(big.path, 'VirtualMachine', 'DiscardSavedState')


@pytest.mark.root
def test_a_disk_that_is_full(scratch):
    """Of one of eight; all eight go on."""
    small = scratch / 'images'
    namespace = Namespace(scratch, 'small', [f'mkdir -p {small}', f'mount -t tmpfs -o size=4m tmpfs {small}', f'chmod 755 {small}'])
    house = House(scratch, 'embed', namespace=namespace)
    path = small / 'data.qcow2'
    namespace.run('qemu-img', 'create', '-q', '-f', 'qcow2', path, '16M')
    namespace.run('sh', '-c', f'head -c 8M /dev/zero > {small}/filler 2>/dev/null; true')
    disk = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='hdb' bus='ide'/></disk>"
    guests = [house.register(f'many{number}', memory=32, devices=disk if number == 5 else '') for number in range(8)]
    collection = Collection(house, 'eight', guests)
    properties = house.client.wait_task(collection.begin())
    assert properties['ErrorName'] == 'org.virtask1.Error.DiskFull', properties
    assert "'many5'" in properties['ErrorDescription']
    assert {house.client.get(part, 'Task', 'ErrorName') for part in properties['SubTasks']} == {'org.virtask1.Error.DiskFull'}
    assert_runs(guests)
    assert collection.get('SnapshotCollections') == []
    assert_no_snapshots(house, [guest for number, guest in enumerate(guests) if number != 5])
    assert Snapshots(house, guests[5]).paths == []
    assert namespace.run('ls', small).stdout.split() == ['data.qcow2', 'filler']


# --- Death ---

def kill_at(house, moments, part, task, duration):
    begin = time.monotonic()
    house.pass_time(begin + part * duration - time.monotonic())
    moments.hit(house.client.get(task, 'ConcreteJob', 'JobState') == 4)
    house.daemon.kill()
    house.daemon.start()
    properties = house.client.wait_task(task)
    assert properties['ErrorName'] in ('', RESTARTED), properties
    assert all(house.client.get(part, 'Task', 'IsComplete') for part in properties['SubTasks'])
    return properties['ResultName'] == 'success'


def duration_of(prepare, action):
    """How long the action takes at its best: the first is slow, because the files are new."""
    def measure():
        given = prepare()
        begin = time.monotonic()
        action(given)
        return time.monotonic() - begin

    return min(measure() for _ in range(3 if LONG else 1))


def remove_all(house, collection):
    for path in collection.get('SnapshotCollections'):
        properties = do(house, path, 'Destroy')
        assert properties['ResultName'] == 'success', properties['ErrorDescription']


def run_all(house, trio):
    for guest in trio:
        if house.state(guest) != 'running':
            house.do(guest, 'Startup')
            guest.wait_first_tick(guest.processes)
    assert_runs(trio)


def test_killed_while_a_snapshot_is_taken(house, trio, collection):
    duration = duration_of(lambda: remove_all(house, collection), lambda _: collection.take())
    remove_all(house, collection)
    moments = Moments('kill in CreateSnapshot of a collection', KILLS)
    for part in moments:
        run_all(house, trio)
        whole = kill_at(house, moments, part, collection.begin(), duration)
        assert_runs(trio)
        paths = collection.get('SnapshotCollections')
        assert len(paths) == whole
        if whole:
            assert len(group(house, paths[0])['Snapshots']) == 3
            for guest in trio:
                Snapshots(house, guest).assert_whole()
            remove_all(house, collection)
        assert_no_snapshots(house, trio)
    moments.check()


def test_killed_while_snapshots_are_applied(house, trio, collection):
    run_all(house, trio)
    path, _ = collection.take()
    duration = duration_of(lambda: run_all(house, trio), lambda _: do(house, path, 'Apply'))
    moments = Moments('kill in Apply of a collection', KILLS)
    for part in moments:
        run_all(house, trio)
        assert kill_at(house, moments, part, house.client.call(path, 'SnapshotCollection', 'Apply', 'a{sv}', {}), duration)
        assert [house.state(guest) for guest in trio] == ['turned-off'] * 3
        for guest in trio:
            Snapshots(house, guest).assert_whole()
    moments.check()
    run_all(house, trio)
    remove_all(house, collection)
    assert_no_snapshots(house, trio)


def test_killed_while_snapshots_are_destroyed(house, trio, collection):
    run_all(house, trio)
    duration = duration_of(lambda: collection.take()[0], lambda path: do(house, path, 'Destroy'))
    moments = Moments('kill in Destroy of a collection', KILLS)
    for part in moments:
        run_all(house, trio)
        path, _ = collection.take()
        assert kill_at(house, moments, part, house.client.call(path, 'SnapshotCollection', 'Destroy', 'a{sv}', {}), duration)
        assert_runs(trio)
        assert collection.get('SnapshotCollections') == []
        assert_no_snapshots(house, trio)
    moments.check()
