# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon with the capabilities of its unit, the real polkitd, a machine to export, and an ordinary user who may."""

import contextlib
import ctypes
import grp
import hashlib
import os
import pathlib
import pwd
import shutil
import stat
import subprocess

import test_capabilities
from gi.repository import GLib
from harness import BUILD, MANAGER, Guest
from harness.namespace import bind
from houses import GRANTED, OWNER, VM

# Of no other user: the caller is in the first, and not in the second.
HIS_GROUP, FOREIGN_GROUP = 'users', 'audio'

_libc = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_STRICTATIME, MS_BIND = 1, 1 << 24, 4096


def mount(scratch, source, target, kind='tmpfs', flags=0, options=''):
    """Until the scratch ends."""
    if _libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode()) < 0:
        raise OSError(ctypes.get_errno(), f'mount of {target}')
    scratch.callback(subprocess.run, ['umount', '--lazy', target], check=True)


def describe(path, accessed):
    """What a file is and holds, and when it was last changed, or read; the look itself leaves no trace."""
    status = path.lstat()
    facts = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
    if not stat.S_ISREG(status.st_mode):
        return facts
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    with open(fd, 'rb') as file:
        return (*facts, status.st_ctime_ns, status.st_atime_ns if accessed else None, hashlib.sha256(file.read()).hexdigest())


class House(test_capabilities.House):
    """Its "home" belongs to the caller; "secret" to root alone and "foreign" to another user, with files in both."""

    def __init__(self, scratch, name='web1', prepare=lambda house: None):
        self.scratch = scratch
        self.home = self._directory('home', GRANTED, 0o700)
        self.safe = self._directory('safe', 'root', 0o755)
        mount(scratch, 'safe', self.safe, flags=MS_STRICTATIME, options='mode=755')
        self.secret, self.foreign = self._directory('safe/secret', 'root', 0o700), self._directory('safe/foreign', OWNER, 0o700)
        for directory in (self.secret, self.foreign):
            (directory / 'inside').mkdir()
            (directory / 'file').write_text('untouched', encoding='ascii')
            (directory / 'file').chmod(0o600)
        prepare(self)
        super().__init__(scratch)
        self._add_to_group()
        self.guest = self.register(name)

    def _directory(self, name, owner, mode):
        path = self.scratch.path / name
        path.mkdir()
        shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)
        path.chmod(mode)
        return path

    def _add_to_group(self):
        """The daemon finds the caller in one group more."""
        namespace, copy = self.libvirtd.namespace, self.scratch / 'group-with-him'
        lines = namespace.run('cat', '/etc/group').stdout.splitlines()
        copy.write_text(''.join(f'{line}{"" if line.endswith(":") else ","}{GRANTED}\n' if line.startswith(f'{HIS_GROUP}:') else f'{line}\n'
                                for line in lines), encoding='utf-8')
        namespace.run('sh', '-c', bind(copy, '/etc/group'))

    def register(self, name, called=None):
        """A machine; its files have "name", and it is called so unless it has another name."""
        guest = Guest(self.scratch, name, memory=32)
        if called:
            guest.xml, guest.name = guest.xml.replace(f'<name>{name}<', f'<name>{called}<'), called
        assert self.root.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml, {}) == guest.path
        return guest

    def begin(self, directory, subdirectory=True, guest=None):
        """The task."""
        settings = {} if subdirectory else {'CreateVmExportSubdirectory': GLib.Variant('b', False)}
        return self.granted.call((guest or self.guest).path, VM, 'ExportSystemDefinition', 'sa{sv}', str(directory), settings)

    def export(self, directory, **keywords):
        """The path of the bundle, which is whole and the caller's."""
        task = self.begin(directory, **keywords)
        properties = self.granted.wait_task(task)
        assert properties['ResultName'] == 'success', properties
        bundle = pathlib.Path(self.granted.call(task, 'Task', 'GetResults')['ExportDirectory'])
        self.assert_whole(bundle)
        return bundle

    @staticmethod
    def assert_whole(bundle):
        subprocess.run([BUILD / 'virtask-bundle', 'verify', bundle], check=True)
        assert {path.owner() for path in [bundle, *bundle.rglob('*')]} == {GRANTED}

    def _look(self):
        return {path: describe(path, path != self.guest.image) for path in (self.guest.image, self.safe, *self.safe.rglob('*'))}

    @contextlib.contextmanager
    def untouched(self):
        """Nothing that is not the caller's is read, changed or made; of the image nothing is changed."""
        before = self._look()
        yield
        assert self._look() == before


def group_id(name):
    return grp.getgrnam(name).gr_gid
