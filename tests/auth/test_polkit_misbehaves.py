# SPDX-License-Identifier: LGPL-2.1-or-later
"""A polkit that is not there, slow, silent or talks nonsense: the answer is no, and everybody else is served meanwhile."""

import statistics

import fakes
import pytest
from harness import LONG, MANAGER, Polkitd
from houses import (CHALLENGE_NAME, DEFAULT, DENIED_NAME, GRANTED, LIMIT_NAME, READ_SECONDS, RULES, VM, outcome, read_times, refusal,
                    save)
from polkits import Agent, MockPolkit

pytestmark = pytest.mark.root

# What authorizer.c gives polkit, and what a loaded computer adds to it.
PLAIN_SECONDS, DIALOG_SECONDS, MARGIN = 10, 120, 30


def assert_nothing_happened(house, state='running'):
    assert house.tasks() == [] and house.state('web1') == state


# --- Not there ---

def test_without_polkit_only_root_may(house, nobody):
    for interactive in (False, True):
        error = outcome(nobody, house.path('web1'), VM, 'Save', 'a{sv}', {}, interactive=interactive)
        assert error.name == DENIED_NAME and '0x80070005' in error.message
    assert_nothing_happened(house)
    assert nobody.objects().keys() == house.root.objects().keys()
    house.do('web1', 'Save')


def test_polkit_may_come_later_and_go(scratch, house):
    granted = house.client(GRANTED)
    assert outcome(granted, house.path('web1'), VM, 'Pause').name == DENIED_NAME
    polkitd = Polkitd(scratch, house.bus, RULES)
    assert outcome(granted, house.path('web1'), VM, 'Pause') is None
    polkitd.stop()
    assert outcome(granted, house.path('web1'), VM, 'Resume').name == DENIED_NAME
    polkitd.start()
    assert outcome(granted, house.path('web1'), VM, 'Resume') is None


def test_polkit_killed_during_the_dialog(house, polkitd, nobody):
    agent = Agent(house.bus)
    call = save(nobody, house.path('web1'), interactive=True)
    agent.dialog()
    polkitd.stop()
    assert refusal(nobody, call).name == DENIED_NAME
    assert_nothing_happened(house)
    polkitd.start()
    assert outcome(nobody, house.path('web1'), VM, 'Pause').name == CHALLENGE_NAME


def test_polkit_gone_from_the_bus_during_the_check(house, mock, nobody):
    call = save(nobody, house.path('web1'))
    mock.question()
    mock.close()
    assert refusal(nobody, call).name == DENIED_NAME
    assert_nothing_happened(house)


# --- Slow and silent ---

def test_a_late_yes_is_a_yes(house, mock, nobody):
    call = save(nobody, house.path('web1'))
    question = mock.question()
    times = read_times(house.client(DEFAULT))
    assert not call.done
    mock.answer(question, True)
    assert house.root.wait_task(nobody.finish(call))['ResultName'] == 'success'
    assert statistics.median(times) < READ_SECONDS and mock.cancellations == 0


def test_the_question_is_about_the_caller(house, mock, nobody):
    for interactive, flags in ((False, 0), (True, 1)):
        call = save(nobody, house.path('web1'), interactive=interactive)
        question = mock.question()
        assert (question.kind, question.caller, question.flags) == ('system-bus-name', nobody.name, flags)
        assert (question.action, question.details) == \
            ('org.virtask1.control', {'operation': 'vm-save', 'uuid': house.uuid('web1'), 'vm': 'web1'})
        assert question.cancellation
        mock.answer(question, False)
        assert refusal(nobody, call).name == DENIED_NAME


def test_a_polkit_that_never_answers(house, mock, nobody):
    """Without a dialog there is nobody who types slowly: after ten seconds it is a no, and the question is taken back."""
    call = save(nobody, house.path('web1'))
    question = mock.question()
    reads = read_times(house.client(DEFAULT))
    assert not call.done and statistics.median(reads) < READ_SECONDS and max(reads) < PLAIN_SECONDS / 2
    assert refusal(nobody, call).name == DENIED_NAME
    assert mock.cancelled() == question.cancellation

    mock.answer(question, True)
    nobody.bus_call('GetId')
    assert_nothing_happened(house)
    assert outcome(house.root, MANAGER, 'org.freedesktop.DBus.Peer', 'Ping') is None


def test_a_dialog_that_nobody_answers(house, mock, nobody):
    """The dialog has two minutes; a plain question beside it does not wait for it."""
    call = save(nobody, house.path('web1'), interactive=True, timeout=DIALOG_SECONDS + MARGIN)
    question = mock.question()
    plain = nobody.start(house.path('web1'), VM, 'Pause')
    mock.answer(mock.question(), True)
    nobody.finish(plain)
    assert not call.done
    if LONG:
        with pytest.raises(Exception, match=DENIED_NAME):
            nobody.finish(call, DIALOG_SECONDS + MARGIN)
        assert mock.cancelled() == question.cancellation
    assert house.tasks() == []


# --- Nonsense ---

ANSWERS = {
    'no': (lambda mock, question: mock.answer(question, False), DENIED_NAME),
    'challenge': (lambda mock, question: mock.answer(question, False, True), CHALLENGE_NAME),
    'dismissed': (lambda mock, question: mock.answer(question, False, True, polkit_dismissed='true'), DENIED_NAME),
    'a bare yes': (lambda mock, question: mock.garbage(question, '(b)', True), DENIED_NAME),
    'flat': (lambda mock, question: mock.garbage(question, '(bba{ss})', True, False, {}), DENIED_NAME),
    'numbers': (lambda mock, question: mock.garbage(question, '((uua{ss}))', (1, 1, {})), DENIED_NAME),
    'variants': (lambda mock, question: mock.garbage(question, '((bba{sv}))', (True, False, {})), DENIED_NAME),
    'more': (lambda mock, question: mock.garbage(question, '((bba{ss})b)', (True, False, {}), True), DENIED_NAME),
    'nothing': (lambda mock, question: mock.reply(question.message, None), DENIED_NAME),
    'failed': (lambda mock, question: mock.fail(question, 'org.freedesktop.PolicyKit1.Error.Failed'), DENIED_NAME),
    'cancelled': (lambda mock, question: mock.fail(question, 'org.freedesktop.PolicyKit1.Error.Cancelled'), DENIED_NAME),
    'no such name': (lambda mock, question: mock.fail(question, 'org.freedesktop.DBus.Error.NameHasNoOwner'), DENIED_NAME),
    'no reply': (lambda mock, question: mock.fail(question, 'org.freedesktop.DBus.Error.NoReply'), DENIED_NAME),
    'unknown': (lambda mock, question: mock.fail(question, 'org.example.Whatever'), DENIED_NAME),
    'limits': (lambda mock, question: mock.fail(question, 'org.freedesktop.DBus.Error.LimitsExceeded'), LIMIT_NAME),
}


@pytest.mark.parametrize('interactive', [False, True], ids=['plain', 'dialog'])
def test_only_a_well_formed_yes_is_a_yes(house, mock, nobody, interactive):
    for what, (answer, name) in ANSWERS.items():
        call = save(nobody, house.path('web1'), interactive=interactive)
        answer(mock, mock.question())
        error = refusal(nobody, call)
        assert error.name == name, f'{what}: {error}'
        assert 'reasons' not in error.message
        assert_nothing_happened(house)
    call = save(nobody, house.path('web1'), interactive=interactive)
    mock.answer(mock.question(), True, **{'anything': 'more'})
    assert house.root.wait_task(nobody.finish(call))['ResultName'] == 'success'


def test_an_answer_of_somebody_else_is_no_answer(house, mock, nobody):
    """The bus lets only polkit reply to a question of ours; an unasked reply goes nowhere."""
    call = save(nobody, house.path('web1'))
    question = mock.question()
    other = MockPolkitWithoutName(house.bus)
    other.answer(question, True)
    house.root.objects()
    assert not call.done
    mock.answer(question, False)
    assert refusal(nobody, call).name == DENIED_NAME
    assert_nothing_happened(house)


class MockPolkitWithoutName(MockPolkit):
    """Somebody who would like to be polkit."""

    def bus_call(self, method, *arguments):
        return 1 if method == 'RequestName' else super().bus_call(method, *arguments)


# --- Before the question ---

MALFORMED = [
    ('web1', VM, 'Save', 's', ('x',)),
    ('web1', VM, 'Save', '', ()),
    ('web1', VM, 'Save', 'a{ss}', ({},)),
    ('web1', VM, 'Startup2', 'u', (0,)),
    ('web1', VM, 'SetName', 's', ('',)),
    ('web1', VM, 'SetName', 's', ('x' * 300,)),
    ('web1', VM, 'SetName', 's', ('a/b',)),
    ('web1', VM, 'SetNotes', 's', ('x' * 70000,)),
    ('web1', VM, 'RequestStateChange', 'qa{sv}', (77, {})),
    ('manager', 'Manager', 'RegisterVirtualMachine', 'sa{sv}', ('no xml', {})),
    ('manager', 'Manager', 'RegisterVirtualMachine', 'sa{sv}', ('<domain/>', {})),
    ('manager', 'Manager', 'NoSuchMethod', '', ()),
]


def test_malformed_calls_do_not_reach_polkit(house, mock, nobody):
    for target, interface, method, signature, arguments in MALFORMED:
        path = MANAGER if target == 'manager' else house.path(target)
        error = outcome(nobody, path, interface, method, signature, *arguments)
        assert error and error.name not in (DENIED_NAME, CHALLENGE_NAME), f'{method}{arguments}: {error}'
    assert outcome(nobody, house.path('web1'), VM, 'Save', 'a{sv}', {'Misspelt': fakes.variant(True)}).short == 'InvalidArgument'
    assert outcome(nobody, house.path('web1').replace('_0000', '_1111'), VM, 'Save', 'a{sv}', {}).short == 'UnknownObject'
    assert mock.questions == 0


def test_reads_do_not_reach_polkit(house, mock, nobody):
    nobody.objects()
    nobody.machine('web1')
    task = house.start_task(house.root)
    nobody.call(task, 'Task', 'WaitForCompletion', 'i', 0)
    assert outcome(nobody, task, 'Task', 'GetLog', 'u', 0).name == DENIED_NAME
    assert outcome(nobody, task, 'Task', 'GetResults').name == DENIED_NAME
    assert mock.questions == 0
