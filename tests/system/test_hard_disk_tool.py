# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hard disks on the command line."""

import json
import re
import subprocess

import pytest
from tool import FAILED, USAGE

pytestmark = pytest.mark.below('embed')


def virtual_size(path, kind):
    return json.loads(subprocess.run(['qemu-img', 'info', '--output=json', '-f', kind, path], check=True, capture_output=True).stdout)['virtual-size']


@pytest.mark.parametrize('verb, name, kind', [('create-disk', 'a.qcow2', 'qcow2'), ('create-disk', 'a.vhd', 'vpc'), ('create-fixed-disk', 'a.raw', 'raw')])
def test_a_disk_is_made(tool, directory, verb, name, kind):
    text = tool.say(verb, f'new/{name}', '24M', directory=directory)
    assert text.startswith(f'Made {directory}/new/{name} (')
    assert virtual_size(directory / 'new' / name, kind) == 24 << 20


def test_json_has_the_file(tool, directory):
    task = tool.read('create-disk', str(directory / 'a.qcow2'), '1G')
    assert (task['operation'], task['state'], task['result']) == ('disk-create-dynamic', 'done', {'ImagePath': f'{directory}/a.qcow2'})


def test_a_disk_is_shown(tool, directory):
    tool.run('create-fixed-disk', directory / 'parent.raw', '8388608')
    tool.run('create-differencing-disk', 'child.qcow2', 'parent.raw', directory=directory)
    lines = dict(line.strip().split(': ', 1) for line in tool.say('disk', 'child.qcow2', directory=directory).splitlines())
    assert (lines['File'], lines['Format'], lines['Type'], lines['In guest']) == (f'{directory}/child.qcow2', 'qcow2', 'differencing', '8.0 MiB')
    assert re.fullmatch('/org/virtask1/harddisk/[0-9a-f]{32}', lines['Parent'])
    parent = tool.read('disk', str(directory / 'parent.raw'))
    assert (parent['Type'], parent['SizeInGuest'], parent['Format'], parent['InUseBy']) == (1, 8 << 20, 'raw', [])


def test_a_disk_is_converted_and_flattened(tool, directory):
    tool.run('create-disk', directory / 'a.raw', '8M')
    tool.run('create-differencing-disk', directory / 'b.qcow2', directory / 'a.raw')
    assert tool.say('convert-disk', 'a.raw', 'a.vhd', directory=directory).startswith(f'Made {directory}/a.vhd (')
    assert tool.say('flatten-disk', 'b.qcow2', 'c.vhdx', directory=directory).startswith(f'Made {directory}/c.vhdx (')
    assert virtual_size(directory / 'a.vhd', 'vpc') == virtual_size(directory / 'c.vhdx', 'vhdx') == 8 << 20
    tool.run('flatten-disk', directory / 'a.raw', directory / 'd.raw', code=FAILED)


def test_a_disk_of_a_machine_has_its_name(tool, house):
    guest = house.register('with-disk', boot=False)
    lines = [line.strip() for line in tool.say('disk', guest.image).splitlines()]
    assert f'File: {guest.image}' in lines and 'In use by: with-disk' in lines


def test_what_is_wrong_is_said(tool, directory):
    assert 'a size is' in tool.fail(USAGE, 'create-disk', directory / 'a.qcow2', '10X')
    assert 'a size is' in tool.fail(USAGE, 'create-disk', directory / 'a.qcow2', '0')
    assert 'a size is' in tool.fail(USAGE, 'create-disk', directory / 'a.qcow2', '99999999999T')
    assert 'must end with' in tool.fail(FAILED, 'create-disk', directory / 'a.txt', '10M')
    tool.run('create-disk', directory / 'a.qcow2', '10M')
    assert 'File exists' in tool.run('create-disk', directory / 'a.qcow2', '10M', code=FAILED)[1]
    tool.fail(FAILED, 'disk', directory / 'missing.raw')


def test_commands_are_completed(tool):
    assert set(tool.complete('create-d')) == {'create-disk', 'create-differencing-disk'}
