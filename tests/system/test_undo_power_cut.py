# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts while undo disks are made, discarded, merged and removed: the disks hold what they held before or what they were to hold, all of them, and
nothing is left behind. test_power_cut.py says how."""

import os
import random

import pytest
from harness import Kept, PowerScratch, replay
from harness.source import LONG
from qemu_house import House, second_disk
from test_undo import ACTIONS, NEW, RESULTS, Undoable, content, settled

CUTS = int(os.environ.get('VIRTASK_CUTS', 0 if LONG else 3))  # of each operation; 0: all

pytestmark = [pytest.mark.root, pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK), reason='needs FUSE')]


def off(house):
    """All processes are gone at once."""
    house.daemon.kill()
    house.below.end_guests()


def states(recording):
    """(when, whether the operation had been reported by then, disk), each disk once, and good until the next one is asked for."""
    seen = set()
    for operation, model in replay(*recording):
        for kept in Kept:
            image = model.image(kept)
            key = frozenset((path, node.version if node else 0) for path, (*_, node) in image.items() if not path.endswith(b'.log'))
            if key not in seen:
                seen.add(key)
                yield f'after {model.describe(operation) if operation else "the end"}: {kept.value}', operation is None, image


def check(machine, kind, reported):
    house = machine.house
    house.daemon.start()
    settled(machine)
    found, undoable = content(machine), machine.settings[0]
    assert found in RESULTS[kind]
    assert undoable == (kind != 'disable') or not reported
    if kind in ('disable', 'discard'):
        assert found != NEW or not reported
    if kind == 'merge' and undoable:
        machine.merge()
        machine.assert_base_reads(NEW)
    machine.assert_whole_undo() if undoable else machine.assert_no_undo()
    machine.bring('running')
    house.do(machine.guest, 'TurnOff')


@pytest.mark.parametrize('kind', ACTIONS)
def test_power_cut(kind):
    with PowerScratch() as scratch:
        house = House(scratch, 'embed', environment=scratch.environment)
        machine = Undoable(house, house.register('web1', boot=False, memory=32, devices=second_disk(scratch, 'web1')))
        if kind != 'enable':
            machine.set()
            machine.write(NEW)
        begin = scratch.position
        ACTIONS[kind](machine)
        recording = (scratch.log, begin, scratch.position)
        off(house)
        scratch.stop_recording()

        count = sum(1 for _ in states(recording))
        seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
        chosen = random.Random(seed).sample(range(count), min(CUTS or count, count))
        print(f'{kind}: {count} states, seed {seed}, checks {sorted(chosen)}')
        for number, (when, reported, image) in enumerate(states(recording)):
            if number in chosen:
                print(f'{number}: {when}')
                scratch.restore(image)
                check(machine, kind, reported)
                off(house)
