# SPDX-License-Identifier: LGPL-2.1-or-later
"""Convert and MergeTo: from each format into each, compared with what was there, which stays bit for bit as it was."""

import os
import subprocess

import pytest
from gi.repository import GLib
from hard_disks import (
    DIFFERENCING, DISK, DYNAMIC, FIXED, FORMATS, LARGE, MIB, allocated, get, info, is_empty, make, path_of, qemu_img, slow_house,
)
from harness import MANAGER
from qemu_house import RESTARTED

pytestmark = pytest.mark.below('embed')


def copy(house, disk, method, file, kind=DYNAMIC, **options):
    """The properties of the task and of the new disk."""
    values = {key: GLib.Variant('s', value) for key, value in options.items()}
    properties = house.client.wait_task(house.client.call(disk, DISK, method, 'sua{sv}', str(file), kind, values))
    if properties['ResultName'] != 'success':
        return properties, None
    return properties, house.client.get_all(properties['ResultObject'], DISK)


def write(path, kind, *patterns):
    subprocess.run(['qemu-io', '-f', kind, *[word for pattern in patterns for word in ('-c', f'write -q -P {pattern}')], path], check=True)


PAIRS = [(a, b) for a in ('raw', 'qcow2', 'vhd', 'vhdx') for b in ('raw', 'qcow2', 'vhd', 'vhdx')]


@pytest.mark.parametrize('old, new', PAIRS)
@pytest.mark.parametrize('fixed', [False, True], ids=['dynamic', 'fixed'])
def test_a_copy_in_another_format(house, directory, old, new, fixed):
    source, target = directory / f'a.{old}', directory / f'new/b.{new}'
    make(source, FORMATS[old], **({'force_size': 'on'} if old == 'vhd' else {}))
    write(source, FORMATS[old], '7 1M 1M', '9 9000k 100k')
    before = source.read_bytes()
    get(house, source)
    task, disk = copy(house, path_of(source), 'Convert', target, FIXED if fixed else DYNAMIC)
    assert disk, task
    assert (disk['Format'], disk['Type'], disk['SizeInGuest']) == (FORMATS[new], FIXED if fixed else DYNAMIC, 16 * MIB)
    qemu_img('compare', '-q', '-f', FORMATS[old], '-F', FORMATS[new], source, target)
    if FORMATS[new] in ('qcow2', 'vhdx'):
        qemu_img('check', '-q', '-f', FORMATS[new], target)
    assert (allocated(target) >= 16 * MIB) == fixed
    assert source.read_bytes() == before and task['BytesTotal'] == task['BytesDone'] >= 16 * MIB
    assert task['Subject'] == path_of(source)


@pytest.fixture
def chain(directory):
    root = make(directory / 'root.vhd', 'vpc', force_size='on')
    write(root, 'vpc', '1 0 4M')
    middle = make(directory / 'middle.qcow2', 'qcow2', backing_file='root.vhd', backing_fmt='vpc')
    write(middle, 'qcow2', '2 1M 1M')
    top = make(directory / 'top.qcow2', 'qcow2', backing_file=middle, backing_fmt='qcow2')
    write(top, 'qcow2', '3 2M 1M')
    return root, middle, top


@pytest.mark.parametrize('method', ['MergeTo', 'Convert'])
def test_a_chain_becomes_one(house, directory, chain, method):
    before = [path.read_bytes() for path in chain]
    get(house, chain[2])
    _, disk = copy(house, path_of(chain[2]), method, directory / 'flat.qcow2')
    assert (disk['Parent'], disk['Type']) == ('/', DYNAMIC)
    qemu_img('compare', '-q', '-f', 'qcow2', '-F', 'qcow2', chain[2], directory / 'flat.qcow2')
    assert 'backing-filename' not in info(directory / 'flat.qcow2', 'qcow2')
    assert [path.read_bytes() for path in chain] == before


def test_what_can_not_be_copied(house, directory, chain):
    def error(disk, method='Convert', file=directory / 'new.qcow2', kind=DYNAMIC):
        properties, _ = copy(house, path_of(disk), method, file, kind)
        return properties['ErrorName'].rpartition('.')[2]

    def refusal(file, kind=DYNAMIC):
        return house.client.error(path_of(chain[2]), DISK, 'Convert', 'sua{sv}', str(file), kind, {}).short

    get(house, chain[2])
    assert error(chain[0], 'MergeTo') == 'WrongDiskType'
    assert error(chain[2], file=chain[1]) == 'FileExists'
    assert refusal(directory / 'new.qcow2', DIFFERENCING) == refusal(directory / 'new.qcow2', 7) == 'WrongDiskType'
    assert refusal('') == refusal('new.qcow2') == 'BadPath'
    assert refusal(directory / 'new.txt') == 'NameInvalid'
    with subprocess.Popen(['qemu-io', '-f', 'qcow2', chain[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b'write -P 3 2M 1M\n')
        other.stdin.flush()
        other.stdout.readline()
        assert error(chain[2]) == 'FileInUse'
        other.communicate()
    chain[0].unlink()
    assert error(chain[2]) == 'ParentNotFound'
    chain[2].unlink()
    assert error(chain[2]) == 'FileNotFound'
    assert not (directory / 'new.qcow2').exists()


def test_a_disk_of_a_machine_that_runs_is_not_copied(house, directory):
    guest = house.register('running')
    error = house.client.error(path_of(guest.image), DISK, 'Convert', 'sua{sv}', str(directory / 'a.qcow2'), DYNAMIC, {})
    assert error.short == 'FileInUse' and 'running' in error.message
    house.do(guest, 'TurnOff')
    _, disk = copy(house, path_of(guest.image), 'Convert', directory / 'a.qcow2')
    assert disk['Format'] == 'qcow2'
    qemu_img('compare', '-q', '-f', 'raw', '-F', 'qcow2', guest.image, directory / 'a.qcow2')


def test_an_encrypted_image_is_not_copied(house, directory):
    file = directory / 'a.qcow2'
    qemu_img('create', '-q', '-f', 'qcow2', '--object', 'secret,id=s,data=x', '-o', 'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10', file, '4M')
    get(house, file)
    properties, _ = copy(house, path_of(file), 'Convert', directory / 'b.raw')
    assert properties['ResultName'] != 'success' and [path.name for path in directory.iterdir()] == ['a.qcow2']


@pytest.fixture
def slow():
    with slow_house() as house:
        yield house


def begin_copy(slow):
    """The task, in the middle of it, and its source with what it held."""
    source = slow.scratch / 'source.raw'
    with open(source, 'wb') as file:
        block = os.urandom(MIB)
        for _ in range(LARGE // 2):
            file.write(block)
    disk = slow.client.call(MANAGER, 'Manager', 'GetHardDisk', 's', str(source))
    task = slow.client.call(disk, DISK, 'Convert', 'sua{sv}', str(slow.place / 'new/copy.qcow2'), DYNAMIC, {})
    slow.client.wait(lambda: 0 < slow.client.get(task, 'Task', 'BytesDone') < LARGE // 2 * MIB, what='the middle')
    return task, source, source.stat().st_mtime_ns


@pytest.mark.root
@pytest.mark.parametrize('end', ['cancel', 'kill'])
def test_a_copy_that_does_not_end_leaves_nothing(slow, end):
    task, source, before = begin_copy(slow)
    if end == 'cancel':
        slow.client.call(task, 'Task', 'Cancel')
        assert slow.client.wait_task(task)['ResultName'] == 'cancelled'
    else:
        slow.daemon.kill()
        slow.daemon.start()
        assert slow.client.wait_task(task)['ErrorName'] == RESTARTED
    assert is_empty(slow.place) and source.stat().st_mtime_ns == before
