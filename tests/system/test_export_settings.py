# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every combination of the eleven settings of an export, in every state of a machine: what the documents allow makes the export that they describe, which
comes back as a machine; what they don't has its error (docs/decisions/0011-export.md)."""

import itertools
import json
import os
import pathlib
import random

import pytest
from exports import variants, verify
from harness import MANAGER, Scratch
from harness.source import LONG
from qemu_house import House, Snapshots, run, second_disk

ALL, NONE, ONE, BACKUP = range(4)
CRASH, SAVED, APPLICATION = range(3)
MERGE = 1
FULL = 2

REFUSED = 0 if LONG else 300  # of those that are refused; 0: all
ALLOWED = 0 if LONG else 24

TABLE = {
    'CopySnapshotConfiguration': (ALL, NONE, ONE, BACKUP),
    'SnapshotVirtualSystem': (None, 'later'),
    'CopyVmStorage': (True, False),
    'CopyVmRuntimeInformation': (True, False),
    'CreateVmExportSubdirectory': (True, False),
    'CaptureLiveState': (None, CRASH, SAVED, APPLICATION),
    'BackupIntent': (0, MERGE),
    'DifferentialBackupBase': (None, 'first'),
    'ExcludedVirtualHardDisks': (None, ['hdb']),
    'ExportForLiveMigration': (False, True),
    'DisableDifferentialOfIgnoredStorage': (False, True),
}
STATES = ('turned-off', 'saved', 'running')


class Combination:
    """What the documents say of a combination."""

    def __init__(self, state, values):
        self.state = state
        self.settings = dict(zip(TABLE, values, strict=True))
        self.kind, self.live = self.settings['CopySnapshotConfiguration'], self.settings['CaptureLiveState']
        self.of_one = self.kind in (ONE, BACKUP)
        self.storage = self.settings['CopyVmStorage'] or self.kind == ONE
        self.runtime = self.settings['CopyVmRuntimeInformation'] or self.kind == ONE
        self.merges = self.kind == ONE or self.kind == BACKUP and self.settings['BackupIntent'] == MERGE
        self.differs = bool(self.settings['DifferentialBackupBase']) and self.kind == BACKUP and not self.merges
        self.excluded = self.settings['ExcludedVirtualHardDisks'] or []
        self.migrates = self.settings['ExportForLiveMigration']
        self.present_runs = state == 'running' and not self.of_one
        self.overlays = not self.settings['DisableDifferentialOfIgnoredStorage'] and not self.migrates and not self.present_runs

    def error(self):
        """The name of the error, or None."""
        if (self.of_one and not self.settings['SnapshotVirtualSystem']) or (self.excluded and self.kind == ALL) or \
                (self.differs and not self.storage) or (self.migrates and self.storage):
            return 'InvalidArgument'
        if not self.present_runs:
            return None
        if self.live is None:
            return 'InvalidState'
        if self.live == SAVED and not (self.storage and self.runtime):
            return 'InvalidArgument'
        if not self.storage and not self.migrates and not self.settings['DisableDifferentialOfIgnoredStorage']:
            return 'InvalidState'
        return 'NotSupported' if self.live == APPLICATION and self.storage else None  # there is no agent

    def arguments(self, snapshots):
        return variants({key: snapshots.get(value, value) if isinstance(value, str) else value
                         for key, value in self.settings.items() if value is not None})

    def check(self, machine, manifest):
        """Whether the export is what was wanted."""
        disks = {disk['target']: disk for disk in manifest['disks']}
        copied = {'hda', 'hdb'} - set(self.excluded) if self.storage else set()
        left = {'hda', 'hdb'} - copied
        assert set(disks) == copied | (left if self.overlays else set())
        assert {target for target, disk in disks.items() if 'backing' in disk} == (left if self.overlays else set())
        assert {target for target, disk in disks.items() if disk.get('differs')} == (copied if self.differs else set())
        assert manifest['kind'] == ('difference' if self.differs else 'full')
        assert len(manifest['snapshots']) == (2 if self.kind == ALL else 0)
        assert all(bool(snapshot['memory']) == (self.runtime and snapshot['id'] == 'later') for snapshot in manifest['snapshots'])
        has_memory = self.of_one or self.state == 'saved' or (self.state == 'running' and self.live == SAVED)
        assert (manifest['machine']['state'] == 'saved') == bool(manifest['machine']['saved-state']) == (self.runtime and has_memory)
        assert (manifest['machine']['uuid'] == machine.guest.uuid) == (self.kind != ONE)
        if self.merges:
            assert all(len(disk['images']) == 1 for disk in disks.values())

    def comes_back(self):
        """Not what names files that it does not hold."""
        return self.storage and not self.differs and not self.excluded


def combinations():
    for state in STATES:
        for values in itertools.product(*TABLE.values()):
            yield Combination(state, values)


class Fleet:
    """A machine in each state, with two snapshots: of the disks, and with memory."""

    def __init__(self, house):
        self.house = house
        self.machines, self.snapshots = {}, {}
        for state in STATES:
            machine = Snapshots(house, house.register(f'set-{state}', memory=32, devices=second_disk(house.scratch, f'set-{state}', '4M')))
            taken = {'first': machine.take(3, ElementName='first'), 'later': machine.take(FULL, ElementName='later')}
            if state != 'running':
                house.do(machine.guest, {'turned-off': 'TurnOff', 'saved': 'Save'}[state])
            self.machines[state], self.snapshots[state] = machine, taken

    def begin(self, combination, directory):
        machine = self.machines[combination.state]
        return machine, (machine.guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(directory),
                         combination.arguments(self.snapshots[combination.state]))


@pytest.fixture(scope='module')
def fleet():
    with Scratch() as scratch:
        yield Fleet(House(scratch, 'embed'))


@pytest.fixture
def directory(fleet):
    path = fleet.house.scratch / 'to'
    path.mkdir()
    yield path
    run('rm', '-r', path)


def choose(wanted, count):
    """Some of the combinations, or all."""
    found = [combination for combination in combinations() if wanted(combination)]
    seed = int(os.environ.get('VIRTASK_SEED', random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed).sample(found, count) if 0 < count < len(found) else found
    print(f'{len(chosen)} of {len(found)} combinations, seed {seed}')
    return chosen


def test_what_is_not_allowed_has_its_error(fleet, directory):
    for combination in choose(lambda combination: combination.error(), REFUSED):
        machine, call = fleet.begin(combination, directory)
        error = machine.client.error(*call) if combination.error() != 'NotSupported' else None
        name = error.short if error else machine.client.wait_task(machine.client.call(*call))['ErrorName'].rpartition('.')[2]
        assert name == combination.error(), (combination.state, combination.settings)
        assert not list(directory.iterdir())
    for machine in fleet.machines.values():
        assert len(machine.paths) == 2
        machine.assert_whole()


def bring_back(house, bundle, number):
    """The export as a machine, which has the disks that the export has."""
    task = house.client.call(MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(bundle),
                             variants({'Name': f'back{number}', 'GenerateNewSystemIdentifier': True}))
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties['ErrorDescription']
    for disk in json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))['disks']:
        image = pathlib.Path(disk['images'][0])
        run('qemu-img', 'compare', '-f', disk['format'], '-F', disk['format'], bundle / image, house.below.root / f'images/back{number}/{image.name}')
    house.client.wait_task(house.client.call(properties['ResultObject'], 'VirtualMachine', 'Delete', 'a{sv}', {}))


def test_what_is_allowed_is_exported_and_comes_back(fleet, directory):
    back = 0
    for number, combination in enumerate(choose(lambda combination: not combination.error(), ALLOWED)):
        target = directory / str(number)
        if combination.settings['CreateVmExportSubdirectory']:
            target.mkdir()
        machine, call = fleet.begin(combination, target)
        task = machine.client.call(*call)
        properties = machine.client.wait_task(task)
        assert properties['ResultName'] == 'success', (combination.state, combination.settings, properties)
        bundle = pathlib.Path(machine.client.call(task, 'Task', 'GetResults')['ExportDirectory'])
        assert bundle == (target / machine.guest.name if combination.settings['CreateVmExportSubdirectory'] else target)
        combination.check(machine, verify(bundle))
        if combination.comes_back():
            bring_back(fleet.house, bundle, number)
            back += 1
        run('rm', '-r', target)
    print(f'{back} came back')
    for machine in fleet.machines.values():
        assert len(machine.paths) == 2
        machine.assert_whole()
