# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines on the bus: they appear, change and vanish, and the real operations work on libvirt's test driver."""

import pytest
from fakes import OFF, VM, definition, machine_path, settle_signals, start, uuid_of
from harness import MANAGER, ROOT

STATES = {1: 'turned-off', 2: 'saved', 5: 'running', 6: 'paused'}


def register(client, name='new', number=7):
    return client.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition(name, number), {})


def run(client, vm, member, **options):
    values = client.wait_task(start(client, vm, member, **options))
    assert values['Result'] == 0, values['ErrorDescription']


def assert_state(client, vm, state):
    values = client.get_all(vm, VM)
    assert (values['State'], values['StateName']) == (state, STATES[state])


def test_the_machines_of_the_hypervisor_are_there_from_the_beginning(start_machines, client):
    start_machines(20)
    paths = [machine_path(number) for number in range(20)]
    assert set(paths) <= set(client.objects())
    assert set(client.get(MANAGER, 'Manager', 'VirtualMachines')) == set(paths)
    rows = client.call(MANAGER, 'Manager', 'ListVirtualMachines')
    assert sorted(rows) == sorted((f'm{number}', uuid_of(number), 5, 'running', machine_path(number)) for number in range(20))
    assert not [signal for signal in client.signals if signal.member == 'InterfacesAdded']


def test_a_machine_has_its_properties(client, vm):
    assert client.get_all(vm, VM) == {
        'Name': 'test', 'ConfigID': '6695eb01-f6a4-8304-79aa-97f2502e193f', 'State': 5, 'StateName': 'running',
        'RequestedState': 12, 'EnabledState': 2, 'OperationalStatus': [2], 'SavedStateFilePath': '', 'HasSavedState': False,
        'Notes': '', 'Memory': 8192, 'ActiveTasks': [], 'Snapshots': [], 'CurrentSnapshot': '/'}


def test_a_machine_is_found_by_name_and_by_uuid(start_machines, client):
    start_machines(3)
    for name in ('m1', 'M1', uuid_of(1), uuid_of(1).upper()):
        assert client.machine(name) == machine_path(1)


def test_a_registered_machine_appears(client, daemon):
    vm = register(client)
    assert vm == machine_path(7)
    added = [signal for signal in client.signals if signal.member == 'InterfacesAdded']
    assert [signal.arguments[0] for signal in added] == [vm]
    assert added[0].arguments[1]['org.virtask1.VirtualMachine']['Name'] == 'new'
    assert_state(client, vm, 1)
    client.wait_signal('PropertiesChanged', MANAGER, where=lambda signal: 'VirtualMachines' in signal.changed)


@pytest.mark.parametrize('member', ['Unregister', 'Delete'])
def test_a_machine_that_is_removed_vanishes(client, daemon, member):
    vm = register(client)
    if member == 'Delete':
        run(client, vm, member)
    else:
        client.call(vm, VM, member)
    removed = client.wait_signal('InterfacesRemoved', ROOT)
    assert removed.arguments[0] == vm
    settle_signals(client)
    assert len([signal for signal in client.signals if signal.member == 'InterfacesRemoved']) == 1
    assert vm not in client.objects()
    assert client.error(MANAGER, 'Manager', 'FindVirtualMachine', 's', 'new').short == 'NoSuchVirtualMachine'


def test_a_machine_may_come_again(client, daemon):
    for _ in range(5):
        vm = register(client)
        run(client, vm, 'Startup')
        run(client, vm, 'TurnOff')
        client.call(vm, VM, 'Unregister')


def test_a_machine_is_turned_off_and_started(client, vm):
    run(client, vm, 'TurnOff')
    assert_state(client, vm, 1)
    run(client, vm, 'Startup')
    assert_state(client, vm, 5)
    states = [signal.arguments for signal in client.signals if signal.member == 'StateChanged']
    assert states == [(5, 8), (8, 1), (1, 3), (3, 5)]
    announced = [signal.arguments for signal in client.signals if signal.member == 'VMStateChange']
    assert announced == [(vm, 'test', state) for state in (8, 1, 3, 5)]


def test_a_machine_is_saved_and_restored(client, vm):
    run(client, vm, 'Save')
    assert_state(client, vm, 2)
    assert client.get(vm, VM, 'HasSavedState') is True
    run(client, vm, 'Startup')
    assert_state(client, vm, 5)
    assert client.get(vm, VM, 'HasSavedState') is False
    states = [signal.arguments[1] for signal in client.signals if signal.member == 'StateChanged']
    assert states == [7, 2, 4, 5]


def test_what_has_seen_the_end_of_a_save_reads_saved(client, vm):
    task = start(client, vm, 'Save')
    end = client.wait_signal('Completed', task)
    states = client.announced(vm, VM, 'State')
    assert states[-1] == 2
    last = [signal for signal in client.signals if signal.path == vm and signal.member == 'PropertiesChanged'][-1]
    assert last.index < end.index
    assert client.announced(vm, VM, 'HasSavedState') == [True]


def test_a_saved_state_is_discarded(client, vm):
    run(client, vm, 'Save')
    client.call(vm, VM, 'DiscardSavedState')
    assert_state(client, vm, 1)


def test_a_machine_is_paused_and_goes_on(client, vm):
    client.call(vm, VM, 'Pause')
    assert_state(client, vm, 6)
    client.call(vm, VM, 'Resume')
    assert_state(client, vm, 5)


def test_a_reply_comes_after_the_change(client, vm):
    call = client.start(vm, VM, 'Pause')
    client.finish(call)
    changed = client.wait_signal('StateChanged', vm)
    assert changed.arguments == (5, 6)
    assert changed.index < call.index


@pytest.mark.parametrize('option', [0, 1])
def test_a_machine_is_started_in_the_other_way(client, vm, option):
    run(client, vm, 'TurnOff')
    task = client.call(vm, VM, 'Startup2', 'ua{sv}', option, {})
    assert client.wait_task(task)['Result'] == 0
    assert_state(client, vm, 5)


def test_a_state_is_requested(client, vm):
    def request(state):
        value, task = client.call(vm, VM, 'RequestStateChange', 'qa{sv}', state, {})
        if value == 4096:
            assert client.wait_task(task)['Result'] == 0
        else:
            assert (value, task) == (0, '/')

    for state, seen in ((9, 6), (2, 5), (6, 2), (2, 5), (3, 1), (2, 5)):
        request(state)
        assert_state(client, vm, seen)


def test_the_requested_state_is_shown_while_it_is_awaited(client, vm):
    run(client, vm, 'Save')
    requested = client.announced(vm, VM, 'RequestedState')
    assert requested == [6, 12]


def test_a_machine_gets_another_name(client, daemon):
    vm = register(client)
    client.call(vm, VM, 'SetName', 's', 'Büro 1')
    assert client.announced(vm, VM, 'Name') == ['Büro 1']
    assert client.machine('büro 1') == vm
    client.call(vm, VM, 'SetName', 's', 'BÜRO 1')
    assert client.get(vm, VM, 'Name') == 'BÜRO 1'


@pytest.mark.parametrize('state', ['running', 'off'])
def test_a_machine_gets_notes(client, vm, state):
    if state == 'off':
        run(client, vm, 'TurnOff')
    for notes in ('first\n<second> & third', ''):
        client.call(vm, VM, 'SetNotes', 's', notes)
        assert client.get(vm, VM, 'Notes') == notes
    assert client.announced(vm, VM, 'Notes') == ['first\n<second> & third', '']


def test_nothing_is_told_twice(client, vm):
    run(client, vm, 'Save')
    run(client, vm, 'Startup')
    for _ in range(20):
        settle_signals(client)
    announced = client.announced(vm, VM, 'State')
    assert announced == [7, 2, 4, 5]


def test_many_machines_are_started_at_once(start_machines, client):
    start_machines(50, state=OFF)
    tasks = [start(client, machine_path(number), 'Startup') for number in range(50)]
    for task in tasks:
        assert client.wait_task(task)['Result'] == 0
    rows = client.call(MANAGER, 'Manager', 'ListVirtualMachines')
    assert {row[2] for row in rows} == {5}


def test_a_hypervisor_that_is_not_there_is_no_reason_to_stay_away(start_fake, client, scratch):
    start_fake(f'test://{scratch / "missing.xml"}')
    assert client.get(MANAGER, 'Manager', 'Connected') is False
    assert client.call(MANAGER, 'Manager', 'ListVirtualMachines') == []
    error = client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition('new', 7), {})
    assert error.name == 'org.virtask1.Error.HypervisorUnavailable'
    assert error.message.startswith('VM_E_UNSUPPORTED_HARDWARE (0xA0040950): ')
    (scratch / 'missing.xml').write_text(f'<node>{definition("m1", 1)}</node>', encoding='utf-8')
    client.wait_property(MANAGER, 'Manager', 'Connected', True)
    client.wait_signal('InterfacesAdded', ROOT)
    assert client.machine('m1') == machine_path(1)
