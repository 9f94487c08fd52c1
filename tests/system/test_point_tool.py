# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of the tool about reference points, on real machines."""

import os
import re

import pytest
from exports import verify
from qemu_house import Snapshots, run, second_disk
from tool import FAILED, NOT_FOUND, USAGE, undated

pytestmark = pytest.mark.below('embed')


@pytest.fixture
def machine(house):
    """A machine that is off, and that only this test has."""
    name = f'm{len(house.client.objects())}'
    return house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name))


@pytest.fixture
def directory(house, machine):
    path = house.scratch / f'to-{machine.name}'
    path.mkdir()
    return path


def test_they_are_made_shown_and_deleted(tool, machine):
    assert re.fullmatch(rf'Made reference point monday of {machine.name} \(.*\)\n', tool.say('point', machine.name, 'monday'))
    tool.run('point', machine.name)
    points = tool.read('points', machine.name)
    assert [(point['name'] == point['id'], point['consistency_level']) for point in points] == [(True, 2)] * 2
    assert points[0]['id'] == 'monday' and points[0]['path'].startswith(f'{machine.path}/referencepoint/')
    assert undated(tool.say('points', machine.name)) == f"""\
REFERENCE POINT    CONSISTENCY  CREATED
monday             crash        DATE
{points[1]['id']:17}  crash        DATE
2 reference points of {machine.name}.
"""
    assert tool.read('snapshots', machine.name) == []
    assert re.fullmatch(rf'Deleted reference point monday of {machine.name} \(.*\)\n', tool.say('delete-point', machine.name, 'monday'))
    assert [point['id'] for point in tool.read('points', machine.name)] == [points[1]['id']]


def test_a_snapshot_becomes_one(tool, machine):
    tool.run('snapshot', machine.name, 'before', '--recovery')
    assert re.fullmatch(rf'Made reference point before of {machine.name} \(.*\)\n', tool.say('convert-snapshot', machine.name, 'before'))
    assert tool.read('snapshots', machine.name) == [] and [point['id'] for point in tool.read('points', machine.name)] == ['before']
    tool.run('snapshot', machine.name, 'after', '--disks-only')
    assert 'recovery' in tool.fail(FAILED, 'convert-snapshot', machine.name, 'after')
    assert [snapshot['id'] for snapshot in tool.read('snapshots', machine.name)] == ['after']


def test_what_has_changed_is_exported(house, tool, machine, directory):
    path = house.scratch / f'{machine.name}-2'
    tool.run('point', machine.name, 'monday')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 5 1M 64k', Snapshots(house, machine).images()['hdb'][0])
    tool.run('point', machine.name, 'tuesday')
    assert 'Exported' in tool.say('export-point', machine.name, 'monday', str(directory / 'full'), '--no-subdirectory')
    os.mkdir(path)
    assert 'Exported' in tool.say('export-point', machine.name, 'tuesday', str(path), '--since=monday')
    assert verify(directory / 'full')['kind'] == 'full'
    manifest = verify(path / machine.name)
    assert manifest['kind'] == 'difference' and manifest['base']['id'] == 'monday' and manifest['point']['id'] == 'tuesday'


def test_what_is_not_there(tool, machine):
    assert f'{machine.name} has no reference point "x" (there are none)' in tool.fail(NOT_FOUND, 'delete-point', machine.name, 'x')
    tool.run('point', machine.name, 'first')
    assert f'{machine.name} has no reference point "firts" (try: first)' in tool.fail(NOT_FOUND, 'delete-point', machine.name, 'firts')
    assert f'{machine.name} has no snapshot "first"' in tool.fail(NOT_FOUND, 'revert', machine.name, 'first')
    assert 'usage' in tool.fail(USAGE, 'export-point', machine.name, 'first')


def test_completion(tool, machine):
    tool.run('point', machine.name, 'first')
    tool.run('snapshot', machine.name, 'second')
    assert tool.complete('delete-point', machine.name, '') == ['first']
    assert tool.complete('revert', machine.name, '') == ['second']
    assert tool.complete('export-point', machine.name, 'first', '--since=') == ['--since=first']
