# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the running daemon says of itself is what data/dbus/ says."""

import uuid
import xml.etree.ElementTree as ElementTree

import pytest
from harness import MANAGER, ROOT, SOURCE

EMITS = 'org.freedesktop.DBus.Property.EmitsChangedSignal'
EXPLICIT = 'org.freedesktop.systemd1.Explicit'

OBJECTS = {
    'manager': {'org.virtask1.Manager'},
    'vm': {'org.virtask1.VirtualMachine', 'org.virtask1.GuestOS', 'org.virtask1.SnapshotService', 'org.virtask1.ReferencePointService'},
    'harddisk': {'org.virtask1.HardDisk'},
    'snapshot': {'org.virtask1.Snapshot'},
    'referencepoint': {'org.virtask1.ReferencePoint'},
    'collection': {'org.virtask1.Collection'},
    'snapshotcollection': {'org.virtask1.SnapshotCollection'},
    'referencepointcollection': {'org.virtask1.ReferencePointCollection'},
    'task': {'org.virtask1.Task', 'org.virtask1.ConcreteJob'},
}


MACHINES = """\
<node><domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>test</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>
  <memory unit='MiB'>64</memory>
  <os><type>hvm</type></os>
  <metadata>
    <virtask:snapshots xmlns:virtask='https://virtask.org/snapshots/1'><virtask:snapshot id='p1' type='32769'/></virtask:snapshots>
  </metadata>
  <test:domainsnapshot>
    <name>s1</name><creationTime>1700000000</creationTime><state>shutoff</state><memory snapshot='no'/><active>1</active>
  </test:domainsnapshot>
  <test:domainsnapshot>
    <name>p1</name><creationTime>1700000000</creationTime><state>shutoff</state><memory snapshot='no'/><active>0</active>
  </test:domainsnapshot>
</domain></node>
"""


def arguments(member, default):
    return [(argument.get('name'), argument.get('type'), argument.get('direction', default)) for argument in member.findall('arg')]


def annotated(prop, name, default):
    return next((annotation.get('value') for annotation in prop.findall('annotation') if annotation.get('name') == name), default)


def normalized(interface):
    """What a client can rely on; the order of members and the comments are not of it."""
    return {
        'methods': {member.get('name'): arguments(member, 'in') for member in interface.findall('method')},
        'signals': {member.get('name'): [argument[:2] for argument in arguments(member, 'out')]
                    for member in interface.findall('signal')},
        'properties': {member.get('name'): (member.get('type'), member.get('access'), annotated(member, EMITS, 'true'),
                                              annotated(member, EXPLICIT, 'false'))
                       for member in interface.findall('property')},
    }


def ours(text):
    return {interface.get('name'): normalized(interface) for interface in ElementTree.fromstring(text).findall('interface')
            if interface.get('name').startswith('org.virtask1.')}


def restarted_with_groups(daemon, collection, **kinds):
    """libvirt's test driver has no disks to take snapshots of."""
    origin = collection.rpartition('/_')[2].replace('_', '-')
    paths = {}
    for place, kind in kinds.items():
        group = str(uuid.uuid4())
        (daemon.state / f'collections/{group}.collection').write_text(
            f'[Collection]\nKind={kind}\nName=group\nMembers=\nSnapshots=\nOrigin={origin}\nType=1\n', encoding='utf-8')
        paths[place] = f'{ROOT}/{place}/_{group.replace("-", "_")}'
    daemon.restart()
    return paths


@pytest.fixture
def paths(client, start_daemon, tmp_path):
    """One object of each kind."""
    definition = tmp_path / 'machines.xml'
    definition.write_text(MACHINES, encoding='utf-8')
    daemon = start_daemon(f'test://{definition}')
    vm = client.machine('test')
    client.wait_task(client.call(vm, 'VirtualMachine', 'TurnOff', 'a{sv}', {}))
    task = client.call(vm, 'VirtualMachine', 'Startup', 'a{sv}', {})
    client.wait_task(task)
    collection = client.call(MANAGER, 'Manager', 'DefineCollection', 'ssqa{sv}', 'some', '', 0, {})
    groups = restarted_with_groups(daemon, collection, snapshotcollection='snapshots', referencepointcollection='reference-points')
    image = tmp_path / 'image.raw'
    image.write_bytes(bytes(512))
    disk = client.call(MANAGER, 'Manager', 'GetHardDisk', 's', str(image))
    return {'manager': MANAGER, 'vm': vm, 'harddisk': disk, 'snapshot': f'{vm}/snapshot/s1', 'referencepoint': f'{vm}/referencepoint/p1', 'task': task,
            'collection': collection, **groups}


@pytest.mark.parametrize('kind', OBJECTS)
def test_live_interfaces_are_those_of_the_contract(client, paths, kind):
    live = ours(client.call(paths[kind], 'org.freedesktop.DBus.Introspectable', 'Introspect'))
    assert set(live) == OBJECTS[kind]
    for name, interface in live.items():
        contract = ours((SOURCE / f'data/dbus/{name}.xml').read_bytes())[name]
        for part in ('methods', 'signals', 'properties'):
            assert interface[part] == contract[part], f'{name}: {part}'


def test_all_objects_come_with_all_properties(client, paths):
    objects = client.objects()
    for kind, path in paths.items():
        interfaces = {name: properties for name, properties in objects[path].items() if name.startswith('org.virtask1.')}
        assert set(interfaces) == OBJECTS[kind]
        for name, properties in interfaces.items():
            contract = ours((SOURCE / f'data/dbus/{name}.xml').read_bytes())[name]['properties']
            explicit = {prop for prop, (*_, mark) in contract.items() if mark == 'true'}
            assert set(properties) == set(contract) - explicit
            assert set(client.call(path, 'org.freedesktop.DBus.Properties', 'GetAll', 's', name)) == set(properties)
            answers = {prop: client.get(path, name.rpartition('.')[2], prop) for prop in explicit}
            assert all(answer or contract[prop][2] != 'const' for prop, answer in answers.items())  # a guest may not have said


def test_the_root_is_an_object_manager(client, paths):
    text = client.call(ROOT, 'org.freedesktop.DBus.Introspectable', 'Introspect')
    assert 'org.freedesktop.DBus.ObjectManager' in text


def test_no_contract_is_without_an_object():
    contracts = {path.stem for path in (SOURCE / 'data/dbus').glob('*.xml')}
    assert contracts == set().union(*OBJECTS.values())
