# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many snapshots of one machine, and the longest chain that there may be."""

import time

import pytest
from gi.repository import Gio
from harness import ROOT
from harness.source import LONG
from qemu_house import DISKS, Snapshots, run

pytestmark = pytest.mark.below('embed')

LINE, BRANCHES = (60, 140) if LONG else (12, 20)
CHAIN_MAX = 100


def test_many_snapshots_are_made_and_listed(house):
    """A line, and branches from all over it. The branches hang on what is applied in between."""
    machine = Snapshots(house, house.register('many', boot=False, memory=32))
    line = [machine.take(DISKS, ElementName=f'line {number}') for number in range(LINE)]
    for number in range(BRANCHES):
        machine.do(line[number * 7 % LINE], 'Apply')
        begin = time.monotonic()
        machine.take(DISKS, ElementName=f'branch {number}')
        last = time.monotonic() - begin
    print(f'the last of {LINE + BRANCHES} took {last:.2f} s')
    times = []
    for _ in range(5):
        begin = time.monotonic()
        house.client.connection.call_sync('org.virtask1', ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', None, None,
                                          Gio.DBusCallFlags.NONE, -1, None)
        times.append(time.monotonic() - begin)
    objects = house.client.objects()  # which Python takes longer to unpack than the service to say
    snapshots = {path: interfaces['org.virtask1.Snapshot'] for path, interfaces in objects.items() if '/snapshot/' in path}
    assert set(snapshots) == set(machine.paths) and len(snapshots) == LINE + BRANCHES
    print(f'{len(snapshots)} listed in {min(times) * 1000:.1f} ms')
    assert min(times) < 0.1
    assert [snapshots[path]['Parent'] for path in line] == ['/', *line[:-1]]
    branches = [path for path in snapshots if path not in line]
    assert sorted(snapshots[path]['Parent'] for path in branches) == sorted(line[number * 7 % LINE] for number in range(BRANCHES))

    house.do(machine.guest, 'Startup')
    machine.guest.wait_first_tick(1)
    house.do(machine.guest, 'TurnOff')
    begin = time.monotonic()
    machine.do(line[0], 'DestroyTree')
    print(f'all destroyed in {time.monotonic() - begin:.1f} s')
    assert machine.paths == []
    machine.assert_whole()


def test_the_longest_chain(house):
    """At the limit there is an error with a name; the machine starts, and has room again when a snapshot is gone."""
    guest = house.below.guest('long', memory=32, disk_format='qcow2')
    base = guest.image
    for number in range(CHAIN_MAX - 2):
        path = house.scratch / f'long.{number}.qcow2'
        run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', base, path)
        path.chmod(0o666)
        base = path
    house.client.call('/org/virtask1/manager', 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml.replace(str(guest.image), str(base)), {})
    machine = Snapshots(house, guest)
    first = machine.take(DISKS)
    properties = house.client.wait_task(machine.begin(DISKS))
    assert properties['ErrorName'] == 'org.freedesktop.DBus.Error.LimitsExceeded', properties
    assert machine.paths == [first]
    house.do(guest, 'Startup')
    guest.wait_first_tick(1)
    properties = house.client.wait_task(machine.begin(DISKS))
    assert properties['ErrorName'] == 'org.freedesktop.DBus.Error.LimitsExceeded', properties
    guest.assert_goes_on(guest.ticks)
    machine.do(first, 'Destroy')
    machine.do(machine.take(DISKS), 'Destroy')
    guest.assert_goes_on(guest.ticks)
    house.do(guest, 'TurnOff')
    run('qemu-img', 'check', '-q', machine.images()['hda'][0])
