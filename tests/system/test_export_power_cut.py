# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts while an export is written (security.md T10): after each call that changes the disk, with all, nothing or any part of what had not been
synced. Under the name of the bundle there is a whole one, or no manifest; and what is half can be removed."""

import os
import random

import pytest
from bundles import NAME, PARTIAL, Sources, remove, verify, write
from harness import Kept, PowerScratch, replay
from harness.source import LONG

pytestmark = [pytest.mark.root, pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK), reason='needs FUSE')]

MIXTURES = 100 if LONG else 12
STATES = 5000 if LONG else 500


def images(recording, seed):
    """(when, what is kept, whether it was reported by then, image)."""
    dice = random.Random(seed)
    for operation, model in replay(*recording, writes=True):
        when = f'after {operation[0]}' if operation else 'at the end'
        for kept in Kept:
            yield when, kept, not operation, model.image(kept)
        for number in range(MIXTURES):
            yield when, number, not operation, model.some(dice)


@pytest.mark.parametrize('replace_empty', [False, True])
def test_an_export_is_whole_or_absent(replace_empty):
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
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
