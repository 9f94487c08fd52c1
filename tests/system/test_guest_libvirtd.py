# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.virtask1.GuestOS with a libvirtd, which goes on without us and lets others in."""

import pytest
from guests import AGENT, ERROR, LOG_ON, NAME, Linux, path_of

pytestmark = pytest.mark.below('libvirtd')


@pytest.fixture(scope='module')
def booted(house):
    return Linux(house)


@pytest.fixture
def linux(booted):
    return booted.ready()


def test_the_agent_is_asked(linux):
    linux.client.wait(lambda: linux.get('OSName') == NAME, what='the name')
    linux.guest.do(LOG_ON)
    linux.do('Logoff')
    linux.fails('NoLogonSession', 'Logoff')


def test_an_agent_that_hangs(house, linux):
    plain = house.register('plain')
    linux.guest.do(f'kill -STOP {AGENT}')
    task = linux.begin('Shutdown')
    linux.assert_others_are_served(task, plain)
    properties = linux.client.wait_task(task)
    assert properties['ErrorName'] == f'{ERROR}GuestAgentNotAvailable' and properties['Error'] == 0xA0040504, properties
    linux.guest.do(f'kill -CONT {AGENT}')
    house.do(plain, 'TurnOff')


def test_restart_by_the_agent(linux):
    seen = len(linux.client.signals)
    linux.guest.do(LOG_ON)  # nobody has locked anything
    with linux.booting():
        properties = linux.do('Restart')
    assert linux.client.get(path_of(properties), 'ConcreteJob', 'JobType') == 29
    assert (properties['Operation'], properties['Description']) == ('guest-restart', 'Restarting web1')
    assert 'The guest is asked through its agent' in linux.log(path_of(properties))
    assert linux.signals('StateChanged', seen) == []
    assert linux.signals('ResetOccurred', seen)
    linux.client.wait(lambda: linux.get('OSName') == NAME, what='the name')


def test_shutdown_by_the_agent(linux):
    seen = len(linux.client.signals)
    linux.guest.do(f'{LOG_ON}; touch /run/locked')
    task = linux.begin('Shutdown', forced=True)
    properties = linux.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    assert (properties['Operation'], properties['Description']) == ('guest-shutdown', 'Shutting down web1')
    assert linux.client.get(task, 'ConcreteJob', 'JobType') == 16
    assert 4 in linux.client.announced(linux.path, 'VirtualMachine', 'RequestedState')
    assert linux.house.state(linux.guest) == 'turned-off'
    assert linux.signals('GuestShutdown', seen)
    assert (linux.get('CanShutdown'), linux.get('IsHeartbeating'), linux.get('OSName')) == (False, False, '')
    order = [heard.member for heard in linux.client.signals[seen:] if heard.path in (linux.path, task) and
             heard.member in ('StateChanged', 'Completed')]
    assert linux.signals('StateChanged', seen)[-1][1] == 1 and order[-1] == 'Completed'


def test_shutdown_with_the_button_without_an_agent(linux):
    begin = len(linux.guest.lines)
    linux.guest.do(f'kill {AGENT}')
    linux.wait('IsHeartbeating', False)
    linux.fails('GuestAgentNotAvailable', 'Logoff')
    linux.do('Shutdown')
    assert 'button' in linux.guest.lines[begin:]
    assert linux.house.state(linux.guest) == 'turned-off'


def test_virsh_turns_the_machine_off(house, linux):
    begin = len(linux.guest.lines)
    linux.guest.do('touch /run/ignore')
    task = linux.begin('Shutdown')
    linux.wait_asked(task, begin)
    house.below.virsh('destroy', 'web1')
    properties = linux.client.wait_task(task)
    assert (properties['ErrorName'], properties['Result']) == (f'{ERROR}ShutdownAborted', 9), properties


def test_libvirtd_dies_while_the_guest_goes_down(house, linux):
    house.below.virsh('domfsfreeze', 'web1')
    linux.fails('GuestNotReady', 'Shutdown', forced=True)
    house.below.virsh('domfsthaw', 'web1')

    begin = len(linux.guest.lines)
    linux.guest.do('touch /run/ignore')
    task = linux.begin('Shutdown')
    linux.wait_asked(task, begin)
    house.below.kill()
    house.below.start()
    linux.client.wait_signal('PropertiesChanged', task, lambda heard: heard.changed.get('StatusText') == 'waiting for the hypervisor')
    linux.client.wait_property(task, 'Task', 'StatusText', 'waiting for the guest')
    linux.guest.send('poweroff -f\n')
    properties = linux.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
