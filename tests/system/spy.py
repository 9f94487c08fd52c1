# SPDX-License-Identifier: LGPL-2.1-or-later
"""Looks at QEMU itself, beside libvirt."""

import json
import select
import socket

from harness.process import TIMEOUT


class Spy:
    """QEMU's own events, from a monitor beside that of libvirt."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._rest = b''
        self.execute('qmp_capabilities')

    def execute(self, command, **arguments):
        self._socket.sendall(json.dumps({'execute': command, 'arguments': arguments}).encode() + b'\n')
        while b'"return"' not in (answer := self._socket.recv(65536)):
            assert b'"error"' not in answer, answer

    def wait_event(self, name, after):
        """When it happened first after that time; seconds since 1970."""
        while True:
            *lines, self._rest = self._rest.split(b'\n')
            for line in map(json.loads, filter(None, lines)):
                if line.get('event') != name:
                    continue
                moment = line['timestamp']['seconds'] + line['timestamp']['microseconds'] / 1e6
                if moment >= after:
                    return moment
            assert select.select([self._socket], [], [], TIMEOUT)[0], name
            self._rest += self._socket.recv(65536)


def spied(house, name):
    path = house.scratch / f'spy-{name}'
    arguments = ['-chardev', f'socket,id=spy,path={path},server=on,wait=off', '-mon', 'chardev=spy,mode=control']
    lines = ''.join(f"<qemu:arg value='{argument}'/>" for argument in arguments)
    guest = house.register(name, memory=32, commandline=f'<qemu:commandline>{lines}</qemu:commandline>')
    return guest, Spy(path)
