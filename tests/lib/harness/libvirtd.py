# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirtd in system mode that shares nothing with the one of this computer. Needs root."""

import contextlib
import os
import select
import socket

from . import capabilities
from .embed import Guest, end_qemu
from .namespace import Namespace, bind, qemu_user
from .process import TIMEOUT, Process

LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
"""

QEMU_CONF = """\
stdio_handler = "file"
security_driver = "none"
remember_owner = 0
namespaces = []
cgroup_controllers = []
"""


class Libvirtd:
    """Lives in a mount namespace of its own, with an empty /run and empty directories of libvirt. Whoever wants to talk to it must
    live there too: Daemon(..., uri=Libvirtd.URI, namespace=libvirtd.namespace)."""

    URI = 'qemu:///system'

    def __init__(self, scratch, start=True):
        self._scratch = scratch
        home = scratch.directory('libvirt')
        for name in ('lib', 'log', 'cache', 'etc', 'run'):
            (home / name).mkdir()
        (home / 'lib/qemu').mkdir()
        (home / 'etc/libvirtd.conf').write_text(LIBVIRTD_CONF, encoding='utf-8')
        (home / 'etc/qemu.conf').write_text(QEMU_CONF, encoding='utf-8')
        capabilities.recall('libvirtd', home / 'cache')
        self.root = home
        places = {'/etc/libvirt': 'etc', '/var/lib/libvirt': 'lib', '/var/log/libvirt': 'log', '/var/cache/libvirt': 'cache'}
        for place in places:
            # Only the package of the system service makes all of them, and a mount needs a place.
            if not os.path.exists(place):
                os.mkdir(place)
                scratch.callback(os.rmdir, place)
        commands = [bind(home / 'run', '/run'), 'mkdir -p /run/libvirt /run/lock']
        commands += [bind(home / name, place) for place, name in places.items()]
        self.namespace = Namespace(scratch, 'libvirt.namespace', commands + qemu_user(scratch))
        self.process = None
        scratch.callback(self._end)
        if start:
            self.start()

    def start(self, environment=None):
        """Starts it (again) and waits until it says to NOTIFY_SOCKET that it is ready."""
        path = str(self._scratch / 'libvirtd.notify')
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            self.process = Process(self._scratch, 'libvirtd', ['/usr/sbin/libvirtd'], namespace=self.namespace,
                                   environment={'NOTIFY_SOCKET': path, 'HOME': str(self._scratch.path), **(environment or {})})
            ready, _, _ = select.select([notify, self.process.pidfd], [], [], TIMEOUT)
            if notify not in ready:
                raise RuntimeError(f'no libvirtd: {self.process.log}')
        return self

    def kill(self):
        """kill -9; the guests live on."""
        self.process.kill()

    def restart(self):
        """As systemctl restart."""
        self.process.signal(15)
        self.process.wait()
        self.start()

    def guest(self, name, kind=Guest, **keywords):
        """A guest, defined here."""
        guest = kind(self._scratch, name, **keywords)
        definition = self._scratch / f'{name}.xml'
        definition.write_text(guest.xml, encoding='utf-8')
        self.virsh('define', definition)
        return guest

    def virsh(self, *arguments, check=True):
        """What virsh says beside us."""
        return self.namespace.run('virsh', '-q', '-c', self.URI, *arguments, check=check).stdout.strip()

    def saved_files(self):
        path = self.root / 'lib/qemu/save'
        return sorted(file.name for file in path.glob('*')) if path.exists() else []

    def saved_path(self, name):
        return self.root / f'lib/qemu/save/{name}.save'

    def qemu_pid(self, name):
        try:
            return int((self.root / f'run/libvirt/qemu/{name}.pid').read_text(encoding='ascii'))
        except (FileNotFoundError, ValueError):
            return None

    def _end(self):
        if self.process and self.process.running:
            self.process.signal(15)
            self.process.wait()
        for file in (self.root / 'run/libvirt/qemu').glob('*.pid'):
            if file.name != 'driver.pid' and (pid := self.qemu_pid(file.stem)):
                with contextlib.suppress(ProcessLookupError):
                    end_qemu(pid, f'guest={file.stem},')
        capabilities.remember('libvirtd', self.root / 'cache')
