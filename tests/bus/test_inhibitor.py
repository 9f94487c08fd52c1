# SPDX-License-Identifier: LGPL-2.1-or-later
"""The computer does not sleep or go down while a task changes data. logind is the real one."""

import fakes
import pytest
from fakes import settle_signals, start
from harness import Client, Logind

pytestmark = pytest.mark.root


@pytest.fixture
def logind(scratch, bus):
    return Logind(scratch, bus)


def test_one_lock_while_data_is_changed(logind, client, vm, daemon, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeSettle', Gate=gate)
    assert logind.wait_locks(1) == [({'sleep', 'shutdown'}, 'Data of virtual machines is being changed', 'block', daemon.pid)]
    gates.release(gate)
    assert client.wait_task(task)['Result'] == 0
    logind.wait_locks(0)


def test_it_is_one_for_all_tasks_and_is_kept_for_the_last(logind, client, start_machines, gates):
    start_machines(2)
    machines = [fakes.machine_path(number) for number in range(2)]
    gate, other = gates.add(), gates.add()
    tasks = [start(client, machine, 'FakeSettle', Gate=number) for machine, number in zip(machines, (gate, other))]
    assert len(logind.wait_locks(1)) == 1
    gates.release(gate)
    client.wait_task(tasks[0])
    assert len(logind.locks()) == 1
    gates.release(other)
    client.wait_task(tasks[1])
    logind.wait_locks(0)


def test_what_changes_no_data_takes_none(logind, client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeStuck', Gate=gate)
    settle_signals(client)
    assert logind.locks() == []
    gates.release(gate)
    client.wait_task(task)
    assert logind.locks() == []


def test_a_task_that_is_over_before_logind_answers(logind, client, vm, gates):
    gate = gates.add()
    gates.release(gate, 50)
    for _ in range(50):
        client.wait_task(start(client, vm, 'FakeSettle', Gate=gate))
    logind.wait_locks(0)


def test_it_ends_with_the_service_and_comes_back_with_it(logind, client, vm, daemon, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeSettle', Gate=gate)
    logind.wait_locks(1)
    daemon.kill()
    logind.wait_locks(0)
    daemon.start()
    assert logind.wait_locks(1)[0][3] == daemon.pid
    gates.release(gate)
    client.wait_task(task)
    logind.wait_locks(0)


def test_without_logind_tasks_run(client, vm, gates):
    gate = gates.add()
    gates.release(gate)
    assert client.wait_task(start(client, vm, 'FakeSettle', Gate=gate))['Result'] == 0


def test_one_that_does_not_answer_delays_nobody(bus, client, vm, gates):
    deaf = Client(bus)  # takes its messages only while one of its methods runs
    deaf.bus_call('RequestName', 'su', 'org.freedesktop.login1', 0)
    gate = gates.add()
    gates.release(gate)
    assert client.wait_task(start(client, vm, 'FakeSettle', Gate=gate))['Result'] == 0
