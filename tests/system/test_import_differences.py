# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports of differences: a machine with the very disks of that moment, put together of several exports, or nothing."""

import json
import os
import pathlib
import shutil
import signal

import pytest
from exports import export, go_on, numbers, verify, workers
from gi.repository import GLib
from harness import BusError
from harness.source import BRIEF, LONG, rows
from imports import begin, damage, delete, edit, everything, fail, import_, imported_by, remove, replace_by_link, sign
from qemu_house import DISKS, FULL, Snapshots, run, second_disk

pytestmark = pytest.mark.below('embed')

BACKUP = {'CopySnapshotConfiguration': 3, 'CreateVmExportSubdirectory': False}
NAMES = ['full', 'one', 'two', 'three']


def write(machine, target, pattern, where, length='1M'):
    path, form = machine.images()[target]
    run('qemu-io', '-f', form, '-c', f'write -P {pattern} {where} {length}', path)


def back_up(machine, directory, snapshots, first='full'):
    """Of the first snapshot a full export, of each other what has changed since the one before; the directories."""
    bundles, base = [], {}
    for name, snapshot in snapshots.items():
        bundles.append(export(machine, directory / name, SnapshotVirtualSystem=snapshot, **BACKUP, **base))
        base = {'DifferentialBackupBase': snapshot}
    assert [verify(bundle)['kind'] for bundle in bundles] == ['full', *['difference'] * (len(bundles) - 1)]
    return bundles


def import_difference(house, bundles, **options):
    """The last on top of the others, as another machine unless "options" has it otherwise."""
    options = options or {'Name': f'back{next(numbers)}', 'GenerateNewSystemIdentifier': True}
    return import_(house, bundles[-1], BaseDirectories=[str(bundle) for bundle in bundles[:-1]], **options)


def fail_difference(house, bundles, **options):
    """The name of the error, and its text; nothing is left."""
    before = everything(house)
    found = fail(house, bundles[-1], BaseDirectories=[str(bundle) for bundle in bundles[:-1]], Name=f'back{next(numbers)}',
                 GenerateNewSystemIdentifier=True, **options)
    assert everything(house) == before
    return found


def chain_of(path, form):
    """The files that an image rests on, itself first."""
    return [pathlib.Path(image['filename']).name for image in json.loads(run('qemu-img', 'info', '--backing-chain', '--output=json', '-f', form, path))]


def assert_same(back, wanted):
    """Each disk, bit for bit. "wanted": target -> (path, format)."""
    images = back.images()
    assert set(images) == set(wanted)
    for target, (path, form) in wanted.items():
        run('qemu-img', 'compare', '-f', form, '-F', images[target][1], path, images[target][0])
        assert {(back.directory / name).exists() for name in chain_of(*images[target])} == {True}


class Chain:
    """Four moments of a machine: in the third only one disk has changed; of the last there is its memory, which takes a sanitizer too long."""

    def __init__(self, house):
        self.machine = Snapshots(house, house.register('origin', boot=False, memory=32, devices=second_disk(house.scratch, 'origin', '96M')))
        self.directory = house.scratch / 'chain'
        self.directory.mkdir()
        write(self.machine, 'hdb', 1, '1M', '24M')
        self.snapshots = {'full': self.machine.take(DISKS)}
        write(self.machine, 'hda', 2, '512k', '64k')
        write(self.machine, 'hdb', 2, '1536k', '4M')
        self.snapshots['one'] = self.machine.take(DISKS)
        write(self.machine, 'hdb', 3, '90M')
        run('qemu-io', '-f', 'qcow2', '-c', 'write -z 1M 64k', '-c', 'write -P 3 5000000 4711', self.machine.images()['hdb'][0])
        self.snapshots['two'] = self.machine.take(DISKS)
        if not BRIEF:
            house.do(self.machine.guest, 'Startup')
            self.machine.guest.wait_first_tick(self.machine.guest.processes)
        self.snapshots['three'] = self.machine.take(DISKS if BRIEF else FULL)
        if not BRIEF:
            house.do(self.machine.guest, 'TurnOff')
        self.ticks = self.machine.guest.ticks
        self.bundles = back_up(self.machine, self.directory, self.snapshots)

    def images(self, name):
        return self.machine.images(self.snapshots[name])


@pytest.fixture(scope='module')
def chain(house):
    return Chain(house)


@pytest.fixture
def copy(chain, directory):
    """Bundles that a test may spoil."""
    return [pathlib.Path(shutil.copytree(bundle, directory / bundle.name)) for bundle in chain.bundles]


# --- What comes back ---

@pytest.mark.parametrize('count', rows([2, 3, 4], [2, 3, 4], [4]))
def test_each_moment_comes_back(house, chain, count):
    back = import_difference(house, chain.bundles[:count])
    assert_same(back, chain.images(NAMES[count - 1]))
    assert len(chain_of(*back.images()['hdb'])) == count
    assert back.paths == [] and {path.stat().st_mode & 0o777 for path in back.directory.iterdir()} == {0o600}
    with_memory = count == 4 and not BRIEF
    assert house.state(back.guest) == ('saved' if with_memory else 'turned-off')
    if with_memory:
        house.do(back.guest, 'Startup')
        with back.line() as line:
            assert 0 < line.wait_tick() < chain.ticks + 500
        house.do(back.guest, 'TurnOff')
    remove(back)


def test_the_machine_itself_comes_back(house, directory):
    """With its name and its identifier, from reference points, to another place; and snapshots of it can come and go."""
    name = 'points'
    machine = Snapshots(house, house.register(name, boot=False, memory=32))
    points = [machine.take_point()]
    write(machine, 'hda', 5, '512k', '64k')
    points.append(machine.take_point())
    write(machine, 'hda', 6, '512k', '4k')

    def export_point(point, place, **settings):
        task = house.client.call(point, 'ReferencePoint', 'Export', 'sa{sv}', str(place), {
            'CreateVmExportSubdirectory': GLib.Variant('b', False), **settings})
        assert house.client.wait_task(task)['ResultName'] == 'success'
        return place

    bundles = [export_point(points[0], directory / 'full'), export_point(points[1], directory / 'one', BaseReferencePoint=GLib.Variant('o', points[0]))]
    path, form = machine.images(points[1])['hda']
    wanted = directory / 'wanted.raw'
    run('qemu-img', 'convert', '-f', form, '-O', 'raw', path, wanted)
    delete(machine)
    storage = directory / 'storage'
    storage.mkdir()
    back = import_difference(house, bundles, StorageDirectory=str(storage))
    assert (back.guest.name, back.guest.uuid) == (machine.guest.name, machine.guest.uuid)
    assert sorted(path.name for path in (storage / name).iterdir()) == ['base1-hda.raw', 'hda.qcow2']
    back.do(back.take(DISKS), 'Destroy')
    run('qemu-img', 'compare', '-f', 'raw', '-F', back.images()['hda'][1], wanted, back.images()['hda'][0])
    delete(back)


def whole(bundle, target, image):
    """Makes a disk of a bundle one that does not rest on a base."""
    def change(manifest):
        disk = next(disk for disk in manifest['disks'] if disk['target'] == target)
        del disk['differs']

    path = bundle / f'disks/{target}.qcow2'
    path.unlink()
    run('qemu-img', 'convert', '-f', image[1], '-O', 'qcow2', image[0], path)
    edit(bundle, change)


def test_a_disk_that_is_whole_rests_on_nothing(house, chain, copy):
    """It is not taken of the bases, though they have one that is called so."""
    whole(copy[1], 'hda', chain.images('one')['hda'])
    back = import_difference(house, copy[:3])
    assert_same(back, chain.images('two'))
    assert len(chain_of(*back.images()['hda'])) == 2
    assert sorted(path.name for path in back.directory.iterdir()) == ['base1-hdb.qcow2', 'base2-hda.qcow2', 'base2-hdb.qcow2', 'hda.qcow2', 'hdb.qcow2']
    remove(back)


def test_a_base_that_was_converted(house, chain, copy):
    """Its manifest has the last word about its format: what lies above says "raw"."""
    path = copy[0] / 'disks/hda.raw'
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', path, copy[0] / 'disks/hda.qcow2')
    path.unlink()

    def change(manifest):
        manifest['disks'][0].update(format='qcow2', images=['disks/hda.qcow2'])
        next(file for file in manifest['files'] if file['name'] == 'disks/hda.raw')['name'] = 'disks/hda.qcow2'

    (copy[0] / 'disks/hda.raw').touch()
    edit_names(copy[0], change)
    back = import_difference(house, copy[:2])
    assert_same(back, chain.images('one'))
    remove(back)


def edit_names(bundle, function):
    """Files may be renamed as well."""
    manifest = json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))
    function(manifest)
    (bundle / 'manifest.json').write_text(json.dumps(manifest), encoding='utf-8')
    for path in set((bundle / 'disks').iterdir()) - {bundle / file['name'] for file in manifest['files']}:
        path.unlink()
    sign(bundle)


@pytest.mark.long
def test_as_many_as_there_may_be(house, directory):
    machine = Snapshots(house, house.register('many', boot=False, memory=32, devices=second_disk(house.scratch, 'many', '96M')))
    snapshots = {}
    for number in range(66):
        write(machine, 'hdb', number + 1, f'{number}M')
        snapshots[f'{number}'] = machine.take(DISKS)
    bundles = back_up(machine, directory, snapshots)
    with pytest.raises(BusError) as caught:
        import_difference(house, bundles)
    assert caught.value.short == 'LimitsExceeded'
    back = import_difference(house, bundles[:65])
    assert_same(back, machine.images(snapshots['64']))
    house.do(back.guest, 'Startup')
    with back.line() as line:
        line.wait_tick()
    house.do(back.guest, 'TurnOff')
    remove(back)


# --- What is no chain ---

ORDERS = {
    'no base': ([], 'three', 'InvalidArgument', 'option BaseDirectories'),
    'the first is missing': (['one', 'two'], 'three', 'InvalidArgument', 'Base 1 is a difference itself'),
    'one between is missing': (['full', 'one'], 'three', 'InvalidArgument', 'Base 2 is not what the difference is counted from'),
    'another order': (['full', 'two', 'one'], 'three', 'InvalidArgument', 'Base 1 is not what base 2 is counted from'),
    'a copy of the same': (['full', 'one', 'copy-of-one', 'two'], 'three', 'InvalidArgument', 'Base 2 and base 3 are the same export'),
    'no difference': (['other'], 'full', 'InvalidArgument', 'no difference'),
    'another machine': (['other'], 'one', 'InvalidArgument', 'Base 1 is of another machine than the difference'),
    'the present': (['present'], 'one', 'InvalidArgument', 'Base 1 is not of one snapshot'),
    'a directory that is not there': (['missing'], 'one', 'PathNotFound', 'Base 1: '),
    'no bundle': (['full', 'empty'], 'one', 'InvalidBundle', 'Base 2: '),
    'a disk that was left out': (['without-hdb'], 'one', 'NotSupported', "Base 1: The disk 'hdb' was left where it is"),
}


@pytest.fixture(scope='module')
def others(house, chain):
    """What is no base of the chain."""
    machine = Snapshots(house, house.register('another', boot=False, memory=32))
    settings = {'CopySnapshotConfiguration': 3, 'CreateVmExportSubdirectory': False}
    export(machine, chain.directory / 'other', SnapshotVirtualSystem=machine.take(DISKS), **settings)
    export(chain.machine, chain.directory / 'present', CreateVmExportSubdirectory=False, CopySnapshotConfiguration=1)
    export(chain.machine, chain.directory / 'without-hdb', SnapshotVirtualSystem=chain.snapshots['full'], ExcludedVirtualHardDisks=['hdb'], **settings)
    shutil.copytree(chain.bundles[1], chain.directory / 'copy-of-one')
    (chain.directory / 'empty').mkdir()


@pytest.mark.parametrize('way', rows(ORDERS, ORDERS, list(ORDERS)[::4]))
def test_what_is_no_chain(house, chain, others, way):
    names, last, error, word = ORDERS[way]
    for options in ({}, {'ValidateOnly': True}) if LONG else ({},):
        name, text = fail_difference(house, [chain.directory / name for name in [*names, last]], **options)
        assert name == error and word in text, text


def test_what_is_no_list_of_directories(house, chain):
    for value, error in ((['relative'], 'BadPath'), (['/a\nb'], 'NameInvalid'), (['/' + 'a' * 300], 'PathTooLong'), ([str(chain.bundles[-1])], 'InvalidArgument'),
                         (['/a', '/b', '/a'], 'InvalidArgument'),
                         ([f'/{number}' for number in range(65)], 'LimitsExceeded'), (True, 'InvalidArgument')):
        with pytest.raises(BusError) as caught:
            begin(house, chain.bundles[-1], BaseDirectories=value)
        assert caught.value.short == error


# --- What somebody has made ---

def rebase(bundle, backing, form='raw'):
    """The disk hda of the bundle, which may have to become qcow2 for that."""
    manifest = json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))
    image, = next(disk['images'] for disk in manifest['disks'] if disk['target'] == 'hda')
    if image.endswith('.raw'):
        (bundle / image).unlink()
        run('qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-F', form, '-b', backing, bundle / image, '1M')
        manifest['disks'][0]['format'] = 'qcow2'
        (bundle / 'manifest.json').write_text(json.dumps(manifest), encoding='utf-8')
    else:
        run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', form, '-b', backing, bundle / image)
    sign(bundle)


def give_data_file(bundle):
    path = bundle / 'disks/hda.qcow2'
    path.unlink()
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', f'data_file={bundle}/data,data_file_raw=on', path, '1M')
    sign(bundle)


def enlarge(bundle, size):
    path = bundle / 'disks/hda.qcow2'
    run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', '', path)
    run('qemu-img', 'resize', '-q', '-f', 'qcow2', path, size)
    run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', 'hda.base', path)
    sign(bundle)


def edit_disk(bundle, **members):
    edit(bundle, lambda manifest: manifest['disks'][0].update(members))


# What is done to which bundle, of four, and a word of the error.
BROKEN = {
    'a byte of an image in the middle': (1, lambda bundle: damage(bundle / 'disks/hdb.qcow2', 0x10100), 'digest'),
    'a byte of an image that is not taken': (0, lambda bundle: damage(bundle / 'machine.xml'), 'digest'),
    'an image that is a link': (1, lambda bundle: replace_by_link(bundle / 'disks/hdb.qcow2', '/etc/passwd'), 'read'),
    'a file that is missing': (0, lambda bundle: (bundle / 'disks/hdb.qcow2').unlink(), 'read'),
    'a backing file of the host below all': (0, lambda bundle: rebase(bundle, '/etc/passwd'), 'not in the bundle'),
    'a backing file of the host in the middle': (1, lambda bundle: rebase(bundle, '/etc/hda.base'), 'not in the bundle'),
    'a backing file from a network': (1, lambda bundle: rebase(bundle, 'nbd://localhost/hda.base'), 'backing'),
    'a backing file that is no base': (3, lambda bundle: rebase(bundle, 'hdb.qcow2', 'qcow2'), 'counted from'),
    'an image of another bundle': (2, lambda bundle: rebase(bundle, 'base1-hda.raw'), 'counted from'),
    'an external data file in the middle': (1, give_data_file, 'external'),
    'an image that is larger than it says': (1, lambda bundle: enlarge(bundle, '1P'), '16 TiB'),
    'a disk that rests on another in a full export': (0, lambda bundle: edit_disk(bundle, differs=True), 'full export'),
    'a disk that says it is whole': (2, lambda bundle: edit(bundle, lambda manifest: manifest['disks'][0].pop('differs')), 'no image'),
    'a disk with the image of another': (1, lambda bundle: edit_disk(bundle, images=['disks/hdb.qcow2']), 'another disk'),
}


@pytest.mark.parametrize('way', rows(BROKEN, BROKEN, list(BROKEN)[::5]))
def test_a_base_that_is_broken(house, chain, copy, way):
    number, function, word = BROKEN[way]
    function(copy[number])
    for options in ({'ValidateOnly': True}, {}) if LONG or word == 'digest' else ({},):
        error, text = fail_difference(house, copy, **options)
        assert error == 'InvalidBundle' and word in text, text


def test_a_check_makes_nothing(house, chain):
    before = everything(house)
    properties = house.client.wait_task(begin(house, chain.bundles[-1], ValidateOnly=True, BaseDirectories=[str(bundle) for bundle in chain.bundles[:-1]],
                                              GenerateNewSystemIdentifier=True, Name='checked'))
    assert properties['ResultName'] == 'success' and properties['ResultObject'] == '/'
    assert everything(house) == before


# --- Interruptions ---

def begin_halfway(house, bundles, number):
    """An import whose worker copies of this bundle, and is stopped; the worker too. On a fast disk it may be too late; then it is begun again."""
    for _ in range(20):
        task = begin(house, bundles[-1], BaseDirectories=[str(bundle) for bundle in bundles[:-1]], GenerateNewSystemIdentifier=True, Name='halfway')
        while not house.client.get(task, 'Task', 'IsComplete'):
            for pid in workers(house, f'extract\0{bundles[number]}\0'):
                os.kill(pid, signal.SIGSTOP)
                return task, pid
            house.pass_time(0.001)  # nobody tells of that
        remove(imported_by(house, task))
    raise AssertionError('always too late')


# And how the task ends.
WAYS = {'cancelled': 'cancelled', 'daemon': 'thread-crash', 'worker': 'unexpected-error'}


@pytest.mark.parametrize('number', rows([0, 1, 2, 3], [1], [1]))
@pytest.mark.parametrize('way', rows(WAYS, WAYS, list(WAYS)[:2]))
def test_one_that_is_interrupted_leaves_nothing(house, chain, way, number):
    before = everything(house)
    task, pid = begin_halfway(house, chain.bundles, number)
    if way == 'cancelled':
        house.client.call(task, 'Task', 'Cancel')
        go_on([pid])
    elif way == 'worker':
        os.kill(pid, signal.SIGKILL)
    else:
        house.daemon.kill()
        house.daemon.start()
    assert house.client.wait_task(task)['ResultName'] == WAYS[way]
    assert everything(house) == before
