# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh makes, changes and removes snapshots beside us: libvirt tells nobody, and still the objects follow."""

import subprocess

import pytest
from harness import MANAGER, ROOT, Scratch
from qemu_house import House

VM, SNAPSHOT = 'VirtualMachine', 'Snapshot'


class Beside:
    """A house, a guest of it, and virsh."""

    def __init__(self, house, guest):
        self.house, self.guest, self.client = house, guest, house.client

    def virsh(self, command, *arguments):
        return self.house.below.virsh(command, self.guest.name, *arguments)

    def path(self, name):
        return f'{self.guest.path}/snapshot/{name}'

    def create(self, name, *arguments):
        """A snapshot of the disk, and its object is there."""
        seen = len(self.client.signals)
        self.virsh('snapshot-create-as', name, '--disk-only', *arguments)
        return self.wait_added(name, seen)

    def wait_added(self, name, seen):
        return self.client.wait_signal('InterfacesAdded', ROOT, lambda signal: signal.arguments[0] == self.path(name), after=seen)

    def delete(self, name):
        seen = len(self.client.signals)
        self.virsh('snapshot-delete', name, '--metadata')
        return self.client.wait_signal('InterfacesRemoved', ROOT, lambda signal: signal.arguments[0] == self.path(name), after=seen)

    def wait(self, name, **properties):
        """Waits for properties of a snapshot; of the machine without a name."""
        for key, value in properties.items():
            if name:
                self.client.wait_property(self.path(name), SNAPSHOT, key, value)
            else:
                self.client.wait_property(self.guest.path, VM, key, value)

    def paths(self, *names):
        return [self.path(name) for name in names]


@pytest.fixture(scope='module')
def libvirtd():
    with Scratch() as scratch:
        yield House(scratch, 'libvirtd')


@pytest.fixture
def beside(libvirtd, request):
    """A new machine that is off, without snapshots."""
    name = request.node.name.removeprefix('test_')[:40].replace('[', '-').rstrip(']')
    return Beside(libvirtd, libvirtd.register(name, boot=False))


pytestmark = pytest.mark.root


def test_the_first_snapshot_of_a_machine_appears(beside):
    client = beside.client
    assert client.get(beside.guest.path, VM, 'Snapshots') == []
    added = beside.create('s1', 'made by virsh')
    properties = added.arguments[1]['org.virtask1.Snapshot']
    assert properties == client.get_all(beside.path('s1'), SNAPSHOT)
    assert (properties['Name'], properties['Notes'], properties['IsCurrent']) == ('s1', 'made by virsh', True)
    assert (properties['SnapshotType'], properties['HasSavedState'], properties['Parent']) == (3, False, '/')
    beside.wait(None, Snapshots=beside.paths('s1'), CurrentSnapshot=beside.path('s1'))


def test_a_tree_grows_and_shrinks(beside):
    client = beside.client
    beside.create('s1')
    added = beside.create('s2')
    assert added.arguments[1]['org.virtask1.Snapshot']['Parent'] == beside.path('s1')
    beside.wait('s1', Children=beside.paths('s2'), IsCurrent=False)
    beside.wait('s2', IsCurrent=True)

    seen = len(client.signals)
    beside.virsh('snapshot-current', 's1')
    beside.wait('s1', IsCurrent=True)
    beside.wait('s2', IsCurrent=False)
    beside.wait(None, CurrentSnapshot=beside.path('s1'))
    beside.create('s3')
    beside.wait('s1', Children=beside.paths('s2', 's3'), IsCurrent=False)
    beside.wait(None, Snapshots=beside.paths('s1', 's2', 's3'), CurrentSnapshot=beside.path('s3'))

    # The children of what goes belong to its parent.
    beside.create('s4')
    beside.delete('s3')
    beside.wait('s4', Parent=beside.path('s1'))
    beside.wait('s1', Children=beside.paths('s2', 's4'))
    beside.delete('s1')
    beside.wait('s2', Parent='/')
    beside.wait('s4', Parent='/')
    beside.wait(None, Snapshots=beside.paths('s2', 's4'))
    beside.delete('s4')
    beside.delete('s2')
    beside.wait(None, Snapshots=[], CurrentSnapshot='/')
    gone = [signal.arguments[0] for signal in client.signals[seen:] if signal.member == 'InterfacesRemoved']
    assert gone == beside.paths('s3', 's1', 's4', 's2')
    assert not [path for path in client.objects() if path.startswith(f'{beside.guest.path}/')]


def test_one_that_comes_again_is_another_one(beside):
    first = beside.create('s1').arguments[1]['org.virtask1.Snapshot']
    beside.delete('s1')
    second = beside.create('s1', '--diskspec', f'hda,file={beside.guest.image}.again').arguments[1]['org.virtask1.Snapshot']
    assert second['CreationTime'] >= first['CreationTime']
    beside.wait(None, Snapshots=beside.paths('s1'))


def test_a_snapshot_with_memory_has_it_until_the_file_goes(beside):
    guest, house = beside.guest, beside.house
    house.do(guest, 'Startup')
    guest.wait_ticks()
    memory = house.scratch / 'memory of a guest'
    seen = len(beside.client.signals)
    beside.virsh('snapshot-create-as', 'full', '--live', '--memspec', f'file={memory},snapshot=external',
                 '--diskspec', 'hda,snapshot=external')
    properties = beside.wait_added('full', seen).arguments[1]['org.virtask1.Snapshot']
    assert (properties['SnapshotType'], properties['HasSavedState']) == (2, True)
    memory.unlink()
    # Nobody watches that file: the next news of the machine shows it.
    beside.virsh('desc', '--live', 'news')
    beside.wait('full', HasSavedState=False)
    assert beside.client.get(beside.path('full'), SNAPSHOT, 'SnapshotType') == 2
    house.do(guest, 'TurnOff')


def test_a_machine_that_is_renamed_keeps_its_snapshots(beside):
    beside.create('s1')
    name = beside.guest.name + '-2'
    beside.virsh('domrename', name)
    beside.guest.name = name
    beside.wait(None, Name=name)
    beside.create('s2')
    beside.wait(None, Snapshots=beside.paths('s1', 's2'))


def test_names_survive_everything(beside):
    client, house, guest = beside.client, beside.house, beside.guest
    beside.create('s1')
    beside.create('s2')
    client.call(beside.path('s1'), SNAPSHOT, 'Rename', 's', 'Büro & Co')
    assert client.announced(beside.path('s1'), SNAPSHOT, 'Name') == ['Büro & Co']

    def assert_names():
        assert client.get(beside.path('s1'), SNAPSHOT, 'Name') == 'Büro & Co'
        assert client.get(beside.path('s2'), SNAPSHOT, 'Name') == 's2'

    house.do(guest, 'Startup')
    assert_names()
    client.call(beside.path('s2'), SNAPSHOT, 'Rename', 's', 'while it runs')
    client.call(beside.path('s2'), SNAPSHOT, 'Rename', 's', 's2')
    for method in ('Save', 'Startup', 'TurnOff'):
        house.do(guest, method)
        assert_names()
    house.daemon.stop()
    house.daemon.start()
    assert_names()
    house.daemon.kill()
    house.daemon.start()
    assert_names()
    client.wait_property(MANAGER, 'Manager', 'Connected', True)
    house.below.restart()
    client.wait_property(MANAGER, 'Manager', 'Connected', True)
    client.wait(lambda: beside.path('s1') in client.objects(), what='the snapshots to be there again')
    assert_names()


def test_a_lost_connection_takes_snapshots_before_their_machine(beside):
    client, guest = beside.client, beside.guest
    beside.create('s1')
    beside.create('s2')
    mine = (guest.path, *beside.paths('s1', 's2'))
    seen = len(client.signals)
    beside.house.below.restart()
    client.wait_signal('InterfacesAdded', ROOT, lambda signal: signal.arguments[0] == beside.path('s2'), after=seen)

    def order(member):
        return [signal.arguments[0] for signal in client.signals[seen:] if signal.member == member and signal.arguments[0] in mine]

    assert order('InterfacesRemoved') == [*beside.paths('s2', 's1'), guest.path]
    assert order('InterfacesAdded') == [guest.path, *beside.paths('s1', 's2')]
    # And is heard again.
    beside.create('s3')


def test_many_changes_at_once_end_in_the_truth(beside):
    for number in range(12):
        beside.virsh('snapshot-create-as', f's{number}', '--disk-only')
    for number in range(0, 12, 2):
        beside.virsh('snapshot-delete', f's{number}', '--metadata')
    left = [f's{number}' for number in range(1, 12, 2)]
    beside.wait(None, Snapshots=beside.paths(*left), CurrentSnapshot=beside.path('s11'))
    assert [path for path in beside.client.objects() if path.startswith(f'{beside.guest.path}/')] == beside.paths(*left)
    for name, parent in zip(left[1:], left):
        beside.wait(name, Parent=beside.path(parent))


def test_a_name_survives_a_restart_without_libvirtd():
    """The hypervisor is in the daemon's process: virsh has the directory while the daemon is away."""
    with Scratch() as scratch:
        house = House(scratch, 'embed')
        guest = house.register('web1', boot=False)
        path = f'{guest.path}/snapshot/s1'
        house.daemon.stop()
        subprocess.run(['virsh', '-q', '-c', house.below.uri, 'snapshot-create-as', 'web1', 's1', '--disk-only'], check=True,
                       capture_output=True)
        assert (house.below.root / 'lib/qemu/snapshot/web1/s1.xml').exists()
        house.daemon.start()
        house.client.call(path, SNAPSHOT, 'Rename', 's', 'first')
        house.daemon.stop()
        house.daemon.start()
        assert house.client.get(path, SNAPSHOT, 'Name') == 'first'
        assert house.client.get(guest.path, VM, 'CurrentSnapshot') == path
        house.do(guest, 'Startup')
        assert house.client.get(path, SNAPSHOT, 'Name') == 'first'
