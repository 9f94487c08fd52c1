# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hard disks of an ordinary user, whom polkit allows it, with the capabilities of the unit: his own files are used with his rights, and the directories of the
service with those of the service, and nothing else is read, changed or made (security.md P1 to P6, T3)."""

import hashlib
import itertools
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import threading
import time

import pytest
from export_houses import MS_RDONLY, House, mount
from gi.repository import GLib
from harness import MANAGER, ROOT, BusError, Client, Scratch
from houses import CHALLENGE_NAME, DEFAULT, DENIED_NAME, GRANTED

pytestmark = pytest.mark.root

MIB = 1 << 20
PARTIAL = '.virtask-partial-'

numbers = itertools.count(1)


def prepare(house):
    (house.home / 'read-only').mkdir()
    mount(house.scratch, 'read-only', house.home / 'read-only', flags=MS_RDONLY, options='mode=777')


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch, prepare=prepare)


@pytest.fixture
def place(house):
    path = house.home / f'place{next(numbers)}'
    path.mkdir()
    shutil.chown(path, GRANTED, GRANTED)
    yield path
    shutil.rmtree(path)


def client_of(house, user):
    return Client(house.bus, user=user)


def path_of(file):
    return f'{ROOT}/harddisk/{hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:32]}'


def create(client, file, kind='Dynamic', size=8, **options):
    """The properties of the task."""
    values = {key: GLib.Variant('s', value) for key, value in options.items()}
    if kind == 'Differencing':
        return client.wait_task(client.call(MANAGER, 'Manager', 'CreateDifferencingVirtualHardDisk', 'ssa{sv}', str(file), str(size), values))
    return client.wait_task(client.call(MANAGER, 'Manager', f'Create{kind}VirtualHardDisk', 'sta{sv}', str(file), size, values))


def assert_made(properties):
    assert properties['ResultName'] == 'success', properties
    return properties['ResultObject']


def error_of(properties):
    assert properties['ResultName'] != 'success'
    return properties['ErrorName'].rpartition('.')[2]


def get(client, file):
    return client.call(MANAGER, 'Manager', 'GetHardDisk', 's', str(file))


def refused(client, file):
    return client.error(MANAGER, 'Manager', 'GetHardDisk', 's', str(file)).short


def info(path, kind='qcow2'):
    return json.loads(subprocess.run(['qemu-img', 'info', '--output=json', '-f', kind, path], check=True, capture_output=True).stdout)


# --- His own ---

@pytest.mark.parametrize('kind', ['Dynamic', 'Fixed'])
@pytest.mark.parametrize('ending', ['qcow2', 'raw', 'vhd', 'vhdx'])
def test_what_he_makes_is_his(house, place, kind, ending):
    with house.untouched():
        disk = assert_made(create(house.granted, place / f'new/a.{ending}', kind))
    assert {(path.owner(), path.stat().st_mode & 0o777) for path in (place / 'new', place / f'new/a.{ending}')} == {(GRANTED, 0o700), (GRANTED, 0o600)}
    assert house.granted.get(disk, 'HardDisk', 'SizeInGuest') == 8 * MIB
    assert house.granted.get(disk, 'HardDisk', 'File') == ''
    assert get(house.granted, place / f'new/a.{ending}') == disk
    assert refused(client_of(house, DEFAULT), place / f'new/a.{ending}') == 'AccessDenied'


def test_a_differencing_disk_of_his(house, place):
    parent = path_of(place / 'parent.raw')
    assert_made(create(house.granted, place / 'parent.raw'))
    disk = assert_made(create(house.granted, place / 'child.qcow2', 'Differencing', 'parent.raw'))
    assert house.granted.get(disk, 'HardDisk', 'Parent') == parent


# --- What is not his ---

def test_where_he_can_not_write(house, place):
    with house.untouched():
        for directory in (house.secret, house.foreign, house.safe, house.secret / 'inside/new'):
            assert error_of(create(house.granted, directory / 'a.raw')) == 'AccessDenied'
        assert error_of(create(house.granted, house.home / 'read-only/a.raw')) == 'FileReadOnly'
        (place / 'link').symlink_to(house.secret)
        assert error_of(create(house.granted, place / 'link/a.raw')) == 'AccessDenied'
        assert error_of(create(house.granted, '/proc/1/cwd/a.raw')) in ('AccessDenied', 'PathNotFound')
    assert [path.name for path in place.iterdir()] == ['link']


def test_what_he_can_not_read(house, place):
    with house.untouched():
        for file in (house.secret / 'file', house.foreign / 'file', '/etc/shadow', house.secret / 'missing'):
            assert refused(house.granted, file) == 'AccessDenied'
        (place / 'link.raw').symlink_to('/etc/shadow')
        assert refused(house.granted, place / 'link.raw') == 'AccessDenied'
        assert error_of(create(house.granted, place / 'child.qcow2', 'Differencing', '/etc/shadow', ParentFormat='raw')) == 'AccessDenied'
    assert path_of('/etc/shadow') not in house.granted.objects()


def test_what_a_header_names_is_opened_with_his_rights(house, place):
    """The parent of an image that he has made is a secret: there is no object of it."""
    image = place / 'a.qcow2'
    secret = house.secret / 'file'
    subprocess.run(['qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-b', secret, '-F', 'raw', image, '8M'], check=True)
    shutil.chown(image, GRANTED)
    with house.untouched():
        disk = get(house.granted, image)
        assert error_of(create(house.granted, place / 'child.qcow2', 'Differencing', image)) == 'AccessDenied'
    assert (house.granted.get(disk, 'HardDisk', 'Parent'), house.granted.get(disk, 'HardDisk', 'Type')) == ('/', 2)
    assert path_of(secret) not in house.granted.objects()


def test_a_disk_of_a_machine_is_no_secret(house):
    """He could not open it."""
    disk = get(client_of(house, DEFAULT), house.guest.image)
    assert house.granted.get(disk, 'HardDisk', 'File') == str(house.guest.image)
    assert house.granted.get(disk, 'HardDisk', 'InUseBy') == [house.guest.path]


def test_he_can_not_change_what_is_shown_of_it(house, place):
    """A link of his to the disk of a machine, by another format."""
    disk = path_of(house.guest.image)
    before = house.granted.get(disk, 'HardDisk', 'Format')
    (place / 'lie.vhd').symlink_to(house.guest.image)
    assert get(house.granted, place / 'lie.vhd') == disk
    assert house.granted.get(disk, 'HardDisk', 'Format') == before


def convert(client, disk, file, method='Convert'):
    return client.wait_task(client.call(disk, 'HardDisk', method, 'sua{sv}', str(file), 0, {}))


def test_a_copy_of_his(house, place):
    disk = assert_made(create(house.granted, place / 'a.raw'))
    assert_made(convert(house.granted, disk, place / 'new/b.vhd'))
    assert (place / 'new/b.vhd').owner() == GRANTED
    with house.untouched():
        assert error_of(convert(house.granted, disk, house.secret / 'b.raw')) == 'AccessDenied'


def test_the_secret_of_somebody_else_is_not_copied(house, place):
    """Not even its name becomes known."""
    image = house.secret / 'image.raw'
    image.write_bytes(bytes(512))
    disk = get(house.root, image)
    error = house.granted.error(disk, 'HardDisk', 'Convert', 'sua{sv}', str(place / 'a.raw'), 0, {})
    assert error.name == DENIED_NAME and 'image' not in error.message
    image.unlink()


def test_a_parent_that_is_a_secret_is_not_copied(house, place):
    image = place / 'a.qcow2'
    subprocess.run(['qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-b', house.secret / 'file', '-F', 'raw', image, '8M'], check=True)
    shutil.chown(image, GRANTED)
    disk = get(house.granted, image)
    with house.untouched():
        for method in ('Convert', 'MergeTo'):
            assert error_of(convert(house.granted, disk, place / 'b.raw', method)) == 'AccessDenied'
    assert [path.name for path in place.iterdir()] == ['a.qcow2']


# --- Directories of the service ---

@pytest.fixture
def images(house):
    """Where libvirt has its images, as the daemon sees it."""
    path = pathlib.Path('/var/lib/libvirt/images')
    run = house.libvirtd.namespace.run
    run('mkdir', '-p', path)
    yield path, run
    run('sh', '-c', f'rm -rf {path}/*')


def test_an_image_of_the_service(house, images):
    path, run = images
    file = path / 'new/a.qcow2'
    disk = assert_made(create(house.granted, file))
    assert run('stat', '-c', '%U %a', file.parent, file).stdout.split() == ['root', '711', 'root', '600']
    assert house.granted.get(disk, 'HardDisk', 'File') == str(file)
    assert get(house.granted, file) == disk
    assert client_of(house, DEFAULT).error(MANAGER, 'Manager', 'GetHardDisk', 's', str(file)).name == CHALLENGE_NAME
    assert_made(convert(house.granted, disk, path / 'copy.raw'))
    assert error_of(convert(house.granted, disk, house.home / 'copy.raw')) == 'AccessDenied'
    child = assert_made(create(house.granted, path / 'child.qcow2', 'Differencing', file))
    assert house.granted.get(child, 'HardDisk', 'Parent') == disk


def test_there_is_no_way_out_of_them(house, images):
    path, run = images
    run('sh', '-c', f'ln -s {house.secret} {path}/way; ln -s {house.secret}/file {path}/link.raw')
    with house.untouched():
        assert error_of(create(house.granted, path / 'way/a.raw')) == 'PathNotFound'
        assert error_of(create(house.granted, path / 'way/new/a.raw')) == 'PathNotFound'
        assert error_of(create(house.granted, f'{path}/../../../..{house.secret}/a.raw')) == 'AccessDenied'
        assert error_of(create(house.granted, path / 'link.raw')) == 'FileExists'
        assert refused(house.granted, path / 'link.raw') == 'PathNotFound'
        assert error_of(create(house.granted, path / 'child.qcow2', 'Differencing', house.secret / 'file', ParentFormat='raw')) == 'AccessDenied'
        assert error_of(create(house.granted, path / 'child.qcow2', 'Differencing', '/etc/shadow', ParentFormat='raw')) == 'AccessDenied'
    assert run('ls', '-A', path).stdout.split() == ['link.raw', 'way']


def test_a_link_that_comes_and_goes(house, place):
    """T4: whoever exchanges a directory for a link to one of root's gets nothing made there."""
    stop, spot = threading.Event(), place / 'spot'
    swaps = 0

    def swap():
        nonlocal swaps
        while not stop.is_set():
            spot.mkdir(exist_ok=True)
            for path in (spot, *spot.glob('*')):
                os.chown(path, pwd.getpwnam(GRANTED).pw_uid, -1, follow_symlinks=False)
            shutil.rmtree(spot, ignore_errors=True)
            try:
                spot.symlink_to(house.secret)
                spot.unlink()
            except OSError:
                pass
            swaps += 1

    with house.untouched():
        thread = threading.Thread(target=swap)
        thread.start()
        end = time.monotonic() + 2
        made = 0
        while time.monotonic() < end:
            made += create(house.granted, spot / f'a{made}.raw')['ResultName'] == 'success'
        stop.set()
        thread.join()
    assert swaps > 100


# --- Limits ---

def test_one_user_holds_so_many(house, place):
    files = []
    for number in range(66):
        file = place / f'{number}.raw'
        file.write_bytes(bytes(512))
        shutil.chown(file, GRANTED)
        files.append(file)
    client = client_of(house, GRANTED)
    held = 0  # he holds some already
    with pytest.raises(BusError, match='64 hard disks'):
        while True:
            get(client, files[held])
            held += 1
    assert 40 < held <= 64
    assert refused(house.granted, files[65]) == 'LimitsExceeded'
    get(house.root, files[65])
    client.close()
    house.root.bus_call('GetId')
    get(house.granted, files[65])


def test_without_permission_nothing_is_made(house, place):
    error = client_of(house, 'bin').error(MANAGER, 'Manager', 'CreateDynamicVirtualHardDisk', 'sta{sv}', str(place / 'a.raw'), 8, {})
    assert error.name == DENIED_NAME and not list(place.iterdir())
