# SPDX-License-Identifier: LGPL-2.1-or-later
"""A caller who is gone when polkit's answer comes: CVE-2021-3560 began like that. Nothing is done for him, and nothing is left of him."""

import os
import random

import pytest
from gi.repository import Gio, GLib
from harness import LONG, Polkitd
from harness.client import NAME, _as_user
from houses import CHALLENGE_NAME, DEFAULT, DENIED, DENIED_NAME, GRANTED, OWNER, RULES, VM, outcome, pass_time, save
from polkits import MockPolkit

pytestmark = pytest.mark.root

ROUNDS = 10000 if LONG else 200
# Longer than a check by polkit takes, so that both the question and the answer are overtaken.
LONGEST_SECONDS = 0.005
# What dbus-daemon allows a connection.
MATCHES = 512
TWO = {'web1': 'running', 'web2': 'running'}


def dice(name):
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    print(f'{name}: seed {seed}')
    return random.Random(seed)


class Visitor:
    """A caller who costs little and does not wait for answers: there are thousands of them, and they hear no signals, or they would
    hear of each other's coming."""

    def __init__(self, house, user=DEFAULT):
        with _as_user(user):
            self._connection = Gio.DBusConnection.new_for_address_sync(
                house.bus.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
                None, None)
        self.name = self._connection.get_unique_name()

    def send(self, path, interface, method, arguments=None, interactive=False):
        message = Gio.DBusMessage.new_method_call(NAME, path, f'{NAME}.{interface}', method)
        if arguments:
            message.set_body(arguments)
        if interactive:
            message.set_flags(Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        self._connection.send_message(message, Gio.DBusSendMessageFlags.NONE)

    def save(self, house, interactive):
        self.send(house.path('web1'), VM, 'Save', GLib.Variant('(a{sv})', ({},)), interactive)

    def flush(self):
        self._connection.flush_sync(None)

    def close(self):
        self._connection.close_sync(None)


def assert_untouched(house):
    assert house.daemon.process.running
    assert house.tasks() == [] and house.state('web1') == 'running'


def fds(house):
    return len(os.listdir(f'/proc/{house.daemon.pid}/fd'))


def test_the_question_is_taken_back(house, mock, nobody):
    save(nobody, house.path('web1'), interactive=True)
    question = mock.question()
    nobody.close()
    assert mock.cancelled() == question.cancellation
    mock.answer(question, True)
    house.root.bus_call('GetId')
    assert_untouched(house)
    assert mock.cancellations == 0


def test_only_the_questions_of_the_one_who_left(house, mock, nobody):
    """Each of his, and no other: not even of the same user."""
    stays = house.client(DEFAULT)
    kept = save(stays, house.path('web1'))
    others = mock.question()
    for method in ('Pause', 'DiscardSavedState', 'Unregister'):
        nobody.start(house.path('web1'), VM, method)
    questions = [mock.question() for _ in range(3)]
    assert len({question.cancellation for question in [others, *questions]}) == 4
    nobody.close()
    assert {mock.cancelled() for _ in range(3)} == {question.cancellation for question in questions}
    assert mock.cancellations == 0 and not kept.done
    mock.answer(others, True)
    assert house.root.wait_task(stays.finish(kept))['ResultName'] == 'success'


def test_whoever_leaves_after_a_no(house, mock, nobody):
    call = save(nobody, house.path('web1'))
    mock.answer(mock.question(), False)
    pass_time(nobody, 0.01)
    nobody.close()
    mock.wait_gone(nobody.name)
    assert mock.cancellations == 0
    assert_untouched(house)
    assert call.error is None or call.error.name == DENIED_NAME


def test_cancel_of_a_task_by_somebody_who_left(house, mock, nobody):
    task = house.start_task(house.root)
    nobody.start(task, 'Task', 'Cancel')
    question = mock.question()
    nobody.close()
    assert mock.cancelled() == question.cancellation
    mock.answer(question, True)
    mock.bus_call('GetId')
    assert not house.root.get(task, 'Task', 'IsComplete')
    assert house.root.get(task, 'Task', 'StatusText').startswith('at gate')


def test_leaving_at_random_moments_before_a_yes(house, mock):
    """However late he leaves: if he has left before polkit says yes, nothing is done, and polkit has been told."""
    randomly = dice('leaving before a yes')
    asked = 0
    before = None
    for number in range(ROUNDS):
        nobody = Visitor(house, randomly.choice((DEFAULT, GRANTED, OWNER)))
        nobody.save(house, interactive=randomly.random() < 0.5)
        if randomly.random() < 0.8:
            pass_time(house.root, randomly.random() * LONGEST_SECONDS)
        nobody.close()
        mock.wait_gone(nobody.name)
        del mock.signals[:]
        # The daemon has read all that came before this, so its question is here if there was one.
        house.root.call('/org/virtask1/manager', 'org.freedesktop.DBus.Peer', 'Ping')
        if mock.questions:
            question = mock.question()
            asked += 1
            assert mock.cancelled() == question.cancellation
            mock.answer(question, True)
        del house.root.signals[:]
        if number == ROUNDS // 10:
            before = fds(house)
    house.root.objects()
    assert_untouched(house)
    assert mock.questions == mock.cancellations == 0
    assert fds(house) <= before + 2
    print(f'{asked} of {ROUNDS} were asked about')
    assert asked >= 0.5 * ROUNDS


def test_leaving_at_random_moments_with_the_real_polkit(scratch, house):
    """Refused users who leave before, during and after the check: the daemon lives, and their dialogs are not counted for ever."""
    Polkitd(scratch, house.bus, RULES)
    randomly = dice('leaving a real polkit')
    for _ in range(ROUNDS):
        visitor = Visitor(house, randomly.choice((DEFAULT, DENIED)))
        for _ in range(randomly.randint(1, 4)):
            visitor.save(house, interactive=randomly.random() < 0.5)
        pass_time(house.root, randomly.random() * LONGEST_SECONDS)
        visitor.close()
        del house.root.signals[:]
    assert_untouched(house)
    assert outcome(house.client(DENIED), house.path('web1'), VM, 'Pause').name == DENIED_NAME
    assert outcome(house.client(DEFAULT), house.path('web1'), VM, 'Pause').name == CHALLENGE_NAME
    assert outcome(house.client(GRANTED), house.path('web1'), VM, 'Pause') is None


def come(house, count, *call):
    """So many callers, who stay."""
    crowd = [Visitor(house) for _ in range(count)]
    for visitor in crowd:
        visitor.send(*call)
        visitor.flush()
    return crowd


def leave_and_allow(house, mock):
    """A question that is answered with yes when the one it is about has left."""
    last = house.client(GRANTED)
    save(last, house.path('web1'))
    question = mock.question()
    last.close()
    mock.wait_gone(last.name)
    mock.answer(question, True)
    house.root.objects()
    return question


def test_a_crowd_does_not_use_up_the_matches(make_house):
    """A bus allows us so many matches: whoever only called once, or twice, does not need his any more."""
    house = make_house(TWO)
    mock = MockPolkit(house.bus)
    task = house.start_task(house.root, 'web2')
    crowd = come(house, MATCHES + 10, task, 'Task', 'GetLog', GLib.Variant('(u)', (0,)))
    house.root.objects()
    question = leave_and_allow(house, mock)
    assert mock.cancelled() == question.cancellation
    assert house.state('web1') == 'running'
    for visitor in crowd:
        visitor.close()


def test_whoever_leaves_unseen_is_looked_for(make_house):
    """When all matches are in use, nobody tells of a caller who leaves; so the bus is asked before anything is done for him."""
    house = make_house(TWO, config={'WaitersPerTask': 2 * MATCHES})
    mock = MockPolkit(house.bus)
    task = house.start_task(house.root, 'web2')
    crowd = come(house, MATCHES + 10, task, 'Task', 'WaitForCompletion', GLib.Variant('(i)', (-1,)))
    before = house.snapshot()
    leave_and_allow(house, mock)
    assert mock.cancellations == 0
    assert house.snapshot() == before
    for visitor in crowd:
        visitor.close()
