# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exports of machines, and whether they are whole."""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import jsonschema
from gi.repository import GLib
from harness import BUILD
from harness.source import SOURCE
from qemu_house import Snapshots, run, second_disk

numbers = itertools.count()


def strict(schema):
    """It allows members that it does not name, for those who read; we write none."""
    if isinstance(schema, dict):
        closed = {'additionalProperties': False} if 'properties' in schema and schema.get('type') == 'object' else {}
        return {name: strict(value) for name, value in schema.items()} | closed
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


MANIFEST = jsonschema.Draft202012Validator(strict(json.loads((SOURCE / 'docs/manifest.schema.json').read_text(encoding='utf-8'))))


def variants(settings):
    """Integers are bytes, as in the documents."""
    return {key: GLib.Variant({bool: 'b', int: 'y', str: 's', list: 'as'}[type(value)], value) for key, value in settings.items()}


def write(machine, pattern):
    """As many MiB into its second disk as the pattern says."""
    path, form = machine.images()['hdb']
    run('qemu-io', '-f', form, '-c', f'write -P {pattern} {pattern}M 1M', path)


def new_machine(house, name=None):
    """One that is off, with a second disk that holds something."""
    name = name or f'disks{next(numbers)}x'
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))
    write(machine, 1)
    return machine


def fill(machine):
    """With 128 MiB of data, so that there is a middle."""
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '1G')
    run('qemu-io', '-f', form, '-c', 'write -P 7 64M 128M', path)


def count_in(path, form):
    """What the guest had written to the disk."""
    words = run('qemu-io', '-rU', '-f', form, '-c', 'read -v 512 512', path).split()
    return int.from_bytes(bytes(int(byte, 16) for byte in words[5:9]), 'little')


def digests(machine):
    return {path: hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() for path, _ in machine.images().values()}


def begin(machine, directory, **settings):
    """The task."""
    return machine.client.call(machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory),
                               variants(settings))


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
    MANIFEST.validate(manifest)
    files = {str(path.relative_to(bundle)) for path in bundle.rglob('*') if path.is_file()}
    assert files == {file['name'] for file in manifest['files']} | {'manifest.json', 'SHA256SUMS'}
    return manifest


def sources(path):
    return [source.get('file') for source in ElementTree.parse(path).getroot().findall('.//devices/disk/source')]


@contextlib.contextmanager
def written_to(path, form):
    """Somebody writes to the image meanwhile."""
    with subprocess.Popen(['qemu-io', '-f', form, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdin.write(b'write 0 1k\n')
        writer.stdin.flush()
        writer.stdout.readline()
        yield
        writer.stdin.close()


def workers(house, verb=''):
    """Processes of the daemon that work on bundles."""
    found = []
    for task in pathlib.Path(f'/proc/{house.daemon.pid}/task').iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have ended just now
            for child in (task / 'children').read_text(encoding='ascii').split():
                command = pathlib.Path(f'/proc/{child}/cmdline').read_bytes()
                if b'virtask-bundle' in command and verb.encode() in command:
                    found.append(int(child))
    return found


def data_of(path):
    """Bytes that were written to a file; it may have room for more."""
    done = position = 0
    with contextlib.suppress(OSError), open(path, 'rb') as file:  # the rest is a hole, or it is gone
        while True:
            begin = os.lseek(file.fileno(), position, os.SEEK_DATA)
            position = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            done += position - begin
    return done


def written(directory):
    """Bytes of what is not whole yet."""
    return sum(data_of(path) for partial in directory.glob('.*.partial-*') for path in partial.rglob('*') if path.is_file())


def stop(pid):
    """It does nothing any more, not even in a system call."""
    os.kill(pid, signal.SIGSTOP)
    while pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rpartition(')')[2].split()[0] not in 'TZ':
        pass


def begin_halfway(house, directory, start):
    """Starts an export of 64 MiB or more, and stops its workers in the middle; the task and the workers. On a fast disk it may be too late; then it is started
    again."""
    for _ in range(20):
        task = start()
        while not house.client.get(task, 'Task', 'IsComplete'):
            if written(directory) < 4 << 20:
                house.pass_time(0.001)  # nobody tells of that
                continue
            pids = workers(house)
            for pid in pids:
                stop(pid)
            if pids and any(directory.glob('.*.partial-*/disks')) and not any(directory.glob('.*.partial-*/manifest.json')):
                return task, pids
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            break
        house.client.wait_task(task)
        for path in directory.iterdir():
            run('rm', '-r', path)
    raise AssertionError('always too late')


def go_on(pids):
    """Those that have not ended meanwhile, because they were told to."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
