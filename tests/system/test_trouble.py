# SPDX-License-Identifier: LGPL-2.1-or-later
"""No space, no rights, no hypervisor: a clear error, and nothing lost."""

import os

import pytest
from harness import MANAGER, Bus, Client, Daemon, Embed, Libvirtd, Namespace
from qemu_house import House


@pytest.mark.root
def test_a_save_onto_a_full_disk_leaves_the_guest_running(scratch):
    saves = scratch / 'root/lib/qemu/save'
    namespace = Namespace(scratch, 'small', [f'mkdir -p {saves}', f'mount -t tmpfs -o size=16m tmpfs {saves}'])
    house = House(scratch, 'embed', namespace=namespace)
    guest = house.register('web1', memory=64)
    before = guest.ticks
    task = house.client.wait_task(house.begin(guest, 'Save'))
    assert (task['ErrorName'], task['Result']) == ('org.virtask1.Error.DiskFull', 4), task['ErrorDescription']
    assert task['Error'] == 0x80070070
    assert house.state(guest) == 'running'
    guest.assert_goes_on(before)
    assert namespace.run('ls', saves).stdout == ''


@pytest.mark.root
def test_an_ordinary_user_has_machines_of_his_own(scratch):
    user = 'nobody'
    house = House(scratch, 'embed', user=user)
    owner = Client(house.bus, user=user)
    guest = house.below.guest('web1')
    path = owner.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml, {})
    for method in ('Startup', 'Save', 'Startup', 'TurnOff'):
        task = owner.call(path, 'VirtualMachine', method, 'a{sv}', {})
        assert owner.wait_task(task)['ResultName'] == 'success'
    other = Client(house.bus, user='daemon')
    error = other.error(path, 'VirtualMachine', 'Startup', 'a{sv}', {})
    assert error.name == 'org.freedesktop.DBus.Error.AccessDenied' and '0x80070005' in error.message


@pytest.mark.root
def test_a_hypervisor_that_comes_later(scratch):
    libvirtd = Libvirtd(scratch, start=False)
    bus = Bus(scratch)
    Daemon(scratch, bus, Libvirtd.URI, namespace=libvirtd.namespace)
    client = Client(bus)
    assert client.get(MANAGER, 'Manager', 'Connected') is False
    assert client.call(MANAGER, 'Manager', 'ListVirtualMachines') == []
    error = client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', '<domain><name>x</name></domain>', {})
    assert error.short == 'HypervisorUnavailable'
    libvirtd.start()
    client.wait_property(MANAGER, 'Manager', 'Connected', True)


def test_two_daemons_on_one_state_directory(scratch, bus):
    first = Daemon(scratch, bus, 'test:///default')
    second = Daemon(scratch, bus, 'test:///default', name='second', options=[f'--state-directory={first.state}'], start=False)
    second.start(ready=False)
    assert second.process.wait() != 0
    assert 'another service' in second.log


def test_a_root_directory_that_is_in_use(scratch, bus):
    embed = Embed(scratch)
    Daemon(scratch, bus, embed.uri)
    other = Bus(scratch, 'other')
    # libvirt forgets a name then; for the leak to be recognised, the whole stack has to be walked.
    Daemon(scratch, other, embed.uri, name='second',
           environment={'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':fast_unwind_on_malloc=0'})
    assert Client(other).get(MANAGER, 'Manager', 'Connected') is False
