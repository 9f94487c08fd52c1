# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt asks a QEMU for seconds what it can do, and keeps the answer in its cache directory: one answer for the whole run."""

import atexit
import pathlib
import shutil
import tempfile

_memory = pathlib.Path(tempfile.mkdtemp(prefix='vt-capabilities-', dir='/var/tmp'))
atexit.register(shutil.rmtree, _memory, ignore_errors=True)


def recall(kind, cache):
    """Fills a new cache directory. "kind" is for who asks: what QEMU can do depends on the user."""
    if (_memory / kind).exists():
        shutil.copytree(_memory / kind, cache, dirs_exist_ok=True)


def remember(kind, cache):
    if cache.exists():
        shutil.copytree(cache, _memory / kind, dirs_exist_ok=True)
