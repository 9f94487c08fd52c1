# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports of real exports: the machine is there with all it had, or nothing is."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from exports import export, go_on, new_machine, numbers, workers, write
from gi.repository import GLib
from harness import MANAGER, Namespace, Scratch
from harness.source import LONG
from imports import begin, change, damage, delete, edit, everything, fail, import_, replace_by_link, sign
from qemu_house import DISKS, FULL, House, Snapshots, run, second_disk

pytestmark = pytest.mark.below('embed')


@pytest.fixture
def machine(house):
    return new_machine(house)


# --- There and back ---

def test_a_machine_that_is_off(house, machine, directory):
    bundle = export(machine, directory)
    delete(machine)
    back = import_(house, bundle)
    assert (back.guest.name, back.guest.uuid) == (machine.guest.name, machine.guest.uuid)
    assert {path for path, _ in back.images().values()} == {str(back.directory / name) for name in ('hda.raw', 'hdb.qcow2')}
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 1 1M 1M', back.images()['hdb'][0])
    assert (back.directory / 'hdb.qcow2').stat().st_mode & 0o777 == 0o600
    house.do(back.guest, 'Startup')
    with back.line() as line:
        line.wait_tick()
    house.do(back.guest, 'TurnOff')


def test_a_saved_machine_goes_on(house, machine, directory):
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    house.do(machine.guest, 'Save')
    before = machine.guest.ticks
    bundle = export(machine, directory)
    delete(machine)
    for options in ({}, {'Name': f'{machine.guest.name}-2', 'GenerateNewSystemIdentifier': True}):
        back = import_(house, bundle, **options)
        assert house.state(back.guest) == 'saved'
        house.do(back.guest, 'Startup')
        with back.line() as line:
            assert before <= line.wait_tick() < before + 500
        house.do(back.guest, 'TurnOff')


def test_snapshots_can_be_applied(house, machine, directory):
    machine.take(DISKS, ElementName='first')
    write(machine, 2)
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    machine.take(FULL, ElementName='second')
    before = machine.guest.ticks
    house.do(machine.guest, 'Save')
    machine.take(FULL, ElementName='third')
    bundle = export(machine, directory)
    delete(machine)
    back = import_(house, bundle, Name=f'{machine.guest.name}-2', GenerateNewSystemIdentifier=True)
    snapshots = {back.get(path)['Name']: path for path in back.paths}
    assert list(snapshots) == ['first', 'second', 'third']
    assert back.get(snapshots['third'])['HasSavedState']
    house.client.call(back.guest.path, 'VirtualMachine', 'DiscardSavedState')
    back.do(snapshots['first'], 'Apply')
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 1 1M 1M', back.images()['hdb'][0])
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 0 2M 1M', back.images()['hdb'][0])
    for name in ('second', 'third'):
        back.do(snapshots[name], 'Apply')
        if house.state(back.guest) != 'running':
            house.do(back.guest, 'Startup' if house.state(back.guest) in ('saved', 'turned-off') else 'Resume')
        with back.line() as line:
            assert before - 100 <= line.wait_tick() < before + 1000
        house.do(back.guest, 'TurnOff')
    for name in ('second', 'first', 'third'):
        back.do(snapshots[name], 'Destroy')
    assert back.paths == []


def test_reference_points_come_along(house, machine, directory):
    machine.take_point(ElementName='point')
    machine.take(DISKS, ElementName='snapshot')
    write(machine, 2)
    bundle = export(machine, directory)
    delete(machine)
    back = import_(house, bundle, Name=f'{machine.guest.name}-2', GenerateNewSystemIdentifier=True)
    [point], [snapshot] = back.points, back.paths
    assert point == f'{back.guest.path}/referencepoint/point' and back.get(snapshot)['Parent'] == '/'
    back.destroy_point(point)
    back.do(snapshot, 'Destroy')
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 2 2M 1M', back.images()['hdb'][0])
    delete(back)


TPM = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"
USUAL = """<interface type='user'><model type='virtio'/></interface><graphics type='vnc' autoport='yes'/><video><model type='virtio'/></video>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel><controller type='scsi' model='virtio-scsi'/>
<disk type='file' device='cdrom'><target dev='sdc' bus='sata'/></disk><input type='tablet' bus='virtio'/><watchdog model='i6300esb' action='reset'/>"""


@pytest.mark.parametrize('saved', [False, True] if LONG else [True])
def test_firmware_and_tpm_come_along(house, directory, saved):
    """With what a virtual machine usually has."""
    name = f'firmware{next(numbers)}'
    guest = house.register(name, boot=False, memory=128, uefi=True, devices=USUAL.replace("<channel type='spicevmc'>"
                           "<target type='virtio' name='com.redhat.spice.0'/></channel>", '') + TPM)
    machine = Snapshots(house, guest)
    house.do(guest, 'Startup')
    house.do(guest, 'Save' if saved else 'TurnOff')
    variables = machine.variables.read_bytes()
    state = (house.below.root / f'lib/swtpm/{guest.uuid}/tpm2/tpm2-00.permall').read_bytes()
    machine.take(FULL, ElementName='one')
    bundle = export(machine, directory)
    delete(machine)
    back = import_(house, bundle, Name=f'{name}-2', GenerateNewSystemIdentifier=True)
    assert back.variables.read_bytes() == variables
    assert (house.below.root / f'lib/swtpm/{back.guest.uuid}/tpm2/tpm2-00.permall').read_bytes() == state
    assert {'one.nvram', 'one.tpm'} <= back.state_files()
    assert house.state(back.guest) == ('saved' if saved else 'turned-off')
    house.do(back.guest, 'Startup')
    house.do(back.guest, 'TurnOff')
    [snapshot] = back.paths
    back.do(snapshot, 'Apply')
    assert back.variables.read_bytes() == variables
    if house.state(back.guest) != 'turned-off':
        house.do(back.guest, 'TurnOff')
    delete(back)


# --- What is not taken ---

def test_the_log_says_what_is_left_out(house, machine, directory):
    """To nobody but who has started it, and root."""
    bundle = export(machine, directory)
    delete(machine)
    task = begin(house, bundle, ValidateOnly=True)
    house.client.wait_task(task)
    assert 'not taken over: domain/devices/serial/unix' in [text for _, _, text in house.client.call(task, 'Task', 'GetLog', 'u', 0)]


def test_an_identifier_is_there_once(house, machine, directory):
    bundle = export(machine, directory)
    before = everything(house)
    error, text = fail(house, bundle)
    assert error == 'DuplicateName' and 'GenerateNewSystemIdentifier' in text
    error, text = fail(house, bundle, GenerateNewSystemIdentifier=True)
    assert error == 'DuplicateName' and 'Name' in text
    assert fail(house, bundle, GenerateNewSystemIdentifier=True, Name=machine.guest.name.upper())[0] == 'DuplicateName'
    assert everything(house) == before
    back = import_(house, bundle, GenerateNewSystemIdentifier=True, Name=f'{machine.guest.name}-2')
    assert back.guest.uuid != machine.guest.uuid


def test_a_check_makes_nothing(house, machine, directory):
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    house.do(machine.guest, 'Save')
    bundle = export(machine, directory)
    delete(machine)
    before = everything(house)
    properties = house.client.wait_task(begin(house, bundle, ValidateOnly=True))
    assert properties['ResultName'] == 'success' and properties['ResultObject'] == '/'
    assert everything(house) == before
    damage(bundle / 'disks/hdb.qcow2', 0x10100)
    assert fail(house, bundle, ValidateOnly=True)[0] == 'InvalidBundle'
    assert everything(house) == before


def rebase(bundle, backing):
    run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', backing, bundle / 'disks/hdb.qcow2')
    sign(bundle)


def add_file(bundle, name):
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_text('more', encoding='utf-8')
    edit(bundle, lambda manifest: manifest['files'].append({'name': name, 'size': 4, 'sha256': '0' * 64}))


# What is done to a bundle, and a word of the error.
BROKEN = {
    'a byte of an image': (lambda bundle: damage(bundle / 'disks/hdb.qcow2', 0x10100), 'digest'),
    'a byte of the definition': (lambda bundle: damage(bundle / 'machine.xml'), 'digest'),
    'a byte of the sums': (lambda bundle: damage(bundle / 'SHA256SUMS', 3), 'SHA256SUMS'),
    'a missing image': (lambda bundle: (bundle / 'disks/hdb.qcow2').unlink(), 'hdb.qcow2'),
    'a shorter image': (lambda bundle: os.truncate(bundle / 'disks/hdb.qcow2', 65536), 'size'),
    'a missing definition': (lambda bundle: (bundle / 'machine.xml').unlink(), 'machine.xml'),
    'no manifest': (lambda bundle: (bundle / 'manifest.json').unlink(), 'manifest.json'),
    'one file more': (lambda bundle: add_file(bundle, 'disks/more.raw'), 'more.raw'),
    'a file for nothing': (lambda bundle: add_file(bundle, 'state/more'), 'state/more'),
    'a link to an image': (lambda bundle: replace_by_link(bundle / 'disks/hda.raw', '/etc/passwd'), 'hda.raw'),
    'a host device': (lambda bundle: change(bundle, 'machine.xml', '<memballoon', "<hostdev mode='subsystem' type='usb'/><memballoon"), 'hostdev'),
    'a command line': (lambda bundle: change(bundle, 'machine.xml', '</domain>', "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>"
                                             '</domain>'), 'commandline'),
    'a kernel': (lambda bundle: change(bundle, 'machine.xml', '<boot dev', '<kernel>/etc/shadow</kernel><boot dev'), 'kernel'),
    'a disk of the host': (lambda bundle: change(bundle, 'machine.xml', 'disks/hda.raw', 'elsewhere/hda.raw'), 'disk'),
    'a disk twice': (lambda bundle: change(bundle, 'machine.xml', 'disks/hdb.qcow2', 'disks/hda.raw'), 'disk'),
    'an image on a file of the host': (lambda bundle: rebase(bundle, '/etc/shadow'), 'not in the bundle'),
    'an image on the directory above': (lambda bundle: rebase(bundle, '../disks/hda.raw'), 'not in the bundle'),
    'an image on another disk': (lambda bundle: rebase(bundle, 'hda.raw'), 'manifest'),
    'an image that is larger than it says': (lambda bundle: edit(bundle, lambda manifest: manifest['disks'][1].update({'virtual-size': 4096})), 'size'),
    'another format': (lambda bundle: edit(bundle, lambda manifest: manifest['disks'][1].update(format='raw')), 'raw'),
}


@pytest.fixture(scope='module')
def bundle_of_all(house):
    """The bundle that is broken in each way, of a machine that is gone."""
    name = 'broken'
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '64M')))
    write(machine, 1)
    (house.scratch / 'broken-bundle').mkdir()
    bundle = export(machine, house.scratch / 'broken-bundle')
    delete(machine)
    return bundle


@pytest.mark.parametrize('way', BROKEN)
def test_a_bundle_that_is_broken(house, bundle_of_all, directory, way):
    bundle = shutil.copytree(bundle_of_all, directory / 'bundle')
    before = everything(house)
    function, word = BROKEN[way]
    function(bundle)
    error, text = fail(house, bundle)
    assert error == 'InvalidBundle' and word in text, text
    assert everything(house) == before


def test_where_there_is_nothing(house, directory):
    assert fail(house, directory / 'missing')[0] == 'PathNotFound'
    assert fail(house, directory)[0] == 'InvalidBundle'
    for path, error in (('relative', 'BadPath'), ('', 'BadPath'), ('/a\nb', 'NameInvalid'), ('/' + 'a' * 300, 'PathTooLong')):
        assert house.client.error(MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', path, {}).short == error
    for options in ({'Name': 'a/b'}, {'Name': ''}, {'StorageDirectory': 'x'}, {'Unknown': True}, {'ValidateOnly': 'yes'}):
        assert house.client.error(MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(directory),
                                  {key: GLib.Variant('b' if isinstance(value, bool) else 's', value) for key, value in options.items()})


def test_another_storage(house, machine, directory):
    """Root may name any."""
    bundle = export(machine, directory)
    delete(machine)
    assert fail(house, bundle, StorageDirectory=str(directory / 'missing'))[0] == 'PathNotFound'
    storage = directory / 'storage'
    storage.mkdir()
    back = import_(house, bundle, StorageDirectory=str(storage))
    assert {pathlib.Path(path).parent for path, _ in back.images().values()} == {storage / machine.guest.name}
    delete(back)
    assert fail(house, bundle, StorageDirectory=str(storage))[0] == 'FileExists'


def test_a_bundle_that_is_written_to(house, machine, directory):
    bundle = export(machine, directory)
    delete(machine)
    with subprocess.Popen(['qemu-io', '-f', 'qcow2', bundle / 'disks/hdb.qcow2'], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdin.write(b'write 0 1k\n')
        writer.stdin.flush()
        writer.stdout.readline()
        assert fail(house, bundle)[0] == 'FileInUse'
        writer.stdin.close()


def test_two_at_once(house, machine, directory):
    """They do not wait for each other, and of two with one name one gets it."""
    bundle = export(machine, directory)
    delete(machine)
    tasks = [begin(house, bundle, GenerateNewSystemIdentifier=True, Name=name) for name in ('twice', 'twice', 'other')]
    results = [house.client.wait_task(task) for task in tasks]
    assert sorted(result['ResultName'] == 'success' for result in results) == [False, True, True]
    assert results[2]['ResultName'] == 'success'
    [loser] = [result for result in results if result['ErrorName']]
    assert loser['ErrorName'].rpartition('.')[2] in ('DuplicateName', 'FileExists')
    assert not [path for path in (house.below.root / 'images').iterdir() if path.name.startswith('.')]


# --- Interruptions ---

@pytest.fixture
def large(house, machine, directory):
    """A bundle with 192 MiB of data, so that there is a middle."""
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '1G')
    run('qemu-io', '-f', form, '-c', 'write -P 7 64M 192M', path)
    bundle = export(machine, directory)
    delete(machine)
    return bundle


def begin_halfway(house, bundle):
    """An import whose worker has begun to copy, and is stopped; the worker too."""
    task = begin(house, bundle)
    while not house.client.get(task, 'Task', 'IsComplete'):
        for pid in workers(house, 'extract'):
            os.kill(pid, signal.SIGSTOP)
            return task, pid
        house.pass_time(0.001)  # nobody tells of that
    raise AssertionError('too late')


def test_one_that_is_cancelled_leaves_nothing(house, large):
    before = everything(house)
    task, pid = begin_halfway(house, large)
    house.client.call(task, 'Task', 'Cancel')
    go_on([pid])
    assert house.client.wait_task(task)['ResultName'] == 'cancelled'
    assert everything(house) == before
    import_(house, large)


def test_a_killed_worker_leaves_nothing(house, large):
    before = everything(house)
    task, pid = begin_halfway(house, large)
    os.kill(pid, signal.SIGKILL)
    assert house.client.wait_task(task)['ResultName'] == 'unexpected-error'
    assert everything(house) == before
    import_(house, large)


def test_a_killed_daemon_leaves_nothing(house, large):
    before = everything(house)
    task, _ = begin_halfway(house, large)
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert everything(house) == before
    import_(house, large)


def differences(machine, directory):
    """A full export, and a difference without anything in it."""
    settings = {'CopySnapshotConfiguration': 3, 'CreateVmExportSubdirectory': False}
    first, second = machine.take(DISKS), machine.take(DISKS)
    return (export(machine, directory / 'base', SnapshotVirtualSystem=first, **settings),
            export(machine, directory / 'difference', SnapshotVirtualSystem=second, DifferentialBackupBase=first, **settings))


@pytest.mark.root
@pytest.mark.parametrize('place', ['images', 'lib/qemu/save'])
def test_where_there_is_no_room(place):
    """For images, which is known before, also of a difference that would fit without its base; and for a saved state, which is found out."""
    with Scratch() as scratch:
        small = scratch / 'root' / place
        namespace = Namespace(scratch, 'small', [f'mkdir -p {small}', f'mount -t tmpfs -o size=48m tmpfs {small}', f'chmod 755 {small}'])
        house = House(scratch, 'embed', namespace=namespace)
        machine = Snapshots(house, house.register('large', boot=False, memory=32, devices=second_disk(scratch, 'large', '128M')))
        if place == 'images':
            path, form = machine.images()['hdb']
            run('qemu-io', '-f', form, '-c', 'write -P 7 1M 80M', path)
        else:
            house.do(machine.guest, 'Startup')
            machine.guest.wait_first_tick(1)
            house.do(machine.guest, 'Save')
        (scratch / 'bundle').mkdir()
        bundle = export(machine, scratch / 'bundle')
        if place == 'images':
            base, difference = differences(machine, scratch)
        delete(machine)
        if place != 'images':
            namespace.run('dd', 'if=/dev/zero', f'of={small}/filler', 'bs=1M', 'count=100', check=False)
        assert fail(house, bundle)[0] == 'DiskFull'
        assert place != 'images' or fail(house, difference, BaseDirectories=[str(base)])[0] == 'DiskFull'
        left = namespace.run('find', scratch / 'root/images', scratch / 'root/lib/qemu/save', '-mindepth', '1').stdout.split()
        assert left == ([] if place == 'images' else [f'{small}/filler'])
        namespace.run('rm', '-f', f'{small}/filler')
        if place != 'images':
            properties = house.client.wait_task(begin(house, bundle))
            assert properties['ResultName'] == 'success', properties
