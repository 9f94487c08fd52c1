# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages become machines: with the disks that are in them and nothing of the host, or there is nothing."""

import io
import json
import os
import signal
import tarfile
import xml.etree.ElementTree as ElementTree

import pytest
from exports import fill, new_machine, numbers, workers
from gi.repository import GLib
from harness import MANAGER
from imports import Imported, begin, delete, everything, fail, import_, remove
from packages import export
from qemu_house import Snapshots, run

pytestmark = pytest.mark.below('embed')

MIB = 1 << 20


@pytest.fixture
def machine(house):
    return new_machine(house)


@pytest.fixture
def package(machine, directory):
    return export(machine, directory / 'web.ova')


def definition_of(machine):
    return (machine.house.below.root / f'etc/qemu/{machine.guest.name}.xml').read_text(encoding='utf-8')


def emulate(machine):
    """Here nothing runs on KVM, which is what a host has that claims to have it."""
    text = definition_of(machine).replace("type='kvm'", "type='qemu'").replace("mode='host-model'", "mode='maximum'")
    machine.client.call(machine.guest.path, 'VirtualMachine', 'Unregister')
    machine.client.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', text, {})


# --- There and back ---

def test_a_machine_comes_back(house, machine, package):
    originals = machine.images()
    back = import_(house, package.path, Name='again')
    assert back.guest.name == 'again' and back.guest.uuid != machine.guest.uuid
    assert house.state(back.guest) == 'turned-off'
    assert back.images() == {target: (str(back.directory / f'{target}.qcow2'), 'qcow2') for target in ('hda', 'hdb')}
    for target, (path, form) in back.images().items():
        run('qemu-img', 'compare', '-f', form, '-F', originals[target][1], path, originals[target][0])
        assert os.stat(path).st_mode & 0o777 == 0o600
    emulate(back)
    house.do(back.guest, 'Startup')
    with back.line() as line:
        assert line.wait_tick() >= 0
    house.do(back.guest, 'TurnOff')
    remove(back)


def test_the_name_is_that_in_the_package(house, machine, package):
    assert fail(house, package.path)[0] == 'DuplicateName'
    name = machine.guest.name
    delete(machine)
    assert import_(house, package.path).guest.name == name


def test_hardware_is_what_the_package_says(house, directory):
    name = f'hard{next(numbers)}'
    devices = ''
    for target, bus in (('vdb', 'virtio'), ('sdb', 'sata'), ('sdc', 'scsi')):
        path = house.scratch / f'{name}-{target}.qcow2'
        run('qemu-img', 'create', '-q', '-f', 'qcow2', path, '4M')
        run('qemu-io', '-f', 'qcow2', '-c', f'write -P {ord(target[0])} 1M 1M', path)
        devices += f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='{target}' bus='{bus}'/></disk>"
    devices += "<interface type='user'><model type='virtio'/></interface><interface type='user'><model type='e1000'/></interface>"
    machine = Snapshots(house, house.register(name, boot=False, memory=128, uefi=True, devices=devices))
    package = export(machine, directory / 'web.ova', ExcludedVirtualHardDisks=['hda'] if 'hda' in machine.images() else [])
    back = import_(house, package.path, Name=f'{name}-2')
    root = ElementTree.fromstring(definition_of(back))
    disks = {disk.find('target').get('bus'): disk.find('source').get('file') for disk in root.findall('.//disk')}
    for bus, pattern in (('virtio', 'v'), ('sata', 's'), ('scsi', 's')):
        run('qemu-io', '-r', '-f', 'qcow2', '-c', f'read -P {ord(pattern)} 1M 1M', disks[bus])
    assert [model.get('type') for model in root.findall('.//interface/model')] == ['virtio', 'e1000']
    assert {interface.get('type') for interface in root.findall('.//interface')} == {'user'}
    assert root.find('os').get('firmware') == 'efi'
    assert int(root.find('memory').text) == 128 << 10
    emulate(back)
    house.do(back.guest, 'Startup')
    house.do(back.guest, 'TurnOff')


def test_checking_makes_nothing(house, package):
    before = everything(house)
    properties = house.client.wait_task(begin(house, package.path, Name='checked', ValidateOnly=True))
    assert (properties['ResultName'], properties['ResultObject']) == ('success', '/')
    damage(package.path, package.members[package.disks[0]].offset_data + 4096)
    assert fail(house, package.path, Name='checked', ValidateOnly=True)[0] == 'InvalidBundle'
    assert everything(house) == before


# --- Packages of others ---

DESCRIPTOR = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:href="a.vmdk" ovf:id="f"/></References>
 <DiskSection><Info/><Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="d" ovf:fileRef="f"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  <Disk ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="e"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
 <NetworkSection><Info/><Network ovf:name="@NETWORK@"/></NetworkSection>
 <VirtualSystem ovf:id="@NAME@"><Info/><VirtualHardwareSection><Info/>
  <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
  <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
   <rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
  <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>AHCI</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>
  <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID>
   <rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
  <Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/e</rasd:HostResource><rasd:InstanceID>5</rasd:InstanceID>
   <rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
  <Item><rasd:Connection>@NETWORK@</rasd:Connection><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>E1000</rasd:ResourceSubType>
   <rasd:ResourceType>10</rasd:ResourceType></Item>
 </VirtualHardwareSection></VirtualSystem></Envelope>"""


def vmdk(directory, size='16M', subformat='streamOptimized'):
    """An image with a pattern in its second MiB."""
    raw, path = directory / 'raw', directory / 'a.vmdk'
    run('qemu-img', 'create', '-q', '-f', 'raw', raw, size)
    run('qemu-io', '-f', 'raw', '-c', 'write -P 5 1M 1M', raw)
    run('qemu-img', 'convert', '-O', 'vmdk', '-o', f'subformat={subformat}', raw, path)
    return path.read_bytes()


def pack(directory, descriptor=DESCRIPTOR, name='other', network='VM Network', disk=None, members=()):
    """A package by Python's hand; the members are further ones, (TarInfo, bytes)."""
    path = directory / 'other.ova'
    text = descriptor.replace('@NAME@', name).replace('@NETWORK@', network).encode()
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive:
        for member, content in [('a.ovf', text), ('a.vmdk', vmdk(directory) if disk is None else disk), *members]:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_one_of_another_product(house, directory):
    task = begin(house, pack(directory))
    properties = house.client.wait_task(task)
    assert properties['ResultName'] == 'success', properties['ErrorDescription']
    back = Imported(house, properties['ResultObject'])
    assert back.guest.name == 'other'
    assert list(back.images()) == ['sda', 'sdb']
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 5 1M 1M', '-c', 'read -P 0 2M 14M', back.images()['sda'][0])
    run('qemu-io', '-r', '-f', 'qcow2', '-c', 'read -P 0 0 8M', back.images()['sdb'][0])
    root = ElementTree.fromstring(definition_of(back))
    assert root.find('.//interface').get('type') == 'user'
    assert root.find('os').get('firmware') is None
    assert any("'VM Network'" in text for _, _, text in house.client.call(task, 'Task', 'GetLog', 'u', 0))
    remove(back)


def test_a_disk_is_of_whole_sectors(house, directory):
    """A package may give any number of bytes for one that is empty."""
    old, new = 'ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20"', 'ovf:capacity="1000000"'
    assert old in DESCRIPTOR
    back = import_(house, pack(directory, DESCRIPTOR.replace(old, new)))
    assert json.loads(run('qemu-img', 'info', '--output=json', back.images()['sdb'][0]))['virtual-size'] == 1000448
    remove(back)


# --- What is refused ---

def damage(path, offset):
    with open(path, 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xff]))


def text_vmdk(target, size=32768):
    return f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW {size} FLAT "{target}" 0\n'.encode()


def hard_link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.LNKTYPE, target
    return info


HOSTILE = {
    'a list of files of the host': (lambda directory: pack(directory, disk=text_vmdk('/etc/shadow').ljust(2 * MIB, b'\0')), 'holds its own data'),
    'an image on top of one of the host': (lambda directory: pack(directory, disk=vmdk(directory).replace(
        b'createType=', b'parentFileNameHint="/etc/shadow"\ncreateType=')), 'rests on another'),
    'another format': (lambda directory: pack(directory, disk=b'QFI\xfb' + bytes(MIB)), 'holds its own data'),
    'a disk that is larger than it says': (lambda directory: pack(directory, disk=vmdk(directory, '64M')), 'larger than the package says'),
    'an image that is cut': (lambda directory: pack(directory, disk=vmdk(directory)[:70000]), ''),
    'an image of garbage': (lambda directory: pack(directory, disk=vmdk(directory)[:512] + os.urandom(1 << 17)), ''),
    'a name that leads out': (lambda directory: pack(directory, DESCRIPTOR.replace('a.vmdk', '../../etc/shadow')), ''),
    'a link': (lambda directory: pack(directory, members=[(hard_link('link', '/etc/shadow'), b'')]), 'no plain file'),
    'a file of the host': (lambda directory: pack(directory, DESCRIPTOR.replace('a.vmdk', 'file:///etc/shadow')), ''),
    'an entity': (lambda directory: pack(directory, DESCRIPTOR.replace('<Envelope', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/shadow">]><Envelope', 1)), ''),
    'a manifest that is not right': (lambda directory: pack(directory, members=[('a.mf', b'SHA256(a.ovf)= ' + b'0' * 64 + b'\nSHA256(a.vmdk)= '
                                                                                 + b'0' * 64 + b'\n')]), 'not as it was written'),
    'no descriptor': (lambda directory: pack(directory, '<nothing/>'), ''),
    'two disks at one place': (lambda directory: pack(directory, DESCRIPTOR.replace('AddressOnParent>1<', 'AddressOnParent>0<')), 'taken'),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_packages(house, directory, name):
    make, words = HOSTILE[name]
    path = make(directory)
    before = everything(house)
    error, text = fail(house, path)
    assert error == 'InvalidBundle' and words in text, text
    assert everything(house) == before


@pytest.mark.parametrize('text', ["a'/><disk", '</name><a/>', '&amp;'])
def test_what_a_package_calls_things_is_only_text(house, directory, text):
    """A name of a machine can not be like that; one of a network may be anything."""
    escaped = text.replace('&', '&amp;').replace('<', '&lt;').replace("'", '&apos;')
    back = import_(house, pack(directory, network=escaped), Name='plain')
    assert len(back.images()) == 2
    remove(back)
    if text != '&amp;':
        assert fail(house, pack(directory, name=escaped))[0] == 'NameInvalidChar'


def test_what_is_no_package(house, directory):
    assert fail(house, directory)[0] == 'InvalidBundle'
    assert fail(house, directory / 'missing.ova')[0] == 'PathNotFound'
    (directory / 'empty.ova').touch()
    assert fail(house, directory / 'empty.ova')[0] == 'InvalidBundle'
    os.mkfifo(directory / 'fifo.ova')
    assert fail(house, directory / 'fifo.ova')[0] == 'InvalidBundle'
    assert house.client.error(MANAGER, 'Manager', 'ImportPackage', 'sa{sv}', 'web.ova', {}).short == 'BadPath'
    assert house.client.error(MANAGER, 'Manager', 'ImportPackage', 'sa{sv}', '/web.ova',
                              {'GenerateNewSystemIdentifier': GLib.Variant('b', False)}).short == 'InvalidArgument'


def test_a_taken_directory(house, machine, package):
    (house.below.root / 'images' / 'taken').mkdir(parents=True)
    assert fail(house, package.path, Name='taken')[0] == 'FileExists'


# --- Interruptions ---

@pytest.fixture(scope='module')
def large(house):
    """A package with 128 MiB of data."""
    machine = new_machine(house)
    fill(machine)
    return export(machine, house.scratch / 'large.ova').path


def wait_half(house, path, **options):
    task = begin(house, path, **options)
    house.client.wait(lambda: house.client.get(task, 'Task', 'BytesDone') > 0 or house.client.get(task, 'Task', 'IsComplete'), what='bytes')
    return task


def test_one_that_is_cancelled_leaves_nothing(house, large):
    before = everything(house)
    task = wait_half(house, large, Name='new')
    house.client.call(task, 'Task', 'Cancel')
    assert house.client.wait_task(task)['ResultName'] == 'cancelled'
    assert everything(house) == before


def test_a_killed_worker_leaves_nothing(house, large):
    before = everything(house)
    task = wait_half(house, large, Name='new')
    for pid in workers(house):
        os.kill(pid, signal.SIGKILL)
    assert house.client.wait_task(task)['ResultName'] == 'unexpected-error'
    assert everything(house) == before


def test_a_killed_daemon_leaves_nothing(house, large):
    before = everything(house)
    task = wait_half(house, large, Name='new')
    house.daemon.kill()
    house.daemon.start()
    assert house.client.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert everything(house) == before
    remove(import_(house, large, Name='new'))
