# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots that virsh made are applied and destroyed by us, and virsh may take ours away."""

import re

import pytest
from harness import MANAGER, ROOT, Scratch
from harness.embed import end_qemu
from qemu_house import DISKS, FULL, House, Snapshots, run, second_disk

pytestmark = pytest.mark.root
OLD, NOW, LATER = 0x11, 0x22, 0x33


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch, 'libvirtd')


class Beside(Snapshots):
    """virsh beside us."""

    def virsh(self, command, *arguments):
        return self.house.below.virsh(command, self.guest.name, *arguments)

    def make(self, name, *arguments):
        """A snapshot by virsh; its path when it is there."""
        seen = len(self.client.signals)
        path = f'{self.guest.path}/snapshot/{name}'
        self.virsh('snapshot-create-as', name, *arguments)
        self.client.wait_signal('InterfacesAdded', ROOT, lambda signal: signal.arguments[0] == path, after=seen)
        return path

    def bring(self, state):
        self.write(OLD, targets=['hdb'])
        if state != 'turned-off':
            self.house.do(self.guest, 'Startup')
            self.guest.wait_first_tick(self.guest.processes)

    @property
    def made(self):
        """The files that are noted as made by snapshots."""
        return self._noted('made', 'path')

    def spoil(self):
        if self.house.state(self.guest) != 'turned-off':
            self.house.do(self.guest, 'TurnOff')
        self.write(NOW, targets=['hdb'])


@pytest.fixture
def machine(house, request):
    name = request.node.name.removeprefix('test_')[:40].replace('[', '-').rstrip(']')
    return Beside(house, house.register(name, boot=False, memory=32, disk_format='qcow2', devices=second_disk(house.scratch, name)))


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_disks_by_virsh(machine, state):
    originals = machine.images()
    machine.bring(state)
    path = machine.make('s1', '--disk-only', '--atomic')
    counted = machine.count_on_disk(path)
    machine.spoil()
    machine.do(path, 'Apply')
    assert machine.house.state(machine.guest) == 'turned-off'
    machine.assert_reads(OLD, targets=['hdb'])
    assert machine.count_on_disk() == counted
    machine.assert_whole()
    machine.house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    machine.do(path, 'Destroy')
    machine.assert_whole()
    assert machine.images() == originals
    machine.house.do(machine.guest, 'TurnOff')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.assert_whole()


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_destroy_of_what_virsh_made(machine, state):
    machine.bring(state)
    first = machine.make('s1', '--disk-only', '--atomic')
    second = machine.make('s2', '--disk-only', '--atomic')
    machine.do(first, 'Destroy')
    assert (machine.paths, machine.get(second)['Parent']) == ([second], '/')
    machine.assert_whole()
    machine.assert_reads(OLD, second, targets=['hdb'])
    third = machine.take(DISKS)
    machine.do(second, 'Destroy')
    machine.assert_whole()
    machine.do(third, 'Destroy')
    machine.assert_whole()
    if state == 'running':
        machine.guest.assert_goes_on(machine.guest.ticks)
        machine.house.do(machine.guest, 'TurnOff')
    machine.assert_reads(OLD, targets=['hdb'])


def test_memory_by_virsh(machine):
    machine.bring('running')
    memory = machine.house.scratch / 'memory'
    least = machine.guest.ticks
    path = machine.make('full', '--live', '--memspec', f'file={memory},snapshot=external', '--diskspec', 'hda,snapshot=external',
                        '--diskspec', 'hdb,snapshot=external')
    most = machine.guest.ticks + 2
    machine.spoil()
    process = machine.guest.processes + 1
    machine.do(path, 'Apply')
    assert least <= machine.guest.wait_first_tick(process) <= most
    machine.house.do(machine.guest, 'TurnOff')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.do(path, 'Destroy')
    assert not memory.exists()
    machine.assert_whole()


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_inside_the_image(machine, state):
    """As virsh makes them when it is told nothing."""
    machine.bring(state)
    least = machine.guest.ticks
    path = machine.make('inside')
    most = machine.guest.ticks + 2
    values = machine.get(path)
    assert (values['SnapshotType'], values['HasSavedState']) == ((2, True) if state == 'running' else (3, False))
    machine.spoil()
    process = machine.guest.processes + 1
    machine.do(path, 'Apply')
    assert machine.house.state(machine.guest) == state
    if state == 'running':
        assert least <= machine.guest.wait_first_tick(process) <= most
    error = machine.client.wait_task(machine.start(path, 'ClearState'))
    assert error['ErrorName'] == 'org.virtask1.Error.NotSupported'
    if state == 'running':
        machine.house.do(machine.guest, 'TurnOff')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.do(path, 'Destroy')
    assert machine.paths == []
    machine.assert_whole()
    machine.assert_reads(OLD, targets=['hdb'])


def test_inside_the_image_after_a_crash(machine):
    """What is noted today stays noted, and the guest goes on."""
    machine.bring('running')
    path = machine.make('inside')
    image = machine.images()['hda'][0]
    machine.virsh('metadata', '--config', '--uri', 'https://virtask.org/images/1', '--key', 'virtask-images', '--set',
                  f"<images><made path='{image}'/></images>")
    machine.client.call(path, 'Snapshot', 'Rename', 's', 'another name')
    daemon = machine.house.daemon
    daemon.stop()
    with daemon.crash('before_rename', '.memory', 3):
        daemon.start()
        task = machine.start(path, 'Apply')
        daemon.wait_killed()
    daemon.start()
    assert machine.client.wait_task(task)['ResultName'] == 'success'
    assert machine.house.state(machine.guest) == 'running'
    machine.guest.wait_first_tick(machine.guest.processes)
    assert (machine.made, machine.get(path)['Name']) == ({image}, 'another name')
    machine.house.do(machine.guest, 'TurnOff')


@pytest.mark.parametrize('meanwhile', ['suspend', 'destroy'])
def test_what_a_guest_did_after_it_was_restored(machine, meanwhile):
    """The daemon dies when the guest is back: what the guest has counted since is not taken from it."""
    machine.bring('running')
    path = machine.take(FULL)
    daemon, guest = machine.house.daemon, machine.guest
    daemon.stop()
    process = guest.processes + 1
    with daemon.crash('before_rename', '.memory', 4):
        daemon.start()
        task = machine.start(path, 'Apply')
        daemon.wait_killed()
    if machine.virsh('domstate') == 'running':
        guest.wait_first_tick(process)
        guest.wait_ticks(5)
        machine.virsh(meanwhile)
        counted = guest.ticks
    else:
        counted = 0
    daemon.start()
    assert machine.client.wait_task(task)['ResultName'] == 'success'
    if meanwhile == 'suspend' or not counted:
        if machine.house.state(guest) == 'paused':
            machine.client.call(guest.path, 'VirtualMachine', 'Resume')
        guest.wait_first_tick(guest.processes)
        assert guest.ticks >= counted
    else:
        assert machine.count_on_disk() >= counted - 1
    if machine.house.state(guest) == 'running':
        machine.house.do(guest, 'TurnOff')


def test_ours_on_top_of_one_inside_the_image(machine):
    """The merge would write into the image that the inner one lies in."""
    machine.bring('turned-off')
    inside = machine.make('inside')
    machine.write(NOW, targets=['hdb'])
    outside = machine.take(DISKS)
    machine.do(outside, 'Destroy')
    machine.assert_reads(NOW, targets=['hdb'])
    machine.do(inside, 'Apply')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.do(inside, 'Destroy')
    machine.assert_whole()


def test_one_inside_an_image_that_ours_froze(machine):
    """To apply it there would change what ours shows."""
    machine.bring('turned-off')
    inside = machine.make('inside')
    machine.write(NOW, targets=['hdb'])
    outside = machine.take(DISKS)
    machine.write(LATER, targets=['hdb'])
    properties = machine.client.wait_task(machine.start(inside, 'Apply'))
    assert properties['ErrorName'] == 'org.virtask1.Error.NotSupported', properties
    machine.assert_reads(LATER, targets=['hdb'])
    machine.do(outside, 'Apply')
    machine.assert_reads(NOW, targets=['hdb'])
    machine.do(outside, 'Destroy')
    machine.do(inside, 'Apply')
    machine.assert_reads(OLD, targets=['hdb'])


def test_one_inside_an_overlay_of_ours(machine):
    """The overlay stays where it is, whatever is applied or destroyed, until the one inside is gone."""
    machine.bring('turned-off')
    outside = machine.take(DISKS)
    machine.write(NOW, targets=['hdb'])
    inside = machine.make('inside')
    machine.write(LATER, targets=['hdb'])
    home = machine.images()
    machine.do(outside, 'Apply')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.do(outside, 'Destroy')
    machine.assert_reads(OLD, targets=['hdb'])
    properties = machine.client.wait_task(machine.start(inside, 'Apply'))
    assert properties['ErrorName'] in ('', 'org.virtask1.Error.NotSupported')
    for path, form in home.values():
        assert 'inside' in run('qemu-img', 'snapshot', '-l', path)
    machine.do(inside, 'Destroy')


@pytest.mark.parametrize('method', ['Destroy', 'Apply'])
def test_a_file_that_somebody_made_himself(machine, method):
    """With --reuse-external. What it held is merged or given up, but it is his."""
    own = machine.house.scratch / f'foreign-{machine.guest.name}.qcow2'
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', machine.images()['hdb'][0], own)
    path = machine.make('s1', '--disk-only', '--reuse-external', '--diskspec', 'hda,snapshot=no', '--diskspec', f'hdb,file={own}')
    text = machine.virsh('snapshot-dumpxml', 's1')
    later = machine.house.scratch / f'{machine.guest.name}.later'  # or the test would have to wait for the next second
    later.write_text(re.sub(r'(<creationTime>)(\d+)', lambda match: match[1] + str(int(match[2]) + 5), text), encoding='utf-8')
    machine.virsh('snapshot-create', later, '--redefine')
    machine.write(LATER, targets=['hdb'])
    machine.do(path, method)
    if method == 'Destroy':
        machine.assert_reads(LATER, targets=['hdb'])
    assert machine.images()['hdb'][0] != str(own) and own.exists()


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_one_that_virsh_takes_away(machine, state):
    """Its images carry on. When we next destroy something, nothing is lost, and in the end nothing is left of ours but the machine's own."""
    machine.bring(state)
    paths = [machine.take(DISKS, ElementName=f's{number}') for number in range(3)]
    seen = len(machine.client.signals)
    machine.virsh('snapshot-delete', 's1', '--metadata')
    machine.client.wait_signal('InterfacesRemoved', ROOT, lambda signal: signal.arguments[0] == paths[1], after=seen)
    machine.client.wait_property(paths[2], 'Snapshot', 'Parent', paths[0])
    for path in (paths[0], paths[2]):
        machine.assert_reads(OLD, path, targets=['hdb'])
    if state == 'running':
        machine.guest.assert_goes_on(machine.guest.ticks)
        machine.house.do(machine.guest, 'TurnOff')
    machine.write(NOW, targets=['hdb'])
    machine.do(paths[2], 'Apply')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.do(paths[0], 'Destroy')
    machine.assert_reads(OLD, paths[2], targets=['hdb'])
    machine.do(paths[2], 'Apply')
    machine.do(paths[2], 'Destroy')
    machine.assert_reads(OLD, targets=['hdb'])
    machine.house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    machine.house.do(machine.guest, 'TurnOff')


def test_apply_and_destroy_while_virsh_lists(machine):
    """Full snapshots on a libvirtd, whose QEMU is another user."""
    machine.bring('running')
    least = machine.guest.ticks
    path = machine.take(FULL)
    most = machine.guest.ticks + 2
    child = machine.take(DISKS)
    assert machine.virsh('snapshot-list', '--name').split() == [machine.get(path)['ID'], machine.get(child)['ID']]
    process = machine.guest.processes + 1
    machine.do(path, 'Apply')
    assert least <= machine.guest.wait_first_tick(process) <= most
    machine.guest.wait_memory()
    assert machine.virsh('snapshot-current', '--name') == machine.get(path)['ID']
    machine.do(child, 'Destroy')
    machine.do(path, 'Destroy')
    machine.assert_whole()
    machine.guest.assert_goes_on(machine.guest.ticks)
    machine.house.do(machine.guest, 'TurnOff')
    machine.assert_whole()


def lose(machine, when, text, begin):
    """Begins it with a libvirtd that dies when it notes this text of the guest; the task."""
    house, libvirtd = machine.house, machine.house.below
    libvirtd.kill()
    house.client.wait_property(MANAGER, 'Manager', 'Connected', False)
    libvirtd.start(house.daemon.crash_point(when, f'/{machine.guest.name}.xml', text=text))
    house.client.wait_property(MANAGER, 'Manager', 'Connected', True)
    task = begin()
    assert libvirtd.process.wait() == -9
    return task


def test_a_libvirtd_that_dies_while_a_disk_is_switched_over(house, machine):
    """It does not know any more what the guest writes to. Nothing relies on it; the next start has what the guest wrote."""
    guest, libvirtd = machine.guest, house.below
    machine.bring('running')
    path = machine.take(DISKS)
    below = machine.images(path)
    task = lose(machine, 'before_rename', "job=''", lambda: machine.start(path, 'Destroy'))
    libvirtd.start()
    error = house.client.wait_task(task)
    assert error['ErrorName'].endswith('.Backend') and 'turn the machine off' in error['ErrorDescription'], error
    assert house.state(guest) == 'running'
    guest.wait_ticks()
    lost, = (target for target, image in machine.images().items() if image == below[target])
    assert f'disk {lost} ' in error['ErrorDescription']
    for begin in (lambda: machine.begin(DISKS), lambda: machine.begin(FULL), lambda: house.begin(guest, 'Save')):
        assert 'turn the machine off' in house.client.wait_task(begin())['ErrorDescription']
    guest.wait_ticks()
    tick = guest.ticks
    house.do(guest, 'TurnOff')
    assert machine.count_on_disk() >= tick - 5
    house.do(guest, 'Startup')
    guest.wait_first_tick(guest.processes)
    machine.do(machine.take(DISKS), 'Destroy')
    machine.assert_whole()


def test_a_libvirtd_that_dies_when_the_overlays_are_there(house, machine):
    """The guest writes to them, and it does not know: they stay, and are what the machine starts with."""
    guest, libvirtd = machine.guest, house.below
    machine.bring('running')
    below = machine.images()
    task = lose(machine, 'before_rename', "<backingStore type='file'", lambda: machine.begin(DISKS, ElementName='late'))
    libvirtd.start()
    error = house.client.wait_task(task)
    assert error['ResultName'] != 'success' and house.state(guest) == 'running', error
    assert all('.late.' in path for path, _ in machine.images().values())
    guest.wait_ticks(10)
    tick = guest.ticks
    house.do(guest, 'TurnOff')
    assert machine.count_on_disk() >= tick - 5
    house.do(guest, 'Startup')
    guest.wait_first_tick(guest.processes)
    machine.do(machine.take(DISKS), 'Destroy')
    assert machine.images() == below
    machine.assert_whole()


def test_a_libvirtd_that_dies_and_can_not_read_its_note(house, machine):
    """It takes the guest for turned off. Nothing touches its images until it is."""
    guest, libvirtd = machine.guest, house.below
    machine.bring('running')
    path = machine.take(DISKS)
    below = machine.images(path)
    task = lose(machine, 'after_rename', "job=''", lambda: machine.start(path, 'Destroy'))
    pid = libvirtd.qemu_pid(guest.name)
    libvirtd.start()
    error = house.client.wait_task(task)
    assert f'end its process {pid}' in error['ErrorDescription'], error
    assert f'end its process {pid}' in house.client.wait_task(machine.begin(DISKS))['ErrorDescription']
    end_qemu(pid, f'guest={guest.name},')
    machine.do(machine.take(DISKS), 'Destroy')
    assert machine.images() == below
    machine.assert_reads(OLD, targets=['hdb'])
    machine.assert_whole()
    house.do(guest, 'Startup')
    guest.wait_first_tick(guest.processes)


@pytest.mark.parametrize('state', ['turned-off', 'running'])
def test_virsh_is_quicker_than_the_next_daemon(machine, state):
    """The daemon dies when a snapshot is made, and virsh takes one on top of it: ours was made all the same."""
    machine.bring(state)
    daemon = machine.house.daemon
    daemon.stop()
    with daemon.crash('before_rename', '', text='/snapshot/ours'):
        daemon.start()
        task = machine.begin(DISKS, ElementName='ours')
        daemon.wait_killed()
    machine.virsh('snapshot-create-as', 'theirs', '--disk-only')
    daemon.start()
    properties = machine.client.wait_task(task)
    assert properties['ResultName'] == 'success' and properties['ResultObject'].endswith('/ours'), properties['ErrorDescription']
    assert [path.rpartition('/')[2] for path in machine.paths] == ['ours', 'theirs']
    machine.spoil()
    for path in machine.paths:
        machine.do(path, 'Apply')
        machine.assert_reads(OLD, targets=['hdb'])
