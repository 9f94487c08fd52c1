# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cancel, and ConcreteJob.RequestStateChange, which is the same in other words."""

import random

import pytest
from fakes import JOB, VM, settle_signals, start, wait_announced, wait_at
from harness import LONG, BusError

ROUNDS = 600 if LONG else 60
TERMINATE, KILL = 4, 5


@pytest.fixture
def gate(gates):
    return gates.add()


def request(client, task, state, timeout=0):
    return client.call(task, JOB, 'RequestStateChange', 'qt', state, timeout)


def assert_cancelled(client, task, job_state=8):
    values = client.wait_task(task)
    assert (values['Result'], values['ResultName']) == (1, 'cancelled')
    assert (values['Error'], values['ErrorName']) == (0x800704C7, 'org.virtask1.Error.Cancelled')
    assert values['ReturnValue'] == 32768
    assert values['PercentCompleted'] < 100
    assert client.get(task, JOB, 'JobState') == job_state


def test_a_running_task_is_cancelled(client, vm):
    task = start(client, vm, 'FakeSlow', Milliseconds=60000)
    client.call(task, 'Task', 'Cancel')
    assert_cancelled(client, task)


def test_the_task_is_cancelled_only_when_it_has_come_home(client, vm, gates, gate):
    task = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    client.call(task, 'Task', 'Cancel')
    values = client.get_all(task, 'Task')
    assert (values['IsComplete'], values['IsCancelable'], values['StatusText']) in \
        [(False, True, 'cancelling'), (False, False, 'cancelling')]
    assert client.get(task, JOB, 'JobState') == 6
    assert client.get(vm, VM, 'ActiveTasks') == [task]
    gates.release(gate)
    assert_cancelled(client, task)


def test_to_cancel_twice_is_fine(client, vm, gates, gate):
    task = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    client.call(task, 'Task', 'Cancel')
    client.call(task, 'Task', 'Cancel')
    gates.release(gate)
    assert_cancelled(client, task)


def test_a_finished_task_is_complete_already(client, vm):
    task = start(client, vm, 'FakeSlow')
    client.wait_task(task)
    error = client.error(task, 'Task', 'Cancel')
    assert error.name == 'org.virtask1.Error.AlreadyComplete'
    assert error.message.startswith('AlreadyComplete (0x80004005): ')
    assert client.get(task, 'Task', 'Result') == 0


def test_after_the_commit_it_is_too_late(client, vm, gates, gate):
    task = start(client, vm, 'FakeCommit', Second=gate)
    wait_at(client, task, gate)
    assert client.get(task, 'Task', 'IsCancelable') is False
    wait_announced(client, task, 'Task', 'IsCancelable', False)
    error = client.error(task, 'Task', 'Cancel')
    assert error.name == 'org.virtask1.Error.NotCancelable'
    assert error.message.startswith('NotCancelable (0x80004005): ')
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0


def test_before_the_commit_it_is_not(client, vm, gates, gate):
    task = start(client, vm, 'FakeCommit', Gate=gate)
    wait_at(client, task, gate)
    client.call(task, 'Task', 'Cancel')
    assert_cancelled(client, task)


def test_what_can_not_be_cancelled_goes_on(client, vm, gates, gate):
    task = start(client, vm, 'FakeUncancellable', Gate=gate)
    wait_at(client, task, gate)
    assert client.get(task, 'Task', 'IsCancelable') is False
    assert client.error(task, 'Task', 'Cancel').name == 'org.virtask1.Error.NotCancelable'
    assert request(client, task, TERMINATE) == 4097
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0


def test_a_task_in_line_is_cancelled_at_once(client, vm, gates, gate):
    holder = start(client, vm, 'FakeStuck', Gate=gate)
    waiting = start(client, vm, 'FakeUncancellable', Queue=True)
    values = client.get_all(waiting, 'Task')
    assert (values['StatusText'], values['IsCancelable'], values['StartTime']) == ('queued', True, 0)
    assert client.get(waiting, JOB, 'JobState') == 3
    client.call(waiting, 'Task', 'Cancel')
    assert_cancelled(client, waiting)
    assert client.get(waiting, 'Task', 'StartTime') == 0
    assert client.get(holder, 'Task', 'IsComplete') is False


def test_a_task_that_waits_for_a_thread_is_cancelled_at_once(start_machines, client, gates, gate):
    start_machines(3, config={'BlockingCalls': 2})
    machines = [client.machine(f'm{number}') for number in range(3)]
    for machine in machines[:2]:
        start(client, machine, 'FakeStuck', Gate=gate)
    waiting = start(client, machines[2], 'FakeStuck', Gate=gate)
    assert client.get(waiting, 'Task', 'StatusText') == 'queued'
    client.call(waiting, 'Task', 'Cancel')
    assert_cancelled(client, waiting)


def test_a_job_is_terminated(client, vm):
    task = start(client, vm, 'FakeSlow', Milliseconds=60000)
    assert request(client, task, TERMINATE) == 4096
    assert_cancelled(client, task)


def test_a_killed_job_has_another_state(client, vm):
    task = start(client, vm, 'FakeSlow', Milliseconds=60000)
    assert request(client, task, KILL) == 4096
    assert_cancelled(client, task, job_state=9)


def test_a_finished_job_does_not_change(client, vm):
    task = start(client, vm, 'FakeSlow')
    client.wait_task(task)
    assert request(client, task, TERMINATE) == 4097
    assert request(client, task, KILL) == 4097
    assert client.get(task, JOB, 'JobState') == 7


def test_other_changes_are_refused_with_their_numbers(client, vm, gates, gate):
    task = start(client, vm, 'FakeStuck', Gate=gate)
    assert [request(client, task, state) for state in (2, 3, 6)] == [1, 1, 1]
    assert [request(client, task, state) for state in (0, 1, 7, 65535)] == [5, 5, 5, 5]
    assert request(client, task, TERMINATE, timeout=1) == 4098
    settle_signals(client)
    assert client.get(task, JOB, 'JobState') == 4


@pytest.mark.parametrize('member', ['FakeSlow', 'FakeCommit'])
def test_cancel_at_random_moments_tells_the_truth(client, vm, member):
    seed = random.randrange(2 ** 32)
    chance = random.Random(seed)
    print(f'seed {seed}')
    ends = {'cancelled': 0, 'success': 0}
    for _ in range(ROUNDS):
        task = start(client, vm, member, Milliseconds=5, Total=100)
        # At once as well as late, whatever a turn takes here.
        for _ in range(chance.choice([0, 1, 2, chance.randrange(120)])):
            settle_signals(client)
        try:
            client.call(task, 'Task', 'Cancel')
            accepted = True
        except BusError as error:
            assert error.short in ('NotCancelable', 'AlreadyComplete')
            accepted = False
        values = client.wait_task(task)
        ends[values['ResultName']] += 1
        if not accepted:
            assert values['Result'] == 0
        elif member == 'FakeCommit':
            assert values['Result'] == 1
        assert (values['PercentCompleted'] == 100) == (values['Result'] == 0)
        assert client.get(vm, VM, 'ActiveTasks') == []
    assert ends['cancelled'] > 0 and ends['success'] > 0, ends
