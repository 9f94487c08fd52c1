# SPDX-License-Identifier: LGPL-2.1-or-later
"""On a bus with the rules of a system bus and ours: what an ordinary user can send, and what he overhears."""

import os
import xml.etree.ElementTree as ElementTree

import fakes
import pytest
from gi.repository import Gio, GLib
from harness import MANAGER, ROOT, Bus, BusError, Client, Daemon, Embed, Polkitd
from harness.client import NAME
from harness.process import TIMEOUT
from houses import CHALLENGE_NAME, DEFAULT, DENIED_NAME, GRANTED, RULES, VM, outcome
from polkits import Agent

pytestmark = pytest.mark.root

STANDARD = [
    (ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', '', ()),
    (MANAGER, 'org.freedesktop.DBus.Properties', 'Get', 'ss', ('org.virtask1.Manager', 'Version')),
    (MANAGER, 'org.freedesktop.DBus.Properties', 'GetAll', 's', ('org.virtask1.Manager',)),
    (MANAGER, 'org.freedesktop.DBus.Introspectable', 'Introspect', '', ()),
    (MANAGER, 'org.freedesktop.DBus.Peer', 'Ping', '', ()),
]
FORBIDDEN = [
    (MANAGER, 'org.freedesktop.DBus.Properties', 'Set', 'ssv', ('org.virtask1.Manager', 'Version', GLib.Variant('s', 'x'))),
    (MANAGER, 'org.virtask1.Manager', 'NoSuchMethod', '', ()),
    (MANAGER, 'org.virtask1.NoSuchInterface', 'ListVirtualMachines', '', ()),
    (MANAGER, 'org.virtask1.VirtualMachine', 'FakeSlow', 'a{sv}', ({},)),
    (MANAGER, 'org.freedesktop.DBus.ObjectManager', 'NoSuchMethod', '', ()),
    (MANAGER, 'org.freedesktop.login1.Manager', 'PowerOff', 'b', (False,)),
]


@pytest.fixture
def house(make_house):
    return make_house(policies=[Bus.POLICY], snapshots={'web1': ['s1', 's2']}, notes={'web1': {'s2': 32769}})  # a reference point


def methods(client, path):
    root = ElementTree.fromstring(client.call(path, 'org.freedesktop.DBus.Introspectable', 'Introspect'))
    return [(interface.get('name'), method.get('name')) for interface in root.findall('interface')
            if interface.get('name').startswith('org.virtask1.') for method in interface.findall('method')
            if not method.get('name').startswith('Fake')]


def by_the_bus(error):
    """Whether it was the bus that refused, so that the service has never seen the message."""
    return error is not None and error.name == DENIED_NAME and '0x80070005' not in error.message and 'ejected' in error.message


def send(client, path, interface, member, fds=0):
    """A call without arguments, put together by hand."""
    message = Gio.DBusMessage.new_method_call(NAME, path, interface, member)
    if fds:
        handles = Gio.UnixFDList.new()
        for _ in range(fds):
            with open(os.devnull, encoding='ascii') as null:
                handles.append(null.fileno())
        message.set_unix_fd_list(handles)
    reply, _ = client.connection.send_message_with_reply_sync(message, Gio.DBusSendMessageFlags.NONE, TIMEOUT * 1000, None)
    if reply.get_message_type() != Gio.DBusMessageType.ERROR:
        return None
    return BusError(reply.get_error_name(), reply.get_body().unpack()[0] if reply.get_body() else '')


def test_every_method_can_be_reached(house, nobody):
    """Without arguments: those that have some answer that they are missing, the others what they answer to nobody."""
    task = house.start_task(house.root)
    disk = house.root.call(MANAGER, 'Manager', 'GetHardDisk', 's', '/etc/passwd')  # what is there and can be read
    reached = 0
    for path in (MANAGER, house.path('web1'), house.snapshot_path('web1', 's1'), house.point_path('web1', 's2'), *house.collections, disk, task):
        for interface, method in methods(house.root, path):
            error = outcome(nobody, path, interface, method)
            assert not by_the_bus(error), f'{interface}.{method}: {error}'
            assert error is None or error.short in ('InvalidArgs', 'AccessDenied'), f'{interface}.{method}: {error}'
            reached += 1
    contract = sum(len(ElementTree.parse(file).getroot().findall('interface/method')) for file in Bus.POLICY.parent.glob('*.xml'))
    assert reached == contract > 25
    for path, interface, method, signature, arguments in STANDARD:
        assert outcome(nobody, path, interface, method, signature, *arguments) is None


def test_nothing_else_can_be_reached(house, nobody):
    for path, interface, method, signature, arguments in FORBIDDEN:
        error = outcome(nobody, path, interface, method, signature, *arguments)
        assert by_the_bus(error), f'{interface}.{method}: {error}'


def test_no_way_round_the_interface(house, nobody):
    """A call may leave the interface out, and then no line of the policy would know it."""
    assert by_the_bus(send(nobody, MANAGER, None, 'ListVirtualMachines'))
    assert send(nobody, MANAGER, 'org.virtask1.Manager', 'ListVirtualMachines') is None


def test_no_file_descriptors(house, nobody):
    for path, interface, method in ((MANAGER, 'org.virtask1.Manager', 'ListVirtualMachines'),
                                    (MANAGER, 'org.freedesktop.DBus.Peer', 'Ping'),
                                    (house.path('web1'), 'org.virtask1.VirtualMachine', 'Pause')):
        assert by_the_bus(send(nobody, path, interface, method, fds=1)), method
        assert not by_the_bus(send(nobody, path, interface, method, fds=0)), method


def test_only_root_may_be_the_service(house, nobody):
    house.daemon.stop()
    with pytest.raises(BusError, match='AccessDenied'):
        nobody.bus_call('RequestName', 'su', NAME, 4)
    assert not nobody.has_owner()


def test_a_user_can_not_speak_for_polkit(house, nobody):
    with pytest.raises(BusError, match='AccessDenied'):
        nobody.bus_call('RequestName', 'su', 'org.freedesktop.PolicyKit1', 4)


def test_permissions_through_the_real_bus(scratch, house, nobody):
    Polkitd(scratch, house.bus, RULES)
    assert outcome(nobody, house.path('web1'), VM, 'Pause').name == CHALLENGE_NAME
    assert outcome(house.client(GRANTED), house.path('web1'), VM, 'Pause') is None
    agent = Agent(house.bus)
    call = nobody.start(house.path('web1'), VM, 'Resume', interactive=True)
    agent.type_password(agent.dialog())
    nobody.finish(call)
    assert house.state('web1') == 'running'


# --- Who listens ---

def texts(value):
    """All texts in the arguments of a signal."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def without_files(interfaces):
    """What a hard disk says but its File: the paths of machines' own disks are what every local user may see."""
    return {name: {key: value for key, value in properties.items() if (name, key) != ('org.virtask1.HardDisk', 'File')}
            for name, properties in interfaces.items()}


def told(signal):
    if signal.member == 'InterfacesAdded':
        return signal.arguments[0], without_files(signal.arguments[1])
    return signal.arguments


def assert_nothing_private(listener, secrets, least):
    """"secrets" are in no signal and in no property."""
    listener.bus_call('GetId')
    heard = [signal for signal in listener.signals if signal.path.startswith(ROOT)]
    assert len(heard) >= least
    everything = [(f'{signal.interface}.{signal.member} of {signal.path}', text)
                  for signal in heard for text in texts(told(signal))]
    everything += [(path, text) for path, interfaces in listener.objects().items() for text in texts(without_files(interfaces))]
    for where, text in everything:
        assert not any(secret in text for secret in secrets), f'{where}: {text}'


def test_listeners_hear_no_secrets(house, nobody):
    """Of operations of all kinds and ends, and of what was refused."""
    root, path = house.root, house.path('web1')
    definition = fakes.definition('new', 99).replace('</domain>', """<devices><disk type='file' device='disk'>
        <source file='/secret/image'/><target dev='vda' bus='virtio'/></disk></devices></domain>""")
    new = root.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition, {})
    for broken in (definition, definition.replace("device='disk'", "device='secret'"), '<domain><secret/></domain>', '/secret/x'):
        assert outcome(root, MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', broken, {})
    for method in ('Startup', 'Save', 'Startup', 'TurnOff'):
        root.wait_task(root.call(new, VM, method, 'a{sv}', {}))
    root.wait_task(fakes.start(root, path, 'FakeSlow', Total=1000, Milliseconds=200))
    for error in fakes.ERRORS.values():
        root.wait_task(fakes.start(root, path, 'FakeFail', Error=error))
    task = house.start_task(root)
    root.call(task, 'Task', 'Cancel')
    root.wait_task(task)
    root.call(new, VM, 'SetName', 's', 'newer')
    root.wait_task(root.call(new, VM, 'Delete', 'a{sv}', {}))
    assert_nothing_private(nobody, ['secret', '<domain', '<disk', 'counted to', 'Counted'], 100)


BROKEN = {
    'its-kernel': ('<os>', '<os><kernel>/secret/kernel</kernel>'),
    'its-directory': ('<devices>', '<devices><filesystem><source dir="/secret directory/x"/><target dir="x"/></filesystem>'),
    'its-disk': ('.img', '.secret'),
    'its-serial-line': ('.serial', '.secret'),
}


def test_listeners_hear_no_secrets_of_real_guests(scratch):
    """The paths that a caller gave are in the definition; when a file is missing, libvirt and QEMU tell its name, and the task tells it
    to its owner and root alone."""
    bus = Bus(scratch, policies=[Bus.POLICY])
    embed = Embed(scratch)
    Daemon(scratch, bus, embed.uri, options=['--verbose'])
    root, nobody = Client(bus), Client(bus, user=DEFAULT)
    guests = {name: embed.guest(name) for name in ('web1', *BROKEN)}
    for name, guest in guests.items():
        definition = guest.xml.replace(*BROKEN.get(name, ('', '')))
        root.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition, {})

    def do(method, name='web1'):
        task = root.call(guests[name].path, VM, method, 'a{sv}', {})
        return task, root.wait_task(task)
    for method in ('Startup', 'Save', 'Startup', 'Reset'):
        assert do(method)[1]['ResultName'] == 'success'
    save = root.call(guests['web1'].path, VM, 'Save', 'a{sv}', {})
    outcome(root, save, 'Task', 'Cancel')
    if root.wait_task(save)['ResultName'] == 'success':
        assert do('Startup')[1]['ResultName'] == 'success'
    do('TurnOff')
    for name in BROKEN:
        task, properties = do('Startup', name)
        assert properties['ErrorDescription'].startswith(f"Failed to start '{name}'"), properties
        assert 'secret' in str(root.call(task, 'Task', 'GetLog', 'u', 0))
        assert 'secret' not in outcome(root, task, 'Task', 'WaitForSuccess', 'i', 0).message
        assert outcome(nobody, task, 'Task', 'GetLog', 'u', 0).name == DENIED_NAME
    assert_nothing_private(nobody, ['secret', guests['web1'].image.name, 'web1.serial', '<domain', '<disk'], 50)
