# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests have in common in which the daemon, a worker or the disk fails while a machine is written somewhere: exports and packages."""

import os
import random

import pytest
from exports import digests, new_machine
from harness import ROOT, Scratch
from harness.source import LONG
from qemu_house import RESTARTED, Armed, armed_house, run

STEPS = int(os.environ.get('VIRTASK_STEPS', 0 if LONG else 4))  # 0: all
DATA_MIB = 1024 if LONG else 192
REMOVED_SECONDS = 2  # after the start of the next daemon
ENOUGH = 10000  # inodes


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        if ROOT:
            # A file system of any size; the daemon sees only what is mounted before it starts.
            (scratch / 'small').mkdir()
            run('mount', '-t', 'tmpfs', '-o', f'nr_inodes={ENOUGH}', 'small', scratch / 'small')
            scratch.callback(run, 'umount', '--lazy', scratch / 'small')
        yield armed_house(scratch)


@pytest.fixture(scope='module')
def machine(house):
    return new_machine(house, 'web1')


@pytest.fixture(scope='module')
def large(house):
    """With so much data that there is a middle."""
    machine = new_machine(house, 'large')
    path, form = machine.images()['hdb']
    run('qemu-img', 'resize', '-q', '-f', form, path, '4G')
    run('qemu-io', '-f', form, '-c', f'write -P 7 64M {DATA_MIB}M', path)
    return machine


@pytest.fixture
def small(house):
    """Sets the size of the file system, and its number of inodes."""
    path = house.scratch / 'small'

    def resize(size, inodes=ENOUGH):
        run('mount', '-o', f'remount,size={size},nr_inodes={inodes}', path)
        return path
    yield resize
    clear(path)


def clear(directory):
    for path in directory.iterdir():
        run('rm', '-r', path)


def die_after_steps(house, begin, undo):
    """The tasks of some starts, in each of which the daemon died after another step; the next daemon is there. None if it died before it answered. The first
    start, which "undo" is called with, is only counted."""
    armed = Armed(house)
    armed.arm(0)
    task = begin()
    assert house.client.wait_task(task)['ResultName'] == 'success'
    armed.disarm()
    total = armed.count()
    undo(task)
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed).sample(range(1, total + 1), min(STEPS or total, total))
    if 'VIRTASK_STEP' in os.environ:
        chosen = [int(number) for number in os.environ['VIRTASK_STEP'].split(',')]
    print(f'{total} steps, seed {seed}, dies after {chosen}')
    for number in chosen:
        print(f'step {number}')
        yield armed.die(number, begin)


def check_end(machine, directory, task, before, path, verify):
    """The truth, and nothing but what is whole; answers the name of the result, or None of a task that has never been."""
    if task in machine.client.objects():
        machine.client.wait_task(task, REMOVED_SECONDS)
    left = list(directory.iterdir())
    assert left in ([], [path])
    if left:
        verify(path)
    assert digests(machine) == before
    if task not in machine.client.objects():
        assert not left
        return None
    properties = machine.client.get_all(task, 'Task')
    assert properties['ErrorName'] == ('' if left else RESTARTED), properties
    return properties['ResultName']
