# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of other products: made, taken apart with the tools of others, and read."""

import json
import pathlib
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree

from exports import variants
from harness import BUILD
from qemu_house import run

OVF = '{http://schemas.dmtf.org/ovf/envelope/1}'
RASD = '{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}'
CPUS, MEMORY, IDE, NETWORK, DISK, STORAGE = '3', '4', '5', '10', '17', '20'


def begin(machine, path, **settings):
    """The task."""
    return machine.client.call(machine.guest.path, 'VirtualMachine', 'ExportPackage', 'sa{sv}', str(path), variants(settings))


def export(machine, path, **settings):
    """The package, which is there and whole."""
    task = begin(machine, path, **settings)
    properties = machine.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties
    assert machine.client.call(task, 'Task', 'GetResults') == {'ExportFile': str(path)}
    return Package(path)


def fail(machine, path, **settings):
    """The name of the task's error."""
    properties = machine.client.wait_task(begin(machine, path, **settings))
    assert properties['ErrorName'], properties
    return properties['ErrorName'].rpartition('.')[2]


def refused(machine, path, **settings):
    """The name of the error that the call gives at once."""
    return machine.client.error(machine.guest.path, 'VirtualMachine', 'ExportPackage', 'sa{sv}', str(path), variants(settings)).short


class Package:
    """What is in a package that is whole."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        run(BUILD / 'virtask-bundle', 'verify', self.path)
        with tarfile.open(self.path) as archive:
            self.members = {member.name: member for member in archive.getmembers()}
            self.descriptor = ElementTree.fromstring(archive.extractfile(self.names[0]).read())

    @property
    def names(self):
        return list(self.members)

    @property
    def disks(self):
        return [name for name in self.names if name.endswith('.vmdk')]

    def items(self, kind):
        """What its hardware of this kind says."""
        items = self.descriptor.iter(f'{OVF}Item')
        return [{child.tag.rpartition('}')[2]: child.text for child in item} for item in items if item.findtext(f'{RASD}ResourceType') == kind]

    def unpack(self, directory):
        """By GNU tar, and each digest compared by sha256sum."""
        directory.mkdir()
        run('tar', '-C', directory, '-xf', self.path)
        manifest = next(directory.glob('*.mf')).read_text(encoding='utf-8')
        sums = ''.join(f'{line.rpartition("= ")[2]}  {line.partition("(")[2].rpartition(")")[0]}\n' for line in manifest.splitlines())
        subprocess.run(['sha256sum', '--quiet', '--strict', '-c', '-'], cwd=directory, input=sums, text=True, check=True)
        assert len(manifest.splitlines()) == len(self.names) - 1
        return directory

    def assert_holds(self, directory, *images):
        """The disks have the content of these images (path, format), and unpacked they are images by themselves."""
        self.unpack(directory)
        for name, (path, form) in zip(self.disks, images, strict=True):
            run('qemu-img', 'compare', '-f', 'vmdk', '-F', form, directory / name, path)
            info = json.loads(run('qemu-img', 'info', '--output=json', directory / name))
            assert info['format-specific']['data']['create-type'] == 'streamOptimized'
