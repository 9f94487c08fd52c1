# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whose task it is: the owner does what he likes, others need org.virtask1.cancel-others, logs and results are private."""

import fakes
import pytest
from harness import Polkitd, Scratch
from houses import CHALLENGE_NAME, DEFAULT, DENIED, DENIED_NAME, OWNER, RULES, House, outcome

pytestmark = pytest.mark.root

CANCELLER = 'sys'
RULE = f"""
polkit.addRule(function(action, subject) {{
    if (subject.user == "{CANCELLER}" && action.id == "org.virtask1.cancel-others")
        return polkit.Result.YES;
}});
"""

# Method and arguments, and whether it is for a task that goes on.
METHODS = {
    'Cancel': ('Task', 'Cancel', (), True),
    'Remove': ('Task', 'Remove', (), False),
    'Terminate': ('ConcreteJob', 'RequestStateChange', ('qt', 4, 0), True),
    'Kill': ('ConcreteJob', 'RequestStateChange', ('qt', 5, 0), True),
    'Keep': ('ConcreteJob', 'SetDeleteOnCompletion', ('b', False), True),
    'Forget': ('ConcreteJob', 'SetDeleteOnCompletion', ('b', True), False),
}
PRIVATE = {'GetLog': ('u', 0), 'GetResults': ()}


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        made = House(scratch)
        Polkitd(scratch, made.bus, RULES + RULE)
        yield made


@pytest.fixture(scope='module')
def owner(house):
    return house.client(OWNER)


@pytest.fixture
def make_task(house, owner):
    """A task of the owner; it does not outlive the test."""
    made = []

    def make(goes_on):
        if goes_on:
            made.append(house.start_task(owner))
        else:
            made.append(fakes.start(owner, house.path('web1'), 'FakeSlow'))
            owner.wait_task(made[-1])
        return made[-1]
    yield make
    for task in made:
        outcome(owner, task, 'Task', 'Cancel')
        if task in owner.objects():
            owner.wait_task(task)


def call(client, method, task):
    interface, member, arguments, _ = METHODS[method]
    return outcome(client, task, interface, member, *arguments)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('user', [OWNER, None, CANCELLER], ids=['owner', 'root', 'canceller'])
def test_who_may(house, make_task, method, user):
    """A second connection of the owner is the owner too."""
    assert call(house.client(user), method, make_task(METHODS[method][3])) is None


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('user, error', [(DEFAULT, CHALLENGE_NAME), (DENIED, DENIED_NAME)])
def test_who_may_not(house, make_task, method, user, error):
    task = make_task(METHODS[method][3])
    before = house.snapshot()
    assert call(house.client(user), method, task).name == error
    assert house.snapshot() == before


@pytest.mark.parametrize('user', [DEFAULT, DENIED])
def test_a_refusal_does_not_tell_the_state_of_the_task(house, make_task, user):
    client = house.client(user)
    task = make_task(True)
    refusals = {str(call(client, 'Cancel', task)), str(call(client, 'Remove', task))}
    house.root.call(task, 'Task', 'Cancel')
    house.root.wait_task(task)
    refusals |= {str(call(client, 'Cancel', task)), str(call(client, 'Remove', task))}
    assert len(refusals) == 1


@pytest.mark.parametrize('goes_on', [True, False])
def test_log_and_results_are_for_the_owner_and_root(house, make_task, goes_on):
    task = make_task(goes_on)
    for method, arguments in PRIVATE.items():
        for user in (OWNER, None):
            assert outcome(house.client(user), task, 'Task', method, *arguments) is None
        for user in (DEFAULT, DENIED, CANCELLER):
            error = outcome(house.client(user), task, 'Task', method, *arguments)
            assert error.name == DENIED_NAME and '0x80070005' in error.message


def test_the_permission_to_cancel_is_no_permission_to_start(house):
    assert outcome(house.client(CANCELLER), house.path('web1'), 'VirtualMachine', 'Pause').name == CHALLENGE_NAME


def test_the_owner_is_the_user_and_not_the_connection(house, make_task):
    task = make_task(True)
    assert house.root.get(task, 'Task', 'Owner') == OWNER
    assert house.root.get(task, 'Task', 'OwnerUid') == house.root.bus_call('GetConnectionUnixUser', 's', house.client(OWNER).name)


def test_the_owner_is_remembered(scratch):
    """The task of a user who has left, in a daemon that was started anew, is still his."""
    own = House(scratch)
    Polkitd(scratch, own.bus, RULES + RULE)
    owner = own.client(OWNER)
    task = fakes.start(owner, own.path('web1'), 'FakeSlow')
    owner.wait_task(task)
    owner.close()
    own.daemon.restart()
    assert outcome(own.client(DEFAULT), task, 'Task', 'GetResults').name == DENIED_NAME
    assert own.client(OWNER).call(task, 'Task', 'GetResults') == {'Counted': '0'}
    assert outcome(own.client(DEFAULT), task, 'Task', 'Remove').name == CHALLENGE_NAME
    assert outcome(own.client(OWNER), task, 'Task', 'Remove') is None


def test_waiting_is_open(house, make_task, owner):
    nobody = house.client(DEFAULT)
    task = make_task(True)
    waiting = nobody.start(task, 'Task', 'WaitForCompletion', 'i', -1)
    owner.call(task, 'Task', 'Cancel')
    assert nobody.finish(waiting) is True
