# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that loses its power: everything that is written to it is recorded, and what would lie on it after a cut is put there again.

What is promised: the content of a file that was synced, as it was then; the names in a directory that was synced; and, as ext4, XFS and btrfs
do it, the names of a file that was synced itself. A rename happens as a whole or not at all. Modes and owners are taken to be there at once."""

import ctypes
import enum
import itertools
import os
import pathlib
import pickle
import shutil
import signal
import stat
import subprocess
import sys

from .process import Process
from .scratch import Scratch
from .source import BUILD

PAGE = 4096
ROOT = 1  # the inode that the recorder gives the top
SYNC = b'all-synced'  # a directory; whoever syncs it has called sync()


class Kept(enum.Enum):
    """What is there after the cut of what nobody had synced."""
    NOTHING = 'only what was synced'
    NAMES = 'all names, but only synced content'
    ALL = 'everything'


class PowerScratch(Scratch):
    """Images, libvirt's files and those of the service lie on the disk; sockets and logs beside it."""

    def __init__(self):
        super().__init__()
        self.disk = self.path / 'disk'
        self.log = self.path / 'recording'
        below = self.path / 'below'
        self.disk.mkdir()
        below.mkdir()
        try:
            self._mount(below)
        except BaseException:
            self.close()
            raise

    def _mount(self, below):
        device = os.open('/dev/fuse', os.O_RDWR)
        options = f'fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions'
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b'recorder', os.fsencode(self.disk), b'fuse.recorder', 0, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), 'mount')
        self._recorder = Process(self, 'recorder', [sys.executable, pathlib.Path(__file__).with_name('recorder.py'), device, below, self.log],
                                 pass_fds=[device])
        os.close(device)
        self.callback(subprocess.run, ['umount', '--lazy', self.disk], check=True)
        (self.disk / os.fsdecode(SYNC)).mkdir()
        # For the daemon: its sync() is seen.
        self.environment = {'LD_PRELOAD': str(BUILD / 'tests/crash-point.so'), 'VIRTASK_SYNC_DIRECTORY': str(self.disk / os.fsdecode(SYNC)),
                            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}

    def __truediv__(self, name):
        on_disk = str(name).split('/')[0] == 'root' or str(name).endswith(('.img', '.qcow2', '.state'))
        return (self.disk if on_disk else self.path) / name

    @property
    def position(self):
        """In the recording: now."""
        return self.log.stat().st_size

    def stop_recording(self):
        self._recorder.signal(signal.SIGUSR1)

    def restore(self, image, disk=None):
        """Makes the disk (or another directory) what the image says."""
        disk = disk or self.disk
        for path in disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path, (mode, user, group, content) in image.items():
            target = os.path.join(os.fsencode(disk), path)
            if stat.S_ISDIR(mode):
                os.mkdir(target)
            elif stat.S_ISREG(mode):
                pathlib.Path(os.fsdecode(target)).write_bytes(content)
            else:
                os.mknod(target, mode)
            os.chown(target, user, group)
            os.chmod(target, stat.S_IMODE(mode))


versions = itertools.count(1)


class Content(bytearray):
    """Of a file; two with the same version are the same."""
    version = 0


class Node:
    def __init__(self, mode):
        self.mode, self.user, self.group = mode, os.geteuid(), os.getegid()
        self.now = {} if stat.S_ISDIR(mode) else Content()  # a directory: name -> inode
        self.synced = type(self.now)()

    @property
    def is_directory(self):
        return isinstance(self.now, dict)

    def sync(self):
        if self.is_directory:
            self.synced = dict(self.now)
        elif self.synced.version != self.now.version:
            self.synced = Content(self.now)
            self.synced.version = self.now.version


class Model:
    """What is on the disk at a place of the recording, if the power fails there."""

    def __init__(self):
        self._nodes = {ROOT: Node(stat.S_IFDIR | 0o755)}
        self._sync_directory = None

    def apply(self, what, *arguments):
        getattr(self, f'_{what}')(*arguments)

    def describe(self, operation):
        """For people."""
        what, *arguments = operation
        if what == 'make':
            del arguments[2:]
        return ' '.join([what, *(self._path(part) if isinstance(part, int) else os.fsdecode(part) for part in arguments)])

    def _path(self, inode):
        for number, node in self._nodes.items():
            for name, other in node.now.items() if node.is_directory else ():
                if other == inode:
                    return os.path.join(self._path(number), os.fsdecode(name))
        return ''

    # --- Changes ---

    def _make(self, directory, name, inode, mode):
        self._nodes[inode] = Node(mode)
        self._link(directory, name, inode)
        if (directory, name) == (ROOT, SYNC):
            self._sync_directory = inode

    def _link(self, directory, name, inode):
        self._nodes[directory].now[name] = inode

    def _unlink(self, directory, name):
        del self._nodes[directory].now[name]

    def _rename(self, directory, name, to, new):
        self._nodes[to].now[new] = self._nodes[directory].now.pop(name)

    def _owner(self, inode, mode, user, group):
        node = self._nodes[inode]
        node.mode, node.user, node.group = mode, user, group

    def _write(self, inode, offset, data):
        content = self._nodes[inode].now
        content.extend(bytes(max(0, offset - len(content))))
        content[offset:offset + len(data)] = data
        content.version = next(versions)

    def _size(self, inode, size):
        content = self._nodes[inode].now
        del content[size:]
        content.extend(bytes(size - len(content)))
        content.version = next(versions)

    # --- Syncing ---

    def _sync(self, inode):
        if inode == self._sync_directory:
            self.sync_all()
            return
        node = self._nodes[inode]
        self._sync_names(inode)
        if node.is_directory:
            # What was renamed from or to elsewhere takes its other name with it.
            for changed in {other for _, other in node.now.items() ^ node.synced.items()}:
                self._sync_names(changed)
        else:
            node.sync()

    def _sync_names(self, inode):
        for number, node in self._nodes.items():
            if not node.is_directory:
                continue
            for name in {name for names in (node.now, node.synced) for name, other in names.items() if other == inode}:
                if name not in node.now:
                    node.synced.pop(name, None)
                elif node.synced.get(name) != node.now[name]:
                    node.synced[name] = node.now[name]
                    self._sync_names(number)
                    self._sync_names(node.now[name])

    def sync_all(self):
        for node in self._nodes.values():
            node.sync()

    # --- The result ---

    def image(self, kept, directory=ROOT, above=b''):
        """{path: (mode, user, group, content)}, what is above comes first. What the start of a computer clears is left out."""
        image = {}
        names = 'synced' if kept is Kept.NOTHING else 'now'
        for name, inode in sorted(getattr(self._nodes[directory], names).items()):
            node, path = self._nodes[inode], os.path.join(above, name)
            if path == b'root/run':
                continue
            content = node.now if kept is Kept.ALL else node.synced
            image[path] = (node.mode, node.user, node.group, None if node.is_directory else content)
            if node.is_directory:
                image |= self.image(kept, inode, path)
        return image

    def some(self, random, directory=ROOT, above=b''):
        """The same with any part of what was not synced: the kernel writes in any order."""
        image, node = {}, self._nodes[directory]
        names = dict(node.synced)
        for inode in sorted({*node.now.values(), *node.synced.values()}):
            if random.random() < 0.5:  # what happened to it has happened
                names = {name: other for name, other in names.items() if other != inode}
                names |= {name: other for name, other in node.now.items() if other == inode}
        for name, inode in sorted(names.items()):
            node, path = self._nodes[inode], os.path.join(above, name)
            image[path] = (node.mode, node.user, node.group, None if node.is_directory else self._some_content(node, random))
            if node.is_directory:
                image |= self.some(random, inode, path)
        return image

    @staticmethod
    def _some_content(node, random):
        if node.now.version == node.synced.version:
            return node.now
        length = random.choice((len(node.now), len(node.synced)))
        content = bytearray(node.synced[:length].ljust(length, b'\0'))
        for offset in range(0, length, PAGE):
            if random.random() < 0.5:
                content[offset:offset + PAGE] = node.now[offset:offset + PAGE].ljust(min(PAGE, length - offset), b'\0')
        return content


def replay(log, begin, end, writes=False):
    """Plays a recording back. Yields (operation, model) after each operation behind "begin" that changes names or syncs (or writes), and (None, model)
    at "end"; what was there at "begin" was safe."""
    model, at_begin = Model(), True
    with open(log, 'rb') as recording:
        while recording.tell() < end:
            if at_begin and recording.tell() >= begin:
                model.sync_all()
                at_begin = False
            operation = pickle.load(recording)
            model.apply(*operation)
            if not at_begin and (writes or operation[0] not in ('write', 'size', 'owner')):
                yield operation, model
    yield None, model
