# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real QEMU below the daemon: in its own process (embed), or behind a private libvirtd with virsh beside us."""

import contextlib
import json
import os
import random
import subprocess
import xml.etree.ElementTree as ElementTree

from gi.repository import GLib
from harness import BUILD, MANAGER, Bus, BusError, Client, Daemon, Deadline, Embed, Libvirtd
from harness.source import LONG

# A save of this much takes a second or more, long enough to be met in the middle.
BIG = 2048 if LONG else 384

# SnapshotType, as CreateSnapshot's callers know it.
FULL, DISKS, RECOVERY = 2, 3, 32768

# The error of a task that the daemon's death has ended.
RESTARTED = 'org.virtask1.Error.ServiceRestarted'


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


def armed_house(scratch):
    """One whose daemon can be armed."""
    return House(scratch, 'embed', environment={
        'LD_PRELOAD': str(BUILD / 'tests/crash-point.so'), 'VIRTASK_CRASH_ARM': str(scratch / 'armed'),
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'})


class Armed:
    """The daemon counts its steps, or dies after one of them."""

    def __init__(self, house):
        self._file = house.scratch / 'armed'
        self._count = house.scratch / 'armed.count'
        self.house = house

    def arm(self, number):
        self._count.unlink(missing_ok=True)
        self._file.write_text(str(number), encoding='ascii')

    def disarm(self):
        self._file.unlink()

    def count(self):
        return int(self._count.read_text(encoding='ascii'))

    def die(self, number, action):
        """Begins it and dies on the way; the task, or None if it was not even said to exist."""
        task, answered = None, False
        self.arm(number)
        with contextlib.suppress(BusError):
            task = action()
            answered = True
        # The bus tells when it is gone. What has no task has ended with its answer.
        process = self.house.daemon.process
        self.house.client.wait(lambda: not process.running or (self._has_ended(task) if task else answered), what='death')
        self.disarm()
        with contextlib.suppress(BusError):
            self.house.client.get(MANAGER, 'Manager', 'Connected')
            return task
        self.house.daemon.wait_killed()
        self.house.daemon.start()
        return task

    def _has_ended(self, task):
        return any(signal.member == 'Completed' and signal.path == task for signal in self.house.client.signals)


def run(*arguments, may_return=0):
    """Runs a tool and answers what it printed."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    assert done.returncode in (0, may_return), (arguments, done.stdout, done.stderr)
    return done.stdout


def variant(value):
    return GLib.Variant({bool: 'b', int: 'q', str: 's'}[type(value)], value)


def second_disk(scratch, name, size='64M'):
    """Makes an empty image, and answers the definition of the disk hdb."""
    path = scratch / f'{name}-data.qcow2'
    run('qemu-img', 'create', '-q', '-f', 'qcow2', path, size)
    path.chmod(0o666)
    return f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='hdb' bus='ide'/></disk>"


class Snapshots:
    """The snapshots of a guest, and the files that they rest on.

    A snapshot is named by its path, and None is the machine as it is now."""

    def __init__(self, house, guest):
        self.house, self.client, self.guest = house, house.client, guest

    # --- Operations ---

    def begin(self, kind, **settings):
        """Begins a snapshot; the task."""
        return self.client.call(self.guest.path, 'SnapshotService', 'CreateSnapshot', 'qa{sv}', kind,
                                {key: variant(value) for key, value in settings.items()})

    def refused(self, kind, **settings):
        """The name of the error of a snapshot that is refused at once."""
        return self.client.error(self.guest.path, 'SnapshotService', 'CreateSnapshot', 'qa{sv}', kind,
                                 {key: variant(value) for key, value in settings.items()}).short

    def take(self, kind, **settings):
        properties = self.client.wait_task(self.begin(kind, **settings))
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        return properties['ResultObject']

    def start(self, snapshot, method, **options):
        """Begins a method of a snapshot; the task."""
        return self.client.call(snapshot, 'Snapshot', method, 'a{sv}', {key: variant(value) for key, value in options.items()})

    def do(self, snapshot, method, **options):
        properties = self.client.wait_task(self.start(snapshot, method, **options))
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        return properties

    def get(self, snapshot):
        return self.client.get_all(snapshot, 'Snapshot')

    # --- Reference points, which are named by their paths as well ---

    def begin_point(self, **settings):
        return self.client.call(self.guest.path, 'ReferencePointService', 'CreateReferencePoint', 'qa{sv}', 2,
                                {key: variant(value) for key, value in settings.items()})

    def take_point(self, **settings):
        properties = self.client.wait_task(self.begin_point(**settings))
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        return properties['ResultObject']

    def start_destroy(self, point):
        return self.client.call(point, 'ReferencePoint', 'Destroy', 'a{sv}', {})

    def destroy_point(self, point):
        properties = self.client.wait_task(self.start_destroy(point))
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        return properties

    @property
    def points(self):
        return self.client.get(self.guest.path, 'ReferencePointService', 'ReferencePoints')

    def id_of(self, path):
        """libvirt's name of it."""
        if '/referencepoint/' in path:
            return self.client.get(path, 'ReferencePoint', 'InstanceID').removeprefix(f'{self.guest.uuid}/')
        return self.get(path)['ID']

    @property
    def paths(self):
        return self.client.get(self.guest.path, 'VirtualMachine', 'Snapshots')

    # --- States ---

    def bring(self, state):
        if state != 'turned-off':
            self.house.do(self.guest, 'Startup')
            self.guest.wait_first_tick(self.guest.processes)
        if state == 'paused':
            self.client.call(self.guest.path, 'VirtualMachine', 'Pause')
        elif state == 'saved':
            self.house.do(self.guest, 'Save')
        assert self.house.state(self.guest) == state

    def go_on(self, state, before):
        """As it was in this state, from then on; and off in the end."""
        assert self.house.state(self.guest) == state
        if state == 'paused':
            self.client.call(self.guest.path, 'VirtualMachine', 'Resume')
        elif state == 'saved':
            self.house.do(self.guest, 'Startup')
        if state != 'turned-off':
            self.guest.assert_goes_on(before)
            self.house.do(self.guest, 'TurnOff')

    # --- What libvirt wrote down; it is a file of root's ---

    def _definition(self, snapshot=None):
        root = self.house.below.root
        if snapshot is None:
            return ElementTree.parse(root / f'etc/qemu/{self.guest.name}.xml').getroot()
        text = ElementTree.parse(root / f'lib/qemu/snapshot/{self.guest.name}/{self.id_of(snapshot)}.xml').getroot()
        return text.find('inactiveDomain') or text.find('domain')

    def images(self, snapshot=None):
        """Target -> (path, format)."""
        disks = self._definition(snapshot).findall('devices/disk')
        return {disk.find('target').get('dev'): (disk.find('source').get('file'), disk.find('driver').get('type'))
                for disk in disks if disk.find('source') is not None}

    def _noted(self, element, attribute):
        """What is noted in the metadata of the definition."""
        metadata = self._definition().find('metadata')
        return {node.get(attribute) for node in (metadata.iter() if metadata is not None else ())
                if node.tag.rpartition('}')[2] == element}

    @property
    def variables(self):
        """The file of the firmware's variables."""
        return self.house.below.root / f'lib/qemu/nvram/{self.guest.name}_VARS.fd'

    def state_files(self):
        """Copies of memory and of variables, and what is left of them."""
        mine = [*(self.house.below.root / 'lib/qemu/save').glob(f'{self.guest.uuid}.*'), *self.variables.parent.glob(f'{self.guest.name}_VARS.fd?*')]
        return {path.name.removeprefix(f'{self.guest.uuid}.') for path in mine}

    # --- Content ---

    def write(self, pattern, length='64k', targets=None):
        """Fills a part of each disk, from 512 KiB on, of a machine that is off."""
        for target, (path, form) in self.images().items():
            if targets is None or target in targets:
                run('qemu-io', '-f', form, '-c', f'write -P {pattern} 512k {length}', path)

    def assert_reads(self, pattern, snapshot=None, length='64k', targets=None):
        for target, (path, form) in self.images(snapshot).items():
            if targets is None or target in targets:
                assert 'verification failed' not in run('qemu-io', '-rU', '-f', form, '-c', f'read -P {pattern} 512k {length}', path), \
                    (target, snapshot)

    def count_on_disk(self, snapshot=None):
        """What the guest has written to its first disk."""
        path, form = next(iter(self.images(snapshot).values()))
        words = run('qemu-io', '-rU', '-f', form, '-c', 'read -v 512 512', path).split()
        return int.from_bytes(bytes(int(byte, 16) for byte in words[5:9]), 'little')

    def assert_whole(self, after_power_cut=False):
        """Chains are clean, nothing is there that none of them needs, and what is noted is true. After a power cut there may be unused clusters."""
        now = {path for path, _ in self.images().values()}
        snapshots, points = self.paths, self.points
        shown = set(self.images().values()).union(*(self.images(path).values() for path in [*snapshots, *points]))
        below = {}  # path -> the one it rests on
        for path, form in shown:
            for image in json.loads(run('qemu-img', 'info', '-U', '--backing-chain', '--output=json', '-f', form, path)):
                below[image['filename']] = image.get('full-backing-filename')
                if image['format'] != 'raw' and not (image['filename'] in now and self.house.below.qemu_pid(self.guest.name)):
                    run('qemu-img', 'check', '-q', '-U', '-f', image['format'], image['filename'], may_return=3 if after_power_cut else 0)
        files = {str(path) for path in self.guest.image.parent.glob(f'{self.guest.name}[.-]*')
                 if path.suffix not in ('.serial', '.xml')}
        assert files == set(below), (sorted(files), sorted(below))
        hidden = set(below) - {path for path, _ in shown}
        assert self._noted('hidden', 'path') == hidden
        assert self._noted('made', 'path') <= files
        assert all(list(below.values()).count(path) > 1 for path in hidden), 'could have been merged'

        kept = [self.get(snapshot) for snapshot in snapshots]
        ids = {self.id_of(path) for path in [*snapshots, *points]}
        assert self._noted('snapshot', 'id') <= ids
        assert self.state_files() == ({f'{snapshot["ID"]}.memory' for snapshot in kept if snapshot['HasSavedState']} |
                                      {f'{name}.nvram' for name in ids if self.variables.exists()})
