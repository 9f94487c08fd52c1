# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests from outside stand on: a bus, a daemon, clients, guests, polkit and libvirtd, all private.

    with Scratch() as scratch:
        bus = Bus(scratch)
        embed = Embed(scratch)
        guest = embed.guest('web', memory=64)
        daemon = Daemon(scratch, bus, embed.uri)
        client = Client(bus)
        vm = client.call('/org/virtask1/manager', 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml, {})
        task = client.call(vm, 'VirtualMachine', 'Startup', 'a{sv}', {})
        assert client.wait_task(task)['Result'] == 0
        guest.wait_ticks(10)

Three rules hold everywhere. Nothing sleeps: whoever waits, waits for an event and has a deadline. Whatever is started is
put on the scratch's stack and ended by its process ID when the scratch is left, the last first. A failure carries the
log of the daemon with it.
"""

from .bus import Bus
from .client import MANAGER, ROOT, BusError, Client, Deadline, Signal, path_of
from .daemon import Daemon, SanitizerReport
from .embed import Embed, Guest
from .libvirtd import Libvirtd
from .linux import LinuxGuest
from .logind import Logind
from .namespace import Namespace
from .polkitd import Polkitd
from .power import Kept, PowerScratch, replay
from .process import Process
from .scratch import Scratch
from .source import BUILD, LONG, SOURCE

__all__ = ['BUILD', 'Bus', 'BusError', 'Client', 'Daemon', 'Deadline', 'Embed', 'Guest', 'Kept', 'LONG', 'Libvirtd', 'LinuxGuest', 'Logind', 'MANAGER',
           'Namespace',
           'Polkitd', 'PowerScratch', 'Process', 'ROOT', 'SOURCE', 'SanitizerReport', 'Scratch', 'Signal', 'path_of', 'replay']
