# SPDX-License-Identifier: LGPL-2.1-or-later
"""A directory for one test, and the end of everything that the test has started."""

import contextlib
import pathlib
import shutil
import tempfile


class Scratch(contextlib.ExitStack):
    """Its path is short, because Unix sockets want it, and others may enter it, because QEMU and polkitd are others."""

    def __init__(self):
        super().__init__()
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='vt-', dir='/var/tmp'))
        self.path.chmod(0o755)
        self.callback(shutil.rmtree, self.path, ignore_errors=True)

    def __truediv__(self, name):
        return self.path / name

    def directory(self, name, owner=None):
        """Makes a directory, which may exist already."""
        path = self / name
        path.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            shutil.chown(path, owner)
        return path
