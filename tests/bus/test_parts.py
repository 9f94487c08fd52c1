# SPDX-License-Identifier: LGPL-2.1-or-later
"""A task with parts: one on each machine of a collection."""

import pytest
from fakes import JOB, VM, collection_file, machine_path, options, refuse, settle_signals, uuid_of, wait_at
from harness import MANAGER, ROOT

COLLECTION = 'Collection'
N = 3


@pytest.fixture
def group(scratch, start_machines):
    """A collection of N machines."""
    path = collection_file(scratch.directory('virtaskd.state'), 100, 'group', [uuid_of(number) for number in range(N)])
    start_machines(N)
    return path


def begin(client, group, **values):
    return client.start(group, COLLECTION, 'FakeTogether', 'a{sv}', options(**values))


def start(client, group, **values):
    """Starts it; answers the whole and its parts."""
    whole = client.finish(begin(client, group, **values))
    return whole, client.get(whole, 'Task', 'SubTasks')


def test_all_are_announced_before_the_reply(client, group, gates):
    call = begin(client, group, Gate=gates.add())
    whole = client.finish(call)
    added = [signal for signal in client.signals if signal.member == 'InterfacesAdded' and signal.index < call.index]
    tasks = {signal.arguments[0]: signal.arguments[1]['org.virtask1.Task'] for signal in added}
    parts = tasks[whole]['SubTasks']
    assert len(parts) == N
    assert set(tasks) == {whole, *parts}
    assert tasks[whole]['Parent'] == '/'
    assert [tasks[part]['Parent'] for part in parts] == [whole] * N
    assert [tasks[part]['Subject'] for part in parts] == [machine_path(number) for number in range(N)]
    assert tasks[whole]['Subject'] == group


def test_a_part_can_not_be_cancelled(client, group, gates):
    gate = gates.add()
    whole, parts = start(client, group, Gate=gate)
    wait_at(client, parts[0], gate)
    for part in parts:
        assert client.get(part, 'Task', 'IsCancelable') is False
        assert client.get(part, JOB, 'Cancellable') is False
        assert client.error(part, 'Task', 'Cancel').short == 'NotCancelable'
    client.call(whole, 'Task', 'Cancel')
    for task in [*parts, whole]:
        assert client.wait_task(task)['ResultName'] == 'cancelled'


def test_every_machine_is_held(client, group, gates):
    gate = gates.add()
    _, parts = start(client, group, Gate=gate)
    wait_at(client, parts[0], gate)
    assert [client.get(machine_path(number), VM, 'ActiveTasks') for number in range(N)] == [[part] for part in parts]
    assert refuse(client, machine_path(N - 1), 'FakeSlow').short == 'InUse'


def test_a_part_is_not_removed_before_the_whole_has_ended(client, group, gates):
    gate = gates.add()
    whole, parts = start(client, group, Gate=gate)
    gates.release(gate)
    client.wait_task(parts[0])
    assert client.error(parts[0], 'Task', 'Remove').short == 'InUse'
    gates.release(gate, N)
    client.wait_task(whole)
    client.call(parts[0], 'Task', 'Remove')


def test_the_percent_of_the_whole_never_falls(client, group):
    whole, parts = start(client, group, Total=1000, Milliseconds=500)
    client.wait_task(whole)
    settle_signals(client)
    percents = client.announced(whole, 'Task', 'PercentCompleted')
    assert percents == sorted(percents)
    assert len(percents) > 2
    assert percents[-1] == 100
    assert [client.get(part, 'Task', 'PercentCompleted') for part in parts] == [100] * N


def test_the_parts_end_before_the_whole(client, group):
    whole, parts = start(client, group)
    client.wait_task(whole)
    settle_signals(client)
    ends = [signal.path for signal in client.signals if signal.member == 'Completed' and signal.path.startswith(f'{ROOT}/task/')]
    told = [signal.arguments[0] for signal in client.signals if signal.member == 'TaskCompleted' and signal.path == MANAGER]
    assert ends == [*parts, whole]
    assert [f'{ROOT}/task/{task}' for task in told] == ends
