# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots that are cancelled, and daemons that die while they work on them: at random moments, and after single steps. The task tells the truth,
the machine goes on or starts, every chain is clean, what is left can be applied, and nothing is left behind."""

import itertools
import os
import random
import time

import pytest
from harness import BusError, Scratch
from harness.source import LONG
from qemu_house import BIG, DISKS, FULL, RESTARTED, Armed, Moments, Snapshots, armed_house, second_disk

ROUNDS = 20 if LONG else 2
KILLS = 30 if LONG else 1
STEPS = int(os.environ.get('VIRTASK_STEPS', 12 if LONG else 1))  # of each operation
OLD, NOW = 0x11, 0x22
numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield armed_house(scratch)


@pytest.fixture(scope='module')
def big(house):
    return Snapshots(house, house.register('big', boot=False, memory=BIG, devices=second_disk(house.scratch, 'big')))


@pytest.fixture
def small(house):
    """A new one."""
    if not house.daemon.process.running:
        house.daemon.start()
    name = f'small{next(numbers)}x'
    return Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))


def bring(machine, state):
    """Into the state: off, running or saved; the second disk is written to while the machine is off."""
    house, guest = machine.house, machine.guest
    current = house.state(guest)
    if current == state:
        return
    if current == 'saved':
        house.client.call(guest.path, 'VirtualMachine', 'DiscardSavedState')
    elif current in ('running', 'paused') and state != 'saved':
        house.do(guest, 'TurnOff')
    if state != 'turned-off' and current != 'running':
        house.do(guest, 'Startup')
        guest.wait_first_tick(guest.processes)
    if state == 'saved':
        house.do(guest, 'Save')


def prepare(machine, state, *kinds):
    """A machine without snapshots gets some, all with OLD on the second disk, and has NOW there itself."""
    for path in machine.paths:
        if path in machine.paths:
            machine.do(path, 'DestroyTree')
    bring(machine, 'turned-off')
    machine.assert_whole()
    machine.write(OLD, targets=['hdb'])
    paths = []
    for kind in kinds:
        bring(machine, 'running' if kind == FULL else 'turned-off')
        paths.append(machine.take(kind))
    bring(machine, 'turned-off')
    machine.write(NOW, targets=['hdb'])
    bring(machine, state)
    return paths


def assert_goes_on(machine, state, before):
    """As it was, with what it had on its disk; in the end it is off."""
    house, guest = machine.house, machine.guest
    assert house.state(guest) == state
    if state == 'saved':
        house.do(guest, 'Startup')
    if state != 'turned-off':
        guest.assert_goes_on(before)
        house.do(guest, 'TurnOff')
    machine.assert_reads(NOW, targets=['hdb'])
    machine.assert_whole()


def assert_all_apply(machine, fresh=()):
    """All snapshots, the machine in the end, and that it starts. Those in "fresh" were made of what is now."""
    house, guest = machine.house, machine.guest
    for path in machine.paths:
        memory = machine.get(path)['HasSavedState']
        process = guest.processes + 1
        machine.do(path, 'Apply')
        assert house.state(guest) == ('running' if memory else 'turned-off')
        if memory:
            guest.wait_first_tick(process)
            house.do(guest, 'TurnOff')
        machine.assert_reads(NOW if path in fresh else OLD, targets=['hdb'])
        machine.assert_whole()
    bring(machine, 'turned-off')
    bring(machine, 'running')


def assert_truth_of_create(machine, properties, known, state, before):
    """Complete, or nothing is there."""
    added = [path for path in machine.paths if path not in known]
    if properties['ResultName'] == 'success':
        assert added == [properties['ResultObject']]
    else:
        assert added == [] and properties['ResultObject'] == '/'
    machine.assert_whole()
    assert_goes_on(machine, state, before)
    assert_all_apply(machine, added)


def duration_of(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


# --- Cancel ---

def test_cancel_of_a_full_snapshot(house, big):
    guest = big.guest
    prepare(big, 'running')
    bring(big, 'running')
    duration = duration_of(lambda: big.take(FULL))
    moments = Moments('cancel of a full snapshot', ROUNDS)
    for part in moments:
        prepare(big, 'running')
        before, begin = guest.ticks, time.monotonic()
        task = big.begin(FULL)
        house.pass_time(begin + part * duration - time.monotonic())
        moments.hit(house.is_in_the_middle(task))
        refusal = None
        try:
            house.client.call(task, 'Task', 'Cancel')
        except BusError as error:
            refusal = error.short
        properties = house.client.wait_task(task)
        if refusal:
            assert refusal in ('NotCancelable', 'AlreadyComplete') and properties['ResultName'] == 'success'
        else:
            assert properties['ResultName'] in ('cancelled', 'success')
        assert_truth_of_create(big, properties, [], 'running', before)
    moments.check()


# --- Death at random moments ---

@pytest.mark.parametrize('kind', [FULL, DISKS])
def test_killed_while_a_snapshot_is_taken(house, big, kind):
    guest = big.guest
    prepare(big, 'running')
    duration = duration_of(lambda: big.take(kind))
    moments = Moments(f'kill in CreateSnapshot of type {kind}', KILLS)
    for part in moments:
        prepare(big, 'running')
        before, begin = guest.ticks, time.monotonic()
        task = big.begin(kind)
        house.pass_time(begin + part * duration - time.monotonic())
        moments.hit(house.client.get(task, 'ConcreteJob', 'JobState') == 4)
        house.daemon.kill()
        house.daemon.start()
        properties = house.client.wait_task(task)
        assert properties['ErrorName'] in ('', RESTARTED), properties
        assert_truth_of_create(big, properties, [], 'running', before)
    if kind == FULL:
        moments.check()


# --- Death after single steps ---

# name: (state, snapshots before, what is done)
OPERATIONS = {
    'full-running': ('running', (), lambda machine: machine.begin(FULL)),
    'disks-running': ('running', (DISKS,), lambda machine: machine.begin(DISKS)),
    'full-saved': ('saved', (), lambda machine: machine.begin(FULL)),
    'disks-off': ('turned-off', (), lambda machine: machine.begin(DISKS)),
    'apply-full-running': ('running', (FULL, DISKS), lambda machine: machine.start(machine.paths[0], 'Apply')),
    'apply-full-off': ('turned-off', (FULL,), lambda machine: machine.start(machine.paths[0], 'Apply')),
    'apply-disks-running': ('running', (DISKS,), lambda machine: machine.start(machine.paths[0], 'Apply')),
    'apply-disks-saved': ('saved', (DISKS, DISKS), lambda machine: machine.start(machine.paths[0], 'Apply')),
    'destroy-running': ('running', (DISKS, FULL, DISKS), lambda machine: machine.start(machine.paths[1], 'Destroy')),
    'destroy-last-running': ('running', (FULL, DISKS), lambda machine: machine.start(machine.paths[1], 'Destroy')),
    'destroy-off': ('turned-off', (DISKS, FULL, DISKS), lambda machine: machine.start(machine.paths[1], 'Destroy')),
    'destroy-saved': ('saved', (FULL, DISKS), lambda machine: machine.start(machine.paths[1], 'Destroy')),
    'destroy-tree': ('turned-off', (DISKS, FULL, FULL), lambda machine: machine.start(machine.paths[1], 'DestroyTree')),
}
BRIEF = ('full-running', 'disks-off', 'apply-full-running', 'destroy-running')


def count_steps(machine, armed, name):
    state, kinds, action = OPERATIONS[name]
    prepare(machine, state, *kinds)
    armed.arm(0)
    properties = machine.client.wait_task(action(machine))
    armed.disarm()
    assert properties['ResultName'] == 'success', properties['ErrorDescription']
    return armed.count()


def check(machine, name, task, known, before):
    """What became of it."""
    state = OPERATIONS[name][0]
    house, guest = machine.house, machine.guest
    if task is None or task not in house.client.objects():
        assert machine.paths == known
        assert_goes_on(machine, state, before)
        return
    properties = house.client.wait_task(task)
    print(name, properties['ResultName'], properties['ErrorDescription'])
    assert properties['ErrorName'] in ('', RESTARTED), properties
    succeeded = properties['ResultName'] == 'success'
    if name.startswith(('full', 'disks')):
        assert_truth_of_create(machine, properties, known, state, before)
        return
    if not succeeded:
        assert machine.paths == known
        assert_goes_on(machine, state, before)
    elif name.startswith('apply'):
        assert machine.paths == known
        assert house.state(guest) == ('running' if 'full' in name else 'turned-off')
        machine.assert_reads(OLD, targets=['hdb'])
        machine.assert_whole()
    else:
        assert machine.paths == ([known[0]] if 'tree' in name or len(known) == 2 else [known[0], known[2]])
        assert_goes_on(machine, state, before)
    if house.state(guest) == 'saved':
        bring(machine, 'turned-off')
    assert_all_apply(machine)


@pytest.mark.parametrize('name', OPERATIONS if LONG or 'VIRTASK_STEPS' in os.environ or 'VIRTASK_STEP' in os.environ else BRIEF)
def test_dies_after_a_step(house, small, name):
    armed = Armed(house)
    total = count_steps(small, armed, name)
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed).sample(range(1, total + 1), min(STEPS, total))
    if 'VIRTASK_STEP' in os.environ:
        chosen = [int(number) for number in os.environ['VIRTASK_STEP'].split(',')]
    print(f'{name}: {total} steps, seed {seed}, dies after {chosen}')
    state, kinds, action = OPERATIONS[name]
    for number in chosen:
        known = prepare(small, state, *kinds)
        before = small.guest.ticks
        print(f'{name}: step {number}')
        task = armed.die(number, lambda: action(small))
        check(small, name, task, known, before)


# --- Death at chosen points ---

# What libvirt was about to note ("before_rename") or has just noted, of the guest or as its definition ("etc").
SWITCHES = {
    'begun': ('before_rename', 'run', "type='active-commit' state='running'"),
    'dismissed': ('before_rename', 'run', "job=''"),
    'unreadable': ('after_rename', 'run', "job=''"),
    'not-defined': ('before_rename', 'etc', "\n      <source file='{below}'/>"),
}


@pytest.mark.parametrize('moment', SWITCHES)
def test_dies_while_a_disk_is_switched_over(house, small, moment):
    """Between what QEMU does and what libvirt notes of it."""
    guest = small.guest
    path, = prepare(small, 'running', DISKS)
    below = small.images(path)
    before = guest.ticks
    when, directory, text = SWITCHES[moment]
    house.daemon.stop()
    with house.daemon.crash(when, f'/{directory}/qemu/{guest.name}.xml', text=text.format(below=below['hda'][0])):
        house.daemon.start()
        task = small.start(path, 'Destroy')
        house.daemon.wait_killed()
    house.daemon.start()
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert house.state(guest) == 'running'
    guest.assert_goes_on(before)
    assert small.images() == below
    small.assert_whole()
    small.do(small.take(DISKS), 'Destroy')  # merges go on
    assert_goes_on(small, 'running', before)
    assert_all_apply(small)


def test_dies_when_the_overlays_are_there(house, small):
    """QEMU writes to them, and libvirt has not noted it."""
    guest = small.guest
    prepare(small, 'running')
    images, before = small.images(), guest.ticks
    house.daemon.stop()
    with house.daemon.crash('before_rename', f'/run/qemu/{guest.name}.xml', text="<backingStore type='file'"):
        house.daemon.start()
        task = small.begin(DISKS, ElementName='late')
        house.daemon.wait_killed()
    guest.wait_ticks(10)
    house.daemon.start()
    properties = house.client.wait_task(task)
    assert properties['ErrorName'] == RESTARTED, properties['ErrorDescription']
    assert house.state(guest) == 'running' and small.images() == images
    small.assert_whole()
    small.do(small.take(DISKS), 'Destroy')
    guest.wait_ticks(10)
    tick = guest.ticks
    assert_goes_on(small, 'running', before)
    assert small.count_on_disk() >= tick - 5
    assert_all_apply(small)


def test_apply_fails_after_the_commit(house, small):
    """The description of the snapshot can't be written. No image is forgotten."""
    path, = prepare(small, 'turned-off', DISKS)
    obstacle = house.below.root / f'lib/qemu/snapshot/{small.guest.name}/{small.get(path)["ID"]}.xml.new'
    obstacle.mkdir()
    assert house.client.wait_task(small.start(path, 'Apply'))['ResultName'] != 'success'
    obstacle.rmdir()
    house.daemon.restart()  # libvirt has dropped the snapshot, which is still on its disk
    small.do(path, 'Apply')
    small.assert_whole()
    small.assert_reads(OLD, targets=['hdb'])


def test_a_half_copy_is_removed(house, small):
    """Of a saved state."""
    prepare(small, 'saved')
    before = small.guest.ticks
    house.daemon.stop()
    with house.daemon.crash('before_rename', '.copied.memory'):
        house.daemon.start()
        task = small.begin(FULL, ElementName='copied')
        house.daemon.wait_killed()
    assert 'copied.memory.new' in small.state_files()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == RESTARTED
    assert_goes_on(small, 'saved', before)


def test_apply_is_interrupted_twice(house, small):
    """After the definition was replaced, and then in the moment when an overlay is made anew."""
    path, = prepare(small, 'turned-off', FULL)
    description = f'/{small.guest.name}/{small.get(path)["ID"]}.xml'
    house.daemon.stop()
    with house.daemon.crash('after_rename', description):
        house.daemon.start()
        task = small.start(path, 'Apply')
        house.daemon.wait_killed()
    seen = len(house.client.signals)
    with house.daemon.crash('after_unlink', small.images()['hdb'][0]):
        house.daemon.start()
        house.client.wait(lambda: not house.daemon.process.running or any(
            signal.member == 'Completed' for signal in house.client.signals[seen:]), what='the end of the task, or of the daemon')
        house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert house.state(small.guest) == 'running'
    small.guest.wait_first_tick(small.guest.processes)
    house.do(small.guest, 'TurnOff')
    small.assert_reads(OLD, targets=['hdb'])
    small.assert_whole()
