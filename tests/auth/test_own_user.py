# SPDX-License-Identifier: LGPL-2.1-or-later
"""--authorizer: "owner" lets in the own user and root and asks nobody; on a system bus there is polkit and no way to leave it out."""

import subprocess

import pytest
from harness import BUILD, Client, Daemon
from houses import DEFAULT, DENIED_NAME, GRANTED, VM, outcome
from polkits import MockPolkit

pytestmark = pytest.mark.root

EXIT_USAGE = 2


@pytest.mark.parametrize('user', [None, GRANTED], ids=['root', 'user'])
@pytest.mark.parametrize('authorizer', [None, 'owner'], ids=['by-default', 'owner'])
def test_the_own_user_and_root_only(scratch, bus, user, authorizer):
    mock = MockPolkit(bus)
    Daemon(scratch, bus, 'test:///default', user=user, authorizer=authorizer)
    own, root, other = Client(bus, user=user), Client(bus), Client(bus, user=DEFAULT)
    vm = other.machine('test')
    for interactive in (False, True):
        error = outcome(other, vm, VM, 'Pause', interactive=interactive)
        assert error.name == DENIED_NAME and '0x80070005' in error.message
    assert outcome(own, vm, VM, 'Pause') is None
    assert outcome(root, vm, VM, 'Resume') is None
    task = own.call(vm, VM, 'Save', 'a{sv}', {})
    own.wait_task(task)
    assert outcome(other, task, 'Task', 'Remove').name == DENIED_NAME
    assert outcome(other, task, 'Task', 'GetResults').name == DENIED_NAME
    assert outcome(root, task, 'Task', 'Remove') is None
    assert mock.questions == 0


def test_on_the_system_bus_polkit_is_asked(scratch, bus):
    mock = MockPolkit(bus)
    Daemon(scratch, bus, 'test:///default', options=['--system'], environment={'DBUS_SYSTEM_BUS_ADDRESS': bus.address})
    nobody = Client(bus, user=DEFAULT)
    call = nobody.start(nobody.machine('test'), VM, 'Pause')
    mock.answer(mock.question(), True)
    assert nobody.finish(call) is None


def test_on_a_user_bus_the_owner_is_the_rule(scratch, bus):
    mock = MockPolkit(bus)
    Daemon(scratch, bus, 'test:///default', user=GRANTED, options=['--user'], environment={'DBUS_SESSION_BUS_ADDRESS': bus.address})
    own, nobody = Client(bus, user=GRANTED), Client(bus, user=DEFAULT)
    vm = own.machine('test')
    assert outcome(nobody, vm, VM, 'Pause').name == DENIED_NAME
    assert outcome(own, vm, VM, 'Pause') is None
    assert mock.questions == 0


def test_a_daemon_without_root_on_a_private_bus_can_ask_polkit(scratch, bus):
    """It is not its own judge then, but its own user is not asked."""
    mock = MockPolkit(bus)
    Daemon(scratch, bus, 'test:///default', user=GRANTED, authorizer='polkit')
    own, nobody = Client(bus, user=GRANTED), Client(bus, user=DEFAULT)
    vm = own.machine('test')
    assert outcome(own, vm, VM, 'Pause') is None
    assert mock.questions == 0
    call = nobody.start(vm, VM, 'Resume')
    mock.answer(mock.question(), False)
    with pytest.raises(Exception, match=DENIED_NAME):
        nobody.finish(call)


@pytest.mark.parametrize('arguments', [
    ['--system', '--authorizer=owner'], ['--authorizer=owner', '--system'], ['--authorizer=owner'], ['--authorizer='],
    ['--system', '--authorizer=everybody'], ['--address=unix:path=/nowhere', '--authorizer=none'], ['--user', '--authorizer=allow-all'],
    ['--address=unix:path=/nowhere', '--system', '--authorizer=owner'],
])
def test_what_would_let_everybody_in_is_refused(arguments):
    run = subprocess.run([BUILD / 'virtaskd', *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == EXIT_USAGE and 'polkit' in run.stderr, run.stderr
