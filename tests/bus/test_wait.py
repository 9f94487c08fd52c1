# SPDX-License-Identifier: LGPL-2.1-or-later
"""WaitForCompletion and WaitForSuccess."""

import time

import pytest
from fakes import ERRORS, settle_signals, start, wait_at
from harness import Client

WAITERS = 16


@pytest.fixture
def gate(gates):
    return gates.add()


@pytest.fixture
def task(client, vm, gate):
    made = start(client, vm, 'FakeSlow', Gate=gate)
    wait_at(client, made, gate)
    return made


def wait_for(client, task, method, timeout):
    return client.start(task, 'Task', method, 'i', timeout)


def test_no_time_answers_at_once(client, task):
    assert client.call(task, 'Task', 'WaitForCompletion', 'i', 0) is False
    assert client.error(task, 'Task', 'WaitForSuccess', 'i', 0).name == 'org.virtask1.Error.TimedOut'


@pytest.mark.parametrize('timeout', [0, 1, 4000000, -1])
def test_a_finished_task_answers_at_once(client, vm, timeout):
    task = start(client, vm, 'FakeSlow')
    client.wait_task(task)
    assert client.call(task, 'Task', 'WaitForCompletion', 'i', timeout) is True
    assert client.call(task, 'Task', 'WaitForSuccess', 'i', timeout) == '/'


@pytest.mark.parametrize('timeout', [4000000, -1])
def test_the_end_answers(client, task, gates, gate, timeout):
    completion = wait_for(client, task, 'WaitForCompletion', timeout)
    success = wait_for(client, task, 'WaitForSuccess', timeout)
    settle_signals(client)
    assert not completion.done and not success.done
    gates.release(gate)
    assert client.finish(completion) is True
    assert client.finish(success) == '/'


@pytest.mark.parametrize('timeout', [-2, 4000001, -2 ** 31, 2 ** 31 - 1])
@pytest.mark.parametrize('method', ['WaitForCompletion', 'WaitForSuccess'])
def test_another_time_is_not_valid(client, task, method, timeout):
    error = client.error(task, 'Task', method, 'i', timeout)
    assert error.name == 'org.virtask1.Error.InvalidArgument'
    assert error.message.startswith('E_INVALIDARG (0x80070057): ')


def test_the_time_ends_the_wait(client, task):
    begun = time.monotonic()
    assert client.call(task, 'Task', 'WaitForCompletion', 'i', 100) is False
    assert 0.1 <= time.monotonic() - begun < 5
    error = client.error(task, 'Task', 'WaitForSuccess', 'i', 100)
    assert error.name == 'org.virtask1.Error.TimedOut'
    assert error.message.startswith('VM_E_TIMED_OUT (0xA0040202): ')
    assert client.get(task, 'Task', 'IsComplete') is False


def test_a_failure_is_the_error_of_the_wait(client, vm):
    task = start(client, vm, 'FakeFail', Milliseconds=100, Error=ERRORS['DiskFull'])
    error = client.error(task, 'Task', 'WaitForSuccess', 'i', -1)
    assert error.name == 'org.virtask1.Error.DiskFull'
    assert error.message == 'DiskFull (0x80070070): failed as ordered'
    assert client.call(task, 'Task', 'WaitForCompletion', 'i', -1) is True


def test_a_cancelled_task_is_the_error_of_the_wait(client, task):
    wait = wait_for(client, task, 'WaitForSuccess', -1)
    client.call(task, 'Task', 'Cancel')
    client.wait(lambda: wait.done)
    assert wait.error.name == 'org.virtask1.Error.Cancelled'


def test_the_seventeenth_waiter_is_refused(client, task, gates, gate):
    waits = [wait_for(client, task, 'WaitForCompletion', -1) for _ in range(WAITERS)]
    error = client.error(task, 'Task', 'WaitForSuccess', 'i', -1)
    assert error.name == 'org.freedesktop.DBus.Error.LimitsExceeded'
    gates.release(gate)
    assert [client.finish(wait) for wait in waits] == [True] * WAITERS


def test_a_waiter_who_leaves_makes_room(bus, client, task, gates, gate):
    other = Client(bus)
    for _ in range(WAITERS):
        wait_for(other, task, 'WaitForCompletion', -1)
    settle_signals(other)
    assert client.error(task, 'Task', 'WaitForCompletion', 'i', -1).short == 'LimitsExceeded'
    other.close()
    client.wait_signal('NameOwnerChanged', where=lambda signal: not signal.arguments[2])
    settle_signals(client)
    wait = wait_for(client, task, 'WaitForCompletion', -1)
    gates.release(gate)
    assert client.finish(wait) is True


def test_many_waiters_may_come_and_go(bus, client, task, gates, gate):
    for _ in range(10):
        other = Client(bus)
        for _ in range(WAITERS):
            wait_for(other, task, 'WaitForSuccess', 4000000)
        settle_signals(other)
        other.close()
        settle_signals(client)
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0


def test_the_starter_may_leave(bus, client, vm, gates, gate):
    other = Client(bus)
    task = start(other, vm, 'FakeSlow', Gate=gate)
    other.close()
    wait_at(client, task, gate)
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0
