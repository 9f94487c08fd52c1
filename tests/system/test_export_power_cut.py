# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts while an export is written (security.md T10): after each call that changes the disk, with all, nothing or any part of what had not been
synced. Under the name of the bundle there is a whole one, or no manifest; what is half can be removed, and the next daemon does so."""

import os
import random

import pytest
from bundles import NAME, PARTIAL, Sources, remove, verify, write
from exports import begin as begin_export
from exports import digests
from exports import verify as verify_all
from exports import write as write_pattern
from harness import Kept, PowerScratch, replay
from harness.source import LONG, rows
from qemu_house import RESTARTED, House, Snapshots, second_disk

pytestmark = [pytest.mark.root, pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK), reason='needs FUSE')]

CUTS = int(os.environ.get('VIRTASK_CUTS', 0 if LONG else 3))  # that a daemon meets; 0: all
MIXTURES, STATES = rows((100, 4500), (12, 500), (4, 250))


def new_seed():
    return int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))


def images(recording, seed):
    """(when, what is kept, whether it was reported by then, image)."""
    dice = random.Random(seed)
    for operation, model in replay(*recording, writes=True):
        when = f'after {operation[0]}' if operation else 'at the end'
        for kept in Kept:
            yield when, kept, not operation, model.image(kept)
        for number in range(MIXTURES):
            yield when, number, not operation, model.some(dice)


@pytest.mark.parametrize('replace_empty', rows((False, True), (False, True), (True,)))
def test_an_export_is_whole_or_absent(replace_empty):
    seed = new_seed()
    with PowerScratch() as scratch:
        sources, directory, after = Sources(scratch.path, 9 << 10 if LONG else 300), scratch.disk / 'to', scratch.directory('after')
        directory.mkdir()
        (directory / NAME).mkdir() if replace_empty else None
        begin = scratch.position
        done = write(sources, directory, replace_empty)
        assert done.returncode == 0, done
        recording = (scratch.log, begin, scratch.position)
        scratch.stop_recording()
        states = whole = half = 0
        for when, kept, reported, image in images(recording, seed):
            there = os.fsencode(f'to/{NAME}/manifest.json') in image
            assert there or not reported, (when, kept)
            # What is half is the same again and again.
            if there or isinstance(kept, Kept):
                scratch.restore(image, after)
                verify(after / 'to' / NAME) if there else None
                remove(after / 'to')
                assert {path.name for path in (after / 'to').iterdir()} <= {NAME}, (when, kept)
            states, whole, half = states + 1, whole + there, half + (os.fsencode(f'to/{PARTIAL}') in image)
        print(f'{states} states, whole in {whole}, half in {half}, seed {seed}')
        assert states >= STATES and whole > 1 and half > 1


class Power:
    """An export by a daemon whose files lie on the disk, recorded until it was reported."""

    def __init__(self, scratch):
        self.scratch, self.directory = scratch, scratch.disk / 'to'
        self.directory.mkdir()
        self.house = House(scratch, 'embed', environment=scratch.environment)
        self.machine = Snapshots(self.house, self.house.register('web1', boot=False, memory=32, devices=second_disk(scratch, 'web1')))
        write_pattern(self.machine, 1)
        self.images = digests(self.machine)
        begin = scratch.position
        self.task = begin_export(self.machine, self.directory)
        assert self.house.client.wait_task(self.task)['ResultName'] == 'success'
        self._recording = (scratch.log, begin, scratch.position)
        self.house.daemon.kill()
        scratch.stop_recording()

    def states(self):
        """(whether it was reported by then, disk), each disk once, and good until the next one is asked for."""
        seen = set()
        for operation, model in replay(*self._recording):
            for kept in Kept:
                image = model.image(kept)
                key = frozenset((path, content.version if content else 0) for path, (*_, content) in image.items() if not path.endswith(b'.log'))
                if key not in seen:
                    seen.add(key)
                    yield not operation, image

    def check(self, reported):
        """What the next daemon makes of it."""
        client = self.house.client
        self.house.daemon.start()
        for path, interfaces in client.objects().items():
            if 'org.virtask1.Task' in interfaces:
                assert client.wait_task(path)['ErrorName'] in ('', RESTARTED)
        left = [path.name for path in self.directory.iterdir()]
        assert left in ([], ['web1']) and (left or not reported), left
        verify_all(self.directory / 'web1') if left else None
        assert client.get(self.task, 'Task', 'ResultName') == 'success' if reported else True
        assert digests(self.machine) == self.images
        self.house.daemon.kill()
        return bool(left)


def test_the_next_daemon_removes_what_is_half():
    with PowerScratch() as scratch:
        power, seed = Power(scratch), new_seed()
        count = sum(1 for _ in power.states())
        chosen = random.Random(seed).sample(range(count), min(CUTS or count, count))
        print(f'{count} states, seed {seed}, checks {sorted(chosen)}')
        whole = 0
        for number, (reported, image) in enumerate(power.states()):
            if number in chosen:
                scratch.restore(image)
                whole += power.check(reported)
        print(f'whole in {whole} of {len(chosen)}')
