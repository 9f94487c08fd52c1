# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports of real exports: the machine is there with all it had, or nothing is."""

import itertools
import json
import os
import pathlib
import re
import select
import termios
import time
import tty
import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import GLib
from harness import MANAGER, Scratch
from qemu_house import House, Snapshots, run, second_disk
from test_export import DISKS, FULL, export, write

numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch, 'embed')


@pytest.fixture
def directory(house):
    path = house.scratch / f'bundles{next(numbers)}'
    path.mkdir()
    return path


@pytest.fixture
def machine(house):
    """One that is off, with a second disk that holds something."""
    name = f'import{next(numbers)}x'
    machine = Snapshots(house, house.register(name, boot=False, memory=32, devices=second_disk(house.scratch, name, '64M')))
    write(machine, 1)
    return machine


class Imported(Snapshots):
    """A machine that an import has made, named like the fixtures name a guest."""

    class Guest:
        def __init__(self, client, path):
            self.path = path
            self.name = client.get(path, 'VirtualMachine', 'Name')
            self.uuid = client.get(path, 'VirtualMachine', 'ConfigID')

    def __init__(self, house, path):
        super().__init__(house, self.Guest(house.client, path))

    @property
    def directory(self):
        return self.house.below.root / 'images' / self.guest.name

    def line(self):
        """The terminal that its serial line is."""
        status = ElementTree.parse(self.house.below.root / f'run/qemu/{self.guest.name}.xml')
        return Line(status.find('.//devices/serial/source').get('path'))


class Line:
    """A serial line that is a terminal: what the guest says from now on."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd, termios.TCSANOW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._fd)

    def wait_tick(self, timeout=60):
        """The next number that it has counted to."""
        text, end = '', time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self._fd], [], [], 1)[0]:
                text += os.read(self._fd, 4096).decode('ascii', 'replace')
            if found := re.search(r'\ntick ([0-9a-f]+)\r?\n', text):
                return int(found.group(1), 16)
        raise AssertionError(f'no tick: {text[-200:]!r}')


def begin(house, bundle, **options):
    """The task."""
    return house.client.call(MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(bundle),
                             {key: GLib.Variant({bool: 'b', str: 's'}[type(value)], value) for key, value in options.items()})


def import_(house, bundle, **options):
    properties = house.client.wait_task(begin(house, bundle, **options))
    assert properties['ResultName'] == 'success', properties
    return Imported(house, properties['ResultObject'])


def fail(house, bundle, **options):
    """The name of the task's error, and its text."""
    properties = house.client.wait_task(begin(house, bundle, **options))
    assert properties['ErrorName'], properties
    return properties['ErrorName'].rpartition('.')[2], properties['ErrorDescription']


def everything(house):
    """All that an import could leave: files, directories and machines."""
    root = house.below.root
    files = {str(path) for below in ('images', 'lib', 'etc') for path in (root / below).rglob('*')}
    return files, set(house.client.get(MANAGER, 'Manager', 'VirtualMachines'))


def delete(machine):
    machine.house.do(machine.guest, 'Delete')


# --- There and back ---

def test_a_machine_that_is_off(house, machine, directory):
    bundle = export(machine, directory)
    delete(machine)
    back = import_(house, bundle)
    assert (back.guest.name, back.guest.uuid) == (machine.guest.name, machine.guest.uuid)
    assert {path for path, _ in back.images().values()} == {str(back.directory / name) for name in ('hda.raw', 'hdb.qcow2')}
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 1 1M 1M', back.images()['hdb'][0])
    assert (back.directory / 'hdb.qcow2').stat().st_mode & 0o777 == 0o600
    house.do(back.guest, 'Startup')
    with back.line() as line:
        line.wait_tick()
    house.do(back.guest, 'TurnOff')


def test_a_saved_machine_goes_on(house, machine, directory):
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    house.do(machine.guest, 'Save')
    before = machine.guest.ticks
    bundle = export(machine, directory)
    delete(machine)
    for options in ({}, {'Name': f'{machine.guest.name}-2', 'GenerateNewSystemIdentifier': True}):
        back = import_(house, bundle, **options)
        assert house.state(back.guest) == 'saved'
        house.do(back.guest, 'Startup')
        with back.line() as line:
            assert before <= line.wait_tick() < before + 500
        house.do(back.guest, 'TurnOff')


def test_snapshots_can_be_applied(house, machine, directory):
    machine.take(DISKS, ElementName='first')
    write(machine, 2)
    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(machine.guest.processes)
    machine.take(FULL, ElementName='second')
    before = machine.guest.ticks
    house.do(machine.guest, 'Save')
    machine.take(FULL, ElementName='third')
    bundle = export(machine, directory)
    delete(machine)
    back = import_(house, bundle, Name=f'{machine.guest.name}-2', GenerateNewSystemIdentifier=True)
    snapshots = {back.get(path)['Name']: path for path in back.paths}
    assert list(snapshots) == ['first', 'second', 'third']
    assert back.get(snapshots['third'])['HasSavedState']
    house.client.call(back.guest.path, 'VirtualMachine', 'DiscardSavedState')
    back.do(snapshots['first'], 'Apply')
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 1 1M 1M', back.images()['hdb'][0])
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 0 2M 1M', back.images()['hdb'][0])
    for name in ('second', 'third'):
        back.do(snapshots[name], 'Apply')
        if house.state(back.guest) != 'running':
            house.do(back.guest, 'Startup' if house.state(back.guest) in ('saved', 'turned-off') else 'Resume')
        with back.line() as line:
            assert before - 100 <= line.wait_tick() < before + 1000
        house.do(back.guest, 'TurnOff')
    for name in ('second', 'first', 'third'):
        back.do(snapshots[name], 'Destroy')
    assert back.paths == []
