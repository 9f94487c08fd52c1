# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a task promises from its beginning to its end."""

import time

import pytest
from fakes import ERRORS, JOB, VM, begin, settle_signals, start, wait_at
from harness import MANAGER, ROOT

PERCENT = 'PercentCompleted'


def signals_of(client, path, member='PropertiesChanged'):
    return [signal for signal in client.signals if signal.path == path and signal.member == member]


def changes_of(client, path, interface):
    return [signal for signal in signals_of(client, path) if signal.arguments[0] == f'org.virtask1.{interface}']


def test_a_task_is_announced_before_the_reply(client, vm, gates):
    call = begin(client, vm, 'FakeSlow', Gate=gates.add())
    task = client.finish(call)
    added = client.wait_signal('InterfacesAdded', ROOT)
    assert added.index < call.index
    path, interfaces = added.arguments
    assert path == task
    assert set(interfaces) >= {'org.virtask1.Task', 'org.virtask1.ConcreteJob'}
    assert interfaces['org.virtask1.Task']['IsComplete'] is False


def test_the_first_value_of_every_property_is_announced_with_the_task(client, vm, gates):
    task = start(client, vm, 'FakeSlow', Gate=gates.add())
    added = client.wait_signal('InterfacesAdded', ROOT).arguments[1]
    assert set(added['org.virtask1.Task']) == set(client.get_all(task, 'Task'))
    assert set(added['org.virtask1.ConcreteJob']) == set(client.get_all(task, JOB))


def test_an_unfinished_task_is_running(client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    values = client.get_all(task, 'Task')
    assert (values['Result'], values['ResultName'], values['ReturnValue']) == (0, 'running', 4096)
    assert (values['Error'], values['ErrorName'], values['ErrorDescription']) == (0, '', '')
    assert (values['Operation'], values['Subject'], values['Objects']) == ('fake-stuck', vm, [vm])
    assert values['Description'] == 'Faking test'
    assert values['StartTime'] >= values['SubmitTime'] > 0
    assert values['EndTime'] == 0
    job = client.get_all(task, JOB)
    assert (job['JobState'], job['Cancellable'], job['ErrorCode']) == (4, True, 0)


def test_a_finished_task_is_a_success(client, vm):
    task = start(client, vm, 'FakeSlow', Total=1000)
    values = client.wait_task(task)
    assert (values['Result'], values['ResultName'], values['ReturnValue']) == (0, 'success', 0)
    assert (values[PERCENT], values['IsCancelable'], values['Objects']) == (100, False, [])
    assert values['EndTime'] >= values['StartTime']
    assert client.get(task, JOB, 'JobState') == 7


def test_the_end_has_its_order(client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeSlow', Gate=gate, Total=1000)
    wait_at(client, task, gate)
    waiters = [client.start(task, 'Task', 'WaitForCompletion', 'i', -1), client.start(task, 'Task', 'WaitForSuccess', 'i', -1)]
    settle_signals(client)
    before = len(client.signals)
    gates.release(gate)
    for waiter in waiters:
        client.finish(waiter)
    after = client.signals[before:]

    def place(member, path, interface=None, name=None):
        found = [signal for signal in after if signal.member == member and signal.path == path and
                 (interface is None or signal.arguments[0] == f'org.virtask1.{interface}') and
                 (name is None or name in signal.changed)]
        assert len(found) == 1, (member, path, found)
        return found[0].index

    places = [
        place('PropertiesChanged', vm, VM, 'State'),
        place('StateChanged', vm),
        place('VMStateChange', MANAGER),
        place('PropertiesChanged', task, 'Task', 'IsComplete'),
        place('PropertiesChanged', task, JOB, 'JobState'),
        place('Completed', task),
        place('TaskCompleted', MANAGER),
        *(waiter.index for waiter in waiters),
    ]
    assert places == sorted(places)


def test_the_end_is_one_change_with_everything(client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeFail', Error=ERRORS['DiskFull'], Total=100)
    client.wait_signal('TaskCompleted', MANAGER)
    last = [signal for signal in changes_of(client, task, 'Task') if 'IsComplete' in signal.changed]
    assert len(last) == 1
    assert changes_of(client, task, 'Task')[-1] is last[0]
    changed = last[0].changed
    expected = {'IsComplete': True, 'IsCancelable': False, 'Result': 4, 'ResultName': 'disk-error', 'Error': 0x80070070,
                'ErrorName': 'org.virtask1.Error.DiskFull', 'ErrorDescription': 'failed as ordered', 'ReturnValue': 32768,
                'Objects': []}
    assert {name: changed.get(name) for name in expected} == expected
    assert changed['EndTime'] > 0
    assert gate


def test_the_end_of_a_success_tells_the_percent_with_the_rest(client, vm):
    task = start(client, vm, 'FakeSlow', Total=100)
    client.wait_signal('TaskCompleted', MANAGER)
    last = changes_of(client, task, 'Task')[-1].changed
    assert last['IsComplete'] is True
    assert last[PERCENT] == 100


def test_the_end_is_told_twice_with_the_same_words(client, vm):
    task = start(client, vm, 'FakeFail', Error=ERRORS['DiskFull'])
    manager = client.wait_signal('TaskCompleted', MANAGER).arguments
    own = client.wait_signal('Completed', task).arguments
    assert own == (4, 0x80070070, 'org.virtask1.Error.DiskFull', 'failed as ordered')
    assert manager == (client.get(task, 'Task', 'ID'), task, *own)


def test_the_percent_never_falls_and_is_told_at_most_101_times(start_fake, client):
    start_fake(config={'ProgressSignalsPerSecond': 100})
    task = start(client, client.machine('test'), 'FakeSlow', Total=100000, Milliseconds=3000)
    assert client.wait_task(task)['Result'] == 0
    percents = client.announced(task, 'Task', PERCENT)
    assert percents == sorted(percents)
    assert 50 < len(percents) <= 101
    assert percents[-1] == 100
    assert 100 not in percents[:-1]


def test_the_progress_is_told_at_most_ten_times_a_second(client, vm):
    begun = time.monotonic()
    task = start(client, vm, 'FakeSlow', Total=100000, Milliseconds=1500)
    client.wait_task(task)
    elapsed = time.monotonic() - begun
    changes = [signal for signal in changes_of(client, task, 'Task') if 'BytesDone' in signal.changed]
    # The last one is the end itself.
    assert 5 <= len(changes) - 1 <= elapsed * 10 + 1


def test_the_bytes_go_with_the_percent(client, vm):
    task = start(client, vm, 'FakeSlow', Total=100000, Milliseconds=500)
    client.wait_task(task)
    done = client.announced(task, 'Task', 'BytesDone')
    assert done == sorted(done)
    assert done[-1] == 100000
    assert client.get(task, 'Task', 'BytesTotal') == 100000
    assert client.get(task, 'Task', 'ProgressValid') is True


def test_a_failure_keeps_its_percent(client, vm):
    task = start(client, vm, 'FakeFail', Total=1000, Milliseconds=800, Error=ERRORS['Failed'])
    values = client.wait_task(task)
    percents = client.announced(task, 'Task', PERCENT)
    assert values['Result'] == 2
    assert 0 < values[PERCENT] <= 50
    assert percents == sorted(percents)


def test_without_a_measure_the_progress_is_not_valid(client, vm):
    task = start(client, vm, 'FakeSlow', Milliseconds=300)
    values = client.wait_task(task)
    assert values['ProgressValid'] is False
    assert client.announced(task, 'Task', PERCENT) == [100]


# A lost connection is no end: what became of the operation is found out.
@pytest.mark.parametrize('name', sorted(ERRORS.keys() - {'HypervisorUnavailable'}))
def test_every_error_ends_a_task_in_its_numbers(client, vm, name):
    error = f'org.virtask1.Error.{name}'
    if name in ('AccessDenied', 'InteractiveAuthorizationRequired', 'LimitsExceeded'):
        error = f'org.freedesktop.DBus.Error.{name}'
    hresult, _, cim, _, _ = client.call(MANAGER, 'Manager', 'DescribeError', 's', error)
    task = start(client, vm, 'FakeFail', Error=ERRORS[name])
    values = client.wait_task(task)
    assert values['ErrorName'] == error
    assert values['Error'] == hresult
    assert values['ReturnValue'] == cim
    assert values['Result'] > 0
    job = client.get_all(task, JOB)
    assert job['ErrorCode'] == cim
    assert job['JobState'] == (8 if name == 'Cancelled' else 10)
    details = client.call(task, JOB, 'GetError')
    assert (details['ErrorName'], details['HResult'], details['Message']) == (error, hresult, 'failed as ordered')


def test_a_lost_connection_that_leaves_no_trace_was_an_interruption(client, vm):
    task = start(client, vm, 'FakeFail', Error=ERRORS['HypervisorUnavailable'])
    values = client.wait_task(task)
    assert (values['Result'], values['ErrorName']) == (8, 'org.virtask1.Error.ServiceRestarted')


def test_a_success_has_no_error_to_get(client, vm):
    task = start(client, vm, 'FakeSlow')
    client.wait_task(task)
    assert client.call(task, JOB, 'GetError') == {}
    assert client.call(task, 'Task', 'GetErrorDescription', 's', 'de') == ''


def test_an_error_is_described_in_the_language_of_the_caller(client, vm):
    task = start(client, vm, 'FakeFail', Error=ERRORS['DiskFull'])
    client.wait_task(task)
    texts = {locale: client.call(task, 'Task', 'GetErrorDescription', 's', locale) for locale in ('C', 'de_DE.UTF-8', 'fr', 'tlh')}
    assert len(set(texts.values())) == 3
    assert texts['C'] == texts['tlh']
    assert 'Datenträger' in texts['de_DE.UTF-8']


def test_the_subject_shows_its_task(client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    values = client.get_all(vm, VM)
    assert values['ActiveTasks'] == [task]
    assert values['OperationalStatus'] == [11]
    assert (values['State'], values['StateName']) == (7, 'saving')
    gates.release(gate)
    client.wait_task(task)
    values = client.get_all(vm, VM)
    assert (values['ActiveTasks'], values['OperationalStatus'], values['State']) == ([], [2], 5)


def test_what_changes_together_is_told_together(client, vm, gates):
    start(client, vm, 'FakeStuck', Gate=gates.add())
    client.wait_signal('StateChanged', vm)
    settle_signals(client)
    changes = changes_of(client, vm, VM)
    assert len(changes) == 1
    assert {'State', 'StateName', 'EnabledState', 'ActiveTasks', 'OperationalStatus'} <= set(changes[0].changed)


def test_a_task_is_listed_by_the_manager(client, vm, gates):
    gate = gates.add()
    task = start(client, vm, 'FakeStuck', Gate=gate)
    number = client.get(task, 'Task', 'ID')
    assert client.call(MANAGER, 'Manager', 'GetTask', 'u', number) == task
    assert client.get(MANAGER, 'Manager', 'Tasks') == [task]
    rows = client.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {})
    assert [(row[0], row[1], row[2], row[3], row[6], row[7]) for row in rows] == \
        [(number, 'fake-stuck', vm, 'running', False, task)]
    assert {task, vm, MANAGER} <= set(client.objects())


def test_the_log_and_the_results_are_told_to_the_owner(client, vm):
    task = start(client, vm, 'FakeSlow', Total=42)
    client.wait_task(task)
    assert client.call(task, 'Task', 'GetResults') == {'Counted': '42'}
    lines = client.call(task, 'Task', 'GetLog', 'u', 0)
    assert 'counted to 42' in [text for _, _, text in lines]
    assert client.call(task, 'Task', 'GetLog', 'u', 1) == lines[1:]
    assert client.call(task, 'Task', 'GetLog', 'u', 2 ** 32 - 1) == []


def test_an_immediate_operation_has_no_task(client, vm):
    assert client.call(vm, VM, 'FakeImmediate', 'a{sv}', {}) is None
    settle_signals(client)
    assert not [signal for signal in client.signals if signal.member in ('InterfacesAdded', 'TaskCompleted')]
    assert client.get(MANAGER, 'Manager', 'Tasks') == []
