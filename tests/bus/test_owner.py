# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the rule "owner" allows to whom: the daemon's own user and root may do everything, all may read."""

import pytest
from fakes import JOB, VM, options, refuse, start
from harness import MANAGER, Client

pytestmark = pytest.mark.root


@pytest.fixture
def nobody(bus):
    return Client(bus, user='nobody')


@pytest.fixture
def task(client, vm):
    made = start(client, vm, 'FakeSlow', Total=1)
    client.wait_task(made)
    return made


def assert_denied(error):
    assert error.name == 'org.freedesktop.DBus.Error.AccessDenied'
    assert error.message.startswith('E_ACCESSDENIED (0x80070005): ')


def test_others_may_read(nobody, vm, task):
    assert nobody.get(vm, VM, 'State') == 5
    assert nobody.get(task, 'Task', 'Result') == 0
    assert {vm, task} <= set(nobody.objects())
    assert nobody.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {})
    assert nobody.call(task, 'Task', 'WaitForCompletion', 'i', 0) is True
    assert nobody.call(task, JOB, 'GetError') == {}


def test_others_may_not_operate(nobody, vm):
    for member in ('Save', 'TurnOff', 'Reset', 'Startup', 'FakeSlow'):
        assert_denied(refuse(nobody, vm, member))
    for member in ('Pause', 'Resume', 'DiscardSavedState', 'Unregister'):
        assert_denied(nobody.error(vm, VM, member))
    assert_denied(nobody.error(vm, VM, 'SetName', 's', 'other'))
    assert_denied(nobody.error(vm, VM, 'RequestStateChange', 'qa{sv}', 6, {}))


def test_a_denial_does_not_depend_on_the_state(client, nobody, vm, gates):
    start(client, vm, 'FakeStuck', Gate=gates.add())
    assert_denied(refuse(nobody, vm, 'Save'))


def test_arguments_are_checked_first(nobody, vm):
    assert refuse(nobody, vm, 'Save', Colour=1).short == 'InvalidArgument'


def test_others_may_not_end_or_forget_a_task(client, nobody, vm, gates, task):
    running = start(client, vm, 'FakeStuck', Gate=gates.add())
    assert_denied(nobody.error(running, 'Task', 'Cancel'))
    assert_denied(nobody.error(running, JOB, 'RequestStateChange', 'qt', 4, 0))
    assert_denied(nobody.error(task, 'Task', 'Remove'))
    assert_denied(nobody.error(task, JOB, 'SetDeleteOnCompletion', 'b', False))
    assert client.get(running, JOB, 'JobState') == 4


def test_the_log_and_the_results_are_not_for_others(client, nobody, task):
    assert_denied(nobody.error(task, 'Task', 'GetLog', 'u', 0))
    assert_denied(nobody.error(task, 'Task', 'GetResults'))
    assert client.call(task, 'Task', 'GetResults') == {'Counted': '1'}


def test_root_may_see_and_end_what_others_started(bus, start_fake, client, gates):
    start_fake(user='nobody')
    nobody = Client(bus, user='nobody')
    vm = nobody.machine('test')
    gate = gates.add()
    task = start(nobody, vm, 'FakeSlow', Gate=gate)
    assert nobody.get(task, 'Task', 'Owner') == 'nobody'
    assert nobody.get(task, 'Task', 'OwnerUid') == 65534
    client.call(task, 'Task', 'GetLog', 'u', 0)
    client.call(task, 'Task', 'Cancel')
    assert nobody.wait_task(task)['Result'] == 1
    assert nobody.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', options(OwnerUid=65534))
    assert nobody.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', options(OwnerUid=0)) == []
