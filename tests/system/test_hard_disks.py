# SPDX-License-Identifier: LGPL-2.1-or-later
"""HardDisk objects and their creators, on real images of all formats: what they show, that it stays true, and what is refused. As root; what an ordinary
user can do is in tests/auth/test_hard_disk_paths.py."""

import itertools
import json
import os
import pathlib
import signal
import subprocess

import pytest
from hard_disks import (
    DIFFERENCING, DISK, DYNAMIC, FIXED, FORMATS, LARGE, MIB, PARTIAL, allocated, begin, create, failed, get, info, is_empty, is_zero, make,
    path_of, qemu_img, refused, slow_house,
)
from harness import MANAGER, Client, Scratch
from qemu_house import RESTARTED, House

numbers = itertools.count(1)

pytestmark = pytest.mark.below('embed')


# --- Creators ---

@pytest.mark.parametrize('ending, kind', FORMATS.items())
@pytest.mark.parametrize('fixed', [False, True], ids=['dynamic', 'fixed'])
def test_an_image_is_made(house, directory, ending, kind, fixed):
    file = directory / f'new.{ending}'
    task, disk = create(house, 'Fixed' if fixed else 'Dynamic', file, 24)
    assert house.client.call(task['path'], 'Task', 'GetResults') == {'ImagePath': str(file)}
    assert disk['SizeInGuest'] == info(file, kind)['virtual-size'] == 24 * MIB
    assert (disk['Format'], disk['Type'], disk['Parent'], disk['InUseBy']) == (kind, FIXED if fixed else DYNAMIC, '/', [])
    assert disk['File'] == '' and disk['SizeOnHost'] == allocated(file)
    assert (allocated(file) >= 24 * MIB) == fixed
    assert file.stat().st_mode & 0o777 == 0o600
    is_zero(file, kind)
    assert {path.name for path in directory.iterdir()} == {file.name}


def test_a_size_in_bytes(house, directory):
    _, disk = create(house, 'Dynamic', directory / 'a.vhd', 0, SizeBytes=5 * MIB + 512)
    assert disk['SizeInGuest'] == info(directory / 'a.vhd', 'vpc')['virtual-size'] == 5 * MIB + 512


def test_a_format_goes_with_the_name(house, directory):
    create(house, 'Dynamic', directory / 'a.vhd', 8, Format='vhd')
    _, disk = create(house, 'Dynamic', directory / 'without-ending', 8, Format='raw')
    assert disk['Format'] == 'raw'
    assert refused(house, 'Dynamic', directory / 'b.vhd', 8, Format='qcow2') == 'NameInvalid'
    assert refused(house, 'Dynamic', directory / 'b', 8, Format='qcow2') == 'NameInvalid'
    assert refused(house, 'Dynamic', directory / 'b', 8) == 'NameInvalid'
    assert refused(house, 'Dynamic', directory / 'b.qcow2', 8, Format='vmdk') == 'InvalidArgument'
    assert {path.name for path in directory.iterdir()} == {'a.vhd', 'without-ending'}


def test_missing_directories_are_made(house, directory):
    file = directory / 'one/two/three/a.qcow2'
    create(house, 'Dynamic', file, 8)
    is_zero(file, 'qcow2')
    assert (directory / 'one').stat().st_mode & 0o777 == 0o700
    assert [path.name for path in directory.iterdir()] == ['one']


SIZE_ROWS = [
    ('Dynamic', 'a.vhd', 0, {}, 'InvalidArgument'),
    ('Fixed', 'a.raw', 0, {}, 'InvalidArgument'),
    ('Dynamic', 'a.vhd', 2, {}, 'SizeTooSmall'),
    ('Dynamic', 'a.qcow2', 8, {'SizeBytes': 3 * MIB - 512}, 'SizeTooSmall'),
    ('Dynamic', 'a.qcow2', 8, {'SizeBytes': 3 * MIB + 1}, 'InvalidArgument'),
    ('Dynamic', 'a.vhd', 2088961, {}, 'SizeTooLarge'),
    ('Fixed', 'a.qcow2', (64 << 20) + 1, {}, 'SizeTooLarge'),
    ('Dynamic', 'a.vhdx', (1 << 64) - 1, {}, 'SizeTooLarge'),
]


@pytest.mark.parametrize('kind, name, size, options, error', SIZE_ROWS)
def test_sizes(house, directory, kind, name, size, options, error):
    assert refused(house, kind, directory / name, size, **options) == error


def test_the_largest_vhd(house, directory):
    _, disk = create(house, 'Dynamic', directory / 'a.vhd', 2088960)
    assert disk['SizeInGuest'] == 2088960 * MIB == info(directory / 'a.vhd', 'vpc')['virtual-size']


PATH_ROWS = [
    ('', 'BadPath'),
    ('relative.qcow2', 'BadPath'),
    ('/' + 'x' * 250 + '.qcow2', 'PathTooLong'),
    ('/' + 'x/' * 2050 + 'a.qcow2', 'PathTooLong'),
    ('/a\n.qcow2', 'NameInvalid'),
    ('/a.qcow2/', 'NameInvalid'),
]


@pytest.mark.parametrize('path, error', PATH_ROWS)
def test_paths(house, path, error):
    assert refused(house, 'Dynamic', path, 8) == error
    assert refused(house, 'Fixed', path, 8) == error
    if path.startswith('/'):
        assert refused(house, 'Differencing', path, '/a.raw') == error


def test_nothing_is_replaced(house, directory):
    file = directory / 'a.qcow2'
    for content in (b'mine', b''):
        file.write_bytes(content)
        assert failed(house, 'Dynamic', file, 8) == 'FileExists'
        assert file.read_bytes() == content
    file.unlink()
    file.symlink_to(directory / 'nowhere')
    assert failed(house, 'Dynamic', file, 8) == 'FileExists'
    assert {path.name for path in directory.iterdir()} == {'a.qcow2'}


def test_a_file_is_no_directory(house, directory):
    (directory / 'file').write_bytes(b'')
    assert failed(house, 'Dynamic', directory / 'file/a.qcow2', 8) == 'PathNotFound'
    assert failed(house, 'Dynamic', directory / 'file/new/a.qcow2', 8) == 'PathNotFound'


# --- Differencing ---

@pytest.mark.parametrize('ending, kind', FORMATS.items())
def test_a_differencing_disk(house, directory, ending, kind):
    parent = make(directory / f'parent.{ending}', kind, **({'force_size': 'on'} if kind == 'vpc' else {}))
    subprocess.run(['qemu-io', '-f', kind, '-c', 'write -q -P 7 1M 1M', parent], check=True)
    before = parent.read_bytes()
    child = directory / 'child.qcow2'
    _, disk = create(house, 'Differencing', child, parent)
    assert (disk['Type'], disk['Format'], disk['SizeInGuest'], disk['Parent']) == (DIFFERENCING, 'qcow2', 16 * MIB, path_of(parent))
    assert house.client.get(disk['Parent'], DISK, 'Format') == kind
    facts = info(child, 'qcow2')
    assert (facts['backing-filename'], facts['backing-filename-format']) == (str(parent), kind)
    qemu_img('compare', '-q', '-f', 'qcow2', '-F', kind, child, parent)
    qemu_img('check', '-q', '-f', 'qcow2', child)
    assert parent.read_bytes() == before


def test_it_notes_which_file_its_parent_is(house, directory):
    parent, child = make(directory / 'parent.raw', 'raw'), directory / 'child.qcow2'
    create(house, 'Differencing', child, parent)
    status = parent.stat()
    assert os.getxattr(child, 'user.virtask.parent').decode('ascii').split() == [
        str(number) for number in (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)]


def test_one_path_may_be_relative_to_the_other(house, directory):
    (directory / 'below').mkdir()
    parent = make(directory / 'parent.raw', 'raw')
    create(house, 'Differencing', directory / 'below/child.qcow2', '../parent.raw')
    assert info(directory / 'below/child.qcow2', 'qcow2')['backing-filename'] == './../parent.raw'
    _, disk = create(house, 'Differencing', 'below/other.qcow2', parent)
    assert disk['Parent'] == path_of(parent)
    assert info(directory / 'below/other.qcow2', 'qcow2')['backing-filename'] == str(parent)
    assert refused(house, 'Differencing', 'child.qcow2', 'parent.raw') == 'BadPath'
    assert refused(house, 'Differencing', directory / 'x.qcow2', '') == 'BadPath'
    qemu_img('compare', '-q', '-f', 'qcow2', '-F', 'raw', directory / 'below/child.qcow2', parent)


def test_a_relative_parent_is_not_lost_behind_a_link(house, directory):
    (directory / 'real/deep').mkdir(parents=True)
    (directory / 'link').symlink_to(directory / 'real/deep')
    make(directory / 'parent.raw', 'raw')
    assert failed(house, 'Differencing', directory / 'link/child.qcow2', '../parent.raw') == 'ParentNotFound'
    assert not list((directory / 'real/deep').iterdir())
    make(directory / 'real/deep/beside.raw', 'raw')
    create(house, 'Differencing', directory / 'link/new/child.qcow2', '../beside.raw')
    qemu_img('compare', '-q', '-f', 'qcow2', '-F', 'raw', directory / 'real/deep/new/child.qcow2', directory / 'real/deep/beside.raw')


def test_a_relative_parent_with_a_colon_is_a_file(house, directory):
    parent = make(f'{directory}/nbd:parent.raw', 'raw') and directory / 'nbd:parent.raw'
    _, disk = create(house, 'Differencing', directory / 'child.qcow2', 'nbd:parent.raw')
    assert disk['Parent'] == path_of(parent)
    assert json.loads(qemu_img('info', '--output=json', '--backing-chain', '-f', 'qcow2', directory / 'child.qcow2'))[1]['virtual-size'] == 16 * MIB


def test_what_can_be_no_parent(house, directory):
    child, raw = directory / 'child.qcow2', make(directory / 'parent.raw', 'raw')
    assert failed(house, 'Differencing', child, directory / 'missing.raw') == 'ParentNotFound'
    assert failed(house, 'Differencing', child, directory / 'no/where.raw') == 'ParentNotFound'
    (directory / 'broken.qcow2').write_bytes(b'QFI\xfb' + bytes(100))
    assert failed(house, 'Differencing', child, directory / 'broken.qcow2') in ('InvalidDiskImage', 'NotSupported')
    (directory / 'lie.vhd').write_bytes(bytes(4096))
    assert failed(house, 'Differencing', child, directory / 'lie.vhd') == 'InvalidDiskImage'
    assert failed(house, 'Differencing', child, directory) == 'NotSupported'
    assert refused(house, 'Differencing', directory / 'child.vhd', raw) == 'WrongDiskType'
    assert refused(house, 'Differencing', child, raw, ParentFormat='vmdk') == 'InvalidArgument'
    middle = make(directory / 'middle.qcow2', 'qcow2', backing_file=raw, backing_fmt='raw')
    raw.unlink()
    assert failed(house, 'Differencing', child, middle) == 'ParentNotFound'
    assert not child.exists()


def test_the_format_of_a_parent_can_be_said(house, directory):
    parent = make(directory / 'vda.snapshot1', 'qcow2')
    assert failed(house, 'Differencing', directory / 'child.qcow2', parent) == 'NotSupported'
    create(house, 'Differencing', directory / 'child.qcow2', parent, ParentFormat='qcow2')
    assert info(directory / 'child.qcow2', 'qcow2')['backing-filename-format'] == 'qcow2'


# --- What they show ---

@pytest.mark.parametrize('ending, kind', FORMATS.items())
def test_any_image_has_an_object(house, directory, ending, kind):
    file = make(directory / f'a.{ending}', kind, **({'force_size': 'on'} if kind == 'vpc' else {}))
    disk = get(house, file)
    assert (disk['Format'], disk['SizeInGuest'], disk['Type'], disk['File']) == (kind, 16 * MIB, DYNAMIC, '')
    assert disk['HostFreeDiskSpace'] > 0


def test_it_is_read_anew(house, directory):
    file = make(directory / 'a.qcow2', 'qcow2')
    path = path_of(file)
    get(house, file)
    seen = len(house.client.signals)
    qemu_img('resize', '-q', '-f', 'qcow2', file, '32M')
    assert get(house, file)['SizeInGuest'] == 32 * MIB
    house.client.wait_signal('PropertiesChanged', path=path, after=seen)
    assert house.client.announced(path, DISK, 'SizeInGuest')


HOSTILE = [
    ('a.qcow2', {'backing_file': '/etc/shadow', 'backing_fmt': 'raw'}, None),
    ('a.qcow2', {'data_file': 'data'}, 'NotSupported'),
    ('a.qcow2', {'backing_file': 'nbd://127.0.0.1/x', 'backing_fmt': 'raw'}, 'NotSupported'),
]


@pytest.mark.parametrize('name, options, error', HOSTILE)
def test_hostile_images(house, directory, name, options, error):
    """Nothing that a header names is opened but files, and of those only headers are read."""
    file = directory / name
    options = {key: str(directory / value) if key == 'data_file' else value for key, value in options.items()}
    qemu_img('create', '-q', '-u', '-f', 'qcow2', *[word for key, value in options.items() for word in ('-o', f'{key}={value}')], file, '16M')
    if error is None:
        assert get(house, file)['Type'] == DIFFERENCING
        return
    assert house.client.error(MANAGER, 'Manager', 'GetHardDisk', 's', str(file)).short == error


def test_a_size_bomb_is_a_number(house, directory):
    make(directory / 'a.qcow2', 'qcow2', '1P')
    assert get(house, directory / 'a.qcow2')['SizeInGuest'] == 1 << 50


def test_what_is_no_image(house, directory):
    def error(path):
        return house.client.error(MANAGER, 'Manager', 'GetHardDisk', 's', str(path)).short

    os.mkfifo(directory / 'fifo.raw')
    (directory / 'empty.qcow2').write_bytes(b'')
    (directory / 'guest.img').write_bytes(b'QFI\xfb' + bytes(4096))
    assert error(directory / 'fifo.raw') == error('/dev/zero') == error(directory) == 'NotSupported'
    assert error(directory / 'guest.img') == 'NotSupported'
    assert error(directory / 'missing.raw') == 'FileNotFound'
    assert error(directory / 'no/where.raw') == 'PathNotFound'
    assert error(directory / 'empty.qcow2') == 'InvalidDiskImage'
    assert error('relative.raw') == error('') == 'BadPath'


def test_an_object_stays_while_its_caller_is_there(house, directory):
    """And what it rests on with it; without one it goes when a task of that time would be forgotten."""
    with Scratch() as scratch:
        other = House(scratch, 'embed', config={'TaskRetentionSec': 1})
        parent = make(directory / 'parent.raw', 'raw')
        child = make(directory / 'child.qcow2', 'qcow2', backing_file=parent, backing_fmt='raw')
        caller = Client(other.bus)
        path = caller.call(MANAGER, 'Manager', 'GetHardDisk', 's', str(child))
        assert caller.call(MANAGER, 'Manager', 'GetHardDisk', 's', str(child)) == path
        assert {path, path_of(parent)} <= set(other.client.objects())
        seen = len(other.client.signals)
        caller.close()
        other.client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == path_of(parent), after=seen)
        assert not {path, path_of(parent)} & set(other.client.objects())


# --- Of machines ---

def wait_disk(house, path, after):
    house.client.wait_signal('InterfacesAdded', where=lambda signal: signal.arguments[0] == path and f'org.virtask1.{DISK}' in signal.arguments[1], after=after)


@pytest.fixture(params=['raw', 'qcow2'])
def machine(request, house):
    """One that is off, its object and its disk."""
    seen = len(house.client.signals)
    guest = house.register(f'disks{next(numbers)}', boot=False, disk_format=request.param)
    wait_disk(house, path_of(guest.image), seen)
    yield guest
    house.client.call(guest.path, 'VirtualMachine', 'Unregister')


def test_the_disks_of_a_machine(house, machine):
    path = path_of(machine.image)
    disk = house.client.get_all(path, DISK)
    assert house.client.get(machine.path, 'VirtualMachine', 'HardDisks') == [path]
    assert 'HardDisks' not in house.client.objects()[machine.path]['org.virtask1.VirtualMachine']
    assert (disk['File'], disk['InUseBy']) == (str(machine.image), [machine.path])
    assert disk['SizeInGuest'] == info(machine.image, disk['Format'])['virtual-size']
    assert disk['SizeOnHost'] == allocated(machine.image)


def test_a_disk_that_is_replaced_is_read_anew(house, machine):
    path, kind = path_of(machine.image), machine.image.suffix.removeprefix('.').replace('img', 'raw')
    before = house.client.get(path, DISK, 'SizeInGuest')
    new = make(machine.image.with_name('new'), kind, '48M')
    new.rename(machine.image)
    house.client.wait_property(path, DISK, 'SizeInGuest', 48 * MIB)
    assert before != 48 * MIB


def test_a_disk_that_is_damaged_is_still_there(house, machine):
    path = path_of(machine.image)
    machine.image.write_bytes(b'')
    house.client.wait_property(path, DISK, 'SizeInGuest', 0)
    assert house.client.get(path, DISK, 'InUseBy') == [machine.path]
    machine.image.unlink()
    assert house.client.get(path, DISK, 'File') == str(machine.image)


def test_the_disks_of_a_machine_that_goes_go(house):
    seen = len(house.client.signals)
    guest = house.register('going', boot=False)
    path = path_of(guest.image)
    wait_disk(house, path, seen)
    seen = len(house.client.signals)
    house.client.call(guest.path, 'VirtualMachine', 'Unregister')
    house.client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == path, after=seen)
    assert path not in house.client.objects()


def test_a_snapshot_gives_a_machine_another_disk(house, machine):
    old = path_of(machine.image)
    seen = len(house.client.signals)
    task = house.client.call(machine.path, 'SnapshotService', 'CreateSnapshot', 'qa{sv}', 3, {})
    assert house.client.wait_task(task)['ResultName'] == 'success'
    house.client.wait(lambda: house.client.get(machine.path, 'VirtualMachine', 'HardDisks') != [old], what='the overlay')
    new, = house.client.get(machine.path, 'VirtualMachine', 'HardDisks')
    disk = house.client.get_all(new, DISK)
    assert (disk['Type'], disk['Parent'], disk['InUseBy']) == (DIFFERENCING, old, [machine.path])
    assert house.client.get(old, DISK, 'InUseBy') == [machine.path]
    house.client.wait_signal('PropertiesChanged', path=machine.path, after=seen,
                             where=lambda signal: 'HardDisks' in signal.arguments[2])
    snapshot, = house.client.get(machine.path, 'VirtualMachine', 'Snapshots')
    task = house.client.call(snapshot, 'Snapshot', 'Destroy', 'a{sv}', {})
    assert house.client.wait_task(task)['ResultName'] == 'success'


def test_the_disks_are_there_with_the_machines(house, machine):
    """After a start, and a caller who comes as soon as he can."""
    house.daemon.restart()
    assert house.client.get(machine.path, 'VirtualMachine', 'HardDisks') == [path_of(machine.image)]


# --- Space, and interruptions ---

@pytest.fixture
def small():
    """A house that sees a file system of 48 MiB."""
    with Scratch() as scratch:
        place = scratch / 'small'
        place.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=48m', 'small', place], check=True)
        scratch.callback(subprocess.run, ['umount', '--lazy', place], check=True)
        house = House(scratch, 'embed')
        house.place = place
        yield house


@pytest.mark.root
def test_the_disk_is_full(small):
    assert failed(small, 'Fixed', small.place / 'a.raw', 64) == 'DiskFull'
    assert failed(small, 'Fixed', small.place / 'new/a.qcow2', 64) == 'DiskFull'
    (small.place / 'fill').write_bytes(bytes(42 * MIB))
    assert failed(small, 'Dynamic', small.place / 'a.qcow2', 64) == 'DiskFull'
    assert [path.name for path in small.place.iterdir()] == ['fill']


def test_a_file_can_be_too_large_for_its_file_system(house, directory):
    """ext4 has files up to 16 TiB; on others the image is made."""
    try:
        with open(directory / 'try', 'wb') as file:
            file.truncate(64 << 40)
    except OSError:
        assert failed(house, 'Dynamic', directory / 'a.raw', 64 << 20) == 'FileTooLarge'
    else:
        create(house, 'Dynamic', directory / 'a.raw', 64 << 20)


@pytest.fixture
def slow():
    with slow_house() as house:
        yield house


@pytest.mark.root
def test_zeros_are_written_where_nothing_can_be_allocated(slow):
    for name in ('a.raw', 'a.qcow2', 'a.vhd', 'a.vhdx'):
        file = slow.place / name
        task, disk = create(slow, 'Fixed', file, 64)
        assert allocated(file) >= 64 * MIB and disk['Type'] == FIXED
        assert task['BytesTotal'] == task['BytesDone'] == file.stat().st_size
        is_zero(file, FORMATS[name.rpartition('.')[2]])
        file.unlink()


def begin_large(slow):
    """The task, in the middle of writing."""
    task = begin(slow, 'Fixed', slow.place / 'new/directory/a.raw', LARGE)
    slow.client.wait(lambda: 0 < slow.client.get(task, 'Task', 'BytesDone') < LARGE * MIB, what='the middle')
    return task


@pytest.mark.root
def test_a_cancelled_one_leaves_nothing(slow):
    task = begin_large(slow)
    assert slow.is_in_the_middle(task)
    slow.client.call(task, 'Task', 'Cancel')
    assert slow.client.wait_task(task)['ResultName'] == 'cancelled'
    assert is_empty(slow.place)


@pytest.mark.root
def test_a_killed_process_leaves_nothing(slow):
    task = begin_large(slow)
    children = pathlib.Path(f'/proc/{slow.daemon.pid}/task').glob('*/children')
    pids = [int(pid) for file in children for pid in file.read_text(encoding='ascii').split()]
    working = [pid for pid in pids if pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='ascii') == 'virtask-bundle\n']
    assert len(working) == 1
    os.kill(working[0], signal.SIGKILL)
    assert slow.client.wait_task(task)['ResultName'] != 'success'
    assert is_empty(slow.place)


@pytest.mark.root
def test_a_killed_daemon_leaves_nothing_once_it_is_back(slow):
    task = begin_large(slow)
    slow.daemon.kill()
    assert [path.name.startswith(PARTIAL) for path in slow.place.iterdir() if path.name != 'lost+found'] == [True]
    slow.daemon.start()
    properties = slow.client.wait_task(task)
    assert properties['ErrorName'] == RESTARTED
    assert is_empty(slow.place)
