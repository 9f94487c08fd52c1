# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file system that passes everything on to a directory and writes down what would change a disk, in order. A program: recorder.py FD BELOW LOG.

FD is /dev/fuse, mounted already. It speaks the kernel's protocol (include/uapi/linux/fuse.h) itself, so that no package is needed. Files are
known by the inode numbers of the directory below. The log is a row of pickled tuples:

    ('make', directory, name, inode, mode)     a file, directory or socket
    ('link', directory, name, inode)           one more name
    ('unlink', directory, name)                also of an empty directory
    ('rename', directory, name, directory, name)
    ('owner', inode, mode, user, group)
    ('write', inode, offset, data)
    ('size', inode, size)
    ('sync', inode)                            fsync() and fdatasync(), of directories too

After SIGUSR1 nothing is written down any more."""

import collections
import errno
import os
import pickle
import resource
import signal
import stat
import struct
import sys

ROOT = 1
FOREVER = 3600  # seconds for which the kernel may remember names and attributes: nobody else changes them
MAX_WRITE = 1 << 20
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
SET_MODE, SET_USER, SET_GROUP, SET_SIZE = 1, 2, 4, 8
NOREPLACE = 1


class Recorder:
    def __init__(self, device, below, log):
        self._device, self._log = device, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._nodes = {ROOT: os.open(below, os.O_PATH)}
        self._files = {}  # of those that were read or written
        self._lookups = collections.Counter()
        self._listings = {}

    def stop(self, *_):
        self._log = None

    def _note(self, *what):
        if self._log is not None:
            os.write(self._log, pickle.dumps(what))

    # --- Nodes ---

    def _path(self, node):
        return f'/proc/self/fd/{self._nodes[node]}'

    def _file(self, node):
        if node not in self._files:
            self._files[node] = os.open(self._path(node), os.O_RDWR)
        return self._files[node]

    def _attributes(self, node):
        st = os.stat(self._nodes[node])
        nanoseconds = [divmod(value, 10**9) for value in (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns)]
        return struct.pack('<6Q10I', node, st.st_size, st.st_blocks, *(pair[0] for pair in nanoseconds), *(pair[1] for pair in nanoseconds),
                           st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_rdev, 4096, 0)

    def _entry(self, directory, name):
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._nodes[directory])
        node = os.stat(fd).st_ino
        self._lookups[node] += 1
        if node in self._nodes:
            os.close(fd)
        else:
            self._nodes[node] = fd
        return node, struct.pack('<4Q2I', node, 0, FOREVER, FOREVER, 0, 0) + self._attributes(node)

    def _made(self, directory, name, mode):
        node, entry = self._entry(directory, name)
        self._note('make', directory, name, node, mode)
        return entry

    def _forget(self, node, count):
        self._lookups[node] -= count
        # In a recording a number is not used again.
        if self._log is None and self._lookups[node] == 0:
            os.close(self._nodes.pop(node))
            if node in self._files:
                os.close(self._files.pop(node))

    # --- Requests: (node, what the request holds) -> the answer ---

    def on_init(self, _node, _data):
        return struct.pack('<4I2H2I2H8I', 7, 31, MAX_WRITE, BIG_WRITES | MAX_PAGES, 16, 12, MAX_WRITE, 1, MAX_WRITE // 4096, 0, *[0] * 8)

    def on_lookup(self, node, data):
        return self._entry(node, data[:-1])[1]

    def on_getattr(self, node, _data):
        return struct.pack('<QII', FOREVER, 0, 0) + self._attributes(node)

    def on_setattr(self, node, data):
        valid, _, _, size, _, _, _, _, _, _, _, mode, _, user, group, _ = struct.unpack('<2I6Q8I', data)
        if valid & SET_SIZE:
            os.truncate(self._file(node), size)
            self._note('size', node, size)
        if valid & (SET_USER | SET_GROUP):
            os.chown(self._path(node), user if valid & SET_USER else -1, group if valid & SET_GROUP else -1)
        if valid & SET_MODE:
            os.chmod(self._path(node), stat.S_IMODE(mode))
        if valid & (SET_MODE | SET_USER | SET_GROUP):
            st = os.stat(self._nodes[node])
            self._note('owner', node, st.st_mode, st.st_uid, st.st_gid)
        return self.on_getattr(node, b'')

    def on_mknod(self, node, data):
        mode, name = struct.unpack_from('<I', data)[0], data[16:-1]
        os.mknod(name, mode, dir_fd=self._nodes[node])
        return self._made(node, name, mode)

    def on_mkdir(self, node, data):
        mode, name = struct.unpack_from('<I', data)[0], data[8:-1]
        os.mkdir(name, mode, dir_fd=self._nodes[node])
        return self._made(node, name, mode | stat.S_IFDIR)

    def on_create(self, node, data):
        mode, name = struct.unpack_from('<4xI', data)[0], data[16:-1]
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode, dir_fd=self._nodes[node]))
        return self._made(node, name, mode) + self.on_open(node, b'')

    def on_unlink(self, node, data):
        os.unlink(data[:-1], dir_fd=self._nodes[node])
        self._note('unlink', node, data[:-1])

    def on_rmdir(self, node, data):
        os.rmdir(data[:-1], dir_fd=self._nodes[node])
        self._note('unlink', node, data[:-1])

    def on_rename(self, node, data, head=8, flags=0):
        to, (old, new, _) = struct.unpack_from('<Q', data)[0], data[head:].split(b'\0')
        if flags & ~NOREPLACE:
            raise OSError(errno.EINVAL, '')
        if flags and os.access(new, os.F_OK, dir_fd=self._nodes[to], follow_symlinks=False):
            raise OSError(errno.EEXIST, '')
        os.rename(old, new, src_dir_fd=self._nodes[node], dst_dir_fd=self._nodes[to])
        self._note('rename', node, old, to, new)

    def on_rename2(self, node, data):
        self.on_rename(node, data, 16, struct.unpack_from('<8xI', data)[0])

    def on_link(self, node, data):
        file, name = struct.unpack_from('<Q', data)[0], data[8:-1]
        os.link(self._path(file), name, dst_dir_fd=self._nodes[node], follow_symlinks=True)
        self._note('link', node, name, file)
        return self._entry(node, name)[1]

    def on_open(self, _node, _data):
        return struct.pack('<QII', 0, 0, 0)

    def on_read(self, node, data):
        offset, size = struct.unpack_from('<8xQI', data)
        return os.pread(self._file(node), size, offset)

    def on_write(self, node, data):
        offset, size = struct.unpack_from('<8xQI', data)
        content = data[40:40 + size]
        assert os.pwrite(self._file(node), content, offset) == size
        self._note('write', node, offset, content)
        return struct.pack('<II', size, 0)

    def on_fsync(self, node, _data):
        self._note('sync', node)

    def on_readdir(self, node, data):
        offset, size = struct.unpack_from('<8xQI', data)
        if offset == 0:
            self._listings[node] = [(b'.', node), (b'..', node)]
            self._listings[node] += [(os.fsencode(entry.name), entry.inode()) for entry in os.scandir(self._path(node))]
        answer = b''
        for place, (name, inode) in enumerate(self._listings[node][offset:], offset + 1):
            entry = struct.pack('<QQII', inode, place, len(name), 0) + name
            entry += bytes(-len(entry) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def on_statfs(self, node, _data):
        st = os.statvfs(self._path(node))
        return struct.pack('<5Q10I', st.f_blocks, st.f_bfree, st.f_bavail, st.f_files, st.f_ffree, st.f_bsize, 255, st.f_frsize, *[0] * 7)

    def on_forget(self, node, data):
        self._forget(node, *struct.unpack('<Q', data))

    def on_batch_forget(self, _node, data):
        for node, count in struct.iter_unpack('<QQ', data[8:]):
            self._forget(node, count)

    def on_nothing(self, _node, _data):
        pass

    REQUESTS = {1: on_lookup, 2: on_forget, 3: on_getattr, 4: on_setattr, 8: on_mknod, 9: on_mkdir, 10: on_unlink, 11: on_rmdir,
                12: on_rename, 13: on_link, 14: on_open, 15: on_read, 16: on_write, 17: on_statfs, 18: on_nothing, 20: on_fsync,
                26: on_init, 27: on_open, 28: on_readdir, 29: on_nothing, 30: on_fsync, 35: on_create, 36: on_nothing,
                42: on_batch_forget, 45: on_rename2}  # 18, 29: a file, a directory is closed; 36: somebody waits no longer
    UNANSWERED = {2, 36, 42}

    def serve(self):
        while True:
            try:
                request = os.read(self._device, MAX_WRITE + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                if error.errno == errno.ENODEV:  # unmounted
                    return
                raise
            _, code, unique, node = struct.unpack_from('<IIQQ', request)
            reason, answer = 0, b''
            if code not in self.REQUESTS:
                reason = errno.ENOSYS
            else:
                try:
                    answer = self.REQUESTS[code](self, node, request[40:]) or b''
                except OSError as error:
                    reason = error.errno
            if code not in self.UNANSWERED:
                os.write(self._device, struct.pack('<IiQ', 16 + len(answer), -reason, unique) + answer)


if __name__ == '__main__':
    os.umask(0)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    recorder = Recorder(int(sys.argv[1]), *sys.argv[2:])
    signal.signal(signal.SIGUSR1, recorder.stop)
    recorder.serve()
