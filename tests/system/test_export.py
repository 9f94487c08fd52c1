# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of real machines: what is in them, who may have them, and that there is a whole one or none."""

import hashlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import GLib
from harness import BUILD, Scratch
from qemu_house import House, Snapshots, run, second_disk

FULL, DISKS = 2, 3

numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch, 'embed')


@pytest.fixture
def machine(house):
    """A new one that is off, with a second disk that holds something."""
    name = f'export{next(numbers)}x'
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '64M')))
    write(machine, 1)
    return machine


@pytest.fixture
def directory(house):
    path = house.scratch / f'to{next(numbers)}'
    path.mkdir()
    return path


def write(machine, pattern):
    path, form = machine.images()['hdb']
    run('qemu-io', '-f', form, '-c', f'write -P {pattern} {pattern}M 1M', path)


def begin(machine, directory, **settings):
    """The task."""
    return machine.client.call(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory),
                               {key: GLib.Variant({bool: 'b', int: 'y', str: 's', list: 'as'}[type(value)], value) for key, value in settings.items()})


def export(machine, directory, **settings):
    """The path of the bundle."""
    task = begin(machine, directory, **settings)
    properties = machine.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    return pathlib.Path(machine.client.call(task, 'Task', 'GetResults')['ExportDirectory'])


def fail(machine, directory, **settings):
    """The name of the task's error."""
    properties = machine.client.wait_task(begin(machine, directory, **settings))
    assert properties['ErrorName'], properties
    return properties['ErrorName'].rpartition('.')[2]


def verify(bundle):
    """The manifest of a bundle that is whole."""
    subprocess.run(['sha256sum', '--quiet', '--strict', '-c', 'SHA256SUMS'], cwd=bundle, check=True)
    run(BUILD / 'virtask-bundle', 'verify', bundle)
    manifest = json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))
    files = {str(path.relative_to(bundle)) for path in bundle.rglob('*') if path.is_file()}
    assert files == {file['name'] for file in manifest['files']} | {'manifest.json', 'SHA256SUMS'}
    return manifest


def sources(path):
    return [source.get('file') for source in ElementTree.parse(path).getroot().findall('.//devices/disk/source')]


def assert_holds(bundle, image, pattern):
    run('qemu-io', '-r', '-f', 'qcow2', '-c', f'read -P {pattern} {pattern}M 1M', bundle / image)


# --- What is in it ---

def test_a_machine_that_is_off(machine, directory):
    bundle = export(machine, directory)
    manifest = verify(bundle)
    assert bundle == directory / machine.guest.name
    assert [disk['target'] for disk in manifest['disks']] == ['hda', 'hdb']
    assert sources(bundle / 'machine.xml') == [f'{bundle}/disks/hda.raw', f'{bundle}/disks/hdb.qcow2']
    assert_holds(bundle, 'disks/hdb.qcow2', 1)
    assert bundle.stat().st_mode & 0o777 == 0o700


def test_snapshots_travel_as_chains(machine, directory):
    machine.take(DISKS, ElementName='first')
    write(machine, 2)
    machine.take(DISKS, ElementName='second')
    write(machine, 3)
    bundle = export(machine, directory)
    manifest = verify(bundle)
    assert [snapshot['id'] for snapshot in manifest['snapshots']] == ['first', 'second']
    chain = next(disk['images'] for disk in manifest['disks'] if disk['target'] == 'hdb')
    assert chain == ['disks/hdb.qcow2', 'disks/hdb-1.qcow2', 'disks/hdb-2.qcow2']
    for pattern in (1, 2, 3):
        assert_holds(bundle, chain[0], pattern)
    info = json.loads(run('qemu-img', 'info', '--backing-chain', '--output=json', bundle / chain[0]))
    assert [image.get('backing-filename') for image in info] == ['hdb-1.qcow2', 'hdb-2.qcow2', None]
    assert sources(bundle / 'snapshots/1.xml')[-1] == f'{bundle}/{chain[2]}'


def test_a_chain_can_be_moved(machine, directory):
    machine.take(DISKS)
    write(machine, 2)
    bundle = export(machine, directory, CopySnapshotConfiguration=1)
    moved = bundle.rename(directory / 'moved')
    assert verify(moved)['snapshots'] == []
    for pattern in (1, 2):
        assert_holds(moved, 'disks/hdb.qcow2', pattern)


def test_a_saved_machine_goes_on_from_its_export(house, machine, directory):
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    house.do(machine.guest, 'Save')
    manifest = verify(export(machine, directory))
    assert manifest['machine']['saved-state'] == 'state/saved'
    manifest = verify(export(machine, directory / 'without', CopyVmRuntimeInformation=False, CreateVmExportSubdirectory=False))
    assert manifest['machine']['saved-state'] is None


def test_an_excluded_disk_is_not_copied(machine, directory):
    assert fail(machine, directory, CopySnapshotConfiguration=1, ExcludedVirtualHardDisks=['vdz']) == 'InvalidArgument'
    manifest = verify(export(machine, directory, CopySnapshotConfiguration=1, ExcludedVirtualHardDisks=['hdb']))
    assert [disk['target'] for disk in manifest['disks']] == ['hda']


# --- Where it is made ---

def test_the_directory_itself_may_become_the_bundle(machine, directory):
    assert export(machine, directory, CreateVmExportSubdirectory=False) == directory
    verify(directory)
    assert fail(machine, directory, CreateVmExportSubdirectory=False) == 'FileExists'
    verify(directory)


def test_what_is_there_is_not_replaced(machine, directory):
    verify(export(machine, directory))
    assert fail(machine, directory) == 'FileExists'
    assert [path.name for path in directory.iterdir()] == [machine.guest.name]
    assert fail(machine, directory / 'missing') == 'PathNotFound'
    assert machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', 'to', {}).short == 'BadPath'


def test_a_running_machine_is_refused(house, machine, directory):
    house.do(machine.guest, 'Startup')
    error = machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory), {})
    assert error.short == 'InvalidState'
    assert not list(directory.iterdir())
    house.do(machine.guest, 'TurnOff')


def test_an_image_that_somebody_writes_to_is_refused(machine, directory):
    path, form = machine.images()['hdb']
    with subprocess.Popen(['qemu-io', '-f', form, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdin.write(b'write 0 1k\n')
        writer.stdin.flush()
        writer.stdout.readline()
        assert fail(machine, directory) == 'FileInUse'
        writer.stdin.close()
    assert not list(directory.iterdir())
    verify(export(machine, directory))


# --- Interruptions ---

@pytest.fixture
def large(house, machine):
    """With 192 MiB of data, so that there is a middle."""
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '1G')
    run('qemu-io', '-f', form, '-c', 'write -P 7 64M 192M', path)
    return machine


def wait_half(machine, directory, **settings):
    """An export of which a part is written."""
    task = begin(machine, directory, **settings)
    machine.client.wait(lambda: machine.client.get(task, 'Task', 'BytesDone') > 8 << 20 or machine.client.get(task, 'Task', 'IsComplete'),
                        what='bytes')
    return task


def digests(machine):
    return {path: hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() for path, _ in machine.images().values()}


def test_one_that_is_cancelled_leaves_nothing(large, directory):
    before = digests(large)
    task = wait_half(large, directory)
    large.client.call(task, 'Task', 'Cancel')
    assert large.client.wait_task(task)['ResultName'] == 'cancelled'
    assert not list(directory.iterdir())
    assert digests(large) == before
    verify(export(large, directory))


def workers(house):
    """Processes of the daemon that write bundles."""
    found = []
    for task in pathlib.Path(f'/proc/{house.daemon.pid}/task').iterdir():
        for child in (task / 'children').read_text(encoding='ascii').split():
            if b'virtask-bundle' in pathlib.Path(f'/proc/{child}/cmdline').read_bytes():
                found.append(int(child))
    return found


def test_a_killed_worker_leaves_nothing(house, large, directory):
    task = wait_half(large, directory)
    for pid in workers(house):
        os.kill(pid, signal.SIGKILL)
    assert large.client.wait_task(task)['ResultName'] == 'unexpected-error'
    assert not list(directory.iterdir())
    verify(export(large, directory))


def test_a_killed_daemon_takes_it_along(house, large, directory):
    task = wait_half(large, directory)
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert not list(directory.iterdir())
    verify(export(large, directory))
