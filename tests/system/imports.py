# SPDX-License-Identifier: LGPL-2.1-or-later
"""Imports of exports, and what is changed in an export that is to be refused."""

import hashlib
import json
import os
import re
import select
import shutil
import termios
import time
import tty
import xml.etree.ElementTree as ElementTree

from gi.repository import GLib
from harness import MANAGER
from qemu_house import Snapshots


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


def begin(house, path, **options):
    """The task, of a bundle or a package."""
    method = 'ImportPackage' if path.suffix == '.ova' else 'ImportSystemDefinition'
    return house.client.call(MANAGER, 'Manager', method, 'sa{sv}', str(path),
                             {key: GLib.Variant({bool: 'b', str: 's', list: 'as'}[type(value)], value) for key, value in options.items()})


def imported_by(house, task):
    """The machine."""
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    return Imported(house, properties['ResultObject'])


def import_(house, path, **options):
    return imported_by(house, begin(house, path, **options))


def fail(house, path, **options):
    """The name of the task's error, and its text."""
    properties = house.client.wait_task(begin(house, path, **options))
    assert properties['ErrorName'], properties
    return properties['ErrorName'].rpartition('.')[2], properties['ErrorDescription']


def everything(house):
    """All that an import could leave: files, directories and machines."""
    root = house.below.root
    files = {str(path) for below in ('images', 'lib', 'etc') for path in (root / below).rglob('*')}
    return files, set(house.client.get(MANAGER, 'Manager', 'VirtualMachines'))


def delete(machine):
    machine.house.do(machine.guest, 'Delete')


def remove(machine):
    """With its images, which stay when a machine is deleted."""
    delete(machine)
    shutil.rmtree(machine.directory)


def damage(path, offset=100):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def sign(bundle):
    """Makes the digests fit what is there."""
    manifest = json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))
    lines = ''
    for file in manifest['files']:
        data = (bundle / file['name']).read_bytes()
        file['size'] = len(data)
        if 'sha256' in file:
            file['sha256'] = hashlib.sha256(data).hexdigest()
            lines += f'{file["sha256"]}  {file["name"]}\n'
    text = json.dumps(manifest)
    (bundle / 'manifest.json').write_text(text, encoding='utf-8')
    (bundle / 'SHA256SUMS').write_text(lines + f'{hashlib.sha256(text.encode()).hexdigest()}  manifest.json\n', encoding='utf-8')


def change(bundle, name, old, new):
    path = bundle / name
    text = path.read_text(encoding='utf-8')
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding='utf-8')
    sign(bundle)


def edit(bundle, function):
    manifest = json.loads((bundle / 'manifest.json').read_text(encoding='utf-8'))
    function(manifest)
    (bundle / 'manifest.json').write_text(json.dumps(manifest), encoding='utf-8')
    sign(bundle)


def replace_by_link(path, target):
    path.unlink()
    path.symlink_to(target)
