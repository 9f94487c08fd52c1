# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mount namespaces: other files at well-known places, for the programs in it and nobody else. Needs root."""

import os
import pwd
import shlex
import shutil
import subprocess

from .process import TIMEOUT, Process

# libvirt's QEMU driver looks for this user when root runs it; only the package of the system service makes it.
QEMU_USER = 'libvirt-qemu'


class Namespace:
    """Furnished by shell commands, and held by a process that waits for the end of our pipe."""

    def __init__(self, scratch, name, commands):
        told, tell = os.pipe()
        script = '\n'.join(['set -e', *commands, f'echo furnished >/dev/fd/{tell}', 'exec cat'])
        try:
            self._holder = Process(scratch, name, ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script],
                                   stdin=subprocess.PIPE, pass_fds=[tell])
            os.close(tell)
            if not os.read(told, 100):
                raise RuntimeError(f'no mount namespace: {self._holder.log}')
        finally:
            os.close(told)

    def enter(self, arguments):
        """The command line that runs "arguments" inside; the process keeps its ID."""
        # With its root: we may be in a chroot, and a namespace alone would lead out of it.
        return ['nsenter', f'--target={self._holder.pid}', '--mount', '--root', '--', *arguments]

    def run(self, *arguments, check=True):
        """Runs a program inside and answers what it did."""
        return subprocess.run(self.enter([str(argument) for argument in arguments]), check=check, capture_output=True,
                              text=True, timeout=TIMEOUT)


def bind(source, target):
    return f'mount --bind {shlex.quote(str(source))} {shlex.quote(str(target))}'


def qemu_user(scratch):
    """Commands that give the namespace libvirt's QEMU user, if this computer has none."""
    try:
        pwd.getpwnam(QEMU_USER)
        return []
    except KeyError:
        pass
    commands = []
    for file, line in (('/etc/passwd', f'{QEMU_USER}:x:64055:64055::/nonexistent:/usr/sbin/nologin\n'),
                       ('/etc/group', f'{QEMU_USER}:x:64055:\n')):
        copy = scratch / os.path.basename(file)
        shutil.copy(file, copy)
        with open(copy, 'a', encoding='utf-8') as text:
            text.write(line)
        commands.append(bind(copy, file))
    return commands
