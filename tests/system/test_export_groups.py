# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of snapshots: of one, and of those of a whole collection, which are all there in the end or not at all."""


import pytest
from exports import begin_halfway, go_on, numbers, variants, verify
from harness import MANAGER, ROOT
from qemu_house import Snapshots, run, second_disk

pytestmark = pytest.mark.below('embed')

STANDARD = 1


@pytest.fixture(scope='module')
def pair(house):
    """A machine that runs and one that is off, with 96 MiB of data each."""
    machines = []
    for name in ('groupa', 'groupb'):
        machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '1G')))
        path, form = machine.images()['hdb']
        run('qemu-io', '-f', form, '-c', 'write -P 7 64M 96M', path)
        machines.append(machine)
    house.do(machines[0].guest, 'Startup')
    return machines


@pytest.fixture
def group(house, pair):
    """The snapshots of both, taken at one moment."""
    collection = house.client.call(MANAGER, 'Manager', 'DefineCollection', 'ssqa{sv}', f'shop{next(numbers)}', '', 0, {})
    for machine in pair:
        house.client.call(collection, 'Collection', 'AddMember', 'o', machine.guest.path)
    properties = house.client.wait_task(house.client.call(collection, 'Collection', 'CreateSnapshot', 'qa{sv}', STANDARD, {}))
    assert properties['ResultName'] == 'success', properties
    path = properties['ResultObject']
    yield path
    house.client.wait_task(house.client.call(path, 'SnapshotCollection', 'Destroy', 'a{sv}', {}))
    for machine in pair:
        assert machine.paths == []
        machine.assert_whole()
    house.client.call(collection, 'Collection', 'Destroy')


def begin(house, group, directory, **settings):
    return house.client.call(group, 'SnapshotCollection', 'ExportSnapshot', 'sa{sv}', str(directory), variants(settings))


def test_one_snapshot(house, pair, group, directory):
    snapshot = pair[0].paths[0]
    task = house.client.call(snapshot, 'Snapshot', 'Export', 'sa{sv}', str(directory), {})
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    manifest = verify(directory / 'groupa')
    assert manifest['machine']['uuid'] != pair[0].guest.uuid
    backup = house.client.wait_task(house.client.call(snapshot, 'Snapshot', 'Export', 'sa{sv}', str(directory / 'backup'),
                                                      variants({'BackupIntent': 0, 'CreateVmExportSubdirectory': False})))
    assert backup['ResultName'] == 'success' and verify(directory / 'backup')['machine']['uuid'] == pair[0].guest.uuid
    refused = house.client.error(snapshot, 'Snapshot', 'Export', 'sa{sv}', str(directory), variants({'CopySnapshotConfiguration': 0}))
    assert refused.short == 'InvalidArgument'


def test_all_snapshots(house, pair, group, directory):
    task = begin(house, group, directory)
    parts = house.client.get(task, 'Task', 'SubTasks')
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    assert sorted(path.name for path in directory.iterdir()) == ['groupa', 'groupb']
    for machine in pair:
        manifest = verify(directory / machine.guest.name)
        assert manifest['machine']['uuid'] != machine.guest.uuid and manifest['snapshots'] == []
    assert house.client.call(task, 'Task', 'GetResults')['ExportDirectory'] == str(directory)
    assert sorted(house.client.call(part, 'Task', 'GetResults')['ExportDirectory'] for part in parts) == \
        [f'{directory}/groupa', f'{directory}/groupb']


def test_for_a_backup_they_keep_their_numbers(house, pair, group, directory):
    task = begin(house, group, directory, BackupIntent=1)
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert [verify(directory / machine.guest.name)['machine']['uuid'] for machine in pair] == [machine.guest.uuid for machine in pair]


def test_differences_from_another_snapshot_of_all(house, pair, group, directory):
    collection = house.client.get(group, 'SnapshotCollection', 'Collection')
    taken = house.client.wait_task(house.client.call(collection, 'Collection', 'CreateSnapshot', 'qa{sv}', STANDARD, {}))
    later = taken['ResultObject']
    try:
        properties = house.client.wait_task(begin(house, later, directory, DifferentialBackupBase=group))
        assert properties['ResultName'] == 'success', properties
        for machine in pair:
            manifest = verify(directory / machine.guest.name)
            assert manifest['kind'] == 'difference' and all(disk['differs'] for disk in manifest['disks'])
            assert manifest['machine']['uuid'] == manifest['base']['machine'] == machine.guest.uuid
        wrong = house.client.wait_task(begin(house, later, directory, DifferentialBackupBase=collection))
        assert wrong['ErrorName'] == 'org.virtask1.Error.NoSuchCollection'
    finally:
        house.client.wait_task(house.client.call(later, 'SnapshotCollection', 'Destroy', 'a{sv}', {}))


@pytest.mark.parametrize('settings', [{'BackupIntent': 0}, {'CreateVmExportSubdirectory': False}, {'CopySnapshotConfiguration': 1}], ids=str)
def test_settings_of_another_class_are_refused(house, group, directory, settings):
    error = house.client.error(group, 'SnapshotCollection', 'ExportSnapshot', 'sa{sv}', str(directory), variants(settings))
    assert error.short == 'InvalidArgument'


def test_all_or_none(house, group, directory):
    (directory / 'groupb').mkdir()
    properties = house.client.wait_task(begin(house, group, directory))
    assert properties['ErrorName'] == f'{ROOT[1:].replace("/", ".")}.Error.FileExists', properties
    assert [path.name for path in directory.iterdir()] == ['groupb'] and not list((directory / 'groupb').iterdir())


def test_one_that_is_cancelled_leaves_nothing(house, group, directory):
    task, pids = begin_halfway(house, directory, lambda: begin(house, group, directory))
    house.client.call(task, 'Task', 'Cancel')
    go_on(pids)
    assert house.client.wait_task(task)['ResultName'] == 'cancelled'
    assert not list(directory.iterdir())


def test_a_killed_daemon_leaves_nothing(house, group, directory):
    task, _ = begin_halfway(house, directory, lambda: begin(house, group, directory))
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert not list(directory.iterdir())
