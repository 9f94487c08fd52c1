# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtask-bundle by itself, with the plan of a small export: all kinds of files that there are in one."""

import contextlib
import json
import os
import subprocess

from harness import BUILD
from harness.source import LONG
from qemu_house import run

PROGRAM = BUILD / 'virtask-bundle'
NAME, PARTIAL = 'web', '.web.partial-0123'
MIB = 1 << 20
SPARSE_MIB = 80  # with more than 64 MiB of holes, so that it gets a chunk list


class Sources:
    """An image of some blocks, one with a backing file, and a sparse one; "scale" is the size of the first in KiB: in the full count the disk is synced on the
    way."""

    def __init__(self, directory, scale=2500 if not LONG else 17 << 10):
        self.paths = {name: directory / name for name in ('dense', 'overlay', 'sparse')}
        self.paths['dense'].write_bytes(os.urandom(scale << 10))
        run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', self.paths['dense'], '-F', 'raw', self.paths['overlay'])
        with open(self.paths['sparse'], 'wb') as file:
            file.write(os.urandom(scale << 7))
            file.truncate(SPARSE_MIB * MIB)

    def plan(self, directory, descriptors, replace_empty):
        return {
            'directory': str(directory), 'name': NAME, 'partial': PARTIAL, 'replace_empty': replace_empty, 'here': '/0123',
            'texts': {'machine.xml': "<source file='/0123/disks/dense'/>", 'snapshots/1.xml': '<domainsnapshot/>', 'README': 'read me'},
            'images': [{'file': f'disks/{name}', 'descriptor': descriptor, 'backing': 'dense' if name == 'overlay' else None}
                       for name, descriptor in zip(self.paths, descriptors)],
            'manifest': {'format': 'virtask-export', 'version': 1},
        }


def environment(**variables):
    return {**os.environ, **{key: str(value) for key, value in variables.items()},
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}


def write(sources, directory, replace_empty=False, preexec_fn=None, **variables):
    """What the program did. The variables are for its environment."""
    with contextlib.ExitStack() as files:
        descriptors = [files.enter_context(open(path, 'rb')).fileno() for path in sources.paths.values()]
        return subprocess.run([PROGRAM, 'write'], input=json.dumps(sources.plan(directory, descriptors, replace_empty)), capture_output=True,
                              text=True, pass_fds=descriptors, preexec_fn=preexec_fn, env=environment(**variables))


def error_of(done):
    """The name of the error that it printed, or ''."""
    return next((line.split()[1].rpartition('.')[2] for line in done.stdout.splitlines() if line.startswith('error ')), '')


def verify(bundle):
    run(PROGRAM, 'verify', bundle)


def remove(directory):
    run(PROGRAM, 'remove', directory, NAME, PARTIAL)
