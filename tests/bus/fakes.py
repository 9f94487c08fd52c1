# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the bus tests do with virtaskd-fake; its operations are described in tests/fake/fake-operations.h."""

import os
import re
from xml.sax.saxutils import escape

from harness import ROOT, SOURCE, path_of

from gi.repository import GLib

VM = 'VirtualMachine'
JOB = 'ConcreteJob'

# The rows of the error table, as "Error" of a fake counts them: name without prefix -> (number, row).
_ROW = re.compile(r'^\s+X\((\w+),\s*ERROR_(?:PREFIX|DBUS)\s+"(\w+)",\s*(0x[0-9A-F]+), "(\w*)",\s*(\d+), (\d+), (\d+),', re.MULTILINE)
ERRORS = {match[2]: index + 1 for index, match in
          enumerate(_ROW.finditer((SOURCE / 'src/util/error-table.h').read_text(encoding='utf-8')))}

DEFINITION = """\
<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>64</memory>
  <os><type>hvm</type></os>
  <test:runstate>{state}</test:runstate>
</domain>
"""
RUNNING, OFF = 1, 5

SNAPSHOT = """\
  <test:domainsnapshot>
    <name>{id}</name>{parent}
    <description>{notes}</description>
    <creationTime>{created}</creationTime>
    <state>{state}</state>
    <memory snapshot='{memory}'/>
    <active>{current}</active>
  </test:domainsnapshot>
"""
CREATED = 1_700_000_000


class Gates:
    """FIFOs at which fakes wait. Without a writer, or when the test is over, there is nothing to wait for."""

    def __init__(self, directory):
        self.directory = directory
        self._fds = {}

    def add(self):
        """A new gate, closed; answers its number."""
        number = len(self._fds) + 1
        path = self.directory / f'gate.{number}'
        os.mkfifo(path)
        path.chmod(0o666)
        self._fds[number] = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        return number

    def release(self, gate, count=1):
        """Lets so many pass."""
        os.write(self._fds[gate], b'x' * count)

    def close(self):
        for number, fd in self._fds.items():
            (self.directory / f'gate.{number}').unlink()
            os.close(fd)
        self._fds = {}


def variant(value):
    if isinstance(value, bool):
        return GLib.Variant('b', value)
    if isinstance(value, int):
        return GLib.Variant('u', value)
    return value


def options(**values):
    return {key: variant(value) for key, value in values.items()}


def begin(client, vm, member, **values):
    """Sends the call of an operation, and does not wait for its reply."""
    return client.start(vm, VM, member, 'a{sv}', options(**values))


def start(client, vm, member, **values):
    """Starts an operation; answers its task."""
    return client.finish(begin(client, vm, member, **values))


def refuse(client, vm, member, **values):
    """Starts an operation that has to be refused; answers the error."""
    return client.error(vm, VM, member, 'a{sv}', options(**values))


def wait_at(client, task, gate):
    """Waits until the task waits at the gate."""
    client.wait_property(task, 'Task', 'StatusText', f'at gate {gate}')


def wait_announced(client, path, interface, name, value):
    """Waits until this value of a property was announced."""
    client.wait(lambda: value in client.announced(path, interface, name), what=f'{name} of {path} to be {value}')


def uuid_of(number):
    return f'00000000-0000-4000-8000-{number:012x}'


def collection_file(state, number, name, machines=(), snapshots=None, kind='snapshots'):
    """A collection as the daemon keeps it, for one that is yet to start; of snapshots or another kind of them, if these are given. Its path."""
    directory = state / 'collections'
    directory.mkdir(mode=0o700, exist_ok=True)
    lines = ['[Collection]', f'Kind={"machines" if snapshots is None else kind}', f'Name={name}',
             f'Members={"".join(f"{machine};" for machine in machines)}']
    if snapshots is not None:
        lines += [f'Snapshots={"".join(f"{snapshot};" for snapshot in snapshots)}', f'Origin={uuid_of(0)}', 'Type=1', 'Consistency=2']
    (directory / f'{uuid_of(number)}.collection').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    prefix = 'collection' if snapshots is None else {'snapshots': 'snapshotcollection', 'reference-points': 'referencepointcollection'}[kind]
    return f'{ROOT}/{prefix}/_{uuid_of(number).replace("-", "_")}'


def snapshot(name, parent=None, after=0, notes='', memory=False, current=False):
    """One of libvirt's test driver, inside the image, so many seconds after CREATED; for with_snapshots()."""
    return SNAPSHOT.format(id=escape(name), parent=f'<parent><name>{escape(parent)}</name></parent>' if parent else '',
                           notes=escape(notes), created=CREATED + after, state='running' if memory else 'shutoff',
                           memory='internal' if memory else 'no', current=int(current))


def with_snapshots(definition_, *snapshots):
    """The definition of a machine for the beginning, with snapshots."""
    return definition_.replace('</domain>', ''.join(snapshots) + '</domain>')


def with_notes(definition_, types):
    """The definition of a machine that has these types of snapshots noted in it."""
    entries = ''.join(f'<virtask:snapshot id="{name}" type="{kind}"/>' for name, kind in types.items())
    notes = f'<metadata><virtask:snapshots xmlns:virtask="https://virtask.org/snapshots/1">{entries}</virtask:snapshots></metadata>'
    return definition_.replace('<os>', f'{notes}<os>', 1)


def point_path(vm, name):
    """The path of a reference point of the machine."""
    return snapshot_path(vm, name).replace('/snapshot/', '/referencepoint/')


def snapshot_path(vm, name):
    """The path of a snapshot of the machine."""
    encoded = ''.join(chr(byte) if chr(byte).isalnum() and byte < 128 and (index or not chr(byte).isdigit()) else f'_{byte:02x}'
                      for index, byte in enumerate(name.encode()))
    return f'{vm}/snapshot/{encoded or "_"}'


def machines_uri(scratch, count, state=RUNNING):
    """A hypervisor with so many machines, m0, m1, ..."""
    path = scratch / 'machines.xml'
    definitions = ''.join(DEFINITION.format(name=f'm{number}', uuid=uuid_of(number), state=state) for number in range(count))
    path.write_text(f'<node>\n{definitions}</node>\n', encoding='utf-8')
    return f'test://{path}'


def machine_path(number):
    return path_of(uuid_of(number))


def definition(name, number):
    """Of a machine that is off."""
    return f"""<domain type='test'><name>{name}</name><uuid>{uuid_of(number)}</uuid><memory unit='MiB'>64</memory>
               <os><type>hvm</type></os></domain>"""


def settle_signals(client):
    """Hears everything that the daemon sent so far."""
    client.call('/org/virtask1/manager', 'org.freedesktop.DBus.Peer', 'Ping')
