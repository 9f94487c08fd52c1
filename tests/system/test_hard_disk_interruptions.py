# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon dies after each of its steps while an image is made, and the power fails after each call that changes the disk (security.md T8, T10): under the
name of the image there is a whole one, or nothing; and what is half is removed by the next daemon."""

import os
import random
import subprocess

import pytest
from hard_disks import MIB, PARTIAL, begin, create, get, is_zero
from harness import Kept, PowerScratch, Scratch, replay
from harness.source import rows
from qemu_house import RESTARTED, Armed, armed_house
from test_hard_disk_faults import Maker

MIXTURES, STATES = rows((100, 1000), (12, 150), (4, 60))


@pytest.mark.below('embed')
@pytest.mark.parametrize('kind', ['Dynamic', 'Fixed'])
def test_the_daemon_dies_after_each_step(below, kind):
    with Scratch() as scratch:
        house = armed_house(scratch)
        armed, place = Armed(house), scratch.directory('place')
        armed.arm(0)
        create(house, kind, place / 'first.qcow2', 8)
        armed.disarm()
        count, whole = armed.count(), 0
        assert count > 3
        for number in range(1, count + 1):
            file = place / f'{number}/deep/a.qcow2'
            task = armed.die(number, lambda file=file: begin(house, kind, file, 8))
            properties = house.client.wait_task(task) if task else None
            if properties and properties['ResultName'] == 'success':
                is_zero(file, 'qcow2')
                # The object of a task that had ended is gone with the daemon, and comes back.
                assert get(house, file)['SizeInGuest'] == 8 * MIB
                assert house.client.get(properties['ResultObject'], 'HardDisk', 'Format') == 'qcow2'
                whole += 1
            else:
                assert properties is None or properties['ErrorName'] == RESTARTED
                assert not file.parent.parent.exists()
            assert not [path for path in place.rglob('*') if path.name.startswith(PARTIAL)]
        print(f'{count} steps, whole after {whole}')
        assert whole > 0


@pytest.mark.root
@pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK), reason='needs FUSE')
@pytest.mark.parametrize('deep', rows((False, True), (False, True), (True,)))
def test_an_image_is_whole_or_absent_after_a_power_cut(deep):
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    with PowerScratch() as scratch:
        after = scratch.directory('after')
        maker = Maker(scratch, 'qcow2', deep, True, below=scratch.disk)
        start = scratch.position
        done = maker.run('create-image')
        assert done.returncode == 0, done
        recording = (scratch.log, start, scratch.position)
        scratch.stop_recording()
        name = os.fsencode(os.path.relpath(maker.file, scratch.disk))
        maker.move(after / 'there')
        states = whole = 0
        dice = random.Random(seed)
        for operation, model in replay(*recording, writes=True):
            for kept in [*Kept, *range(MIXTURES)]:
                image = model.image(kept) if isinstance(kept, Kept) else model.some(dice)
                there = os.path.normpath(name) in image
                assert there or operation, kept
                states, whole = states + 1, whole + there
                if there or isinstance(kept, Kept):
                    scratch.restore(image, after)
                    # The recorder knows no notes.
                    subprocess.run(['qemu-img', 'check', '-q', '-f', 'qcow2', maker.file], check=True) if there else None
                    assert maker.file.exists() == there
                    maker.clear()
        print(f'{states} states, whole in {whole}, seed {seed}')
        assert states >= STATES and whole > 1
