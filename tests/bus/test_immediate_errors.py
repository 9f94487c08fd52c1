# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is refused at once, under which name and number."""

import pytest
from fakes import ERRORS, VM, definition, machine_path, options, refuse, start, wait_at
from harness import MANAGER

FREEDESKTOP = {'AccessDenied', 'InteractiveAuthorizationRequired', 'LimitsExceeded'}


def full_name(name):
    return f'org.freedesktop.DBus.Error.{name}' if name in FREEDESKTOP else f'org.virtask1.Error.{name}'


@pytest.fixture
def expect(client):
    """The error has this name, and its text begins with symbol and number, as the service itself describes them."""
    def check(error, name):
        hresult, _, _, symbol, _ = client.call(MANAGER, 'Manager', 'DescribeError', 's', full_name(name))
        assert error.name == full_name(name), error
        assert error.message.startswith(f'{symbol or name} (0x{hresult:08X}): ')
    return check


@pytest.fixture
def off(client, vm):
    client.wait_task(start(client, vm, 'TurnOff'))
    return vm


@pytest.fixture
def saved(client, vm):
    assert client.wait_task(start(client, vm, 'Save'))['Result'] == 0
    return vm


@pytest.fixture
def paused(client, vm):
    client.call(vm, VM, 'Pause')
    return vm


@pytest.mark.parametrize('name', sorted(ERRORS))
def test_every_error_is_described(client, daemon, name):
    hresult, cim_a, cim_b, symbol, text = client.call(MANAGER, 'Manager', 'DescribeError', 's', full_name(name))
    assert hresult & 0x80000000 and cim_a and cim_b and text
    if symbol:
        assert client.call(MANAGER, 'Manager', 'DescribeError', 's', symbol)[0] == hresult


@pytest.mark.parametrize('name', ['', 'Failed', 'org.virtask1.Error', 'org.virtask1.Error.', 'x' * 300],
                         ids=lambda name: name[:20])
def test_what_is_no_error_is_not_described(client, daemon, expect, name):
    expect(client.error(MANAGER, 'Manager', 'DescribeError', 's', name), 'InvalidArgument')


@pytest.mark.parametrize('member', ['Save', 'TurnOff', 'Reset'])
def test_a_machine_that_is_off_is_not_running(client, off, expect, member):
    expect(refuse(client, off, member), 'NotRunning')


@pytest.mark.parametrize('member', ['Pause', 'Resume'])
def test_a_machine_that_is_off_can_not_be_paused(client, off, expect, member):
    expect(client.error(off, VM, member), 'NotRunning')


def test_a_machine_that_is_off_has_no_saved_state(client, off, expect):
    expect(client.error(off, VM, 'DiscardSavedState'), 'NoSavedState')


@pytest.mark.parametrize('member', ['Startup', 'Delete'])
def test_a_running_machine_is_running_already(client, vm, expect, member):
    expect(refuse(client, vm, member), 'AlreadyRunning')


def test_a_running_machine_can_not_be_started_in_the_other_way(client, vm, expect):
    expect(client.error(vm, VM, 'Startup2', 'ua{sv}', 0, {}), 'AlreadyRunning')
    expect(client.error(vm, VM, 'RequestStateChange', 'qa{sv}', 2, {}), 'AlreadyRunning')


def test_a_running_machine_is_no_saved_one(client, vm, expect):
    expect(client.error(vm, VM, 'DiscardSavedState'), 'AlreadyRunning')
    expect(client.error(vm, VM, 'Resume'), 'NotPaused')
    expect(client.error(vm, VM, 'Unregister'), 'RunningOrSaved')
    expect(client.error(vm, VM, 'SetName', 's', 'other'), 'MachineActive')


def test_a_paused_machine_is_paused_already(client, paused, expect):
    expect(client.error(paused, VM, 'Pause'), 'AlreadyPaused')
    expect(refuse(client, paused, 'Startup'), 'AlreadyRunning')


def test_a_saved_machine_is_not_running(client, saved, expect):
    for member in ('Save', 'TurnOff', 'Reset'):
        expect(refuse(client, saved, member), 'NotRunning')
    expect(client.error(saved, VM, 'Pause'), 'NotRunning')
    expect(client.error(saved, VM, 'Unregister'), 'RunningOrSaved')
    expect(client.error(saved, VM, 'SetName', 's', 'other'), 'MachineActive')


@pytest.mark.parametrize('name, error', [('', 'NameEmpty'), ('x' * 81, 'NameTooLong'), ('x' * 300, 'NameTooLong'),
                                         ('a/b', 'NameInvalidChar'), ('a\nb', 'NameInvalidChar')],
                         ids=lambda value: value[:20])
def test_a_name_has_its_rules(client, off, expect, name, error):
    expect(client.error(off, VM, 'SetName', 's', name), error)
    if name:
        expect(client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition(name, 1), {}), error)


def test_a_name_is_given_once(start_machines, client, expect):
    start_machines(2, state=5)
    expect(client.error(machine_path(0), VM, 'SetName', 's', 'M1'), 'DuplicateName')
    for name, number in (('M1', 7), ('new', 1)):
        expect(client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition(name, number), {}),
               'DuplicateName')


@pytest.mark.parametrize('text', ['', '<domain>', '<network><name>x</name></network>', '<domain type="test"/>',
                                  '<!DOCTYPE domain><domain><name>x</name></domain>',
                                  '<domain type="test"><name>x</name><memory>1</memory><os><type>odd</type></os><z/></domain>'])
def test_a_definition_has_its_rules(client, daemon, expect, text):
    expect(client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', text, {}), 'InvalidArgument')


@pytest.mark.parametrize('name', ['', 'nobody', 'x' * 300, '00000000-0000-0000-0000-000000000000'],
                         ids=lambda name: name[:20])
def test_a_machine_that_does_not_exist_is_not_found(client, daemon, expect, name):
    expect(client.error(MANAGER, 'Manager', 'FindVirtualMachine', 's', name), 'NoSuchVirtualMachine')


@pytest.mark.parametrize('number', [0, 1, 2 ** 32 - 1])
def test_a_task_that_does_not_exist_is_not_found(client, daemon, expect, number):
    expect(client.error(MANAGER, 'Manager', 'GetTask', 'u', number), 'NoSuchTask')


@pytest.mark.parametrize('state', [0, 1, 5, 7, 8, 12, 13, 65535])
def test_a_state_that_can_not_be_requested_is_not_supported(client, vm, expect, state):
    expect(client.error(vm, VM, 'RequestStateChange', 'qa{sv}', state, {}), 'NotSupported')


@pytest.mark.parametrize('state', [4, 10])
def test_a_state_that_only_a_guest_can_bring_about_needs_one(client, vm, expect, state):
    expect(client.error(vm, VM, 'RequestStateChange', 'qa{sv}', state, {}), 'GuestAgentNotInstalled')


def test_a_startup_option_has_its_range(client, off, expect):
    expect(client.error(off, VM, 'Startup2', 'ua{sv}', 2, {}), 'InvalidArgument')


def test_a_service_that_ends_takes_nothing_up(client, vm, daemon, gates, expect):
    gate = gates.add()
    task = start(client, vm, 'FakeUncancellable', Gate=gate)
    wait_at(client, task, gate)
    daemon.terminate()
    expect(refuse(client, vm, 'Reset'), 'ServiceShuttingDown')
    gates.release(gate)
    assert daemon.process.wait() == 0


def test_a_limit_of_the_filter_is_an_argument(client, daemon, expect):
    for bad in (options(Machine=1), options(OwnerUid=True), options(Colour=1)):
        expect(client.error(MANAGER, 'Manager', 'ListTasks', 'a{sv}', bad), 'InvalidArgument')
