# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts. All that is written while an operation goes on is recorded, and for each change of a name and each sync the disk is made what it would
be if the power had failed then. The next daemon finds a machine that starts, chains that are clean, nothing half-made and nothing left behind; and
what was reported as done stays done."""

import os
import random
import xml.etree.ElementTree as ElementTree

import pytest
from harness import Kept, PowerScratch, replay
from harness.source import LONG, rows
from qemu_house import House, Snapshots, second_disk
from test_snapshots_interruptions import DISKS, NOW, OLD, OPERATIONS, RESTARTED, prepare

CUTS = int(os.environ.get('VIRTASK_CUTS', 0 if LONG else 3))  # of each operation; 0: all
ALL = {
    **OPERATIONS,
    'save': ('running', (DISKS,), lambda machine: machine.house.begin(machine.guest, 'Save')),
    'restore': ('saved', (DISKS,), lambda machine: machine.house.begin(machine.guest, 'Startup')),
}
USUAL = ('full-running', 'full-saved', 'apply-full-running', 'destroy-running', 'destroy-off')

pytestmark = [pytest.mark.root, pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK), reason='needs FUSE')]


class Power:
    """One operation of one machine, recorded from its call until it was reported as done."""

    def __init__(self, scratch, name):
        state, kinds, action = ALL[name]
        self.name, self.scratch = name, scratch
        self.house = House(scratch, 'embed', environment=scratch.environment)
        self.client = self.house.client
        self.guest = self.house.register('web1', boot=False, memory=32, devices=second_disk(scratch, 'web1'))
        self.machine = Snapshots(self.house, self.guest)
        self.known = prepare(self.machine, state, *kinds)
        self.images, self.memories = self.machine.images(), self._read_memories()
        begin = scratch.position
        self.task = action(self.machine)
        properties = self.client.wait_task(self.task)
        self.recording = (scratch.log, begin, scratch.position)
        self.memories |= self._read_memories()
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
        self.off()
        scratch.stop_recording()

    def _read_memories(self):
        return {path.name: path.read_bytes() for path in self.house.below.saved_states.glob(f'{self.guest.uuid}.*')}

    def off(self):
        """All processes are gone at once."""
        self.house.daemon.kill()
        self.house.below.end_guests()

    def states(self):
        """(when, whether the operation had been reported by then, disk), each disk once, and good until the next one is asked for."""
        seen = set()
        for operation, model in replay(*self.recording):
            for kept in Kept:
                image = model.image(kept)
                key = frozenset((path, content.version if content else 0) for path, (*_, content) in image.items()
                                if not path.endswith(b'.log'))
                if key not in seen:
                    seen.add(key)
                    yield f'after {model.describe(operation) if operation else "the end"}: {kept.value}', operation is None, image

    # --- What is found ---

    def check(self, reported):
        """The next daemon, and then the guest."""
        self.house.daemon.start()
        for path, interfaces in self.client.objects().items():
            if 'org.virtask1.Task' in interfaces:
                properties = self.client.wait_task(path)
                assert properties['ErrorName'] in ('', RESTARTED), properties
        self._check_result(reported)
        if self.house.state(self.guest) == 'running':
            assert self.name.startswith('apply-full')
            self.house.do(self.guest, 'TurnOff')
        self.machine.assert_whole(after_power_cut=True)
        self._check_start()
        self.machine.assert_whole(after_power_cut=True)

    def _is_done(self):
        """What the task says. It may be forgotten if the machine is as it was, or as it was to be."""
        if self.task in self.client.objects():
            return self.client.get(self.task, 'Task', 'ResultName') == 'success'
        if self.name.startswith('apply'):
            return self.machine.images() != self.images
        return len(self.machine.paths) != len(self.known)

    def _check_result(self, reported):
        machine, done, kind = self.machine, self._is_done(), self.name.split('-')[0]
        change = {'full': 1, 'disks': 1, 'destroy': -2 if 'tree' in self.name else -1}.get(kind, 0)
        paths = machine.paths
        if kind in ('save', 'restore'):
            done = self.house.state(self.guest) == ('saved' if kind == 'save' else 'turned-off')
        assert done or not reported
        assert len(paths) == len(self.known) + (change if done else 0)
        machine.assert_reads(OLD if done and kind == 'apply' else NOW, targets=['hdb'])
        memories = self._read_memories()
        assert all(self.memories[name] == content for name, content in memories.items()), 'memory that is not whole'
        for path in paths:
            machine.assert_reads(OLD if path in self.known else NOW, path, targets=['hdb'])

    def _check_start(self):
        saved = self.house.state(self.guest) == 'saved'
        assert self.house.below.saved_files() == [file for file in self.house.below.saved_files() if file.startswith(self.guest.uuid)] + \
            (['web1.save'] if saved else [])
        process = self.guest.processes + 1
        self.house.do(self.guest, 'Startup')
        self.guest.wait_first_tick(process)
        status = ElementTree.parse(self.house.below.root / 'run/qemu/web1.xml').getroot()
        assert {disk.find('source').get('file') for disk in status.findall('domain/devices/disk')} == \
            {path for path, _ in self.machine.images().values()}, 'the guest runs on other images than its definition has'


def test_the_disk_keeps_what_was_synced():
    """The recorder and the model themselves."""
    with PowerScratch() as scratch:
        begin = scratch.position
        for name, steps in {'written': 'w', 'synced': 'ws', 'rewritten': 'wsw', 'renamed': 'wsr', 'renamed-synced': 'wsrd', 'removed': 'wsdu'}.items():
            directory = scratch.disk / name
            directory.mkdir()
            path = directory / 'old'
            for number, step in enumerate(steps):
                if step == 'w':
                    path.write_text(str(number), encoding='ascii')
                elif step == 'r':
                    path = path.rename(directory / 'new')
                elif step == 'u':
                    path.unlink()
                else:
                    fd = os.open(path if step == 's' else directory, os.O_RDONLY)
                    os.fsync(fd)
                    os.close(fd)
        *_, (_, model) = replay(scratch.log, begin, scratch.position)

        def files(kept):
            return {os.fsdecode(path): bytes(content) for path, (*_, content) in model.image(kept).items() if content is not None}

        synced = {'synced/old': b'0', 'rewritten/old': b'0', 'renamed/old': b'0', 'renamed-synced/new': b'0', 'removed/old': b'0'}
        assert files(Kept.NOTHING) == synced
        assert files(Kept.NAMES) == {'written/old': b'', 'synced/old': b'0', 'rewritten/old': b'0', 'renamed/new': b'0', 'renamed-synced/new': b'0'}
        assert files(Kept.ALL) == {'written/old': b'0', 'synced/old': b'0', 'rewritten/old': b'2', 'renamed/new': b'0', 'renamed-synced/new': b'0'}


@pytest.mark.parametrize('name', ALL if 'VIRTASK_CUTS' in os.environ else rows(ALL, USUAL, ['apply-full-running']))
def test_power_cut(name):
    with PowerScratch() as scratch:
        power = Power(scratch, name)
        count = sum(1 for _ in power.states())
        seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
        chosen = random.Random(seed).sample(range(count), min(CUTS or count, count))
        print(f'{name}: {count} states, seed {seed}, checks {sorted(chosen)}')
        for number, (when, reported, image) in enumerate(power.states()):
            if number in chosen:
                print(f'{number}: {when}')
                scratch.restore(image)
                power.check(reported)
                power.off()
