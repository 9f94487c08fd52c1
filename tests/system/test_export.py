# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of real machines: what is in them, who may have them, and that there is a whole one or none."""

import json
import os
import re
import signal
import subprocess

import pytest
from exports import begin, begin_halfway, digests, export, fail, go_on, new_machine, sources, variants, verify, write, written_to
from qemu_house import DISKS, run

pytestmark = pytest.mark.below('embed')


@pytest.fixture
def machine(house):
    return new_machine(house)


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


def test_pieces_can_be_checked_without_virtask(machine, directory):
    """As the README says."""
    original, _ = machine.images()['hda']
    os.truncate(original, 200 << 20)
    run('qemu-io', '-f', 'raw', '-c', 'write -P 5 150M 10M', original)
    bundle = export(machine, directory)
    verify(bundle)
    loop = re.search(r'looked at with\n\n((?: {4}.*\n)+)', (bundle / 'README').read_text(encoding='utf-8')).group(1).replace('IMAGE', 'disks/hda.raw')

    def changed():
        return subprocess.run(['bash', '-c', loop], cwd=bundle, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert changed() == ''
    run('qemu-io', '-f', 'raw', '-c', 'write -P 6 155M 512', bundle / 'disks/hda.raw')
    assert changed() == f'changed at {154 << 20}\n'


@pytest.mark.root
def test_an_image_that_is_a_device(house, machine, directory):
    """Its size is not that of a file; nobody gets an export without it."""
    image = house.scratch / 'backing'
    image.touch()
    os.truncate(image, 8 << 20)
    loop = run('losetup', '--find', '--show', image).strip()
    try:
        path, _ = machine.images()['hdb']
        run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', loop, '-F', 'raw', path)
        assert fail(machine, directory) == 'NotSupported' and not list(directory.iterdir())
    finally:
        run('losetup', '--detach', loop)


def test_an_excluded_disk_is_not_copied(machine, directory):
    assert fail(machine, directory, CopySnapshotConfiguration=1, ExcludedVirtualHardDisks=['vdz']) == 'InvalidArgument'
    original, form = machine.images()['hdb']
    bundle = export(machine, directory, CopySnapshotConfiguration=1, ExcludedVirtualHardDisks=['hdb'])
    overlaid = verify(bundle)['disks'][1]
    assert (overlaid['target'], overlaid['backing']) == ('hdb', original)
    assert_holds(bundle, overlaid['images'][0], 1)
    assert 'virtask import' not in (bundle / 'README').read_text(encoding='utf-8')
    named = export(machine, directory / 'named', CreateVmExportSubdirectory=False, CopySnapshotConfiguration=1, ExcludedVirtualHardDisks=['hdb'],
                   DisableDifferentialOfIgnoredStorage=True)
    assert [disk['target'] for disk in verify(named)['disks']] == ['hda'] and sources(named / 'machine.xml')[1] == original


def test_nothing_of_the_storage_is_copied(machine, directory):
    originals = [path for path, _ in machine.images().values()]
    bundle = export(machine, directory, CopyVmStorage=False, CopySnapshotConfiguration=1)
    assert [disk['backing'] for disk in verify(bundle)['disks']] == originals
    assert all(path.stat().st_size < 1 << 20 for path in (bundle / 'disks').iterdir())
    assert_holds(bundle, 'disks/hdb.qcow2', 1)
    assert sources(bundle / 'machine.xml') == [f'{bundle}/disks/hda.qcow2', f'{bundle}/disks/hdb.qcow2']


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


def test_one_snapshot_is_a_machine_of_its_own(house, machine, directory):
    """Its disks are merged, into what they were."""
    first = machine.take(DISKS, ElementName='first')
    write(machine, 2)
    second = machine.take(DISKS, ElementName='second')
    write(machine, 3)
    for number, (snapshot, kind) in enumerate(((first, 2), (second, 2), (second, 3))):
        bundle = export(machine, directory / str(number), CopySnapshotConfiguration=kind, SnapshotVirtualSystem=snapshot, CreateVmExportSubdirectory=False,
                        BackupIntent=1)
        manifest = verify(bundle)
        assert manifest['snapshots'] == [] and [len(disk['images']) for disk in manifest['disks']] == [1, 1]
        assert (manifest['machine']['uuid'] == machine.guest.uuid) == (kind == 3)
        image = bundle / manifest['disks'][1]['images'][0]
        assert json.loads(run('qemu-img', 'info', '--output=json', image)).get('backing-filename') is None
        assert_holds(bundle, image.relative_to(bundle), 1)
        if snapshot == second:
            assert_holds(bundle, image.relative_to(bundle), 2)
        assert 'verification failed' in run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 3 3M 1M', image, may_return=1)
    machine.assert_whole()


def test_for_a_backup_the_chain_stays(machine, directory):
    machine.take(DISKS, ElementName='first')
    write(machine, 2)
    second = machine.take(DISKS, ElementName='second')
    bundle = export(machine, directory, CopySnapshotConfiguration=3, SnapshotVirtualSystem=second)
    assert verify(bundle)['disks'][1]['images'] == ['disks/hdb.qcow2', 'disks/hdb-1.qcow2']
    for pattern in (1, 2):
        assert_holds(bundle, 'disks/hdb.qcow2', pattern)


def manifest_of(bundle):
    return json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))


def rebase(bundle, base):
    """What a difference is good for without us: its disks on top of those of the base."""
    for disk, below in zip(manifest_of(bundle)['disks'], manifest_of(base)['disks'], strict=True):
        assert disk['differs'] and disk['target'] == below['target']
        run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', base / below['images'][0], '-F', below['format'], bundle / disk['images'][-1])


def test_differences_are_the_exact_disk(machine, directory):
    changed = 40
    first = machine.take(DISKS, ElementName='first')
    path, form = machine.images()['hdb']
    run('qemu-io', '-f', form, '-c', f'write -P 5 20M {changed}M', path)
    second = machine.take(DISKS, ElementName='second')
    write(machine, 3)
    third = machine.take(DISKS, ElementName='third')

    def backup(name, snapshot, **settings):
        return export(machine, directory / name, CopySnapshotConfiguration=3, SnapshotVirtualSystem=snapshot, CreateVmExportSubdirectory=False, **settings)

    full, one = backup('full', first), backup('one', second, DifferentialBackupBase=first)
    two, both = backup('two', third, DifferentialBackupBase=second), backup('both', third, DifferentialBackupBase=first)
    manifests = [verify(bundle) for bundle in (full, one, two, both)]
    assert [manifest['kind'] for manifest in manifests] == ['full', 'difference', 'difference', 'difference']
    assert [manifest.get('base') for manifest in manifests] == [None, manifests[0]['point'], manifests[1]['point'], manifests[0]['point']]
    assert manifests[2]['point'] == manifests[3]['point'] and manifests[2]['point']['machine'] == machine.guest.uuid
    assert sum(file['size'] for file in manifests[1]['files'] if file['name'].startswith('disks/')) <= (changed << 20) * 1.05
    assert 'base' in run('qemu-img', 'info', one / 'disks/hdb.qcow2', may_return=1)

    usages = [('virsh define' in text, 'virtask import DIRECTORY' in text, 'virtask import --base' in text) for text in ((bundle / 'README').read_text(encoding='utf-8') for bundle in (full, one))]
    assert usages == [(True, True, False), (False, False, True)]

    merged = backup('merged', third, BackupIntent=1, DifferentialBackupBase=first)
    assert verify(merged)['kind'] == 'full'
    rebase(one, full)
    rebase(two, one)
    rebase(both, full)
    for target, (path, form) in machine.images(third).items():
        for bundle in (two, both, merged):
            image = next(disk for disk in manifest_of(bundle)['disks'] if disk['target'] == target)
            run('qemu-img', 'compare', '-f', form, '-F', image['format'], path, bundle / image['images'][0])


def test_a_base_is_below(machine, directory):
    first = machine.take(DISKS, ElementName='first')
    machine.do(first, 'Apply')
    write(machine, 2)
    other = machine.take(DISKS, ElementName='other')
    machine.do(first, 'Apply')
    write(machine, 3)
    own = machine.take(DISKS, ElementName='own')
    assert fail(machine, directory, CopySnapshotConfiguration=3, SnapshotVirtualSystem=own, DifferentialBackupBase=other) == 'InvalidArgument'
    same = export(machine, directory, CopySnapshotConfiguration=3, SnapshotVirtualSystem=own, DifferentialBackupBase=own)
    assert all(path.stat().st_size < 1 << 20 for path in (same / 'disks').iterdir())
    assert verify(same)['kind'] == 'difference'


def test_only_a_snapshot_of_the_machine_is_one(house, machine, directory):
    for snapshot in (f'{machine.guest.path}/snapshot/none', '/org/virtask1/manager'):
        error = machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory),
                                     variants({'CopySnapshotConfiguration': 2, 'SnapshotVirtualSystem': snapshot}))
        assert error.short == 'NoSuchSnapshot'


def test_a_running_machine_is_refused(house, machine, directory):
    house.do(machine.guest, 'Startup')
    error = machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory), {})
    assert error.short == 'InvalidState'
    assert not list(directory.iterdir())
    house.do(machine.guest, 'TurnOff')


def test_an_image_that_somebody_writes_to_is_refused(machine, directory):
    with written_to(*machine.images()['hdb']):
        assert fail(machine, directory) == 'FileInUse'
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


def test_one_that_is_cancelled_leaves_nothing(house, large, directory):
    before = digests(large)
    task, pids = begin_halfway(house, directory, lambda: begin(large, directory))
    large.client.call(task, 'Task', 'Cancel')
    go_on(pids)
    assert large.client.wait_task(task)['ResultName'] == 'cancelled'
    assert not list(directory.iterdir())
    assert digests(large) == before
    verify(export(large, directory))


def test_a_killed_worker_leaves_nothing(house, large, directory):
    task, pids = begin_halfway(house, directory, lambda: begin(large, directory))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert large.client.wait_task(task)['ResultName'] == 'unexpected-error'
    assert not list(directory.iterdir())
    verify(export(large, directory))


def test_a_killed_daemon_takes_it_along(house, large, directory):
    task, _ = begin_halfway(house, directory, lambda: begin(large, directory))
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert not list(directory.iterdir())
    verify(export(large, directory))
