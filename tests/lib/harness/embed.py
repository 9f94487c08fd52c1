# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real QEMU without a libvirtd: the root directory of qemu:///embed, and guests for it."""

import contextlib
import grp
import os
import pathlib
import pwd
import select
import signal
import socket
import subprocess
import threading
import uuid

from . import capabilities
from .client import Deadline, path_of
from .process import TIMEOUT
from .source import SOURCE

# QEMU as the user of the daemon, and nothing that needs another service: no virtlogd, no cgroups, no labels.
QEMU_CONF = """\
stdio_handler = "file"
user = "{user}"
group = "{group}"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
"""


class Guest:
    """One machine that boots tools/guest.S, and its serial line: QEMU connects it to us, so nothing is lost or waited for.

    What the guest printed is in "lines"; it counts, says "ready" when it boots, "damaged" when memory is not as it was,
    and obeys send(): p power off, r reset, c crash (with panic=True). It writes its count to its disk, too.

    With uefi=True only the firmware runs; commandline is a <qemu:commandline>."""

    TEMPLATE = SOURCE / 'tools/guest.xml.in'

    def __init__(self, scratch, name, memory=64, panic=False, devices='', disk_format='raw', uefi=False, commandline=''):
        self.name = name
        self.memory = memory
        self.uuid = str(uuid.uuid4())
        self.path = path_of(self.uuid)
        self.image = scratch / f'{name}.img'
        self.lines = []
        self._begins = []  # of each QEMU: its first line
        self._news = threading.Condition()
        self._connection = None
        self._make_image()
        if disk_format != 'raw':
            raw = self.image
            self.image = scratch / f'{name}.{disk_format}'
            subprocess.run(['qemu-img', 'convert', '-q', '-f', 'raw', '-O', disk_format, raw, self.image], check=True)
            raw.unlink()
        self.image.chmod(0o666)

        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        serial = str(scratch / f'{name}.serial')
        self._listener.bind(serial)
        os.chmod(serial, 0o777)
        self._listener.listen()
        self._stop, stop = os.pipe()
        self._thread = threading.Thread(target=self._read_lines, daemon=True)
        self._thread.start()
        scratch.callback(self._end, stop)

        text = self.TEMPLATE.read_text(encoding='utf-8')
        for key, value in {'NAME': name, 'MEMORY': memory, 'IMAGE': self.image, **self._files(scratch)}.items():
            text = text.replace(f'@{key}@', str(value))
        text = text.replace('type="raw"', f'type="{disk_format}"')
        begin, end = text.index('<serial'), text.index('</serial>')
        self.xml = (text[:begin] + f'<serial type="unix"><source mode="connect" path="{serial}"/>' + text[end:]
                    ).replace('<devices>', '<devices>' + ("<panic model='isa'/>" if panic else '') + devices
                              ).replace('</name>', f'</name><uuid>{self.uuid}</uuid>')
        if commandline:
            self.xml = self.xml.replace('<domain ', '<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0" ').replace(
                '</domain>', f'{commandline}</domain>')
        if uefi:
            # It starts the firmware and nothing else: a boot sector is none for it.
            self.xml = self.xml.replace('<os>', '<os firmware="efi">').replace('machine="pc"', 'machine="q35"').replace(
                'bus="ide"', 'bus="sata"')

    def _make_image(self):
        subprocess.run([SOURCE / 'tools/guest.sh', self.image], check=True)

    def _files(self, scratch):
        """What the template names beside the image."""
        return {}

    def _end(self, stop):
        os.close(stop)
        self._thread.join()
        os.close(self._stop)
        self._listener.close()

    def _read_lines(self):
        """The thread of the serial line: one connection at a time, as a restored QEMU connects anew."""
        poll = select.poll()
        poll.register(self._stop, select.POLLHUP)
        poll.register(self._listener, select.POLLIN)
        rest = b''
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._stop in ready:
                break
            if self._connection and self._connection.fileno() in ready:
                with contextlib.suppress(ConnectionError):
                    if data := self._connection.recv(65536):
                        *lines, rest = (rest + data).split(b'\n')
                        with self._news:
                            self.lines.extend(line.decode('ascii', 'replace') for line in lines)
                            self._news.notify_all()
                        continue
                poll.unregister(self._connection)
                self._connection.close()
                self._connection, rest = None, b''
            elif self._listener.fileno() in ready and not self._connection:
                self._connection, _ = self._listener.accept()
                poll.register(self._connection, select.POLLIN)
                with self._news:
                    self._begins.append(len(self.lines))
        if self._connection:
            self._connection.close()

    def wait(self, condition, what, timeout=TIMEOUT):
        """Waits for news on the serial line until the condition holds."""
        with self._news:
            if not self._news.wait_for(condition, timeout):
                raise Deadline(f'{self.name}: waited {timeout} s for {what}; last lines: {self.lines[-3:]}')

    @property
    def ticks(self):
        """What the guest has counted to; 0 before it counts."""
        last = next((line for line in reversed(self.lines) if line.startswith('tick ')), 'tick 0')
        return int(last[5:], 16)

    @property
    def boots(self):
        return self.lines.count('ready')

    def wait_ticks(self, more=1, timeout=TIMEOUT):
        """Waits until it has counted this much further; it does so 18 times a second."""
        goal = self.ticks + more
        self.wait(lambda: self.ticks >= goal, f'tick {goal}', timeout)
        return self.ticks

    @property
    def processes(self):
        """How many QEMUs there have been."""
        return len(self._begins)

    def wait_first_tick(self, process):
        """Waits for the first tick that the QEMU of this number (from 1 on) prints, and answers it."""
        def find():
            if len(self._begins) < process:
                return None
            end = self._begins[process] if len(self._begins) > process else None
            return next((line for line in self.lines[self._begins[process - 1]:end] if line.startswith('tick ')), None)

        self.wait(lambda: find() is not None, f'a tick of process {process}')
        return int(find()[5:], 16)

    def wait_memory(self):
        """Waits until the guest has looked at all of its memory once more: 16 MiB at a tick."""
        begin = len(self.lines)
        self.wait_ticks(2 + self.memory // 16)
        assert 'damaged' not in self.lines[begin:]

    def assert_goes_on(self, before):
        """It counts on from there, and has not booted again."""
        boots = self.boots
        self.wait_ticks(3)
        assert self.ticks > before and self.boots == boots, self.lines[-5:]

    def send(self, text):
        self._connection.sendall(text.encode())


class Embed:
    """The directory. One daemon at a time may have it open; its guests outlive the daemon and end with the scratch."""

    def __init__(self, scratch, name='root', user=None):
        self._scratch = scratch
        self._user = user
        self.root = scratch.directory(name)
        self.uri = f'qemu:///embed?root={self.root}'
        self.saved_states = self.root / 'lib/qemu/save'
        scratch.directory(f'{name}/etc')
        entry = pwd.getpwuid(os.geteuid()) if user is None else pwd.getpwnam(user)
        (self.root / 'etc/qemu.conf').write_text(
            QEMU_CONF.format(user=entry.pw_name, group=grp.getgrgid(entry.pw_gid).gr_name), encoding='utf-8')
        capabilities.recall(f'embed-{user}', self.root / 'cache')
        if user is not None:
            subprocess.run(['chown', '-R', user, self.root], check=True)
        scratch.callback(self._end)

    def guest(self, name, kind=Guest, **keywords):
        return kind(self._scratch, name, **keywords)

    def saved_files(self):
        """The saved states that lie there, complete or not."""
        return sorted(path.name for path in self.saved_states.glob('*')) if self.saved_states.exists() else []

    def saved_path(self, name):
        return self.saved_states / f'{name}.save'

    def qemu_pid(self, name):
        """The QEMU of a machine, or None."""
        try:
            return int((self.root / f'run/qemu/{name}.pid').read_text(encoding='ascii'))
        except (FileNotFoundError, ValueError):
            return None

    def end_guests(self):
        """Kills each QEMU."""
        for file in (self.root / 'run/qemu').glob('*.pid'):
            if file.name == 'driver.pid':
                continue
            with contextlib.suppress(ValueError, ProcessLookupError, FileNotFoundError):
                end_qemu(int(file.read_text(encoding='ascii')), str(self.root))

    def _end(self):
        self.end_guests()
        capabilities.remember(f'embed-{self._user}', self.root / 'cache')


def end_qemu(pid, marker):
    """Ends a QEMU that is nobody's child any more, if it is the one with this text in its command line."""
    pidfd = os.pidfd_open(pid)
    try:
        command = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().decode(errors='replace')
        if 'qemu' in command and marker in command:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], TIMEOUT)
    finally:
        os.close(pidfd)
