# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of the tool about undo disks, on real machines."""

import re

import pytest
from qemu_house import Snapshots, second_disk
from tool import STATE, USAGE

pytestmark = pytest.mark.below('embed')


@pytest.fixture
def machine(house):
    """A machine that is off, and that only this test has."""
    name = f'm{len(house.client.objects())}'
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name)))
    machine.write(1)
    return machine


def test_from_the_first_to_the_last(tool, machine):
    name = machine.guest.name
    assert 'Undo disks: no\n' in re.sub(' +', ' ', tool.say('show', name))
    assert tool.say('enable-undo', name) == f'Enabled undo disks of {name}\n'
    assert 'Undo disks: yes, when it goes off: keep\n' in re.sub(' +', ' ', tool.say('show', name))
    machine.write(2)
    assert tool.say('discard-undo', name) == f'Discarded what was in the undo disks of {name}\n'
    machine.assert_reads(1)
    machine.write(3)
    assert re.fullmatch(rf'Merged the undo disks of {name} \(.*\)\n', tool.say('merge-undo', name))
    assert tool.say('undo-action', name, 'discard') == f'When {name} goes off, its undo disks: discard\n'
    assert tool.say('show', name, '-p', 'UndoAction') == 'UndoAction=0\n'
    assert tool.say('show', name, '-p', 'Undoable', '--value') == 'true\n'
    machine.write(4)
    assert tool.say('disable-undo', name) == f'Removed the undo disks of {name}\n'
    machine.assert_reads(3)


def test_what_is_refused(tool, machine):
    name = machine.guest.name
    assert 'no undo disks' in tool.fail(STATE, 'merge-undo', name)
    assert 'discard, keep or commit' in tool.fail(USAGE, 'undo-action', name, 'burn')
    assert 'no property "Nothing"' in tool.fail(USAGE, 'show', name, '-p', 'Nothing')
    tool.run('enable-undo', name)
    tool.run('start', name)
    assert 'running' in tool.fail(STATE, 'disable-undo', name)
    tool.run('undo-action', name, 'discard')
    assert 'discarded' in tool.fail(STATE, 'save', name)
