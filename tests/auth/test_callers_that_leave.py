# SPDX-License-Identifier: LGPL-2.1-or-later
"""A caller who is gone when polkit's answer comes: CVE-2021-3560 began like that. Nothing is done for him, and nothing is left of him."""

import os
import random

import pytest
from harness import LONG, Polkitd
from houses import CHALLENGE_NAME, DEFAULT, DENIED, DENIED_NAME, GRANTED, OWNER, RULES, VM, outcome, pass_time, save

pytestmark = pytest.mark.root

ROUNDS = 10000 if LONG else 200
# Longer than a check by polkit takes, so that both the question and the answer are overtaken.
LONGEST_SECONDS = 0.005


def dice(name):
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    print(f'{name}: seed {seed}')
    return random.Random(seed)


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
        nobody = house.client(randomly.choice((DEFAULT, GRANTED, OWNER)))
        save(nobody, house.path('web1'), interactive=randomly.random() < 0.5)
        if randomly.random() < 0.8:
            pass_time(nobody, randomly.random() * LONGEST_SECONDS)
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
        client = house.client(randomly.choice((DEFAULT, DENIED)))
        for _ in range(randomly.randint(1, 4)):
            save(client, house.path('web1'), interactive=randomly.random() < 0.5)
        pass_time(client, randomly.random() * LONGEST_SECONDS)
        client.close()
    assert_untouched(house)
    assert outcome(house.client(DENIED), house.path('web1'), VM, 'Pause').name == DENIED_NAME
    assert outcome(house.client(DEFAULT), house.path('web1'), VM, 'Pause').name == CHALLENGE_NAME
    assert outcome(house.client(GRANTED), house.path('web1'), VM, 'Pause') is None
