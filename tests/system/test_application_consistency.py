# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots with ConsistencyLevel 1, of a Linux with the QEMU guest agent: its file systems are frozen for the moment of the snapshot, and thawed whatever
happens."""

import subprocess

import pytest
from harness import Daemon, LinuxGuest, Scratch
from harness.embed import end_qemu
from harness.linux import SBIN
from qemu_house import DISKS, RECOVERY, House, Snapshots, run

FREEZE, SNAPSHOT, THAW = 'virDomainFSFreeze', 'virDomainSnapshotCreateXML', 'virDomainFSThaw'
LIBVIRTD = pytest.mark.below('libvirtd')
HOLD = 'while [ ! -e /run/go ]; do usleep 10000; done; rm /run/go'
ERROR = 'org.virtask1.Error.'


def start_house(scratch, kind):
    return House(scratch, kind, environment=Daemon.stop_points(scratch))


@pytest.fixture(scope='module')
def house(below):
    with Scratch() as scratch:
        yield start_house(scratch, below)


@pytest.fixture(scope='module')
def booted(house):
    return Snapshots(house, house.register('web1', kind=LinuxGuest))


@pytest.fixture
def machine(booted):
    """It runs, and each test leaves it so, without snapshots and thawed."""
    yield booted
    booted.guest.wait_ticks(3)
    booted.guest.do('rm -f /run/freeze /run/thaw')
    for path in booted.paths:
        booted.do(path, 'Destroy')
    booted.assert_whole()
    assert_status(booted, 'thawed')


@pytest.fixture(scope='module', autouse=True)
def late():
    """Another guest and its snapshot, which takes a minute to fail: it begins before the first test, and the last ones look."""
    with Scratch() as scratch:
        house = start_house(scratch, 'embed')
        machine = Snapshots(house, house.register('late', kind=LinuxGuest))
        machine.guest.do(f"echo '{HOLD}' >/run/freeze")
        task = machine.begin(DISKS, ConsistencyLevel=1)
        yield machine, task
        if house.client.objects().get(task, {}).get('org.virtask1.Task', {}).get('IsComplete') is False:
            machine.guest.do('touch /run/go')
            end_of(machine, task)


def assert_status(machine, status):
    """What the agent says; with embedded QEMU it can't be asked."""
    if machine.house.kind == 'libvirtd':
        answer = machine.house.below.virsh('qemu-agent-command', machine.guest.name, '{"execute": "guest-fsfreeze-status"}')
        assert f'"{status}"' in answer


def end_of(machine, task):
    return machine.client.wait_task(task, timeout=120)


def assert_nothing_made(machine, properties):
    assert machine.paths == [] and properties['ResultObject'] == '/', properties
    machine.assert_whole()


def assert_complete(machine, properties, level=1):
    assert properties['ResultName'] == 'success', properties
    path = properties['ResultObject']
    assert machine.paths == [path] and machine.get(path)['ConsistencyLevel'] == level
    machine.assert_whole()
    return path


def tool(*arguments):
    return subprocess.run([str(argument) for argument in arguments], env=SBIN, capture_output=True, text=True, check=False)


class FileSystem:
    """The ext4 of a snapshot. While it is mounted it has a journal that needs recovery, unless it is frozen."""

    def __init__(self, machine, snapshot):
        (path, form), = machine.images(snapshot).values()
        self._raw = machine.house.scratch / 'copy.raw'
        run('qemu-img', 'convert', '-U', '-f', form, '-O', 'raw', path, self._raw)
        self.needs_recovery = 'needs_recovery' in tool('dumpe2fs', '-h', self._raw).stdout

    def assert_clean(self):
        check = tool('e2fsck', '-fn', self._raw)
        assert check.returncode == 0 and not self.needs_recovery, check.stdout

    @property
    def count(self):
        return int(tool('debugfs', '-R', 'cat /counter', self._raw).stdout, 16)


# --- What it is ---

@pytest.mark.parametrize('kind', [DISKS, RECOVERY])
def test_the_guest_is_frozen_for_the_moment_of_the_snapshot(machine, kind):
    house, guest = machine.house, machine.guest
    begin, before = len(guest.lines), guest.wait_ticks()
    with house.daemon.stopped_before(SNAPSHOT):
        task = machine.begin(kind, ConsistencyLevel=1)
        house.daemon.wait_stopped()
        assert guest.hooks(begin) == ['freeze']
        assert_status(machine, 'frozen')
    path = assert_complete(machine, end_of(machine, task))
    guest.wait_line('hook thaw', begin)
    assert guest.hooks(begin) == ['freeze', 'thaw']
    after = guest.wait_ticks()
    system = FileSystem(machine, path)
    system.assert_clean()
    assert before <= system.count < after


def test_a_reference_point_of_a_frozen_guest(machine):
    begin = len(machine.guest.lines)
    point = machine.take_point(ConsistencyLevel=1)
    machine.guest.wait_line('hook thaw', begin)
    assert machine.guest.hooks(begin) == ['freeze', 'thaw']
    assert machine.client.get(point, 'ReferencePoint', 'ConsistencyLevel') == 1
    FileSystem(machine, point).assert_clean()
    machine.destroy_point(point)


def test_a_crash_consistent_snapshot_has_a_journal_to_be_recovered(machine):
    begin = len(machine.guest.lines)
    path = machine.take(DISKS)
    assert machine.get(path)['ConsistencyLevel'] == 2
    assert FileSystem(machine, path).needs_recovery
    assert machine.guest.hooks(begin) == []


def test_a_guest_that_is_thawed_by_others_makes_it_crash_consistent(machine):
    with machine.house.daemon.stopped_before(SNAPSHOT):
        task = machine.begin(DISKS, ConsistencyLevel=1)
        machine.house.daemon.wait_stopped()
        machine.guest.do('fsfreeze --unfreeze /data')
    assert_complete(machine, end_of(machine, task), level=2)


# --- Guests that can't be frozen ---

def test_an_agent_that_does_not_run(machine):
    machine.guest.do('kill $(cat /run/qemu-ga.pid)')
    properties = end_of(machine, machine.begin(DISKS, ConsistencyLevel=1))
    assert properties['ErrorName'] == f'{ERROR}GuestAgentNotAvailable', properties
    assert_nothing_made(machine, properties)
    machine.guest.wait_ticks()
    machine.guest.do('agent')
    assert_complete(machine, end_of(machine, machine.begin(DISKS, ConsistencyLevel=1)))


def test_an_agent_that_hangs(machine):
    guest = machine.guest
    begin = len(guest.lines)
    guest.do('kill -STOP $(cat /run/qemu-ga.pid)')
    properties = end_of(machine, machine.begin(DISKS, ConsistencyLevel=1))
    assert properties['ErrorName'] == f'{ERROR}GuestAgentNotAvailable', properties
    assert_nothing_made(machine, properties)
    guest.wait_ticks(3)
    guest.do('kill -CONT $(cat /run/qemu-ga.pid)')
    assert_complete(machine, end_of(machine, machine.begin(DISKS, ConsistencyLevel=1)))
    guest.wait_line('hook thaw', begin)
    assert guest.hooks(begin) == ['freeze', 'thaw']


def test_an_agent_that_refuses(machine):
    machine.guest.do('echo exit 1 >/run/freeze')
    properties = end_of(machine, machine.begin(DISKS, ConsistencyLevel=1))
    assert properties['ErrorName'] == f'{ERROR}Backend' and 'hook' in properties['ErrorDescription'], properties
    assert_nothing_made(machine, properties)


def test_no_file_system(machine):
    machine.guest.do('mount -o remount,ro /data; umount -l /data')
    properties = end_of(machine, machine.begin(DISKS, ConsistencyLevel=1))
    assert properties['ErrorName'] == f'{ERROR}NotSupported', properties
    assert_nothing_made(machine, properties)
    machine.guest.do('mount -t ext4 /dev/vda /data || mount -o remount,rw /data')


def test_a_paused_guest(machine):
    house, guest = machine.house, machine.guest
    house.client.call(guest.path, 'VirtualMachine', 'Pause')
    assert machine.refused(DISKS, ConsistencyLevel=1) == 'InvalidState'
    assert machine.paths == []
    house.client.call(guest.path, 'VirtualMachine', 'Resume')


def test_a_machine_that_is_off_is_consistent(house):
    machine = Snapshots(house, house.register('off', boot=False, kind=LinuxGuest))
    assert_complete(machine, end_of(machine, machine.begin(DISKS, ConsistencyLevel=1)))
    machine.do(machine.paths[0], 'Destroy')


# --- Interruptions ---

def test_cancel_while_the_guest_freezes(machine):
    guest = machine.guest
    guest.do(f"echo '{HOLD}' >/run/freeze")
    begin = len(guest.lines)
    task = machine.begin(DISKS, ConsistencyLevel=1)
    guest.wait_line('hook freeze', begin)
    machine.client.call(task, 'Task', 'Cancel')
    guest.do('touch /run/go')
    properties = end_of(machine, task)
    assert properties['ResultName'] == 'cancelled', properties
    assert_nothing_made(machine, properties)
    guest.wait_line('hook thaw', begin)


@pytest.mark.parametrize('moment', [FREEZE, SNAPSHOT, THAW])
def test_the_service_dies(machine, moment):
    daemon = machine.house.daemon
    begin = len(machine.guest.lines)
    with daemon.stopped_before(moment):
        task = machine.begin(DISKS, ConsistencyLevel=1)
        daemon.wait_stopped()
        daemon.kill()
    daemon.start()
    properties = end_of(machine, task)
    if moment == THAW:
        FileSystem(machine, assert_complete(machine, properties)).assert_clean()
    else:
        assert properties['ErrorName'] == f'{ERROR}ServiceRestarted', properties
        assert_nothing_made(machine, properties)
    machine.guest.wait_ticks(3)
    assert machine.guest.hooks(begin)[:1] != ['freeze'] if moment == FREEZE else machine.guest.hooks(begin) == ['freeze', 'thaw']


def test_libvirt_fails_while_the_guest_is_frozen(machine):
    """Where the overlay would be made there is something already."""
    guest = machine.guest
    begin = len(guest.lines)
    overlay = guest.image.parent / f'{guest.name}.snapshot.{guest.uuid[:8]}-vda.qcow2'
    with machine.house.daemon.stopped_before(SNAPSHOT):
        task = machine.begin(DISKS, ConsistencyLevel=1, ElementName='snapshot')
        machine.house.daemon.wait_stopped()
        overlay.write_text('foreign', encoding='ascii')
    properties = end_of(machine, task)
    assert properties['ErrorName'] == f'{ERROR}NotSupported' and overlay.read_text(encoding='ascii') == 'foreign', properties['ErrorDescription']
    overlay.unlink()
    assert_nothing_made(machine, properties)
    guest.wait_line('hook thaw', begin)


# --- What only others can do: a libvirtd is there for others as well. Last, so that it is started once ---

@LIBVIRTD
def test_a_guest_that_is_paused_before_it_is_frozen(machine):
    with machine.house.daemon.stopped_before(FREEZE):
        task = machine.begin(DISKS, ConsistencyLevel=1)
        machine.house.daemon.wait_stopped()
        machine.house.below.virsh('suspend', machine.guest.name)
    properties = end_of(machine, task)
    machine.house.below.virsh('resume', machine.guest.name)
    assert properties['ErrorName'] == f'{ERROR}InvalidState', properties
    assert_nothing_made(machine, properties)


@LIBVIRTD
@pytest.mark.parametrize('moment', [SNAPSHOT, THAW])
def test_libvirtd_dies_while_the_guest_is_frozen(machine, moment):
    with machine.house.daemon.stopped_before(moment):
        task = machine.begin(DISKS, ConsistencyLevel=1)
        machine.house.daemon.wait_stopped()
        machine.house.below.kill()
    machine.house.below.start()
    properties = end_of(machine, task)
    if moment == THAW:
        FileSystem(machine, assert_complete(machine, properties)).assert_clean()
    else:
        assert properties['ErrorName'] == f'{ERROR}ServiceRestarted', properties
        assert_nothing_made(machine, properties)


# --- The other house ---

def test_a_guest_with_firmware_variables(late):
    """It is stopped while they are copied, and frozen before."""
    house = late[0].house
    guest = house.register('uefi', boot=False, kind=LinuxGuest, uefi=True, memory=256)
    machine = Snapshots(house, guest)
    house.do(guest, 'Startup')
    guest.wait(lambda: guest.ticks > 0, 'the guest to count', timeout=180)
    path = assert_complete(machine, end_of(machine, machine.begin(DISKS, ConsistencyLevel=1)))
    FileSystem(machine, path).assert_clean()
    guest.wait_ticks(3)
    assert guest.hooks() == ['freeze', 'thaw'] and machine.state_files()
    house.do(guest, 'TurnOff')


def test_a_freeze_that_takes_too_long(late):
    """Nobody knows whether it will freeze in the end; when it does, it is thawed."""
    machine, task = late
    guest = machine.guest
    machine.client.wait_property(task, 'Task', 'StatusText', 'waiting for the guest agent', timeout=90)
    begin = len(guest.lines)
    assert guest.hooks() == ['freeze']
    guest.do('touch /run/go')
    properties = end_of(machine, task)
    assert properties['ErrorName'] == f'{ERROR}GuestAgentNotAvailable', properties
    assert guest.hooks(begin) == ['thaw']
    assert_nothing_made(machine, properties)
    guest.wait_ticks(3)
    guest.do('rm /run/freeze')
    assert_complete(machine, end_of(machine, machine.begin(DISKS, ConsistencyLevel=1)))


def test_a_guest_that_dies_while_it_is_frozen(late):
    machine, _task = late
    house = machine.house
    with house.daemon.stopped_before(SNAPSHOT):
        task = machine.begin(DISKS, ConsistencyLevel=1)
        house.daemon.wait_stopped()
        end_qemu(house.below.qemu_pid('late'), str(house.below.root))
    properties = end_of(machine, task)
    assert house.state(machine.guest) == 'turned-off'
    # libvirt may have seen the end before, and takes a snapshot of a machine that is off.
    if properties['ErrorName'] != f'{ERROR}Backend':
        assert properties['ResultName'] == 'success' and machine.get(properties['ResultObject'])['ConsistencyLevel'] == 2, properties
        machine.assert_whole()
