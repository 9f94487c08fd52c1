# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a finished task is remembered."""

import pytest
from fakes import JOB, settle_signals, start, wait_announced
from harness import LONG, MANAGER, ROOT, BusError

KEPT_PER_USER = 64


def removals(client):
    return [signal.arguments for signal in client.signals if signal.member == 'InterfacesRemoved']


def finish_one(client, vm):
    task = start(client, vm, 'FakeSlow', Total=1)
    client.wait_task(task)
    return task


def keep(client, task, value=True):
    client.call(task, JOB, 'SetDeleteOnCompletion', 'b', not value)


def test_a_finished_task_stays(client, vm):
    task = finish_one(client, vm)
    settle_signals(client)
    assert removals(client) == []
    assert client.get(MANAGER, 'Manager', 'TaskRetentionUSec') == 300 * 10 ** 6
    assert client.get(task, JOB, 'TimeBeforeRemoval') == 300 * 10 ** 6


def test_the_longest_retention_is_a_day(start_fake, client):
    start_fake(config={'TaskRetentionSec': 86400})
    task = finish_one(client, client.machine('test'))
    settle_signals(client)
    assert client.get(task, JOB, 'TimeBeforeRemoval') == 86400 * 10 ** 6


def test_its_time_ends_with_one_signal(start_fake, client):
    start_fake(config={'TaskRetentionSec': 1})
    task = finish_one(client, client.machine('test'))
    removed = client.wait_signal('InterfacesRemoved', ROOT).arguments
    assert removed[0] == task
    assert set(removed[1]) == {'org.virtask1.Task', 'org.virtask1.ConcreteJob'}
    assert client.error(task, 'Task', 'Cancel').name == 'org.freedesktop.DBus.Error.UnknownObject'
    assert client.get(MANAGER, 'Manager', 'Tasks') == []
    assert len(removals(client)) == 1


def test_a_finished_task_can_be_removed(client, vm):
    task = finish_one(client, vm)
    number = client.get(task, 'Task', 'ID')
    client.call(task, 'Task', 'Remove')
    settle_signals(client)
    assert [path for path, _ in removals(client)] == [task]
    assert client.error(MANAGER, 'Manager', 'GetTask', 'u', number).name == 'org.virtask1.Error.NoSuchTask'
    assert task not in client.objects()


def test_an_unfinished_task_can_not_be_removed(client, vm, gates):
    task = start(client, vm, 'FakeStuck', Gate=gates.add())
    assert client.error(task, 'Task', 'Remove').name == 'org.virtask1.Error.InUse'


def test_a_kept_task_stays_until_it_is_kept_no_more(start_fake, client):
    start_fake(config={'TaskRetentionSec': 1})
    vm = client.machine('test')
    kept = finish_one(client, vm)
    keep(client, kept)
    assert client.get(kept, JOB, 'DeleteOnCompletion') is False
    other = finish_one(client, vm)
    client.wait_signal('InterfacesRemoved', ROOT)
    assert [path for path, _ in removals(client)] == [other]
    keep(client, kept, False)
    client.wait_signal('InterfacesRemoved', ROOT, where=lambda signal: signal.arguments[0] == kept)


def test_a_running_task_can_be_kept(client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeSlow', Gate=gate)
    keep(client, task)
    wait_announced(client, task, JOB, 'DeleteOnCompletion', False)
    gates.release(gate)
    client.wait_task(task)
    assert client.get(task, JOB, 'DeleteOnCompletion') is False


def test_a_user_keeps_only_so_many(client, vm):
    for _ in range(KEPT_PER_USER):
        keep(client, finish_one(client, vm))
    task = finish_one(client, vm)
    error = client.error(task, JOB, 'SetDeleteOnCompletion', 'b', False)
    assert error.name == 'org.freedesktop.DBus.Error.LimitsExceeded'
    assert client.get(task, JOB, 'DeleteOnCompletion') is True


def test_the_oldest_of_six_hundred_are_forgotten(client, vm):
    tasks = [finish_one(client, vm) for _ in range(600)]
    settle_signals(client)
    assert client.get(MANAGER, 'Manager', 'Tasks') == tasks[-512:]
    assert [path for path, _ in removals(client)] == tasks[:-512]


@pytest.mark.parametrize('limit', [1, 3])
def test_the_count_is_a_setting(start_fake, client, limit):
    start_fake(config={'FinishedTasks': limit})
    vm = client.machine('test')
    tasks = [finish_one(client, vm) for _ in range(5)]
    assert client.get(MANAGER, 'Manager', 'Tasks') == tasks[-limit:]


def test_a_task_that_vanishes_under_its_readers_is_an_error_and_no_harm(start_fake, client):
    start_fake(config={'FinishedTasks': 1})
    vm = client.machine('test')
    for _ in range(500 if LONG else 50):
        first = finish_one(client, vm)
        calls = [client.start(first, 'Task', 'WaitForSuccess', 'i', -1), client.start(first, 'Task', 'Remove'),
                 client.start(first, 'Task', 'GetLog', 'u', 0), client.start(first, 'Task', 'Remove')]
        for call in calls:
            try:
                client.finish(call)
            except BusError as error:
                assert error.name == 'org.freedesktop.DBus.Error.UnknownObject'
