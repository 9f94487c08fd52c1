# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a snapshot holds: each state of the machine, each type and each kind of disk. After Apply memory, disks and firmware variables are what
they were."""

import pytest
from harness import Scratch
from harness.source import LONG, rows
from qemu_house import DISKS, FULL, RECOVERY, House, Snapshots, second_disk

# Each a machine; what its disks hold is told apart by patterns.
KINDS = rows(('qcow2', 'raw', 'two', 'uefi'), ('raw', 'two', 'uefi'), ('two',))
STATES = ('running', 'paused', 'turned-off', 'saved')
BEFORE, AFTER = 0x11, 0x22

cells = []


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch, 'embed')
    print(f'{len(cells)} cells')


@pytest.fixture(scope='module')
def machines(house):
    """Kind -> its snapshots; each machine is made when it is asked for."""
    made = {}

    def get(kind):
        if kind not in made:
            keywords = {'qcow2': {'disk_format': 'qcow2'}, 'raw': {}, 'uefi': {'uefi': True, 'memory': 192},
                        'two': {'devices': second_disk(house.scratch, 'two') if kind == 'two' else ''}}[kind]
            made[kind] = Snapshots(house, house.register(kind, boot=False, **{'memory': 32, **keywords}))
        return made[kind]
    return get


def off(machine):
    """Off and without a saved state, whatever it was."""
    house, guest = machine.house, machine.guest
    state = house.state(guest)
    if state == 'saved':
        house.client.call(guest.path, 'VirtualMachine', 'DiscardSavedState')
    elif state != 'turned-off':
        house.do(guest, 'TurnOff')


def boot(machine, kind):
    """Runs, and the guest counts if there is one."""
    machine.house.do(machine.guest, 'Startup')
    if kind != 'uefi':
        first = machine.guest.wait_first_tick(machine.guest.processes)
        machine.guest.wait(lambda: machine.guest.ticks >= first + 3, 'the guest to count')


def bring(machine, kind, state):
    """With its content of before, into the state."""
    off(machine)
    machine.write(BEFORE)
    if state != 'turned-off':
        boot(machine, kind)
    if state == 'saved':
        machine.house.do(machine.guest, 'Save')
    elif state == 'paused':
        machine.client.call(machine.guest.path, 'VirtualMachine', 'Pause')
    assert machine.house.state(machine.guest) == state


def spoil(machine, kind):
    """The machine goes on and writes to all that it has. With the full counts, or with two disks, it runs in the end."""
    off(machine)
    if machine.variables.exists():
        with open(machine.variables, 'r+b') as file:
            file.seek(-16, 2)
            file.write(b'written later...')
    machine.write(AFTER)
    if LONG or kind == 'two':
        boot(machine, kind)


def take(machine, kind, state, snapshot_type):
    """A snapshot, and what the guest had counted to: (path, at least, at most)."""
    guest = machine.guest
    least = guest.ticks
    path = machine.take(snapshot_type, ElementName=f'{state} {snapshot_type}', Notes='Bücher & <more>')
    cells.append((kind, state, snapshot_type))
    assert machine.house.state(guest) == state
    if state == 'running' and kind != 'uefi':
        guest.assert_goes_on(least)
    return path, least, guest.ticks + 1


def assert_described(machine, path, state, snapshot_type, parent='/'):
    memory = snapshot_type == FULL and state != 'turned-off'
    values = machine.get(path)
    assert values | {'CreationTime': 0} == {
        'Name': f'{state} {snapshot_type}', 'ID': f'{state}-{snapshot_type}', 'VirtualMachine': machine.guest.path, 'Parent': parent, 'Children': [],
        'SnapshotCollection': '/',
        'CreationTime': 0, 'SnapshotType': snapshot_type, 'ConsistencyLevel': 2, 'HasSavedState': memory, 'IsCurrent': True,
        'VirtualSystemType': f'Microsoft:Hyper-V:Snapshot:{"Recovery" if snapshot_type == RECOVERY else "Realized"}',
        'Notes': 'Bücher & <more>'}
    assert machine.client.get(machine.guest.path, 'VirtualMachine', 'CurrentSnapshot') == path


def assert_memory_is_back(machine, process, state, counted, least, most):
    """The guest goes on from where it was, with the disk that it had."""
    house, guest = machine.house, machine.guest
    assert house.state(guest) == ('paused' if state == 'paused' else 'running')
    if state == 'paused':
        house.client.call(guest.path, 'VirtualMachine', 'Resume')
    tick = guest.wait_first_tick(process)
    assert least <= tick <= most + 1, 'the memory is not that of the snapshot'
    # It writes before it prints, and leaves out a tick when the disk is slow.
    assert tick - 5 <= counted <= tick, 'the disk does not fit the memory'
    guest.wait_memory()
    off(machine)
    assert machine.count_on_disk() > tick, 'the guest does not write any more'


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('snapshot_type', [FULL, DISKS])
@pytest.mark.parametrize('state', STATES)
def test_apply_brings_everything_back(house, machines, kind, state, snapshot_type):
    machine = machines(kind)
    guest = machine.guest
    originals = machine.images()
    bring(machine, kind, state)
    if (state, snapshot_type) == ('saved', DISKS):
        assert machine.refused(DISKS) == machine.refused(RECOVERY) == 'InvalidState'
        assert machine.paths == []
        cells.append((kind, state, snapshot_type))
        return
    path, least, most = take(machine, kind, state, snapshot_type)
    assert_described(machine, path, state, snapshot_type)
    counted = machine.count_on_disk(path)
    variables = [file for file in machine.state_files() if file.endswith('.nvram')]
    assert len(variables) == (kind == 'uefi')
    spoil(machine, kind)
    machine.assert_reads(BEFORE, path)
    machine.assert_reads(AFTER)

    process = guest.processes + 1
    machine.do(path, 'Apply')
    machine.assert_reads(BEFORE)
    machine.assert_whole()
    if machine.get(path)['HasSavedState']:
        if kind == 'uefi':
            assert house.state(guest) == ('paused' if state == 'paused' else 'running')
        else:
            assert_memory_is_back(machine, process, state, counted, least, most)
        off(machine)
    else:
        assert house.state(guest) == 'turned-off'
        assert machine.count_on_disk() == counted
    if kind == 'uefi':
        assert b'written later...' not in machine.variables.read_bytes()
    if LONG or snapshot_type == DISKS:
        boot(machine, kind)
        off(machine)
    machine.do(path, 'Destroy')
    machine.assert_reads(BEFORE)
    machine.assert_whole()
    assert machine.images() == originals


def test_recovery_snapshots_are_snapshots_of_disks(machines):
    machine = machines('qcow2')
    bring(machine, 'qcow2', 'running')
    path, _, _ = take(machine, 'qcow2', 'running', RECOVERY)
    assert_described(machine, path, 'running', RECOVERY)
    machine.do(path, 'Apply')
    assert machine.house.state(machine.guest) == 'turned-off'
    machine.do(path, 'Destroy')
    machine.assert_whole()


def test_apply_can_leave_the_guest_paused(house, machines):
    machine = machines('qcow2')
    guest = machine.guest
    bring(machine, 'qcow2', 'running')
    path, least, most = take(machine, 'qcow2', 'running', FULL)
    process = guest.processes + 1
    machine.do(path, 'Apply', Paused=True)
    assert house.state(guest) == 'paused'
    assert machine.count_on_disk() == machine.count_on_disk(path)
    assert_memory_is_back(machine, process, 'paused', machine.count_on_disk(path), least, most)
    machine.do(path, 'Destroy')
    machine.assert_whole()
    off(machine)


def test_the_state_can_be_cleared(house, machines):
    machine = machines('raw')
    bring(machine, 'raw', 'running')
    path, _, _ = take(machine, 'raw', 'running', FULL)
    counted = machine.count_on_disk(path)
    machine.do(path, 'ClearState')
    values = machine.get(path)
    assert (values['HasSavedState'], values['SnapshotType']) == (False, FULL)
    machine.assert_whole()
    machine.do(path, 'Apply')
    assert house.state(machine.guest) == 'turned-off'
    assert machine.count_on_disk() == counted
    boot(machine, 'raw')
    machine.do(path, 'Destroy')
    off(machine)
    machine.assert_whole()


def test_a_snapshot_can_be_applied_again_and_again(machines):
    machine = machines('two')
    bring(machine, 'two', 'running')
    path, least, most = take(machine, 'two', 'running', FULL)
    for _ in range(3):
        process = machine.guest.processes + 1
        machine.do(path, 'Apply')
        assert_memory_is_back(machine, process, 'running', machine.count_on_disk(path), least, most)
    machine.do(path, 'Destroy')
    off(machine)
    machine.assert_whole()


def test_a_machine_with_another_name(house, machines):
    """Its disks can be applied; its memory can't, and what the machine is now is not given up for it."""
    machine = machines('raw')
    bring(machine, 'raw', 'running')
    full, least, most = take(machine, 'raw', 'running', FULL)
    disks, _, _ = take(machine, 'raw', 'running', DISKS)
    off(machine)

    def rename(name):
        house.client.call(machine.guest.path, 'VirtualMachine', 'SetName', 's', name)
        machine.guest.name = name

    rename('raw-2')
    machine.write(AFTER)
    properties = house.client.wait_task(machine.start(full, 'Apply'))
    assert properties['ErrorName'] == 'org.virtask1.Error.IncompatibleSavedState', properties
    machine.assert_reads(AFTER)
    machine.do(disks, 'Apply')
    machine.assert_reads(BEFORE)
    assert house.client.get(machine.guest.path, 'VirtualMachine', 'Name') == 'raw-2'
    rename('raw')
    process = machine.guest.processes + 1
    counted = machine.count_on_disk(full)
    machine.do(full, 'Apply')
    assert_memory_is_back(machine, process, 'running', counted, least, most)
    machine.do(full, 'DestroyTree')
    machine.assert_whole()


TPM = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_the_state_of_the_tpm_is_part_of_it(house, state):
    """Its content is swtpm's; here it is only told apart."""
    guest = house.register(f'tpm-{state}', memory=32, devices=TPM)
    machine = Snapshots(house, guest)
    file = house.below.root / f'lib/swtpm/{guest.uuid}/tpm2/tpm2-00.permall'
    if state == 'turned-off':
        house.do(guest, 'TurnOff')
    before = file.read_bytes()
    path = machine.take(DISKS)
    assert {name.rpartition('.')[2] for name in machine.state_files()} == {'tpm'}
    off(machine)
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 0xff]))
    machine.do(path, 'Apply')
    assert file.read_bytes() == before
    house.do(guest, 'Startup')
    guest.wait_first_tick(guest.processes)
    machine.do(path, 'Destroy')
    assert machine.state_files() == set()
