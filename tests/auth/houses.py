# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that asks polkit, with machines of libvirt's test driver: no guest takes part in the question who may do what."""

import pathlib
import sys
import time

from harness import MANAGER, Bus, BusError, Client, Daemon, path_of
from harness.client import Deadline

# The fakes are those of the bus tests.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'bus'))
import fakes  # noqa: E402

# Users of every Debian: what the rules of the tests say of them.
GRANTED, DENIED, OWNER, DEFAULT = 'daemon', 'bin', 'games', 'nobody'
RULES = f"""
polkit.addRule(function(action, subject) {{
    if (action.id.indexOf("org.virtask1.") != 0)
        return;
    if (subject.user == "{GRANTED}" || subject.user == "{OWNER}")
        return polkit.Result.YES;
    if (subject.user == "{DENIED}")
        return polkit.Result.NO;
}});
"""

DENIED_NAME = 'org.freedesktop.DBus.Error.AccessDenied'
CHALLENGE_NAME = 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired'
LIMIT_NAME = 'org.freedesktop.DBus.Error.LimitsExceeded'
VM = 'VirtualMachine'

# Reads answer within this, whatever hangs.
READ_SECONDS = 0.1

RUN_STATES = {'running': 1, 'paused': 3, 'turned-off': 5, 'saved': 1}


class House:
    """A bus, the daemon with real and fake operations, its machines, and root as a client."""

    def __init__(self, scratch, machines=None, policies=None, snapshots=None, notes=None, **keywords):
        """"snapshots" has the names of the snapshots of some machines, "notes" what types of them are noted."""
        self.scratch = scratch
        self.bus = Bus(scratch, policies=policies)
        machines = machines or {'web1': 'running'}
        self._uuids = {name: fakes.uuid_of(number) for number, name in enumerate(machines, 1)}
        definitions = ''.join(self._define(name, state, (snapshots or {}).get(name, ()), (notes or {}).get(name))
                              for name, state in machines.items())
        path = scratch / 'machines.xml'
        path.write_text(f'<node>\n{definitions}</node>\n', encoding='utf-8')
        self.prepare(scratch.directory('virtaskd.state'))
        self.gates = fakes.Gates(scratch.directory('fake'))
        self.daemon = Daemon(scratch, self.bus, f'test://{path}', program='tests/virtaskd-fake',
                             **{'authorizer': 'polkit', **keywords},
                             environment={'VIRTASK_FAKE_DIRECTORY': str(self.gates.directory)})
        # Before the daemon stops, which waits for its tasks.
        scratch.callback(self.gates.close)
        self.root = Client(self.bus)
        for name, state in machines.items():
            if state == 'saved':
                self.do(name, 'Save')

    def _define(self, name, state, snapshots, notes):
        text = fakes.DEFINITION.format(name=name, uuid=self._uuids[name], state=RUN_STATES[state])
        return fakes.with_snapshots(fakes.with_notes(text, notes) if notes else text, *map(fakes.snapshot, snapshots))

    def prepare(self, state):
        """What the daemon finds when it starts: a collection of machines, one of snapshots, and one of reference points."""
        self.collections = [fakes.collection_file(state, 9000, 'some'), fakes.collection_file(state, 9001, 'group', snapshots=[]),
                            fakes.collection_file(state, 9002, 'points', snapshots=[], kind='reference-points')]

    def uuid(self, name):
        return self._uuids[name]

    def path(self, name):
        return path_of(self._uuids[name])

    def snapshot_path(self, name, snapshot):
        return fakes.snapshot_path(self.path(name), snapshot)

    def point_path(self, name, point):
        return fakes.point_path(self.path(name), point)

    def client(self, user):
        return Client(self.bus, user=user)

    def state(self, name):
        return self.root.get(self.path(name), VM, 'StateName')

    def do(self, name, method, **options):
        """What root does; it has to succeed."""
        properties = self.root.wait_task(self.root.call(self.path(name), VM, method, 'a{sv}', fakes.options(**options)))
        assert properties['ResultName'] == 'success', properties
        return properties

    def start_task(self, client, name='web1'):
        """A task that lasts until it is cancelled or the test is over."""
        gate = self.gates.add()
        task = fakes.start(client, self.path(name), 'FakeSlow', Gate=gate)
        fakes.wait_at(self.root, task, gate)
        return task

    def tasks(self):
        """All tasks that there are."""
        return self.root.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {})

    def snapshot(self):
        """All that there is, but what changes with the time alone."""
        return {path: {interface: {name: value for name, value in properties.items() if name not in ('ElapsedTime', 'HostFreeDiskSpace')}
                       for interface, properties in interfaces.items()} for path, interfaces in self.root.objects().items()}


def pass_time(client, seconds):
    """Lets the moment come."""
    try:
        client.wait(lambda: False, max(seconds, 0.0005))
    except Deadline:
        pass


def outcome(client, path, interface, method, signature='', *arguments, **keywords):
    """None, or the error of the call; a number that is promised to be in its text is there."""
    try:
        client.call(path, interface, method, signature, *arguments, **keywords)
    except BusError as error:
        return error
    return None


def save(client, path, **keywords):
    """Sends a call that has to be authorized; it is the same for all tests that look at the answer only."""
    return client.start(path, VM, 'Save', 'a{sv}', {}, **keywords)


def refusal(client, call):
    """The error that the call ends with."""
    try:
        value = client.finish(call)
    except BusError as error:
        return error
    raise AssertionError(f'allowed: {value!r}')


def read_times(client, count=30):
    """How long so many listings took."""
    times = []
    for _ in range(count):
        begin = time.monotonic()
        client.objects()
        times.append(time.monotonic() - begin)
    return times
