# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real logind, on a private bus. Needs root."""

from .client import Client
from .namespace import Namespace
from .process import Process

LOGIN = 'org.freedesktop.login1'


class Logind:
    """It neither sleeps nor shuts down: nobody asks it to."""

    def __init__(self, scratch, bus):
        self._client = Client(bus, destination=LOGIN)
        namespace = Namespace(scratch, 'logind.namespace', [
            'mkdir -p /run/systemd',
            'mount -t tmpfs tmpfs /run/systemd',
            'mkdir /run/systemd/inhibit /run/systemd/seats /run/systemd/sessions /run/systemd/users',
        ])
        self.process = Process(scratch, 'logind', ['/lib/systemd/systemd-logind'], namespace=namespace,
                               environment={'DBUS_SYSTEM_BUS_ADDRESS': bus.address})
        self._client.wait_owner(LOGIN)

    def locks(self):
        """What our service holds: (what, why, mode, process); logind has an order of its own for the first."""
        held = self._client.call('/org/freedesktop/login1', f'{LOGIN}.Manager', 'ListInhibitors')
        return [(set(what.split(':')), why, mode, process) for what, who, why, mode, _uid, process in held if who == 'virtask']

    def wait_locks(self, count):
        """logind says on the bus when what is blocked has changed."""
        return self._client.wait(lambda: len(self.locks()) == count, what=f'{count} locks') and self.locks()
