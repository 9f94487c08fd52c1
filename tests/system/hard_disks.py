# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hard disk images: how they are made and looked at, by the service and beside it."""

import contextlib
import hashlib
import json
import os
import pathlib
import subprocess

from gi.repository import GLib
from harness import MANAGER, ROOT, Scratch
from qemu_house import House

DISK = 'HardDisk'
DYNAMIC, FIXED, DIFFERENCING = 0, 1, 2
MIB = 1 << 20
FORMATS = {'raw': 'raw', 'img': 'raw', 'qcow2': 'qcow2', 'vhd': 'vpc', 'vpc': 'vpc', 'vhdx': 'vhdx'}
PARTIAL = '.virtask-partial-'
LARGE = 1024  # MiB


def qemu_img(*arguments):
    return subprocess.run(['qemu-img', *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def make(path, kind, size='16M', **options):
    qemu_img('create', '-q', '-f', kind, *[word for key, value in options.items() for word in ('-o', f'{key}={value}')], path, size)
    return path


def info(path, kind):
    return json.loads(qemu_img('info', '--output=json', '-f', kind, path))


def path_of(file):
    return f'{ROOT}/harddisk/{hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:32]}'


def get(house, file):
    path = house.client.call(MANAGER, 'Manager', 'GetHardDisk', 's', str(file))
    assert path == path_of(file)
    return house.client.get_all(path, DISK)


def begin(house, kind, *arguments, **options):
    signature = 'ssa{sv}' if kind == 'Differencing' else 'sta{sv}'
    types = {str: 's', int: 't', bool: 'b'}
    values = {key: GLib.Variant(types[type(value)], value) for key, value in options.items()}
    return house.client.call(MANAGER, 'Manager', f'Create{kind}VirtualHardDisk', signature, *map_paths(arguments), values)


def map_paths(arguments):
    return [str(argument) if isinstance(argument, pathlib.Path) else argument for argument in arguments]


def create(house, kind, *arguments, **options):
    """The properties of the task, with its path as "path", and of the disk."""
    task = begin(house, kind, *arguments, **options)
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    return {'path': task, **properties}, house.client.get_all(properties['ResultObject'], DISK)


def refused(house, kind, *arguments, **options):
    """The name of the error that the call gives."""
    signature = 'ssa{sv}' if kind == 'Differencing' else 'sta{sv}'
    values = {key: GLib.Variant('s' if isinstance(value, str) else 't', value) for key, value in options.items()}
    error = house.client.error(MANAGER, 'Manager', f'Create{kind}VirtualHardDisk', signature, *map_paths(arguments), values)
    assert '(0x' in error.message
    return error.short


def failed(house, kind, *arguments, **options):
    """The name of the error that the task ends with; its text has no path."""
    properties = house.client.wait_task(begin(house, kind, *arguments, **options))
    assert properties['ResultName'] != 'success'
    assert str(house.scratch.path) not in properties['ErrorDescription']
    return properties['ErrorName'].rpartition('.')[2]


def is_zero(path, kind):
    """The guest of a new image reads zeros, and nothing is damaged."""
    if kind != 'raw' and kind != 'vpc':
        qemu_img('check', '-q', '-f', kind, path)
    size = info(path, kind)['virtual-size']
    zeros = path.with_name('zeros')
    with open(zeros, 'wb') as file:
        file.truncate(size)
    qemu_img('compare', '-q', '-f', kind, '-F', 'raw', path, zeros)
    zeros.unlink()


def allocated(path):
    return path.stat().st_blocks * 512


@contextlib.contextmanager
def slow_house():
    """A house that sees a file system that can't allocate: an image of this size takes a second to write."""
    with Scratch() as scratch:
        place, image = scratch / 'slow', scratch / 'slow.ext2'
        place.mkdir()
        with open(image, 'wb') as file:
            file.truncate(2 << 30)
        subprocess.run(['mkfs.ext2', '-q', '-F', image], check=True)
        subprocess.run(['mount', '-o', 'loop', image, place], check=True)
        scratch.callback(subprocess.run, ['umount', '--lazy', place], check=True)
        house = House(scratch, 'embed')
        house.place = place
        yield house


def is_empty(place):
    return {path.name for path in place.iterdir()} <= {'lost+found'}
