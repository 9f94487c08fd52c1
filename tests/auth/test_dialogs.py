# SPDX-License-Identifier: LGPL-2.1-or-later
"""Open questions: how many there may be, and that the answer counts for the machine as it is then."""

import statistics

import fakes
import pytest
from gi.repository import Gio
from harness import MANAGER
from harness.client import NAME
from houses import DEFAULT, DENIED_NAME, GRANTED, LIMIT_NAME, READ_SECONDS, VM, outcome, read_times, refusal, save
from polkits import MockPolkit

pytestmark = pytest.mark.root

PER_USER, TOTAL = 4, 48
# Users of every Debian; enough to reach the total, and one more.
USERS = ('daemon', 'bin', 'sys', 'games', 'man', 'lp', 'mail', 'news', 'uucp', 'proxy', 'www-data', 'backup', 'nobody')


# --- How many ---

def test_the_fifth_question_of_a_user_is_refused(house, mock, nobody):
    calls = [save(nobody, house.path('web1'), interactive=True) for _ in range(PER_USER)]
    questions = [mock.question() for _ in calls]
    second = house.client(DEFAULT)
    for client in (nobody, second):  # a second connection is no second person
        error = outcome(client, house.path('web1'), VM, 'Pause')
        assert error.name == LIMIT_NAME and '(0x' in error.message

    other = house.client(GRANTED)
    call = other.start(house.path('web1'), VM, 'Pause')
    mock.answer(mock.question(), True)
    assert other.finish(call) is None and house.state('web1') == 'paused'
    house.root.call(house.path('web1'), VM, 'Resume')

    mock.answer(questions[0], False)
    assert refusal(nobody, calls[0]).name == DENIED_NAME
    call = second.start(house.path('web1'), VM, 'Pause')
    mock.answer(mock.question(), True)
    assert second.finish(call) is None
    for question, call in zip(questions[1:], calls[1:]):
        mock.answer(question, False)
        assert refusal(nobody, call).name == DENIED_NAME


def test_whoever_leaves_makes_room(house, mock, nobody):
    for _ in range(PER_USER):
        save(nobody, house.path('web1'))
        mock.question()
    nobody.close()
    for _ in range(PER_USER):
        mock.cancelled()
    again = house.client(DEFAULT)
    call = save(again, house.path('web1'))
    mock.answer(mock.question(), False)
    assert refusal(again, call).name == DENIED_NAME


def test_all_together(house, mock):
    """48 hanging dialogs: one more is refused, and root and the readers do not notice."""
    clients = [house.client(user) for user in USERS]
    for client in clients[:TOTAL // PER_USER]:
        for _ in range(PER_USER):
            save(client, house.path('web1'), interactive=True)
            mock.question()
    assert outcome(clients[-1], house.path('web1'), VM, 'Pause').name == LIMIT_NAME
    assert mock.questions == 0
    assert statistics.median(read_times(clients[-1])) < READ_SECONDS
    house.do('web1', 'Save')
    house.do('web1', 'Startup')

    clients[0].close()
    mock.cancelled()
    call = clients[-1].start(house.path('web1'), VM, 'Pause')
    mock.answer(mock.question(), True)
    assert clients[-1].finish(call) is None


def test_the_limits_are_configured(make_house):
    house = make_house(config={'DialogsPerUser': 1, 'Dialogs': 2})
    mock = MockPolkit(house.bus)
    clients = [house.client(user) for user in USERS[:3]]
    for client in clients[:2]:
        save(client, house.path('web1'))
        mock.question()
        assert outcome(client, house.path('web1'), VM, 'Pause').name == LIMIT_NAME
    assert outcome(clients[2], house.path('web1'), VM, 'Pause').name == LIMIT_NAME
    assert mock.questions == 0


# --- What has changed meanwhile ---

def begin(house, mock, client, method, *arguments):
    """A call whose question is open."""
    call = client.start(house.path('web1'), VM, method, *arguments)
    return call, mock.question()


def test_a_machine_that_was_turned_off_meanwhile(house, mock, nobody):
    call, question = begin(house, mock, nobody, 'Save', 'a{sv}', {})
    house.do('web1', 'TurnOff')
    before = house.tasks()
    mock.answer(question, True)
    assert refusal(nobody, call).short == 'NotRunning'
    assert house.tasks() == before and house.state('web1') == 'turned-off'


def test_a_machine_that_became_busy_meanwhile(house, mock, nobody):
    call, question = begin(house, mock, nobody, 'Save', 'a{sv}', {})
    task = house.start_task(house.root)
    mock.answer(question, True)
    error = refusal(nobody, call)
    assert error.short == 'InUse' and task in error.message


def test_a_machine_that_came_into_the_right_state_meanwhile(house, mock, nobody):
    """It is the state of the answer that counts, not that of the question."""
    call, question = begin(house, mock, nobody, 'Resume')
    house.root.call(house.path('web1'), VM, 'Pause')
    mock.answer(question, True)
    assert nobody.finish(call) is None and house.state('web1') == 'running'


def test_a_machine_that_is_gone_meanwhile(house, mock, nobody):
    call, question = begin(house, mock, nobody, 'Save', 'a{sv}', {})
    house.do('web1', 'TurnOff')
    house.do('web1', 'Delete')
    mock.answer(question, True)
    assert refusal(nobody, call).name.startswith('org.freedesktop.DBus.Error.Unknown')
    assert house.daemon.process.running and mock.questions == 0
    house.root.objects()


@pytest.mark.parametrize('answer', [True, False])
def test_a_machine_with_another_name_is_another_question(make_house, answer):
    """A yes to "web1" is no yes to what is called "web2" now."""
    house = make_house({'web1': 'turned-off'})
    mock, nobody = MockPolkit(house.bus), house.client(DEFAULT)
    call, first = begin(house, mock, nobody, 'SetNotes', 's', 'new')
    house.root.call(house.path('web1'), VM, 'SetName', 's', 'web2')
    mock.answer(first, True)
    second = mock.question()
    assert (first.details['vm'], second.details['vm']) == ('web1', 'web2') and not call.done
    assert second.cancellation != first.cancellation
    assert house.root.get(house.path('web1'), VM, 'Notes') == ''
    mock.answer(second, answer)
    if answer:
        nobody.finish(call)
    else:
        assert refusal(nobody, call).name == DENIED_NAME
    assert house.root.get(house.path('web1'), VM, 'Notes') == ('new' if answer else '')


def test_another_operation_is_another_question(house, mock, nobody):
    """RequestStateChange 2 is a start, or to let a paused machine go on: a yes to the one is none to the other."""
    house.do('web1', 'TurnOff')
    call, first = begin(house, mock, nobody, 'RequestStateChange', 'qa{sv}', 2, {})
    house.do('web1', 'Startup')
    house.root.call(house.path('web1'), VM, 'Pause')
    mock.answer(first, True)
    second = mock.question()
    assert (first.details['operation'], second.details['operation']) == ('vm-startup', 'vm-resume')
    mock.answer(second, False)
    assert refusal(nobody, call).name == DENIED_NAME and house.state('web1') == 'paused'


def test_a_task_that_ended_meanwhile(house, mock, nobody):
    task = house.start_task(house.root)
    call = nobody.start(task, 'Task', 'Cancel')
    question = mock.question()
    house.root.call(task, 'Task', 'Cancel')
    house.root.wait_task(task)
    mock.answer(question, True)
    assert refusal(nobody, call).short == 'AlreadyComplete'

    call = nobody.start(task, 'Task', 'Remove')
    question = mock.question()
    house.root.call(task, 'Task', 'Remove')
    mock.answer(question, True)
    assert refusal(nobody, call).name.startswith('org.freedesktop.DBus.Error.Unknown')


def test_a_name_that_was_taken_meanwhile(house, mock, nobody):
    definition = fakes.definition('new', 99)
    call = nobody.start(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition, {})
    question = mock.question()
    assert question.details == {'operation': 'vm-register', 'vm': '*new*'}
    house.root.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition, {})
    mock.answer(question, True)
    assert refusal(nobody, call).short == 'DuplicateName'


def test_answers_in_another_order(house, mock, nobody):
    """Each answer goes to its own question."""
    calls = [begin(house, mock, nobody, method, *arguments) for method, *arguments in
             (('Pause',), ('SetNotes', 's', 'new'), ('Reset', 'a{sv}', {}))]
    for (call, question), allowed in reversed(list(zip(calls, (False, True, False)))):
        mock.answer(question, allowed)
        if allowed:
            nobody.finish(call)
        else:
            assert refusal(nobody, call).name == DENIED_NAME
    assert house.root.get(house.path('web1'), VM, 'Notes') == 'new' and house.tasks() == []


def test_a_caller_who_wants_no_reply(house, mock, nobody):
    """He is asked about like everybody else."""
    for allowed in (False, True):
        message = Gio.DBusMessage.new_method_call(NAME, house.path('web1'), 'org.virtask1.VirtualMachine', 'Pause')
        message.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
        nobody.connection.send_message(message, Gio.DBusSendMessageFlags.NONE)
        mock.answer(mock.question(), allowed)
        nobody.bus_call('GetId')
        if allowed:
            house.root.wait_property(house.path('web1'), VM, 'StateName', 'paused')
        else:
            assert house.state('web1') == 'running'


def test_the_daemon_stops_while_questions_are_open(house, mock, nobody):
    """In order, and without an answer that could be taken for a yes."""
    call = save(nobody, house.path('web1'), interactive=True)
    question = mock.question()
    house.daemon.stop()
    mock.answer(question, True)
    assert refusal(nobody, call).name.startswith('org.freedesktop.DBus.Error.')
    house.daemon.start()
    assert house.tasks() == [] and house.state('web1') == 'running'
