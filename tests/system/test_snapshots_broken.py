# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images that are missing or damaged: what does not need them works, what needs them says which, and nothing is merged or removed meanwhile."""

import os

import pytest
from qemu_house import DISKS, Snapshots, second_disk
from spy import spied

pytestmark = pytest.mark.below('embed')

OLD, NOW, LATER = 0x11, 0x22, 0x33


@pytest.fixture
def machine(house, request):
    """One that is off, with two branches: on the disk hdb "first" shows OLD, "second" NOW, and the machine, which lies on "first", LATER."""
    name = request.node.originalname.removeprefix('test_')[:40]
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))
    machine.write(OLD, targets=['hdb'])
    machine.first = machine.take(DISKS, ElementName='first')
    machine.write(NOW, targets=['hdb'])
    machine.second = machine.take(DISKS, ElementName='second')
    machine.do(machine.first, 'Apply')
    machine.write(LATER, targets=['hdb'])
    return machine


def failure(machine, task):
    """Its error, and what its log says."""
    properties = machine.client.wait_task(task)
    return properties['ErrorName'].rpartition('.')[2], ' '.join(text for _, _, text in machine.client.call(task, 'Task', 'GetLog', 'u', 0))


class Away:
    """The file is not there meanwhile."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        os.rename(self.path, f'{self.path}.away')

    def __exit__(self, *_):
        os.rename(f'{self.path}.away', self.path)


def test_an_image_of_another_branch_is_missing(machine):
    broken = machine.images(machine.second)['hdb'][0]
    with Away(broken):
        third = machine.take(DISKS, ElementName='third')
        machine.do(machine.first, 'Apply')
        machine.assert_reads(OLD, targets=['hdb'])
        machine.do(third, 'Apply')
        machine.assert_reads(LATER, targets=['hdb'])
        error, log = failure(machine, machine.start(machine.second, 'Apply'))
        assert error == 'FileNotFound' and broken in log
        machine.assert_reads(LATER, targets=['hdb'])
        error, log = failure(machine, machine.start(third, 'Destroy'))
        assert error == '' and broken in log
        machine.assert_reads(LATER, targets=['hdb'])
    machine.assert_reads(NOW, machine.second, targets=['hdb'])
    machine.do(machine.second, 'Apply')
    machine.assert_whole()
    machine.assert_reads(NOW, targets=['hdb'])
    machine.do(machine.first, 'DestroyTree')
    machine.assert_whole()
    machine.assert_reads(NOW, targets=['hdb'])


def test_a_branch_is_given_up_whose_image_is_gone(machine):
    os.unlink(machine.images(machine.second)['hdb'][0])
    machine.do(machine.second, 'Destroy')
    machine.assert_whole()
    machine.do(machine.first, 'Destroy')
    machine.assert_whole()
    machine.assert_reads(LATER, targets=['hdb'])


def test_the_present_is_missing(machine):
    """A snapshot of it can't be; to go back to one is the way out."""
    broken = machine.images()['hdb'][0]
    os.unlink(broken)
    error, log = failure(machine, machine.begin(DISKS))
    assert error == 'FileNotFound' and broken in log
    machine.do(machine.second, 'Apply')
    machine.assert_reads(NOW, targets=['hdb'])
    machine.assert_whole()


def test_names_that_a_libvirt_has_left(house):
    """One that dies while it takes a snapshot leaves QEMU nodes that the next one does not know, and whose names it gives again."""
    guest, spy = spied(house, 'left')
    for number in (2, 3):
        spy.execute('blockdev-add', **{'driver': 'null-co', 'node-name': f'libvirt-{number}-storage'})
    machine = Snapshots(house, guest)
    path = machine.take(DISKS)
    guest.assert_goes_on(guest.ticks)
    machine.do(path, 'Destroy')
    machine.assert_whole()
