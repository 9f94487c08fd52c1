# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots that can't be: the error has a name, and nothing is left behind."""

import subprocess

import pytest
from gi.repository import GLib
from harness import Namespace
from qemu_house import DISKS, FULL, House, Snapshots, run, second_disk

pytestmark = pytest.mark.below('embed')


@pytest.fixture(scope='module')
def machine(house):
    """One that runs. The tests leave it without snapshots."""
    return Snapshots(house, house.register('web1', memory=32))


def assert_nothing_left(machine):
    assert machine.paths == []
    machine.assert_whole()
    machine.guest.assert_goes_on(machine.guest.ticks)


@pytest.mark.parametrize('kind', [0, 1, 4, 32767, 32769, 65535])
def test_types_that_there_are_not(machine, kind):
    assert machine.refused(kind) == 'InvalidArgument'
    assert_nothing_left(machine)


@pytest.mark.parametrize('settings, error', [
    ({'Unknown': 1}, 'InvalidArgument'), ({'elementname': 'x'}, 'InvalidArgument'),
    ({'ConsistencyLevel': 3}, 'InvalidArgument'), ({'ConsistencyLevel': 'x'}, 'InvalidArgument'), ({'GuestBackupType': 3}, 'InvalidArgument'),
    ({'IgnoreNonSnapshottableDisks': 1}, 'InvalidArgument'), ({'ElementName': 7}, 'InvalidArgument'), ({'Notes': 7}, 'InvalidArgument'),
    ({'ElementName': ''}, 'NameEmpty'), ({'ElementName': 'x' * 81}, 'NameTooLong'), ({'ElementName': 'ä' * 81}, 'NameTooLong'),
    ({'ElementName': 'a/b'}, 'NameInvalidChar'), ({'ElementName': 'a\nb'}, 'NameInvalidChar')])
def test_settings_that_can_not_be(machine, settings, error):
    assert machine.refused(DISKS, **settings) == error
    assert_nothing_left(machine)


def test_memory_is_consistent_by_itself(machine):
    assert machine.refused(FULL, ConsistencyLevel=1) == 'InvalidArgument'
    assert_nothing_left(machine)


def test_consistency_without_an_agent(machine):
    properties = machine.client.wait_task(machine.begin(DISKS, ConsistencyLevel=1))
    assert properties['ErrorName'] == 'org.virtask1.Error.NotSupported' and 'agent' in properties['ErrorDescription']
    assert properties['ResultObject'] == '/'
    assert_nothing_left(machine)


@pytest.mark.parametrize('method', ['Apply', 'Destroy', 'DestroyTree', 'ClearState'])
def test_options_that_there_are_not(machine, method):
    path = machine.take(DISKS)
    error = machine.client.error(path, 'Snapshot', method, 'a{sv}', {'Unknown': GLib.Variant('b', True)})
    assert error.short == 'InvalidArgument'
    machine.do(path, 'Destroy')
    assert_nothing_left(machine)


@pytest.mark.parametrize('name', ['x' * 80, 'ä' * 80, '...', '-', 'a b', 'Größe 漢字 ' + 'y' * 60, "it's; $(true) `x`", '%s%n'])
def test_names_of_all_kinds(machine, name):
    first, second = machine.take(FULL, ElementName=name), machine.take(DISKS, ElementName=name)
    values = [machine.get(path) for path in (first, second)]
    assert [value['Name'] for value in values] == [name, name]
    assert values[0]['ID'] != values[1]['ID']
    assert all(character in '._-' or character.isascii() and character.isalnum() for value in values for character in value['ID'])
    machine.assert_whole()
    process = machine.guest.processes + 1
    machine.do(first, 'Apply')
    machine.guest.wait_first_tick(process)
    machine.do(first, 'DestroyTree')
    assert_nothing_left(machine)


def test_a_machine_does_one_thing_at_a_time(machine):
    house = machine.house
    big = Snapshots(house, house.register('busy', memory=384))
    path = big.take(DISKS)
    task = big.begin(FULL)
    for method in ('Apply', 'Destroy', 'DestroyTree', 'ClearState'):
        error = house.client.error(path, 'Snapshot', method, 'a{sv}', {})
        assert error.short == 'InUse' and task in error.message
    assert big.refused(DISKS) == 'InUse'
    assert house.refused(big.guest, 'Save', 'a{sv}', {}) == 'InUse'
    queued = big.start(path, 'Destroy', Queue=True)
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert house.client.wait_task(queued)['ResultName'] == 'success'
    assert [big.get(path)['Parent'] for path in big.paths] == ['/']
    big.assert_whole()
    house.do(big.guest, 'TurnOff')


def test_a_snapshot_that_has_vanished(house):
    """Not on the bus; and in the moment between the call and the work."""
    machine = Snapshots(house, house.register('vanish', memory=384))
    first, second = machine.take(DISKS), machine.take(DISKS)
    task = machine.begin(FULL)
    queued = [machine.start(first, 'Destroy', Queue=True), machine.start(first, 'Apply', Queue=True), machine.start(first, 'Destroy', Queue=True)]
    results = [house.client.wait_task(path) for path in (task, *queued)]
    assert [result['ResultName'] for result in results[:2]] == ['success', 'success']
    assert [result['ErrorName'] for result in results[2:]] == ['org.virtask1.Error.NoSuchSnapshot'] * 2
    assert house.client.error(first, 'Snapshot', 'Apply', 'a{sv}', {}).short in ('UnknownObject', 'UnknownMethod', 'NoSuchSnapshot')
    machine.assert_whole()
    machine.guest.assert_goes_on(machine.guest.ticks)
    assert machine.paths[0] == second
    house.do(machine.guest, 'TurnOff')


@pytest.mark.parametrize('element, kind', [('<shareable/>', 'raw'), ('<transient/>', 'qcow2')])
@pytest.mark.parametrize('snapshot_type', [FULL, DISKS])
def test_a_disk_that_can_not_take_part(house, element, kind, snapshot_type):
    name = f'part-{kind}-{snapshot_type}'
    path = house.scratch / f'foreign-{name}'
    run('qemu-img', 'create', '-q', '-f', kind, path, '1M')
    path.chmod(0o666)
    disk = f"<disk type='file'><driver name='qemu' type='{kind}'/><source file='{path}'/><target dev='hdb' bus='ide'/>{element}</disk>"
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=disk))
    properties = house.client.wait_task(machine.begin(snapshot_type))
    assert properties['ErrorName'] == 'org.virtask1.Error.NotSupported', properties
    assert 'hdb' in properties['ErrorDescription'] and str(path) not in properties['ErrorDescription']
    assert machine.paths == []
    snapshot = machine.take(snapshot_type, IgnoreNonSnapshottableDisks=True)
    run('qemu-io', '-f', kind, '-c', 'write -P 9 0 64k', path)
    machine.do(snapshot, 'Apply')
    run('qemu-io', '-r', '-f', kind, '-c', 'read -P 9 0 64k', path)
    machine.do(snapshot, 'Destroy')
    assert {image for image, _ in machine.images().values()} == {str(path), str(machine.guest.image)}
    assert path.exists()


def test_a_cd_takes_no_part(house):
    path = house.scratch / 'foreign.iso'
    path.write_bytes(bytes(1 << 20))
    disk = f"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{path}'/><target dev='hdc' bus='ide'/></disk>" \
           "<disk type='file' device='cdrom'><target dev='hdd' bus='ide'/></disk>"
    machine = Snapshots(house, house.register('cd', memory=32, devices=disk))
    snapshot = machine.take(FULL)
    process = machine.guest.processes + 1
    machine.do(snapshot, 'Apply')
    machine.guest.wait_first_tick(process)
    machine.do(snapshot, 'Destroy')
    assert path.exists()
    house.do(machine.guest, 'TurnOff')


def test_a_machine_without_disks(house):
    machine = Snapshots(house, house.register('empty', boot=False, memory=32))
    definition = machine.guest.xml
    begin, end = definition.index('<disk '), definition.index('</disk>') + len('</disk>')
    house.client.call(machine.guest.path, 'VirtualMachine', 'Unregister')
    house.client.call('/org/virtask1/manager', 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition[:begin] + definition[end:], {})
    properties = house.client.wait_task(machine.begin(DISKS))
    assert properties['ErrorName'] in ('org.virtask1.Error.NotSupported', 'org.virtask1.Error.InvalidState')
    house.do(machine.guest, 'Startup')
    snapshot = machine.take(FULL)
    machine.do(snapshot, 'Apply')
    assert house.state(machine.guest) == 'running'
    machine.do(snapshot, 'Destroy')
    assert machine.paths == [] and machine.state_files() == set()
    house.do(machine.guest, 'TurnOff')


def test_a_memory_that_is_damaged(machine):
    """What can't come back is not what the present is given up for."""
    path = machine.take(FULL, ElementName='damaged')
    memory = machine.house.below.root / f'lib/qemu/save/{machine.guest.uuid}.damaged.memory'
    with open(memory, 'r+b') as file:
        file.write(b'no image of libvirt')
    properties = machine.client.wait_task(machine.start(path, 'Apply'))
    assert properties['ErrorName'] == 'org.virtask1.Error.IncompatibleSavedState', properties
    machine.guest.assert_goes_on(machine.guest.ticks)
    machine.assert_whole()
    machine.do(path, 'Destroy')
    assert_nothing_left(machine)


def test_an_image_that_is_missing(machine):
    path = machine.take(DISKS)
    frozen, _ = next(iter(machine.images(path).values()))
    moved = f'{frozen}.away'
    subprocess.run(['mv', frozen, moved], check=True)
    properties = machine.client.wait_task(machine.start(path, 'Apply'))
    assert properties['ErrorName'] == 'org.virtask1.Error.FileNotFound', properties
    assert frozen not in properties['ErrorDescription']
    subprocess.run(['mv', moved, frozen], check=True)
    machine.guest.assert_goes_on(machine.guest.ticks)
    machine.do(path, 'Destroy')
    assert_nothing_left(machine)


@pytest.mark.root
@pytest.mark.parametrize('where, kind', [('lib/qemu/save', FULL), ('images', DISKS), ('images', FULL)])
def test_a_disk_that_is_full(scratch, where, kind):
    """No room for the memory, or for the overlays."""
    small = scratch / ('root/' + where if where != 'images' else where)
    namespace = Namespace(scratch, 'small', [f'mkdir -p {small}', f'mount -t tmpfs -o size=4m tmpfs {small}', f'chmod 755 {small}'])
    house = House(scratch, 'embed', namespace=namespace)
    keywords = {}
    if where == 'images':
        path = small / 'data.qcow2'
        namespace.run('qemu-img', 'create', '-q', '-f', 'qcow2', path, '16M')
        keywords['devices'] = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='hdb' bus='ide'/></disk>"
        namespace.run('sh', '-c', f'head -c 8M /dev/zero > {small}/filler 2>/dev/null; true')
    guest = house.register('web1', memory=64, **keywords)
    before = guest.ticks
    machine = Snapshots(house, guest)
    properties = house.client.wait_task(machine.begin(kind))
    assert properties['ErrorName'] == 'org.virtask1.Error.DiskFull', properties
    assert properties['ReturnValue'] == 2, 'failed, in the family of the snapshot services'
    assert machine.paths == [] and house.state(guest) == 'running'
    guest.assert_goes_on(before)
    assert namespace.run('ls', small).stdout.split() == (['data.qcow2', 'filler'] if where == 'images' else [])
    assert set(scratch.path.glob('web1.*')) <= {guest.image, scratch / 'web1.serial'}
    assert machine.state_files() == set()


@pytest.mark.root
@pytest.mark.parametrize('method', ['Destroy', 'Apply'])
def test_no_room_for_the_descriptions(scratch, method):
    """Nothing has changed, for libvirt neither, and when there is room it works."""
    directory = scratch / 'root/lib/qemu/snapshot'
    namespace = Namespace(scratch, 'small', [f'mkdir -p {directory}', f'mount -t tmpfs -o size=512k tmpfs {directory}', f'chmod 755 {directory}'])
    house = House(scratch, 'embed', namespace=namespace)
    machine = Snapshots(house, house.register('web1', boot=False, memory=32, devices=second_disk(scratch, 'web1')))
    paths = []
    for number in range(4):
        machine.write(number + 1, targets=['hdb'])
        paths.append(machine.take(DISKS, ElementName=f's{number}'))
    machine.write(9, targets=['hdb'])
    namespace.run('sh', '-c', f'head -c 1M /dev/zero > {directory}/filler 2>/dev/null; true')
    properties = house.client.wait_task(machine.start(paths[1], method))
    assert properties['ErrorName'] == 'org.virtask1.Error.DiskFull', properties
    namespace.run('rm', f'{directory}/filler')
    assert machine.paths == paths
    machine.do(paths[1], method)
    after = [path for path in paths if path != paths[1] or method == 'Apply']
    assert machine.paths == after
    for path in after:
        machine.do(path, 'Apply')
        path_of_disk, form = machine.images()['hdb']
        run('qemu-io', '-rU', '-f', form, '-c', f'read -P {paths.index(path) + 1} 512k 64k', path_of_disk)
    house.daemon.restart()
    assert machine.paths == after
    for path in after:
        machine.do(path, 'Destroy')
    assert {image.rpartition('/')[2] for image, _ in machine.images().values()} == {'web1.img', 'web1-data.qcow2'}
