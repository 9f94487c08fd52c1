# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtask-bundle makes an image and dies before each of its calls that change a file system (security.md T8), or each of these fails once, or from then on
(T11). Under the name of the image there is a whole one, or nothing; and nothing that can't be removed."""

import errno
import json
import os
import signal
import subprocess

import pytest
from harness import BUILD
from harness.source import rows

PRELOAD = {'LD_PRELOAD': BUILD / 'tests/fault-point.so'}
PARTIAL = '.virtask-partial-1'
SIZE = 4 << 20


class Maker:
    """Makes "there/new/deep/a.FORMAT", or without new directories; "there" exists."""

    def __init__(self, scratch, kind, deep, fixed, below=None):
        self.kind = kind
        self._deep = deep
        self.plan = {'partial': PARTIAL, 'format': kind, 'size': SIZE, 'fixed': fixed}
        self.move((below or scratch) / 'there')
        self.there.mkdir()
        self._facts = scratch / 'facts'
        self._count = scratch / 'count'

    def move(self, there):
        """Works in that directory from now on."""
        self.there = there
        self.file = there / ('new/deep' if self._deep else '') / f'a.{self.kind}'
        self.plan['path'] = str(self.file)

    def run(self, verb, **environment):
        # A sanitizer would have to come before the library.
        options = {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}
        with open(self._facts, 'wb') as facts:
            return subprocess.run([BUILD / 'virtask-bundle', verb], input=json.dumps(self.plan), text=True, capture_output=True, check=False,
                                  preexec_fn=lambda: os.dup2(facts.fileno(), 3), pass_fds=(3,),
                                  env={**os.environ, **options, **{key: str(value) for key, value in environment.items()}})

    def make(self, **environment):
        return self.run('create-image', **PRELOAD, **environment)

    def check(self, done=None):
        """A whole image, or nothing of that name; answers which."""
        whole = self.file.exists()
        if whole:
            kind = self.kind
            facts = json.loads(subprocess.run(['qemu-img', 'info', '--output=json', '-f', kind, self.file], check=True, capture_output=True).stdout)
            assert facts['virtual-size'] == SIZE
        # What the service asks if it has not heard of the end.
        told = self.run('read-image').returncode == 0
        assert told == whole and (done is None or whole or done.returncode != 0), done
        return whole

    def clear(self):
        """What settle() does; only what is whole is there then."""
        assert self.run('remove-image').returncode == 0
        assert {path.name for path in self.there.iterdir()} <= {self.file.name, 'new'}
        if self.file.exists():
            self.file.unlink()
        for directory in ('new/deep', 'new'):
            if (self.there / directory).exists():
                (self.there / directory).rmdir()
        assert not list(self.there.iterdir())

    def count(self):
        done = self.make(VIRTASK_FAULT_COUNT=self._count)
        assert done.returncode == 0, done
        assert self.check()
        self.clear()
        count = int(self._count.read_text(encoding='ascii'))
        assert count > 5
        return count


ALL = [('raw', True, True), ('qcow2', False, False), ('qcow2', True, True)]


@pytest.fixture(params=rows(ALL, ALL, ALL[:1]), ids=lambda row: '-'.join(map(str, row)))
def maker(request, scratch):
    return Maker(scratch, *request.param)


def test_it_dies(maker):
    whole = 0
    count = maker.count()
    for at in range(1, count + 1):
        done = maker.make(VIRTASK_FAULT='kill', VIRTASK_FAULT_AT=at)
        assert done.returncode == -signal.SIGKILL, (at, done)
        whole += maker.check()
        maker.clear()
    print(f'{count} calls, whole after {whole}')
    assert 1 <= whole <= 2


def test_it_is_stopped(maker):
    for at in range(1, maker.count() + 1):
        done = maker.make(VIRTASK_FAULT='term', VIRTASK_FAULT_AT=at)
        assert done.returncode == 0 or 'Cancelled' in done.stdout, (at, done)
        assert maker.check(done) or not list(maker.there.iterdir())
        maker.clear()


REASONS = {errno.ENOSPC: 'DiskFull', errno.EFBIG: 'FileTooLarge', errno.EIO: 'Failed', errno.EROFS: 'FileReadOnly'}


@pytest.mark.parametrize('reason', REASONS, ids=lambda reason: errno.errorcode[reason])
@pytest.mark.parametrize('lasts', [False, True], ids=['once', 'from-then-on'])
def test_a_call_fails(maker, reason, lasts):
    for at in range(1, maker.count() + 1):
        done = maker.make(VIRTASK_FAULT=reason, VIRTASK_FAULT_AT=at, **({'VIRTASK_FAULT_LASTS': '1'} if lasts else {}))
        if done.returncode != 0:
            assert REASONS[reason] in done.stdout or 'Failed' in done.stdout or 'Backend' in done.stdout, (at, done)
        maker.check(done)
        maker.clear()
