# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of other products on the command line."""

import itertools
import re

import pytest
from packages import Package
from qemu_house import second_disk
from tool import STATE, USAGE

pytestmark = pytest.mark.below('embed')

numbers = itertools.count(1)


@pytest.fixture(scope='module')
def machine(house):
    return house.register('web', boot=False, memory=32, devices=second_disk(house.scratch, 'web', '64M'))


def test_the_suffix_says_that_it_is_a_package(tool, machine, directory):
    text = tool.say('export', 'web', 'web.ova', '--exclude=hdb', directory=directory)
    assert re.fullmatch(rf'Exported web to {directory}/web.ova \([\d.]+ [KM]iB, .*s\)\n', text)
    assert len(Package(directory / 'web.ova').disks) == 1
    assert f'{directory}/web.ova is whole (' in tool.say('verify', directory / 'web.ova')
    assert f' to {directory}/like.ova/web (' in tool.say('export', 'web', f'{directory}/like.ova/', directory=(directory / 'like.ova').mkdir())


def test_json_has_the_file(tool, machine, directory):
    task = tool.read('export', 'web', str(directory / 'web.ova'))
    assert (task['operation'], task['state'], task['machine']) == ('system-export-package', 'done', 'web')
    assert task['result'] == {'ExportFile': f'{directory}/web.ova'}
    assert task['bytes_done'] == task['bytes_total'] > 0


def test_a_package_becomes_a_machine(tool, machine, directory):
    tool.run('export', 'web', directory / 'web.ova')
    assert f'{directory}/web.ova can be imported (' in tool.say('import', directory / 'web.ova', '--validate', '--name=back')
    assert re.fullmatch(r'Imported back \([\d.]+ [KM]iB, .*s\)\n', tool.say('import', 'web.ova', '--name=back', directory=directory))
    assert 'new-identifier' in tool.fail(USAGE, 'import', directory / 'web.ova', '--new-identifier')
    tool.run('delete', 'back')


def test_a_machine_that_runs_needs_live(tool, house, machine, directory):
    tool.run('export', 'web', directory / 'off.ova', '--live=crash', '--no-snapshots')
    tool.run('start', 'web')
    tool.fail(STATE, 'export', 'web', directory / 'web.ova')
    tool.run('export', 'web', directory / 'web.ova', '--live')
    tool.run('poweroff', 'web')


@pytest.mark.parametrize('word', ['--live=saved', '--no-storage', '--no-runtime', '--no-subdirectory', '--snapshot=one', '--setting=CopyVmStorage=no'])
def test_what_is_not_for_packages(tool, machine, directory, word):
    assert 'package' in tool.fail(USAGE, 'export', 'web', directory / 'web.ova', word)
    assert not list(directory.iterdir())
