# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of the tool about exports, on real guests."""

import hashlib
import itertools
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tarfile

import pytest
from exports import data_of, stop, workers
from harness import BUILD
from harness.process import TIMEOUT
from qemu_house import run, second_disk
from tool import CANCELLED, DENIED, FAILED, NOT_FOUND, STATE, USAGE

pytestmark = pytest.mark.below('embed')

LARGE = 256 << 20
numbers = itertools.count(1)

SETTINGS = ['CopySnapshotConfiguration', 'SnapshotVirtualSystem', 'CopyVmStorage', 'CopyVmRuntimeInformation', 'CreateVmExportSubdirectory',
            'CaptureLiveState', 'BackupIntent', 'DifferentialBackupBase', 'ExcludedVirtualHardDisks', 'ExportForLiveMigration',
            'DisableDifferentialOfIgnoredStorage']


@pytest.fixture(scope='module')
def machine(house):
    """It is off, and has a second disk."""
    return house.register('web', boot=False, memory=32, devices=second_disk(house.scratch, 'web', '64M'))


@pytest.fixture(scope='module')
def large(house):
    """A machine whose export takes a moment."""
    machine = house.register('large', boot=False, memory=32, devices=second_disk(house.scratch, 'large', '1G'))
    run('qemu-io', '-f', 'qcow2', '-c', f'write -P 7 0 {LARGE}', house.scratch / 'large-data.qcow2')
    return machine


@pytest.fixture
def bundle(tool, machine, directory):
    """An export that this test may spoil."""
    tool.run('export', machine.name, directory)
    return directory / machine.name


def manifest(path):
    return json.loads((path / 'manifest.json').read_text(encoding='utf-8'))


def disks(path):
    """Those that were copied."""
    return [disk['target'] for disk in manifest(path)['disks'] if 'backing' not in disk]


# --- Export ---

def test_an_export_says_where_it_is(tool, machine, directory):
    text = tool.say('export', machine.name, directory)
    assert re.fullmatch(rf'Exported web to {directory}/web \([\d.]+ [KM]iB, .*s\)\n', text)
    subprocess.run(['sha256sum', '--quiet', '--strict', '-c', 'SHA256SUMS'], cwd=directory / 'web', check=True)
    assert re.fullmatch(rf'{directory}/web is whole \([\d.]+ [KM]iB, .*s\)\n', tool.say('verify', directory / 'web'))


def test_a_directory_is_where_the_user_stands(tool, machine, directory):
    assert f'Exported web to {directory}/web (' in tool.say('export', 'web', '.', directory=directory)
    (directory / 'deep').mkdir()
    assert f' to {directory}/here (' in tool.say('export', 'web', '../here/', '--no-subdirectory', directory=directory / 'deep')
    assert f' to {directory}/deep (' in tool.say('export', 'web', '.', '--no-subdirectory', directory=directory / 'deep')
    assert 'is whole' in tool.say('verify', 'web', directory=directory)


def test_json_has_the_place(tool, machine, directory):
    task = tool.read('export', 'web', str(directory))
    assert (task['operation'], task['state'], task['machine']) == ('system-export', 'done', 'web')
    assert task['result'] == {'ExportDirectory': f'{directory}/web'}
    assert task['bytes_done'] == task['bytes_total'] > 0


def test_without_waiting_the_task_is_named(tool, machine, directory):
    match = re.fullmatch(r'Task (\d+): export web\n', tool.say('export', 'web', directory, '--no-wait'))
    assert re.fullmatch(rf'Exported web to {directory}/web \(.*\)\n', tool.say('wait', match[1]))
    number = tool.say('export', 'web', directory, '--no-wait', '--quiet').strip()
    assert 'web' in tool.fail(FAILED, 'wait', number)


@pytest.mark.parametrize('words, expected', [
    ([], ['hda', 'hdb']),
    (['--no-snapshots', '--exclude=hdb'], ['hda']),
    (['--no-snapshots', '--exclude', 'hda', '--exclude', 'hdb'], []),
    (['--setting=CopySnapshotConfiguration=ExportNoSnapshots', '--setting=ExcludedVirtualHardDisks=hda,hdb'], []),
])
def test_disks_can_be_left_out(tool, machine, directory, words, expected):
    tool.run('export', 'web', directory, *words)
    assert disks(directory / 'web') == expected


def test_snapshots_are_named_as_everywhere(tool, house, directory):
    machine = house.register('snapped', boot=False, memory=32)
    for name in ('first one', 'second'):
        tool.run('snapshot', 'snapped', name)
    for words, expected in (([], 2), (['--no-snapshots'], 0)):
        place = directory / str(len(words))
        tool.run('export', 'snapped', place, '--no-subdirectory', *words)
        assert len(manifest(place)['snapshots']) == expected
    for number, name in enumerate(['first one', 'first-one', f'{machine.path}/snapshot/first_2done']):
        tool.run('export', 'snapped', directory / f'one{number}', '--no-subdirectory', f'--snapshot={name}')
        assert manifest(directory / f'one{number}')['snapshots'] == []
    assert '(try: first one, first-one, ' in tool.fail(NOT_FOUND, 'export', 'snapped', directory, '--snapshot=firts')
    assert tool.complete('export', 'snapped', 'to', '--snapshot=f') == ['--snapshot=first-one']
    assert tool.complete('export', 'snapped', '--snapshot', 's') == ['second']


def test_a_saved_state_can_be_left_out(tool, house, directory):
    house.register('saved', memory=32)
    tool.run('save', 'saved')
    tool.run('export', 'saved', directory / 'with', '--no-subdirectory')
    tool.run('export', 'saved', directory / 'without', '--no-subdirectory', '--no-runtime')
    assert [manifest(directory / name)['machine']['saved-state'] for name in ('with', 'without')] == ['state/saved', None]


def test_a_guest_that_runs_is_exported_with_its_memory_when_asked(tool, house, directory):
    guest = house.register('live', memory=32)
    assert "'live' is running" in tool.fail(STATE, 'export', 'live', directory)
    for words, saved in ((['--live'], 'state/saved'), (['--live=crash'], None), (['--setting=CaptureLiveState=CaptureSavedState'], 'state/saved')):
        place = directory / f'at{next(numbers)}'
        tool.run('export', 'live', place, '--no-subdirectory', *words)
        assert manifest(place)['machine']['saved-state'] == saved
        assert house.state(guest) == 'running'
    assert 'agent' in tool.fail(FAILED, 'export', 'live', directory, '--live=application')
    tool.run('poweroff', 'live')


def test_a_collection_is_exported_as_it_was_at_a_snapshot(tool, house, directory):
    names = ['one', 'two']
    for name in names:
        house.register(name, boot=False, memory=32)
    tool.run('define-collection', 'pair', *names)
    tool.run('snapshot-collection', 'pair', 'friday')
    text = tool.say('export-collection', 'pair/friday', '.', directory=directory)
    assert re.fullmatch(rf'Exported pair/friday to {directory} \(2 machines, .*s\)\n', text)
    assert sorted(path.name for path in directory.iterdir()) == names
    for name in names:
        assert 'is whole' in tool.say('verify', directory / name)
    tool.fail(FAILED, 'export-collection', 'friday', directory)
    tool.fail(NOT_FOUND, 'export-collection', 'pair/monday', directory)
    assert tool.complete('export-collection', 'fri') == ['friday']
    tool.run('delete-collection-snapshot', 'pair/friday')


# --- What is refused ---

@pytest.mark.parametrize('words, complaint', [
    (['--setting=CopyVmStorag=yes'], 'there is no setting "CopyVmStorag" (try: CopyVmStorage'),
    (['--setting=CopyVmStorage'], '--setting needs KEY=VALUE'),
    (['--setting=CaptureLiveState=saved'], 'CaptureLiveState can not be "saved" (try: CaptureCrashConsistentState, '),
    (['--live=x'], '--live can not be "x"'),
    (['--exclude=hdb'], '--exclude needs --no-snapshots or --snapshot'),
    (['--no-snapshots', '--snapshot=x'], 'exclude each other'),
    (['--name=x'], '"export" does not take --name'),
    (['more'], 'usage: virtask export VM DIRECTORY'),
])
def test_a_wrong_line_does_nothing(tool, machine, directory, words, complaint):
    assert complaint in tool.fail(USAGE, 'export', 'web', directory, *words)
    assert not list(directory.iterdir())


def test_what_the_service_refuses_has_an_exit_code(tool, house, machine, directory):
    assert 'no virtual machine "nobody"' in tool.fail(NOT_FOUND, 'export', 'nobody', directory)
    tool.fail(NOT_FOUND, 'export', 'web', directory / 'missing')
    assert 'ExcludedVirtualHardDisks' in tool.fail(FAILED, 'export', 'web', directory, '--setting=ExcludedVirtualHardDisks=hda',
                                                   '--setting=CopySnapshotConfiguration=0')
    assert not list(directory.iterdir())
    tool.run('export', 'web', directory)
    before = manifest(directory / 'web')
    assert str(directory) in tool.fail(FAILED, 'export', 'web', directory)
    assert manifest(directory / 'web') == before
    with subprocess.Popen(['qemu-io', '-f', 'qcow2', house.scratch / 'web-data.qcow2'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as writer:
        writer.stdin.write(b'write 0 1k\n')
        writer.stdin.flush()
        writer.stdout.readline()
        tool.fail(STATE, 'export', 'web', directory / 'second', '--no-subdirectory')
        writer.stdin.close()


# --- Progress and its end ---

def written(directory):
    """How much of the bundle lies there already."""
    return max(map(data_of, directory.glob('.large.partial-*/disks/hdb.qcow2')), default=0)


def begin_stuck(tool, house, directory):
    """Stops the worker in the middle of an export. The tool and the worker; None if we were too late."""
    process = tool.start('export', 'large', directory)
    while process.poll() is None and written(directory) < 8 << 20:
        house.pass_time(0.001)  # nobody tells of that
    for worker in workers(house):
        stop(worker)
        if written(directory) < LARGE - (32 << 20):
            return process, worker
        os.kill(worker, signal.SIGCONT)
    process.communicate(timeout=TIMEOUT)
    shutil.rmtree(directory / 'large')
    return None


@pytest.fixture
def stuck(tool, house, large, directory):
    """An export in the middle, whose worker is stopped."""
    process, worker = next(filter(None, (begin_stuck(tool, house, directory) for _ in range(20))))
    yield process, worker
    if process.poll() is None:
        os.kill(worker, signal.SIGCONT)
        process.communicate(timeout=TIMEOUT)


def test_progress_has_bytes(house, large, stuck, directory):
    process, worker = stuck
    task = house.client.get(large.path, 'VirtualMachine', 'ActiveTasks')[0]
    house.client.wait(lambda: house.client.get(task, 'Task', 'BytesDone') > 0, what='bytes')
    os.kill(worker, signal.SIGCONT)
    output, errors = process.communicate(timeout=TIMEOUT)
    assert re.fullmatch(rf'Exported large to {directory}/large \(25[67] MiB, .*\)\n', output)
    assert re.search(r'^Exporting large: \d+ %  .*\d/25[67] MiB', errors, re.MULTILINE), errors


def test_ctrl_c_leaves_nothing(tool, large, stuck, directory):
    process, worker = stuck
    process.send_signal(signal.SIGINT)
    line = process.stderr.readline()
    while line and 'Cancelling task' not in line:
        line = process.stderr.readline()
    os.kill(worker, signal.SIGCONT)
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (CANCELLED, '')
    assert re.search(r'virtask: task \d+ cancelled; large is turned-off\n', errors)
    assert not list(directory.iterdir())
    assert 'Exported large' in tool.say('export', 'large', directory)


def read_terminal(fd):
    """What is printed to a terminal until its other side is closed."""
    text = b''
    while select.select([fd], [], [], TIMEOUT)[0]:
        try:
            part = os.read(fd, 65536)
        except OSError:
            part = b''
        if not part:
            break
        text += part
    return text.decode()


@pytest.mark.parametrize('command', ['export', 'verify'])
def test_a_terminal_has_a_bar(tool, house, large, directory, command):
    if command == 'verify':
        tool.run('export', 'large', directory)
    words = ['export', 'large', directory] if command == 'export' else ['verify', directory / 'large']
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(BUILD / 'virtask', ['virtask', *map(str, words), '--progress=bar'], {**tool.environment, 'LC_ALL': 'C.UTF-8', 'TERM': 'xterm'})
    text = read_terminal(fd)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)
    assert re.search(r'(Exporting|Verifying) \S+ +\[[█·]+\] +\d+ %  .*MiB', text) or 'ms)' in text, text


# --- Verify ---

def test_verify_needs_no_service(tool, bundle):
    environment = {**tool.environment, 'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}
    done = subprocess.run([BUILD / 'virtask', 'verify', bundle], env=environment, capture_output=True, text=True, check=True)
    assert 'is whole' in done.stdout
    assert tool.say('verify', bundle, '--quiet') == ''
    document = tool.read('verify', str(bundle))
    assert document.pop('duration_us') > 0 and document.pop('bytes_done') > 0
    assert document == {'command': 'verify', 'directory': str(bundle), 'state': 'done', 'error': None}


def spoil(path):
    with path.open('r+b') as file:
        file.seek(100)
        file.write(b'!')


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize('damage', [spoil, cut, pathlib.Path.unlink])
@pytest.mark.parametrize('name', ['machine.xml', 'disks/hda.raw', 'disks/hdb.qcow2', 'SHA256SUMS', 'manifest.json'])
def test_each_damage_is_found(tool, bundle, name, damage):
    damage(bundle / name)
    assert re.match(rf'virtask: {bundle} is not whole: .', tool.fail(FAILED, 'verify', bundle))
    output, errors = tool.run('verify', bundle, '--json', code=FAILED)
    document = json.loads(output)
    assert (document['state'], document['error']['name'], errors) == ('failed', 'org.virtask1.Error.InvalidBundle', '')
    assert document['error']['message']


def test_what_can_not_be_read_is_not_whole(tool, directory):
    assert 'No such file' in tool.fail(NOT_FOUND, 'verify', directory / 'missing')
    tool.fail(FAILED, 'verify', directory)
    assert '"verify" does not take --host' in tool.fail(USAGE, 'verify', directory, '--host=x')


@pytest.mark.root
def test_verify_has_the_rights_of_the_user(tool, bundle):
    done = subprocess.run(['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', BUILD / 'virtask', 'verify', bundle],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (DENIED, '')
    assert 'Permission denied' in done.stderr


def test_verify_can_be_stopped(tool, large, directory):
    tool.run('export', 'large', directory)
    process = tool.start('verify', directory / 'large')
    children = pathlib.Path(f'/proc/{process.pid}/task/{process.pid}/children')
    child = None
    while child is None:  # from fork() to exec() it is called as we are
        for pid in children.read_text(encoding='ascii').split():
            if b'virtask-bundle' in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes():
                child = int(pid)
    os.kill(child, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    os.kill(child, signal.SIGCONT)
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (CANCELLED, '')
    assert 'is not known' in errors


ENVELOPE = """\
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References><File ovf:href="box.vmdk" ovf:id="f"/></References>
  <DiskSection><Info/><Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="d" ovf:fileRef="f"
    ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
  <VirtualSystem ovf:id="box"><Info/><VirtualHardwareSection><Info/>
    <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
    <Item><rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
      <rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
    <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>5</rasd:ResourceType></Item>
    <Item><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent>
      <rasd:ResourceType>17</rasd:ResourceType></Item>
  </VirtualHardwareSection></VirtualSystem>
</Envelope>"""


@pytest.fixture
def package(directory):
    """A package as another product writes it: the tar of Python, and SHA-1."""
    run('qemu-img', 'create', '-q', '-f', 'vmdk', '-o', 'subformat=streamOptimized', directory / 'box.vmdk', '16M')
    (directory / 'box.ovf').write_text(ENVELOPE, encoding='utf-8')
    (directory / 'box.mf').write_text(''.join(f'SHA1({name})= {hashlib.sha1((directory / name).read_bytes()).hexdigest()}\r\n'
                                              for name in ('box.ovf', 'box.vmdk')), encoding='ascii')
    with tarfile.open(directory / 'box.ova', 'w') as archive:
        for name in ('box.ovf', 'box.mf', 'box.vmdk'):
            archive.add(directory / name, name)
    return directory / 'box.ova'


def test_packages_of_others_are_verified(tool, package):
    assert re.fullmatch(rf'{package} is whole \([\d.]+ KiB, .*s\)\n', tool.say('verify', package))
    data = package.read_bytes()
    place = data.index(b'# Disk DescriptorFile')
    package.write_bytes(data[:place] + b'!' + data[place + 1:])
    assert "not as it was written: 'box.vmdk'" in tool.fail(FAILED, 'verify', package)
    package.write_bytes(data[:-20480])
    assert 'is not whole: The package ends' in tool.fail(FAILED, 'verify', package)


def test_without_a_manifest_nothing_is_known(tool, package, directory):
    with tarfile.open(package, 'w') as archive:
        for name in ('box.ovf', 'box.vmdk'):
            archive.add(directory / name, name)
    assert 'has no manifest' in tool.fail(FAILED, 'verify', package)


def test_a_missing_program_is_told(tool, bundle, directory):
    alone = directory / 'virtask'
    shutil.copy(BUILD / 'virtask', alone)
    done = subprocess.run([alone, 'verify', bundle], capture_output=True, text=True, check=False)
    if not shutil.which('virtask-bundle', path='/usr/libexec:/usr/local/libexec'):
        assert done.returncode == FAILED and 'cannot find virtask-bundle in ' in done.stderr


# --- Import ---

def machines(tool):
    return sorted(machine['name'] for machine in tool.read('list'))


def test_an_export_becomes_a_machine_again(tool, house, bundle):
    before = machines(tool)
    assert "'web'" in tool.fail(FAILED, 'import', bundle)
    assert 'another name' in tool.fail(FAILED, 'import', bundle, '--new-identifier')
    assert machines(tool) == before
    text = tool.say('import', bundle, '--new-identifier', '--name=again')
    assert re.fullmatch(r'Imported again \([\d.]+ [KM]iB, .*s\)\n', text)
    assert machines(tool) == sorted([*before, 'again'])
    tool.run('delete', 'again')


def test_a_moved_export_is_imported_from_where_the_user_stands(tool, house, bundle, directory):
    bundle.rename(directory / 'moved')
    (directory / 'images').mkdir()
    task = json.loads(tool.say('import', 'moved', '--new-identifier', '--name', 'moved', '--storage=images', '--json', directory=directory))
    assert (task['operation'], task['state']) == ('system-import', 'done')
    assert tool.say('show', task['result_object'], '-p', 'Name', '--value') == 'moved\n'
    assert list((directory / 'images').rglob('*.qcow2'))
    tool.run('delete', 'moved')


def test_an_import_can_be_tried(tool, bundle):
    before = machines(tool)
    assert re.fullmatch(rf'{bundle} can be imported \(.*s\)\n', tool.say('import', bundle, '--validate', '--new-identifier', '--name=x'))
    assert machines(tool) == before
    spoil(bundle / 'disks/hda.raw')
    errors = tool.fail(FAILED, 'import', bundle, '--validate', '--new-identifier', '--name=x')
    assert re.match(r'virtask: task \d+ \(.*\) failed: .*hda.raw', errors)


def test_what_has_changed_is_put_on_what_it_is_counted_from(tool, house, directory):
    """Wherever the user stands."""
    house.register('daily', boot=False, memory=32, devices=second_disk(house.scratch, 'daily', '64M'))
    since = []
    for number, day in enumerate(('monday', 'tuesday', 'wednesday')):
        tool.run('snapshot', 'daily', day)
        tool.run('export', 'daily', directory / day, '--no-subdirectory', f'--snapshot={day}', *since)
        since = ['--since', day]
        assert manifest(directory / day)['kind'] == ('difference' if number else 'full')
    assert re.fullmatch(rf'{directory}/wednesday can be imported \(.*s\)\n', tool.say(
        'import', 'wednesday', '--validate', '--new-identifier', '--name=x', '--base', 'monday', '--base=tuesday', directory=directory))
    text = tool.say('import', 'wednesday', '--new-identifier', '--name=daily-again', '--base', './monday', f'--base={directory}/tuesday', directory=directory)
    assert re.fullmatch(r'Imported daily-again \([\d.]+ [KM]iB, .*s\)\n', text)
    assert 'Base 1 is a difference itself' in tool.fail(FAILED, 'import', directory / 'wednesday', '--base', directory / 'tuesday', '--base', directory / 'monday')
    assert 'BaseDirectories' in tool.fail(FAILED, 'import', directory / 'wednesday')
    assert 'empty' in tool.fail(USAGE, 'import', directory / 'wednesday', '--base=')
    assert '--since needs --snapshot' in tool.fail(USAGE, 'export', 'daily', directory, '--since=monday')
    assert tool.complete('export', 'daily', '--since=m') == ['--since=monday']
    tool.run('delete', 'daily-again')


def test_what_can_not_be_imported(tool, directory):
    tool.fail(NOT_FOUND, 'import', directory / 'missing')
    assert 'manifest.json' in tool.fail(FAILED, 'import', directory)
    assert 'usage: virtask import DIRECTORY' in tool.fail(USAGE, 'import')
    assert '"import" does not take --exclude' in tool.fail(USAGE, 'import', directory, '--exclude=hda')


# --- Completion and help ---

def test_settings_are_completed(tool):
    assert tool.complete('export', 'web', 'to', '--setting=') == [f'--setting={key}=' for key in SETTINGS]
    assert tool.complete('export', 'web', '--setting', 'Back') == ['BackupIntent=']
    assert tool.complete('export', '--setting=BackupIntent=') == [
        '--setting=BackupIntent=BackupIntentPreserveChain', '--setting=BackupIntent=BackupIntentMerge']
    assert tool.complete('export', '--setting', 'CopyVmStorage=') == ['CopyVmStorage=yes', 'CopyVmStorage=no']
    assert tool.complete('export', '--live=') == ['--live=crash', '--live=saved', '--live=application']


def test_words_are_completed(tool, machine):
    assert 'web' in tool.complete('export', '')
    assert tool.complete('export', 'web', '') == []  # the shell knows directories better
    assert tool.complete('verify', '') == tool.complete('import', '') == []
    assert tool.complete('import', '--n') == ['--no-wait', '--no-block', '--no-pager', '--no-legend', '--no-ask-password', '--name=',
                                              '--new-identifier']


def test_help_has_the_commands(tool):
    text = tool.say('help')
    for verb in ('export VM DIRECTORY', 'verify DIRECTORY', 'import DIRECTORY'):
        assert re.search(rf'^  {verb}', text, re.MULTILINE)
    assert '--no-subdirectory' in tool.say('help', 'export')
