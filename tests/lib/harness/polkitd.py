# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real polkitd, on a private bus, with our policy and the rules of a test. Needs root."""

import glob
import shutil

from gi.repository import GLib

from .client import Client
from .namespace import Namespace, bind
from .process import Process
from .source import SOURCE

POLKIT = 'org.freedesktop.PolicyKit1'
ACTIONS = '/usr/share/polkit-1/actions'


class Polkitd:
    """Knows the actions of this computer and ours, and no rules but those of the test."""

    POLICY = SOURCE / 'data/polkit/org.virtask1.policy'

    def __init__(self, scratch, bus, rules='', start=True):
        self._scratch = scratch
        self._bus = bus
        actions = scratch.directory('polkit.actions')
        for policy in [*glob.glob(f'{ACTIONS}/*.policy'), self.POLICY]:
            shutil.copy(policy, actions)
        self._rules = scratch.directory('polkit.rules')
        self._empty = scratch.directory('polkit.empty')
        self._write(rules)
        self._client = Client(bus, destination=POLKIT)
        self._namespace = Namespace(scratch, 'polkit.namespace', [
            bind(actions, ACTIONS),
            bind(self._rules, '/etc/polkit-1/rules.d'),
            f'if [ -d /usr/share/polkit-1/rules.d ]; then {bind(self._empty, "/usr/share/polkit-1/rules.d")}; fi',
        ])
        self.process = None
        if start:
            self.start()

    def _write(self, rules):
        # By a rename, so that polkitd never reads a half.
        path = self._rules / '50-test.new'
        path.write_text(rules, encoding='utf-8')
        path.chmod(0o644)
        path.rename(self._rules / '50-test.rules')

    def start(self):
        self.process = Process(self._scratch, 'polkitd', ['/usr/lib/polkit-1/polkitd', '--no-debug'],
                               namespace=self._namespace, environment={'DBUS_SYSTEM_BUS_ADDRESS': self._bus.address})
        self._client.wait_owner(POLKIT)

    def stop(self):
        self.process.kill()
        self._client.wait_owner(POLKIT, owned=False)

    def set_rules(self, rules):
        """Other rules; polkitd says on the bus when it has read them."""
        changes = sum(signal.member == 'Changed' for signal in self._client.signals)
        self._write(rules)
        self._client.wait(lambda: sum(signal.member == 'Changed' for signal in self._client.signals) > changes,
                          what='polkit to read its rules')

    def allows(self, client, action, **details):
        """What it says of this caller, without a dialog."""
        subject = ('system-bus-name', {'name': GLib.Variant('s', client.name)})
        allowed, _challenge, _details = self._client.call(
            '/org/freedesktop/PolicyKit1/Authority', f'{POLKIT}.Authority', 'CheckAuthorization', '(sa{sv})sa{ss}us',
            subject, action, details, 0, '')
        return allowed
