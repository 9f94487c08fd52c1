# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that nobody should send: each gets an error with a name, and the daemon lives."""

import pytest
from fakes import JOB, VM, machine_path, start, variant
from gi.repository import GLib
from harness import MANAGER, ROOT

DBUS = 'org.freedesktop.DBus.Error.'
OWN = 'org.virtask1.Error.'


@pytest.fixture
def check(client, vm, daemon):
    """The call fails with this name, and everything is as before."""
    task = start(client, vm, 'FakeSlow')
    client.wait_task(task)
    places = {'VM': vm, 'TASK': task, 'MANAGER': MANAGER}

    def run(name, path, *arguments, **keywords):
        error = client.error(places.get(path, path), *arguments, **keywords)
        assert error.name == name, error
        assert daemon.process.running
        assert client.get(vm, VM, 'State') == 5
        assert client.get(MANAGER, 'Manager', 'Tasks') == [task]
        return error
    return run


@pytest.mark.parametrize('path, interface, method, signature, arguments', [
    ('VM', VM, 'Save', '', ()),
    ('VM', VM, 'Save', 's', ('x',)),
    ('VM', VM, 'Save', 'a{ss}', ({},)),
    ('VM', VM, 'Save', 'a{sv}a{sv}', ({}, {})),
    ('VM', VM, 'Pause', 'a{sv}', ({},)),
    ('VM', VM, 'SetName', 'i', (1,)),
    ('VM', VM, 'Startup2', 'a{sv}', ({},)),
    ('VM', VM, 'RequestStateChange', 'ua{sv}', (2, {})),
    ('TASK', 'Task', 'WaitForCompletion', '', ()),
    ('TASK', 'Task', 'WaitForCompletion', 'u', (1,)),
    ('TASK', 'Task', 'WaitForCompletion', 'x', (1,)),
    ('TASK', 'Task', 'GetLog', 'i', (1,)),
    ('TASK', JOB, 'RequestStateChange', 'q', (4,)),
    ('MANAGER', 'Manager', 'GetTask', 's', ('1',)),
    ('MANAGER', 'Manager', 'FindVirtualMachine', '', ()),
    ('MANAGER', 'Manager', 'RegisterVirtualMachine', 's', ('<domain/>',)),
])
def test_a_wrong_signature(check, path, interface, method, signature, arguments):
    check(DBUS + 'InvalidArgs', path, interface, method, signature, *arguments)


@pytest.mark.parametrize('key, value', [
    ('Colour', True), ('queue', True), ('', True), ('Queue ', True), ('x' * 1000, True), ('Quéue', True),
    ('Queue', 1), ('Queue', GLib.Variant('s', 'yes')), ('Bypass', GLib.Variant('ab', [True])),
    ('Bypass', GLib.Variant('v', GLib.Variant('b', True))), ('Force', True),
], ids=lambda value: str(value)[:20])
def test_an_option_that_is_not_known_or_of_another_type(check, key, value):
    error = check(OWN + 'InvalidArgument', 'VM', VM, 'Save', 'a{sv}', {key: variant(value)})
    assert error.message.startswith('E_INVALIDARG (0x80070057): ')
    assert key[:20] in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize('path', [
    '/org/virtask1/task/0', '/org/virtask1/task/01', '/org/virtask1/task/2',
    '/org/virtask1/task/4294967297', '/org/virtask1/task/1/x', '/org/virtask1/task/x', '/org/virtask1/tasks/1',
    '/org/virtask1/task/99999999999999999999999999999999',
])
def test_a_path_that_is_no_task(check, path):
    check(DBUS + 'UnknownObject', path, 'Task', 'WaitForCompletion', 'i', 0)


@pytest.mark.parametrize('path', [
    '/org/virtask1/vm/_', '/org/virtask1/vm/x', machine_path(1), machine_path(1) + '/x',
    '/org/virtask1/vm/_6695EB01_f6a4_8304_79aa_97f2502e193f', '/org/virtask1/vm/_6695eb01_f6a4_8304_79aa_97f2502e193',
    '/org/virtask1/vm/_' + 'f' * 10000,
], ids=lambda path: path[-60:])
def test_a_path_that_is_no_machine(check, path):
    check(DBUS + 'UnknownObject', path, VM, 'Pause')


@pytest.mark.parametrize('path, interface, method', [
    ('/org/virtask1/task', 'Task', 'Cancel'), ('/org/virtask1/vm', VM, 'Pause'), (ROOT, 'Manager', 'ListVirtualMachines'),
])
def test_a_path_between(check, path, interface, method):
    """These exist, because something is below them, and have nothing of their own."""
    check(DBUS + 'UnknownMethod', path, interface, method)


@pytest.mark.parametrize('path', ['/', '/org', '/org/virtask1/manager/x', '/org/virtask1/man', '/elsewhere'])
def test_a_path_that_is_no_manager(check, path):
    check(DBUS + 'UnknownObject', path, 'Manager', 'ListVirtualMachines')


@pytest.mark.parametrize('path, interface, method', [
    ('VM', VM, 'Fly'), ('VM', 'Bird', 'Fly'), ('VM', 'Task', 'Cancel'), ('TASK', VM, 'Pause'), ('MANAGER', 'Manager', 'Save'),
])
def test_a_method_that_is_not_there(check, path, interface, method):
    check(DBUS + 'UnknownMethod', path, interface, method)


def test_a_property_that_is_not_there(check):
    check(DBUS + 'UnknownProperty', 'VM', 'org.freedesktop.DBus.Properties', 'Get', 'ss', 'org.virtask1.VirtualMachine', 'Colour')
    check(DBUS + 'UnknownInterface', 'VM', 'org.freedesktop.DBus.Properties', 'GetAll', 's', 'org.virtask1.Task')


def test_a_property_that_is_only_read(check):
    check(DBUS + 'PropertyReadOnly', 'VM', 'org.freedesktop.DBus.Properties', 'Set', 'ssv', 'org.virtask1.VirtualMachine',
          'Name', GLib.Variant('s', 'other'))


def test_a_name_of_three_hundred_characters(check):
    error = check(OWN + 'NoSuchVirtualMachine', 'MANAGER', 'Manager', 'FindVirtualMachine', 's', 'x' * 300)
    assert len(error.message) < 300
    check(OWN + 'NameTooLong', 'VM', VM, 'SetName', 's', 'x' * 300)


@pytest.mark.parametrize('timeout', [-2, 4000001])
def test_a_time_that_is_not_valid(check, timeout):
    check(OWN + 'InvalidArgument', 'TASK', 'Task', 'WaitForCompletion', 'i', timeout)


@pytest.mark.parametrize('path, interface, method, signature, arguments', [
    ('MANAGER', 'Manager', 'FindVirtualMachine', 's', ('x' * 65537,)),
    ('MANAGER', 'Manager', 'DescribeError', 's', ('x' * 10000000,)),
    ('MANAGER', 'Manager', 'RegisterVirtualMachine', 'sa{sv}', (f'<domain><!--{"x" * 65536}--></domain>', {})),
    ('VM', VM, 'SetNotes', 's', ('x' * 65537,)),
    ('VM', VM, 'Save', 'a{sv}', ({'x' * 65537: GLib.Variant('b', True)},)),
    ('VM', VM, 'Save', 'a{sv}', ({'Queue': GLib.Variant('as', ['x' * 65537])},)),
    ('VM', 'org.freedesktop.DBus.Properties', 'Get', 'ss', ('x' * 65537, 'x')),
])
def test_a_string_that_is_too_long(check, path, interface, method, signature, arguments):
    check(OWN + 'InvalidArgument', path, interface, method, signature, *arguments)


def test_a_string_at_the_limit_is_read(check):
    check(OWN + 'NoSuchVirtualMachine', 'MANAGER', 'Manager', 'FindVirtualMachine', 's', 'x' * 65536)


@pytest.mark.parametrize('value', [
    {f'k{number}': GLib.Variant('b', True) for number in range(1025)},
    {'Queue': GLib.Variant('ay', bytes(100000))},
    {'Queue': GLib.Variant('aas', [[''] * 1025])},
])
def test_an_array_that_is_too_long(check, value):
    check(OWN + 'InvalidArgument', 'VM', VM, 'Save', 'a{sv}', value)


def test_arguments_that_are_nested_too_deep(check):
    value = GLib.Variant('b', True)
    for _ in range(40):
        value = GLib.Variant('v', value)
    check(OWN + 'InvalidArgument', 'VM', VM, 'Save', 'a{sv}', {'Queue': value})


class Unequal(str):
    """A string that is equal to no other, so that a dictionary holds it twice."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return self is other


def test_a_key_that_is_given_twice(check):
    twice = {Unequal('Queue'): GLib.Variant('b', True), Unequal('Queue'): GLib.Variant('b', True)}
    error = check(OWN + 'InvalidArgument', 'VM', VM, 'Save', 'a{sv}', twice)
    assert 'twice' in error.message
