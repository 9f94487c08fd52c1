# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who holds a machine, who waits for it, and how many may."""

import os
import time

import pytest
from fakes import JOB, VM, begin, machine_path, refuse, settle_signals, start, wait_at
from harness import MANAGER, Client

OWN_LIMIT = 'TasksRoot' if os.geteuid() == 0 else 'TasksPerUser'
OWN_LIMIT_PRESET = 256 if os.geteuid() == 0 else 32

# So many threads has each lane; FakeBlockQuery takes one for long calls and one for questions.
LONG_THREADS, SHORT_THREADS, URGENT_THREADS = 8, 4, 2


@pytest.fixture
def gate(gates):
    return gates.add()


def test_a_busy_machine_is_in_use_and_the_text_names_the_task(client, vm, gate):
    holder = start(client, vm, 'FakeStuck', Gate=gate)
    for member in ('FakeSlow', 'Save', 'TurnOff', 'Reset'):
        error = refuse(client, vm, member)
        assert error.name == 'org.virtask1.Error.InUse'
        assert error.message.startswith('InUse (0x800700AA): ')
        assert holder in error.message
    assert client.error(vm, VM, 'Pause').short == 'InUse'
    assert client.get(MANAGER, 'Manager', 'Tasks') == [holder]


def test_an_operation_without_a_task_holds_the_machine_too(client, vm, gates, gate):
    call = begin(client, vm, 'FakeImmediate', Gate=gate)
    client.wait_property(vm, VM, 'State', 7)
    error = refuse(client, vm, 'FakeSlow')
    assert error.short == 'InUse'
    assert 'Faking test is in progress' in error.message
    gates.release(gate)
    assert client.finish(call) is None


def test_another_machine_is_free(start_machines, client, gates, gate):
    start_machines(2)
    start(client, machine_path(0), 'FakeStuck', Gate=gate)
    assert client.wait_task(start(client, machine_path(1), 'FakeSlow'))['Result'] == 0


def test_tasks_in_line_run_in_their_order(client, vm, gates):
    mine = [gates.add() for _ in range(4)]
    tasks = [start(client, vm, 'FakeStuck', Gate=mine[0])]
    tasks += [start(client, vm, 'FakeStuck', Gate=gate, Queue=True) for gate in mine[1:]]
    assert client.get(vm, VM, 'ActiveTasks') == tasks
    for task in tasks[1:]:
        assert client.get(task, 'Task', 'StatusText') == 'queued'
        assert client.get(task, JOB, 'JobState') == 3
    for position, (task, gate) in enumerate(zip(tasks, mine)):
        wait_at(client, task, gate)
        assert client.get(vm, VM, 'ActiveTasks') == tasks[position:]
        gates.release(gate)
        assert client.wait_task(task)['Result'] == 0
    completed = [signal.arguments[1] for signal in client.signals if signal.member == 'TaskCompleted']
    assert completed == tasks


def test_who_waited_may_find_that_the_state_is_another(client, vm, gates, gate):
    start(client, vm, 'FakeStuck', Gate=gate)
    off = start(client, vm, 'TurnOff', Queue=True)
    save = start(client, vm, 'Save', Queue=True)
    gates.release(gate)
    assert client.wait_task(off)['Result'] == 0
    values = client.wait_task(save)
    assert (values['Result'], values['ErrorName']) == (2, 'org.virtask1.Error.NotRunning')
    assert values['StartTime'] == 0


def test_the_machine_of_who_waits_may_vanish(start_machines, client, gates, gate):
    start_machines(1, state=5)
    vm = machine_path(0)
    start(client, vm, 'FakeStuck', Gate=gate)
    delete = start(client, vm, 'Delete', Queue=True)
    last = start(client, vm, 'FakeSlow', Queue=True)
    gates.release(gate)
    assert client.wait_task(delete)['Result'] == 0
    assert client.wait_task(last)['ErrorName'] == 'org.virtask1.Error.NoSuchVirtualMachine'


def test_force_turns_a_machine_off_under_a_stuck_task(client, vm, gates, gate):
    holder = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, holder, gate)
    off = start(client, vm, 'TurnOff', Force=True)
    assert client.wait_task(off)['Result'] == 0
    assert client.get(vm, VM, 'State') == 1
    assert client.get(holder, JOB, 'JobState') == 6
    gates.release(gate)
    values = client.wait_task(holder)
    assert values['Result'] == 1
    assert client.get(holder, JOB, 'JobState') == 9
    assert 'force' in ' '.join(text for _, _, text in client.call(holder, 'Task', 'GetLog', 'u', 0))
    assert client.get(vm, VM, 'ActiveTasks') == []


def test_force_works_under_a_task_that_can_not_be_cancelled(client, vm, gates, gate):
    holder = start(client, vm, 'FakeUncancellable', Gate=gate)
    wait_at(client, holder, gate)
    assert client.wait_task(start(client, vm, 'TurnOff', Force=True))['Result'] == 0
    gates.release(gate)
    assert client.wait_task(holder)['Result'] == 0


def test_force_works_when_every_thread_for_operations_is_stuck(start_machines, client, gate):
    start_machines(LONG_THREADS + SHORT_THREADS)
    for number in range(LONG_THREADS):
        start(client, machine_path(number), 'FakeBlockQuery', Gate=gate, Second=gate, Total=1)
    for number in range(LONG_THREADS, LONG_THREADS + SHORT_THREADS):
        start(client, machine_path(number), 'FakeShortStuck', Gate=gate)
    for number in (0, LONG_THREADS):
        assert client.wait_task(start(client, machine_path(number), 'TurnOff', Force=True))['Result'] == 0


def test_a_full_lane_does_not_hold_up_the_others(start_machines, client, gates, gate):
    start_machines(LONG_THREADS + 2)
    tasks = [start(client, machine_path(number), 'FakeStuck', Gate=gate) for number in range(LONG_THREADS + 1)]
    assert client.get(tasks[-1], 'Task', 'StatusText') == 'queued'
    assert client.get(machine_path(LONG_THREADS), VM, 'ActiveTasks') == [tasks[-1]]
    other = machine_path(LONG_THREADS + 1)
    assert client.wait_task(start(client, other, 'Reset'))['Result'] in (0, 2)
    client.call(other, VM, 'Pause')
    assert client.get(other, VM, 'State') == 6
    gates.release(gate)
    client.wait_property(tasks[-1], 'Task', 'StatusText', f'at gate {gate}')


def test_a_question_that_hangs_does_not_hold_up_the_end(client, vm, gates, gate):
    second = gates.add()
    task = start(client, vm, 'FakeBlockQuery', Gate=gate, Second=second, Total=10)
    wait_at(client, task, gate)
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0
    gates.release(second)
    settle_signals(client)
    assert client.get(task, 'Task', 'PercentCompleted') == 100


def test_reads_answer_while_every_thread_is_stuck(start_machines, client, gate):
    """Each read within 100 ms, while operations, short ones, forced ones and questions all hang."""
    start_machines(LONG_THREADS + SHORT_THREADS + URGENT_THREADS)
    numbers = iter(range(LONG_THREADS + SHORT_THREADS + URGENT_THREADS))
    tasks = [start(client, machine_path(next(numbers)), 'FakeBlockQuery', Gate=gate, Second=gate, Total=1)
             for _ in range(LONG_THREADS)]
    tasks += [start(client, machine_path(next(numbers)), 'FakeShortStuck', Gate=gate) for _ in range(SHORT_THREADS)]
    tasks += [start(client, machine_path(next(numbers)), 'FakeStuck', Gate=gate, Force=True) for _ in range(URGENT_THREADS)]
    for task in tasks:
        wait_at(client, task, gate)
    # The timer asks every 100 ms for the progress.
    client.call(tasks[0], 'Task', 'WaitForCompletion', 'i', 300)

    reads = [
        lambda: client.get(machine_path(0), VM, 'State'),
        lambda: client.get_all(machine_path(0), VM),
        lambda: client.get(tasks[0], 'Task', 'PercentCompleted'),
        lambda: client.get_all(tasks[0], 'Task'),
        client.objects,
        lambda: client.call(MANAGER, 'Manager', 'ListVirtualMachines'),
        lambda: client.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {}),
        lambda: client.machine('m0'),
        lambda: client.call(tasks[0], 'Task', 'GetLog', 'u', 0),
        lambda: client.call(tasks[0], 'Task', 'WaitForCompletion', 'i', 0),
        lambda: refuse(client, machine_path(0), 'Save'),
    ]
    for read in reads:
        times = []
        for _ in range(20):
            begun = time.monotonic()
            read()
            times.append(time.monotonic() - begun)
        # One in twenty may be the fault of the computer.
        assert sorted(times)[-2] < 0.1


def test_a_user_has_only_so_many_unfinished_tasks(client, vm, gates, gate):
    for _ in range(OWN_LIMIT_PRESET):
        last = start(client, vm, 'FakeStuck', Gate=gate, Queue=True)
    for member in ('FakeSlow', 'Save'):
        error = refuse(client, vm, member, Queue=True)
        assert error.name == 'org.freedesktop.DBus.Error.LimitsExceeded'
        assert error.message.startswith('VM_E_OUT_OF_RESOURCE (0xA0040203): ')
    client.call(last, 'Task', 'Cancel')
    start(client, vm, 'FakeStuck', Gate=gate, Queue=True)


def test_the_limit_is_a_setting(start_fake, client, gate):
    start_fake(config={OWN_LIMIT: 2})
    vm = client.machine('test')
    for _ in range(2):
        start(client, vm, 'FakeStuck', Gate=gate, Queue=True)
    assert refuse(client, vm, 'FakeStuck', Queue=True).short == 'LimitsExceeded'
    assert client.error(vm, VM, 'Pause').short == 'LimitsExceeded'


@pytest.mark.root
def test_an_ordinary_user_has_fewer(bus, start_fake, gate):
    start_fake(user='nobody')
    client = Client(bus, user='nobody')
    vm = client.machine('test')
    for _ in range(32):
        start(client, vm, 'FakeStuck', Gate=gate, Queue=True)
    assert refuse(client, vm, 'FakeStuck', Queue=True).short == 'LimitsExceeded'
    start(Client(bus), vm, 'FakeStuck', Gate=gate, Queue=True)
