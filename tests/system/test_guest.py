# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.virtask1.GuestOS: guests that do what they are asked for, that refuse, that do not listen, and that say nothing at all."""

import time

import pytest
from gi.repository import GLib
from guests import AGENT, ERROR, FORGET, LOG_ON, NAME, SOON_USEC, Linux, path_of
from harness import Guest, LinuxGuest
from qemu_house import run
from tool import FAILED, STATE, Tool

pytestmark = pytest.mark.below('embed')

METHODS = ('Shutdown', 'Restart')


@pytest.fixture(scope='module')
def booted(house):
    return Linux(house)


@pytest.fixture
def linux(booted):
    return booted.ready()


@pytest.fixture(scope='module')
def plain(house):
    """A guest without an agent, which runs."""
    return house.register('plain')


# --- What is known of a guest ---

def test_what_the_guest_is(linux):
    client = linux.client
    client.wait(lambda: linux.get('OSName') == NAME, what='the name')
    assert linux.get('OSVersion') == '1'
    assert client.objects()[linux.path]['org.virtask1.GuestOS'] == {'CanShutdown': True, 'IsHeartbeating': True}
    assert True in client.announced(linux.path, 'GuestOS', 'IsHeartbeating')
    assert None in client.announced(linux.path, 'GuestOS', 'OSName')  # without its value


def test_a_hostile_guest_and_an_agent_that_comes_and_goes(linux):
    linux.guest.do(r'printf "PRETTY_NAME=\"evil\\\\033[2J\\\\tname %5000s\"\nID=virtask\n" x >/etc/os-release')
    linux.guest.do(f'kill {AGENT}')
    linux.wait('IsHeartbeating', False)
    assert (linux.get('CanShutdown'), linux.get('OSName'), linux.get('OSVersion')) == (True, '', '')
    linux.guest.do('agent')
    linux.wait('IsHeartbeating', True)
    linux.client.wait(lambda: linux.get('OSName'), what='the name')
    name = linux.get('OSName')
    assert name.startswith('evil') and 200 < len(name.encode()) <= 256 and name.isprintable(), name
    assert linux.get('OSVersion') == ''


def test_a_machine_that_does_not_run(house, plain):
    client = house.client

    def refusals():
        return {method: client.error(plain.path, 'GuestOS', method, *arguments).short
                for method, arguments in (('Shutdown', ('ba{sv}', True, {})), ('Restart', ('ba{sv}', False, {})), ('Logoff', ('a{sv}', {})))}

    client.call(plain.path, 'VirtualMachine', 'Pause')
    assert set(refusals().values()) == {'NotRunning'}
    assert client.get_all(plain.path, 'GuestOS') == {'CanShutdown': False, 'IsHeartbeating': False}
    house.do(plain, 'TurnOff')
    assert set(refusals().values()) == {'NotRunning'}
    assert client.get_all(plain.path, 'GuestOS') == {'CanShutdown': False, 'IsHeartbeating': False}
    assert house.refused(plain, 'RequestStateChange', 'qa{sv}', 4, {}) == 'NotRunning'
    house.do(plain, 'Startup')
    assert client.get_all(plain.path, 'GuestOS') == {'CanShutdown': True, 'IsHeartbeating': False}
    assert client.error(plain.path, 'GuestOS', 'Logoff', 'a{sv}', {}).short == 'GuestAgentNotInstalled'


def test_a_machine_without_agent_and_button(house):
    class Bare(Guest):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            self.xml = self.xml.replace('<acpi/>', '')

    guest = house.register('bare', kind=Bare)
    assert house.client.get_all(guest.path, 'GuestOS') == {'CanShutdown': False, 'IsHeartbeating': False}
    for method in 'Shutdown', 'Restart':
        error = house.client.error(guest.path, 'GuestOS', method, 'ba{sv}', True, {})
        assert error.short == 'GuestAgentNotInstalled' and '0xA0040505' in error.message
    house.do(guest, 'TurnOff')


def test_a_time_that_is_none(linux):
    for value in GLib.Variant('t', 0), GLib.Variant('i', -1), GLib.Variant('s', '5min'):
        error = linux.client.error(linux.path, 'GuestOS', 'Shutdown', 'ba{sv}', False, {'TimeoutUSec': value})
        assert error.short == 'InvalidArgument' and 'TimeoutUSec' in error.message


# --- Logging off ---

def test_nobody_is_logged_on(linux):
    properties = linux.fails('NoLogonSession', 'Logoff')
    assert (properties['Error'], properties['Result'], properties['ReturnValue']) == (0x80070520, 2, 32768)


def test_all_users_are_logged_off(linux):
    begin, seen = len(linux.guest.lines), len(linux.client.signals)
    linux.guest.do(LOG_ON)
    properties = linux.do('Logoff')
    assert properties['Description'] == 'Logging off the users of web1' and properties['Operation'] == 'guest-logoff'
    assert 'logoff demo anna' in linux.guest.lines[begin:] or 'logoff anna demo' in linux.guest.lines[begin:]
    assert linux.signals('GuestLogoff', seen) == [(2,)]
    order = [heard.member for heard in linux.client.signals[seen:] if heard.member in ('GuestLogoff', 'Completed')]
    assert order == ['GuestLogoff', 'Completed']


def test_users_who_stay(linux):
    seen = len(linux.client.signals)
    linux.guest.do(f'{LOG_ON}; touch /run/stay')
    properties = linux.fails('TimedOut', 'Logoff', usec=SOON_USEC)
    assert properties['Result'] == 6
    assert 'The guest may still log its users off' in linux.log(path_of(properties))
    assert linux.signals('GuestLogoff', seen) == []


def test_a_logoff_that_is_cancelled_and_one_that_ends_with_the_service(linux):
    begin = len(linux.guest.lines)
    linux.guest.do(f'{LOG_ON}; touch /run/stay')
    task = linux.begin('Logoff')
    linux.wait_asked(task, begin, 'logoff')
    linux.client.call(task, 'Task', 'Cancel')
    assert linux.client.wait_task(task)['ResultName'] == 'cancelled'

    for stay in True, False:
        begin = len(linux.guest.lines)
        task = linux.begin('Logoff')
        linux.wait_asked(task, begin, 'logoff')
        linux.house.daemon.kill()
        if not stay:
            linux.guest.do(FORGET)
        linux.house.daemon.start()
        properties = linux.client.wait_task(task)
        assert properties['ErrorName'] == (f'{ERROR}ServiceRestarted' if stay else ''), properties['ErrorDescription']


def test_a_guest_that_does_not_log_off(linux):
    linux.guest.do(f'{LOG_ON}; touch /run/refuse')
    linux.fails('Failed', 'Logoff')
    linux.guest.do('rm /run/refuse; mv /bin/loginctl /bin/gone')
    linux.fails('NotSupported', 'Logoff')
    linux.guest.do('mv /bin/gone /bin/loginctl')


def test_windows_has_programs_of_its_own(linux):
    begin = len(linux.guest.lines)
    linux.guest.do(f'{LOG_ON}; cp /etc/os-release /etc/saved; echo ID=mswindows >/etc/os-release')
    linux.do('Logoff')
    linux.guest.do('mv /etc/saved /etc/os-release')
    assert 'logoff 3' in linux.guest.lines[begin:]


# --- Guests that refuse ---

def test_a_locked_screen(linux):
    begin = len(linux.guest.lines)
    linux.guest.do(f'{LOG_ON}; touch /run/locked')
    for method in METHODS:
        properties = linux.fails('GuestLocked', method)
        assert (properties['Error'], properties['Result']) == (0x800704F7, 2)
    assert not any(line.startswith('shutdown') for line in linux.guest.lines[begin:])


def test_a_guest_that_refuses(linux):
    linux.guest.do('touch /run/refuse')
    for method in METHODS:
        properties = linux.fails('ShutdownAborted', method, forced=True)
        assert (properties['Result'], properties['ResultName'], properties['Error']) == (9, 'shutdown-abort', 0x80004005)
        assert 'child process' not in properties['ErrorDescription']
        assert any('child process' in line for line in linux.log(path_of(properties)))


# --- Agents that say nothing ---

def test_an_agent_that_hangs(house, linux, plain):
    linux.guest.do(f'kill -STOP {AGENT}')
    task = linux.begin('Shutdown')
    linux.assert_others_are_served(task, plain)
    properties = linux.client.wait_task(task)
    assert properties['ErrorName'] == f'{ERROR}GuestAgentNotAvailable' and properties['Error'] == 0xA0040504, properties
    linux.guest.do(f'kill -CONT {AGENT}')
    linux.guest.do(LOG_ON)
    linux.do('Logoff')


def test_a_hung_agent_is_cancelled_before_it_has_answered(linux):
    begin = len(linux.guest.lines)
    linux.guest.do(f'kill -STOP {AGENT}')
    task = linux.begin('Shutdown')
    linux.client.wait_property(task, 'ConcreteJob', 'JobState', 4)
    start = time.monotonic()
    linux.client.call(task, 'Task', 'Cancel')
    assert linux.client.wait_task(task)['ResultName'] == 'cancelled'
    assert time.monotonic() - start < 3  # libvirt waits for five
    linux.guest.do(f'kill -CONT {AGENT}')
    linux.fails('NoLogonSession', 'Logoff')
    assert not any(line.startswith('shutdown') for line in linux.guest.lines[begin:])


# --- Going down, and up again ---

def test_shutdown_with_the_button_of_a_guest_whose_agent_hangs(linux):
    begin = len(linux.guest.lines)
    linux.client.wait(lambda: linux.get('OSName'), what='the name')  # nobody else asks the agent now
    linux.guest.do(f'kill -STOP {AGENT}')
    properties = linux.do('Shutdown', forced=True)
    assert 'The power button is pressed' in linux.log(path_of(properties))
    assert 'button' in linux.guest.lines[begin:]
    assert linux.house.state(linux.guest) == 'turned-off'


def test_request_state_change(house, linux):
    """First with the button, then through the agent."""
    begin = len(linux.guest.lines)

    def request(state):
        value, task = linux.client.call(linux.path, 'VirtualMachine', 'RequestStateChange', 'qa{sv}', state,
                                        {'TimeoutUSec': GLib.Variant('u', 60_000_000)})
        assert value == 4096
        properties = linux.client.wait_task(task)
        assert properties['ResultName'] == 'success', properties
        return properties['Operation']

    linux.guest.do(f'kill {AGENT}')
    linux.wait('IsHeartbeating', False)
    assert request(10) == 'guest-restart'
    assert 'button' in linux.guest.lines[begin:]
    house.do(linux.guest, 'TurnOff')  # which boots faster then
    linux.ready()
    assert request(4) == 'guest-shutdown'
    assert linux.guest.lines[begin:].count('button') == 1 and linux.house.state(linux.guest) == 'turned-off'


def test_the_tool(house, linux):
    tool = Tool(house)
    assert {'shutdown', 'reboot', 'logoff'} <= set(tool.complete(''))
    assert tool.complete('logoff', 'we') == ['web1']
    assert {'--force', '--within=', '--queue'} <= set(tool.complete('shutdown', '--'))
    assert 'nobody is logged on' in tool.fail(STATE, 'logoff', 'web1').lower()
    linux.guest.do(f'{LOG_ON}; touch /run/stay')
    assert 'still logged on' in tool.fail(FAILED, 'logoff', 'web1', '--within=0.5')
    linux.guest.do('rm /run/stay')
    assert tool.say('logoff', 'web1').startswith('Logged off the users of web1 (')
    assert tool.say('reboot', 'web1').startswith('Restarted web1 (')
    house.do(linux.guest, 'TurnOff')
    linux.ready()
    assert tool.say('shutdown', 'web1', '--force').startswith('Shut down web1 (')
    assert house.state(linux.guest) == 'turned-off'
    assert 'turned-off' in tool.fail(STATE, 'shutdown', 'web1')


# --- Guests that do not listen ---

def test_a_guest_that_ignores_it(house, linux):
    before = linux.guest.ticks
    linux.guest.do('touch /run/ignore')
    properties = linux.fails('TimedOut', 'Shutdown', usec=SOON_USEC)
    assert (properties['Result'], properties['Error']) == (6, 0xA0040202)
    assert 'The guest has been asked, and may still go down' in linux.log(path_of(properties))
    linux.guest.assert_goes_on(before)
    # libvirt still waits for it.
    properties = linux.fails('GuestShutdownInProgress', 'Shutdown', forced=True)
    assert properties['Error'] == 0x8007045B
    house.do(linux.guest, 'TurnOff')


def test_a_cancel_ends_the_waiting(house, linux):
    begin, before = len(linux.guest.lines), linux.guest.ticks
    linux.guest.do('touch /run/ignore')
    task = linux.begin('Shutdown')
    linux.wait_asked(task, begin)
    assert linux.client.get(task, 'Task', 'IsCancelable')
    linux.client.call(task, 'Task', 'Cancel')
    properties = linux.client.wait_task(task)
    assert properties['ResultName'] == 'cancelled' and linux.house.state(linux.guest) == 'running'
    linux.guest.assert_goes_on(before)
    house.do(linux.guest, 'TurnOff')


def test_the_service_dies(house, linux):
    """A guest that runs on is waited for again; nobody knows whether it has restarted; and one that has gone down meanwhile has done what was asked for."""
    linux.guest.do('touch /run/ignore')
    for method, line, error in (('Shutdown', 'shutdown -P', 'TimedOut'), ('Restart', 'shutdown -r', 'ServiceRestarted')):
        begin = len(linux.guest.lines)
        task = linux.begin(method, usec=3_000_000)
        linux.wait_asked(task, begin, line)
        house.daemon.kill()
        house.daemon.start()
        properties = linux.client.wait_task(task)
        assert properties['ErrorName'] == ERROR + error, properties['ErrorDescription']
        assert house.state(linux.guest) == 'running'
    begin = len(linux.guest.lines)
    task = linux.begin('Shutdown')
    linux.wait_asked(task, begin)
    house.daemon.kill()
    linux.guest.send('poweroff -f\n')
    linux.guest.wait(lambda: any('Power down' in line for line in linux.guest.lines[begin:]), 'the end')
    house.daemon.start()
    properties = linux.client.wait_task(task)
    assert properties['ResultName'] == 'success' and house.state(linux.guest) == 'turned-off', properties['ErrorDescription']


# --- A host without room ---

@pytest.mark.root
def test_a_guest_whose_disk_can_not_grow(house):
    """It is paused, everybody is told, and with more room it goes on."""
    small = house.scratch / 'small'
    small.mkdir()
    run('mount', '-t', 'tmpfs', '-o', 'size=4m', 'small', small)
    house.scratch.callback(run, 'umount', '--lazy', small)

    class Small(LinuxGuest):
        def _make_image(self):
            self.image = small / self.image.name
            super()._make_image()

    guest = house.register('narrow', kind=Small)
    seen = len(house.client.signals)
    guest.send('dd if=/dev/urandom of=/data/much bs=1M count=8 conv=fsync; echo written\n')
    heard = house.client.wait_signal('DiskOutOfSpace', guest.path, after=seen)
    assert heard.arguments == (True,)
    house.client.wait_property(guest.path, 'VirtualMachine', 'StateName', 'paused')
    assert house.client.get_all(guest.path, 'GuestOS') == {'CanShutdown': False, 'IsHeartbeating': False}
    run('mount', '-o', 'remount,size=32m', small)
    house.client.call(guest.path, 'VirtualMachine', 'Resume')
    guest.wait_line('written', 0)
    guest.wait_ticks(2)
    house.do(guest, 'TurnOff')
