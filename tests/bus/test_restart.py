# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the next daemon knows of the tasks of the last one."""

import signal

import pytest
from fakes import ERRORS, JOB, VM, machine_path, start, wait_at
from harness import LONG, MANAGER, Client


@pytest.fixture
def gate(gates):
    return gates.add()


def test_a_task_of_a_daemon_that_was_killed_was_interrupted(daemon, client, vm, gate):
    task = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    before = client.get_all(task, 'Task')
    daemon.kill()
    daemon.start()
    values = client.wait_task(task)
    assert (values['Result'], values['ResultName']) == (8, 'thread-crash')
    assert (values['Error'], values['ErrorName']) == (0x8000FFFF, 'org.virtask1.Error.ServiceRestarted')
    assert values['ReturnValue'] == 32771
    assert client.get(task, JOB, 'JobState') == 10
    for name in ('ID', 'Description', 'Operation', 'Subject', 'SubmitTime', 'Owner', 'OwnerUid'):
        assert values[name] == before[name], name
    assert client.get(vm, VM, 'ActiveTasks') == []


def test_a_task_that_can_be_settled_goes_on_under_its_number(daemon, client, vm, gates, gate):
    task = start(client, vm, 'FakeSettle', Gate=gate)
    wait_at(client, task, gate)
    daemon.kill()
    daemon.start()
    wait_at(client, task, gate)
    assert client.get(vm, VM, 'ActiveTasks') == [task]
    assert client.error(vm, VM, 'Pause').short == 'InUse'
    waiter = client.start(task, 'Task', 'WaitForSuccess', 'i', -1)
    gates.release(gate)
    assert client.finish(waiter) == '/'
    assert client.get(task, JOB, 'JobState') == 7


def test_a_task_that_is_settled_can_be_cancelled(daemon, client, vm, gates, gate):
    task = start(client, vm, 'FakeSettle', Gate=gate)
    wait_at(client, task, gate)
    daemon.kill()
    daemon.start()
    wait_at(client, task, gate)
    client.call(task, 'Task', 'Cancel')
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 1


def test_finished_tasks_are_remembered_with_everything(daemon, client, vm):
    tasks = [start(client, vm, 'FakeSlow', Total=7)]
    client.wait_task(tasks[0])
    tasks.append(start(client, vm, 'FakeFail', Error=ERRORS['DiskFull'], Total=100))
    client.wait_task(tasks[1])
    tasks.append(start(client, vm, 'FakeSlow', Milliseconds=60000))
    client.call(tasks[2], JOB, 'RequestStateChange', 'qt', 5, 0)
    client.wait_task(tasks[2])
    client.call(tasks[0], JOB, 'SetDeleteOnCompletion', 'b', False)

    def everything(task):
        job = client.get_all(task, JOB)
        return {**client.get_all(task, 'Task'), **job, 'results': client.call(task, 'Task', 'GetResults'),
                'error': client.call(task, JOB, 'GetError')}

    before = [everything(task) for task in tasks]
    daemon.kill()
    daemon.start()
    after = [everything(task) for task in tasks]
    for old, new in zip(before, after):
        # The rate is of the moment and not remembered.
        assert {**old, 'Rate': 0} == {**new, 'Rate': 0}
    assert client.get(MANAGER, 'Manager', 'Tasks') == tasks


def test_who_waited_in_line_was_interrupted(daemon, client, vm, gates, gate):
    holder = start(client, vm, 'FakeSettle', Gate=gate)
    waiting = start(client, vm, 'FakeSettle', Gate=gate, Queue=True)
    wait_at(client, holder, gate)
    daemon.kill()
    daemon.start()
    values = client.wait_task(waiting)
    assert values['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert values['StartTime'] == 0
    gates.release(gate)
    assert client.wait_task(holder)['Result'] == 0


def test_numbers_are_never_given_again(daemon, client, vm):
    last = 0
    for round_number in range(6):
        for _ in range(3):
            task = start(client, vm, 'FakeSlow')
            number = client.get(task, 'Task', 'ID')
            assert number > last
            last = number
            client.wait_task(task)
            client.call(task, 'Task', 'Remove')
        if round_number % 2:
            daemon.kill()
            daemon.start()
        else:
            daemon.restart()


def test_a_damaged_state_directory_is_no_reason_to_stay_away(daemon, client, vm):
    task = start(client, vm, 'FakeSlow')
    client.wait_task(task)
    number = client.get(task, 'Task', 'ID')
    daemon.stop()
    directory = daemon.state / 'tasks'
    (directory / 'next-id').write_text('damaged', encoding='utf-8')
    for name, text in (('900', 'damaged'), ('901', ''), ('902', '[Task]\nOperation=vm-save\n'), ('note', 'x')):
        (directory / name).write_text(text, encoding='utf-8')
    (directory / '903').write_bytes(b'[Task]\nOperation=\xff\xfe\n')
    daemon.start()
    assert client.get(MANAGER, 'Manager', 'Tasks') == [task]
    new = start(client, client.machine('test'), 'FakeSlow')
    assert client.get(new, 'Task', 'ID') > number


def test_a_kill_at_any_moment_leaves_each_task_with_an_end(daemon, client, vm):
    for _ in range(50 if LONG else 5):
        tasks = [start(client, vm, 'FakeSlow', Milliseconds=20, Queue=True) for _ in range(5)]
        client.wait_task(tasks[1])
        daemon.kill()
        daemon.start()
        for task in tasks:
            values = client.wait_task(task)
            assert values['ResultName'] in ('success', 'thread-crash')
        assert client.get(vm, VM, 'ActiveTasks') == []


def test_an_orderly_end_cancels_what_dies_with_it(daemon, client, vm):
    task = start(client, vm, 'FakeSlow', Milliseconds=60000)
    daemon.restart()
    values = client.wait_task(task)
    assert values['ResultName'] == 'cancelled'


def test_an_orderly_end_waits_for_what_can_not_be_cancelled(daemon, client, vm, gates, gate):
    task = start(client, vm, 'FakeUncancellable', Gate=gate)
    wait_at(client, task, gate)
    daemon.terminate()
    assert client.error(vm, VM, 'Pause').short == 'ServiceShuttingDown'
    assert client.get(task, 'Task', 'IsComplete') is False
    gates.release(gate)
    assert client.wait_signal('TaskCompleted', MANAGER).arguments[1] == task
    assert daemon.process.wait() == 0
    daemon.start()
    assert client.get(task, 'Task', 'Result') == 0


def test_a_second_signal_ends_it_at_once(daemon, client, vm, gate):
    task = start(client, vm, 'FakeUncancellable', Gate=gate)
    wait_at(client, task, gate)
    daemon.terminate()
    assert client.error(vm, VM, 'Pause').short == 'ServiceShuttingDown'
    daemon.process.signal(signal.SIGTERM)
    assert daemon.process.wait() == 0
    daemon.start()
    assert client.wait_task(task)['ResultName'] == 'thread-crash'


def test_clients_see_the_name_go_and_come(daemon, client, vm):
    daemon.kill()
    client.wait_owner(owned=False)
    daemon.start()
    client.wait_owner()
    assert client.get(vm, VM, 'State') == 5


def test_a_second_daemon_does_no_harm(daemon, start_fake, client, vm, gates, gate):
    task = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    record = daemon.state / 'tasks' / str(client.get(task, 'Task', 'ID'))
    before = record.read_text(encoding='utf-8')
    second = start_fake(start=False, name='second', options=[f'--state-directory={daemon.state}'])
    second.start(ready=False)
    assert second.process.wait() != 0
    assert client.get(task, 'Task', 'IsComplete') is False
    assert record.read_text(encoding='utf-8') == before
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0
    daemon.restart()
    assert client.get(task, 'Task', 'ResultName') == 'success'


def test_a_second_daemon_with_its_own_state_does_not_get_the_name(daemon, start_fake, client, vm):
    second = start_fake(start=False, name='second')
    second.start(ready=False)
    assert second.process.wait() != 0
    assert client.get(vm, VM, 'State') == 5
    assert client.wait_task(start(client, vm, 'FakeSlow'))['Result'] == 0


def test_a_bus_that_ends_takes_the_daemon_with_it(bus, daemon, client, vm):
    bus.process.kill()
    assert daemon.process.wait() is not None


def test_machines_of_another_hypervisor_have_no_part_in_it(start_machines, bus, client, gate):
    daemon = start_machines(2)
    task = start(client, machine_path(0), 'FakeSettle', Gate=gate)
    wait_at(client, task, gate)
    daemon.kill()
    daemon.start()
    assert Client(bus).wait_task(start(client, machine_path(1), 'FakeSlow'))['Result'] == 0
    assert client.get(machine_path(0), VM, 'ActiveTasks') == [task]
