# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Linux guest with the QEMU guest agent."""

import os
import shutil
import subprocess

from .embed import Guest
from .process import TIMEOUT
from .source import LINUX, SOURCE

SBIN = {**os.environ, 'PATH': os.environ.get('PATH', '') + ':/usr/sbin:/sbin'}


class LinuxGuest(Guest):
    """Boots tests/guest, and counts into /data/counter of its ext4 as it does on its serial line. When it counts, the agent can be talked to.

    Its serial line is a shell as well: do() says something to it. The agent's hook prints "hook freeze" and "hook thaw", and does what is
    in /run/freeze and /run/thaw. It prints "button" when that is pressed, "shutdown -P" or "-r" when it is to go down, and "logoff ..." for those
    that are logged off; the files beside tests/guest/init say how it is made to do otherwise."""

    TEMPLATE = SOURCE / 'tests/guest/guest.xml.in'

    def __init__(self, scratch, name, memory=128, **keywords):
        super().__init__(scratch, name, memory=memory, **keywords)

    def _make_image(self):
        with open(self.image, 'wb') as file:
            file.truncate(16 << 20)
        subprocess.run(['mke2fs', '-q', '-F', '-t', 'ext4', self.image], check=True, env=SBIN)

    def _files(self, scratch):
        """Copies: others than we read them, and libvirt changes their owner."""
        subprocess.run([SOURCE / 'tests/guest/build.py', LINUX], check=True)
        files = {'KERNEL': scratch / 'vmlinuz', 'INITRD': scratch / 'initrd.img'}
        for path in files.values():
            if not path.exists():
                shutil.copy(LINUX / path.name, path)
                path.chmod(0o644)
        return files

    def do(self, command):
        """Has the guest's shell do it, and waits until it has."""
        begin = len(self.lines)
        self.send(f'{command}; echo done\n')
        self.wait(lambda: 'done' in self.lines[begin:], command)

    def wait_line(self, line, after, timeout=TIMEOUT):
        """Waits until it has printed this line, after so many others."""
        self.wait(lambda: line in self.lines[after:], line, timeout)

    def hooks(self, after=0):
        """What the agent's hook was called with: "freeze", "thaw"."""
        return [line[5:] for line in self.lines[after:] if line.startswith('hook ')]
