# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports in the middle of which the daemon dies, at random moments, after single steps and with the power: the machine is there with all it had, or nothing is.
What is imported is a machine with all there can be, and a difference with the exports below it."""

import dataclasses
import os
import random

import pytest
from exports import export, new_machine, write
from harness import MANAGER, Kept, PowerScratch, replay
from harness.source import LONG
from imports import Imported, begin, everything, imported_by, remove
from interruptions import die_after_steps, house  # pylint: disable=unused-import
from qemu_house import DISKS, FULL, RESTARTED, House, Moments, Snapshots, run, second_disk

KILLS = 100 if LONG else 1
CUTS = int(os.environ.get('VIRTASK_CUTS', 0 if LONG else 3))  # 0: all


@dataclasses.dataclass
class Case:
    """What is imported, of a machine that is gone."""

    bundle: os.PathLike
    options: dict

    def begin(self, house):
        return begin(house, self.bundle, **self.options)


class Whole(Case):
    """Of a machine that was saved, with a snapshot of its disks and one with memory."""

    @staticmethod
    def assert_whole(house, machine):
        assert house.state(machine.guest) == 'saved'
        assert [machine.get(path)['Name'] for path in machine.paths] == ['first', 'second']
        assert machine.client.get(machine.guest.path, 'VirtualMachine', 'CurrentSnapshot') == machine.paths[1]
        house.do(machine.guest, 'Startup')
        with machine.line() as line:
            line.wait_tick()
        house.do(machine.guest, 'TurnOff')
        for path in reversed(machine.paths):
            machine.do(path, 'Apply')
            if house.state(machine.guest) != 'turned-off':
                house.do(machine.guest, 'TurnOff')
        run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 1 1M 1M', '-c', 'read -P 0 2M 1M', machine.images()['hdb'][0])


class Difference(Case):
    """The last of three exports."""

    @staticmethod
    def assert_whole(house, machine):
        assert house.state(machine.guest) == 'turned-off' and machine.paths == []
        read = [word for pattern in (1, 2, 3) for word in ('-c', f'read -P {pattern} {pattern}M 1M')]
        run('qemu-io', '-r', '-f', 'qcow2', *read, machine.images()['hdb'][0])
        run('qemu-img', 'info', '-U', '--backing-chain', '-f', 'qcow2', machine.images()['hda'][0])


def make_whole(house):
    machine = new_machine(house, 'travels')
    machine.take(DISKS, ElementName='first')
    write(machine, 2)
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    machine.take(FULL, ElementName='second')
    house.do(machine.guest, 'Save')
    directory = house.scratch / 'bundle'
    directory.mkdir()
    bundle = export(machine, directory)
    house.do(machine.guest, 'Delete')
    return Whole(bundle, {})


def make_difference(house):
    machine = Snapshots(house, house.register('grows', boot=False, memory=32, devices=second_disk(house.scratch, 'grows')))
    bundles, base = [], {}
    for pattern in (1, 2, 3):
        write(machine, pattern)
        snapshot = machine.take(DISKS)
        bundles.append(export(machine, house.scratch / f'moment-{pattern}', SnapshotVirtualSystem=snapshot, CopySnapshotConfiguration=3,
                              CreateVmExportSubdirectory=False, **base))
        base = {'DifferentialBackupBase': snapshot}
    house.do(machine.guest, 'Delete')
    return Difference(bundles[-1], {'BaseDirectories': [str(bundle) for bundle in bundles[:-1]]})


MAKE = {'whole': make_whole, 'difference': make_difference}


def check(house, case, task, before, may_be_forgotten=False):
    """All of it is there, or nothing, and the task says which. Nothing is there afterwards."""
    def machines():
        return house.client.get(MANAGER, 'Manager', 'VirtualMachines')

    if task in house.client.objects():
        properties = house.client.wait_task(task)
        assert properties['ErrorName'] in ('', RESTARTED), properties
        wanted = [properties['ResultObject']] if properties['ResultName'] == 'success' else []
        house.client.wait(lambda: machines() == wanted, what=f'the machines {wanted}')
    else:
        assert not machines() or may_be_forgotten
    machines = machines()
    if machines:
        machine = Imported(house, machines[0])
        case.assert_whole(house, machine)
        remove(machine)
    files, machines_after = everything(house)
    assert (files ^ before[0], machines_after) == (set(), before[1])
    return bool(machines)


@pytest.fixture(scope='module', params=MAKE)
def case(request, house):
    return MAKE[request.param](house)


def test_dies_after_a_step(house, case):
    (house.below.root / 'images').mkdir(exist_ok=True)
    before = everything(house)
    done = [check(house, case, task, before) for task in die_after_steps(house, lambda: case.begin(house), lambda task: remove(imported_by(house, task)))]
    print(f'{sum(done)} of {len(done)} were there')


def measure(house, case):
    """How long it takes; the best of three."""
    def measure_one():
        task = case.begin(house)
        properties = house.client.wait_task(task)
        remove(imported_by(house, task))
        return (properties['EndTime'] - properties['StartTime']) / 1e6
    return min(measure_one() for _ in range(3))


def test_killed_at_random_moments(house, case):
    before, duration = everything(house), measure(house, case)
    moments = Moments('import', KILLS)
    for part in moments:
        task = case.begin(house)
        house.pass_time(part * duration)
        moments.hit(not house.client.get(task, 'Task', 'IsComplete'))
        house.daemon.kill()
        house.daemon.start()
        check(house, case, task, before)
    moments.check()


# --- Power cuts ---

class Power:
    """An import, recorded until it was reported as done."""

    def __init__(self, scratch, make):
        self.scratch = scratch
        self.house = House(scratch, 'embed', environment=scratch.environment)
        self.case = make(self.house)
        (self.house.below.root / 'images').mkdir(exist_ok=True)
        os.sync()
        self.before = everything(self.house)
        first = scratch.position
        self.task = self.case.begin(self.house)
        properties = self.house.client.wait_task(self.task)
        self.recording = (scratch.log, first, scratch.position)
        assert properties['ResultName'] == 'success', properties
        self.off()
        scratch.stop_recording()

    def off(self):
        self.house.daemon.kill()
        self.house.below.end_guests()

    def states(self):
        """(when, whether it had been reported by then, disk), each disk once."""
        seen = set()
        for operation, model in replay(*self.recording):
            for kept in Kept:
                image = model.image(kept)
                key = frozenset((path, content.version if content else 0) for path, (*_, content) in image.items() if not path.endswith(b'.log'))
                if key not in seen:
                    seen.add(key)
                    yield f'after {model.describe(operation) if operation else "the end"}: {kept.value}', operation is None, image

    def check(self, reported):
        self.house.daemon.start()
        assert check(self.house, self.case, self.task, self.before, may_be_forgotten=True) or not reported


@pytest.mark.root
@pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK), reason='needs FUSE')
@pytest.mark.parametrize('make', MAKE if LONG else ['whole'])
def test_power_cut(make):
    with PowerScratch() as scratch:
        power = Power(scratch, MAKE[make])
        count = sum(1 for _ in power.states())
        seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
        chosen = random.Random(seed).sample(range(count), min(CUTS or count, count))
        print(f'{count} states, seed {seed}, checks {sorted(chosen)}')
        for number, (when, reported, image) in enumerate(power.states()):
            if number in chosen:
                print(f'{number}: {when}')
                scratch.restore(image)
                power.check(reported)
                power.off()
