# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real QEMU below the daemon: in its own process (embed), or behind a private libvirtd with virsh beside us."""

import os
import random

from harness import MANAGER, Bus, Client, Daemon, Deadline, Embed, Libvirtd, Scratch
from harness.source import LONG

# A save of this much takes a second or more, long enough to be met in the middle.
BIG = 2048 if LONG else 384


class House:
    """A bus, a daemon, a client and what is below them."""

    def __init__(self, scratch, kind, user=None, namespace=None, **keywords):
        self.scratch = scratch
        self.kind = kind
        self.bus = Bus(scratch)
        if kind == 'embed':
            self.below = Embed(scratch, user=user)
            uri = self.below.uri
        else:
            self.below = Libvirtd(scratch)
            uri, namespace = Libvirtd.URI, self.below.namespace
        self.daemon = Daemon(scratch, self.bus, uri, user=user, namespace=namespace, **keywords)
        self.client = Client(self.bus)

    # --- Machines ---

    def register(self, name, boot=True, **keywords):
        """A guest that the daemon knows, and that runs unless boot is false."""
        if self.kind == 'embed':
            guest = self.below.guest(name, **keywords)
            path = self.client.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml, {})
            assert path == guest.path
        else:
            seen = len(self.client.signals)
            guest = self.below.guest(name, **keywords)
            self.client.wait_signal('InterfacesAdded', where=lambda signal: signal.arguments[0] == guest.path, after=seen)
        if boot:
            self.do(guest, 'Startup')
            guest.wait(lambda: guest.ticks > 0, 'the guest to count')
        return guest

    def begin(self, guest, method, signature='a{sv}', *arguments):
        """Calls a method that returns a task; its path."""
        return self.client.call(guest.path, 'VirtualMachine', method, signature, *(arguments or [{}]))

    def do(self, guest, method, *arguments):
        """The same, and the task has to succeed; its properties."""
        task = self.begin(guest, method, *arguments)
        properties = self.client.wait_task(task)
        assert properties['ResultName'] == 'success', properties
        return properties

    def state(self, guest):
        return self.client.get(guest.path, 'VirtualMachine', 'StateName')

    def refused(self, guest, method, signature='', *arguments):
        """The name of the error that the call gives."""
        error = self.client.error(guest.path, 'VirtualMachine', method, signature, *arguments)
        assert '(0x' in error.message
        return error.short

    # --- Time ---

    def pass_time(self, seconds):
        """Lets the moment come, and hears the signals meanwhile."""
        try:
            self.client.wait(lambda: False, max(seconds, 0.001))
        except Deadline:
            pass

    def is_in_the_middle(self, task):
        """Whether the operation is really going on: what makes a random moment count."""
        job = self.client.get_all(task, 'ConcreteJob')
        return job['JobState'] == 4 and self.client.get(task, 'Task', 'BytesDone') > 0


class Moments:
    """Random moments in an operation, from a seed that is printed. At least 80 % of the full count have to meet it in the middle."""

    def __init__(self, name, count):
        seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
        print(f'{name}: seed {seed}')
        self._name = name
        self._random = random.Random(seed)
        self._hits = 0
        self._count = count

    def __iter__(self):
        """Parts of the operation's duration, one from each slice of it, in random order."""
        slices = list(range(self._count))
        self._random.shuffle(slices)
        for number in slices:
            yield (number + self._random.random()) / self._count

    def hit(self, met):
        self._hits += bool(met)

    def check(self):
        print(f'{self._name}: {self._hits} of {self._count} in the middle')
        assert not LONG or self._hits >= 0.8 * self._count
