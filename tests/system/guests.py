# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Linux with the QEMU guest agent and a power button, asked through org.virtask1.GuestOS."""

import contextlib
import time

from gi.repository import GLib
from harness import Deadline, LinuxGuest

NAME = 'Test guest 1 (virtask)'  # as it says itself
ERROR = 'org.virtask1.Error.'
SOON_USEC = 700_000
SERVED_SECONDS = 0.1  # while the agent of another machine hangs

# What it is told.
LOG_ON = 'cp /etc/utmp /run/utmp'
FORGET = 'rm -f /run/refuse /run/ignore /run/stay /run/locked; : >/run/utmp'
AGENT = '$(cat /run/qemu-ga.pid)'


class Linux:
    """A guest, asked through the bus."""

    def __init__(self, house, name='web1'):
        self.house, self.client = house, house.client
        self.guest = house.register(name, kind=LinuxGuest)
        self.path = self.guest.path

    def ready(self):
        """It runs, its agent is connected, and it does what it is asked for."""
        if self.house.state(self.guest) != 'running':
            with self.booting():
                self.house.do(self.guest, 'Startup')
        self.wait('IsHeartbeating', True)
        self.guest.do(FORGET)
        return self

    @contextlib.contextmanager
    def booting(self):
        """Waits until it has booted once more, and counts."""
        boots = self.guest.boots
        yield
        self.guest.wait(lambda: self.guest.boots > boots and self.guest.lines[-1].startswith('tick '), 'a boot')

    def get(self, name):
        return self.client.get(self.path, 'GuestOS', name)

    def wait(self, name, value):
        self.client.wait_property(self.path, 'GuestOS', name, value)

    def begin(self, method, forced=False, usec=None):
        """Asks; the task."""
        options = {} if usec is None else {'TimeoutUSec': GLib.Variant('t', usec)}
        if method == 'Logoff':
            return self.client.call(self.path, 'GuestOS', method, 'a{sv}', options)
        return self.client.call(self.path, 'GuestOS', method, 'ba{sv}', forced, options)

    def end(self, *arguments, **keywords):
        """Asks, and waits; the properties of the task."""
        return self.client.wait_task(self.begin(*arguments, **keywords))

    def do(self, *arguments, **keywords):
        properties = self.end(*arguments, **keywords)
        assert properties['ResultName'] == 'success', properties
        return properties

    def fails(self, error, *arguments, **keywords):
        """It has to fail so, and the machine runs on; the properties of the task."""
        properties = self.end(*arguments, **keywords)
        assert properties['ErrorName'] == ERROR + error, properties['ErrorDescription']
        assert self.house.state(self.guest) == 'running'
        return properties

    def wait_asked(self, task, after, word='shutdown -P'):
        """The guest has been asked, and the task waits for it."""
        try:
            self.guest.wait(lambda: any(line.startswith(word) for line in self.guest.lines[after:]), word)
        except Deadline as error:
            raise AssertionError(self.client.get_all(task, 'Task')) from error
        self.client.wait_property(task, 'Task', 'StatusText', 'waiting for the guest')

    def assert_others_are_served(self, task, other):
        """Until the task has ended."""
        waits = []
        while not self.client.get(task, 'Task', 'IsComplete'):
            for method in 'Pause', 'Resume':
                begin = time.monotonic()
                self.client.call(other.path, 'VirtualMachine', method)
                self.client.get_all(self.path, 'GuestOS')
                waits.append(time.monotonic() - begin)
        print(f'{len(waits)} calls beside it, the slowest {max(waits) * 1000:.1f} ms')
        # With others on the processors one in a hundred may be late.
        assert sum(wait >= SERVED_SECONDS for wait in waits) <= len(waits) // 100

    def log(self, task):
        return [text for _, _, text in self.client.call(task, 'Task', 'GetLog', 'u', 0)]

    def signals(self, member, after):
        return [heard.arguments for heard in self.client.signals[after:] if heard.member == member and heard.path == self.path]


def path_of(task):
    return f'/org/virtask1/task/{task["ID"]}'
