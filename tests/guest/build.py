#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: build.py DIRECTORY

Makes DIRECTORY/vmlinuz and DIRECTORY/initrd.img: a Linux with the QEMU guest agent, of Debian packages that are fetched with apt-get
and unpacked, and never installed: a kernel would change how this computer boots, and an agent would wait for its own hypervisor."""

import fcntl
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = HERE.parents[1] / 'tools/packages'
MODULES = ('virtio_pci', 'virtio_blk', 'virtio_console', 'button', 'evdev')
# Where they lie in the guest, the files beside us.
FILES = {'init': 'init', 'bin/agent': 'agent', 'bin/loginctl': 'sessions', 'bin/logoff.exe': 'sessions', 'bin/quser.exe': 'sessions',
         'etc/acpi/PWRF/00000080': 'button', 'etc/freeze-hook': 'freeze-hook', 'etc/os-release': 'os-release', 'sbin/shutdown': 'shutdown'}
USER_PROCESS = 7  # in utmp(5): somebody is logged on


def run(*arguments, **keywords):
    done = subprocess.run([str(argument) for argument in arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **keywords)
    if done.returncode:
        raise RuntimeError(f'{arguments}: {done.stdout.decode(errors="replace")}')
    return done.stdout


def package_names():
    """Of the group "guest"; the kernel's is a name for the newest."""
    for line in PACKAGES.read_text(encoding='utf-8').splitlines():
        group, name, *_ = [*line.split(), '', '']
        if group == 'guest':
            depends = re.search(r'Depends: (linux-image-\S+)', run('apt-cache', 'depends', '--important', name).decode())
            yield depends.group(1) if depends else name


def fetch(directory):
    # As root apt would become another user, who may not be allowed to write here.
    run('apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download', *package_names(), cwd=directory)


def unpack(directory):
    """The packages, in one tree."""
    try:
        fetch(directory)
    except RuntimeError:
        # The package lists of a fresh machine are empty or old.
        if os.geteuid() != 0:
            raise
        run('apt-get', 'update', '-q')
        fetch(directory)
    for package in directory.glob('*.deb'):
        run('dpkg-deb', '-x', package, directory / 'root')
    return directory / 'root'


def modules(root):
    """The files of MODULES and of those that they need, these first."""
    files = {path.stem.replace('-', '_'): path for path in root.glob('lib/modules/*/kernel/**/*.ko')}
    found = {}

    def add(name):
        path = files[name]
        needed = re.search(rb'\0depends=([^\0]*)\0', path.read_bytes()).group(1).decode()
        for other in filter(None, needed.split(',')):
            add(other.replace('-', '_'))
        found[name] = path

    for name in MODULES:
        add(name)
    return found.values()


def libraries(program):
    """The files that it is linked with; the packages of the computer have them, as QEMU's and ours need them."""
    return re.findall(r'(/\S+) \(0x', run('ldd', program).decode())


def utmp(*names):
    """The file of those who are logged on."""
    return b''.join(struct.pack('=hxxi32s4s32s256shhiii4i20s', USER_PROCESS, number, b'tty%d' % number, b'%d' % number, name.encode(), b'', 0, 0, 0,
                                1_700_000_000, 0, 0, 0, 0, 0, b'') for number, name in enumerate(names, 1))


def furnish(root, tree):
    """The guest's file system."""
    for name in ('bin', 'data', 'dev', 'etc/acpi/PWRF', 'modules', 'proc', 'run', 'sbin', 'sys', 'var'):
        (tree / name).mkdir(parents=True)
    (tree / 'var/run').symlink_to('/run')
    busybox = root / 'bin/busybox'
    shutil.copy(busybox, tree / 'bin')
    for name in run(busybox, '--list').decode().split():
        if name != 'busybox':
            (tree / 'bin' / name).symlink_to('busybox')
    for number, path in enumerate(modules(root)):
        shutil.copy(path, tree / f'modules/{number}-{path.name}')
    agent = root / 'usr/sbin/qemu-ga'
    shutil.copy(agent, tree / 'bin')
    for library in libraries(agent):
        place = tree / library.lstrip('/')
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    for place, name in FILES.items():
        shutil.copy(HERE / name, tree / place)
        (tree / place).chmod(0o755)
    (tree / 'etc/utmp').write_bytes(utmp('demo', 'anna', 'demo'))
    return busybox


def pack(busybox, tree, output):
    names = '\n'.join(str(path.relative_to(tree)) for path in sorted(tree.rglob('*')))
    with open(output, 'wb') as file:
        archive = subprocess.run([busybox, 'cpio', '-o', '-H', 'newc', '-R', '0:0'], input=names.encode(), cwd=tree, check=True,
                                 capture_output=True).stdout
        subprocess.run(['gzip', '-1n'], input=archive, stdout=file, check=True)


def build(directory):
    """Makes both, if they are not there or older than their recipe; others may be doing the same."""
    directory.mkdir(parents=True, exist_ok=True)
    initrd = directory / 'initrd.img'
    with open(directory / 'lock', 'w', encoding='ascii') as lock, tempfile.TemporaryDirectory(dir=directory) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        recipe = max(path.stat().st_mtime for path in (PACKAGES, *HERE.iterdir()))
        if initrd.exists() and initrd.stat().st_mtime > recipe:
            return
        scratch = pathlib.Path(scratch)
        (scratch / 'tree').mkdir()
        root = unpack(scratch)
        busybox = furnish(root, scratch / 'tree')
        pack(busybox, scratch / 'tree', scratch / 'initrd.img')
        next(root.glob('boot/vmlinuz-*')).rename(directory / 'vmlinuz')
        (scratch / 'initrd.img').rename(initrd)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build(pathlib.Path(sys.argv[1]))
