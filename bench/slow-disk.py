#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A directory whose files are written at so many bytes in a second: slow-disk.py FD BELOW RATE. FD is /dev/fuse, mounted already.

A loop device with a file in it is a slow disk for any file system."""

import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'tests/lib'))
from harness.recorder import Recorder  # noqa: E402

WRITE = 16


class SlowDisk(Recorder):
    """Passes everything on, and writes nothing down."""

    def __init__(self, device, below, rate):
        super().__init__(device, below, os.devnull)
        self.stop()
        self._rate, self._free_at = rate, 0

    def on_write(self, node, data):
        answer = super().on_write(node, data)
        self._free_at = max(self._free_at, time.monotonic()) + len(data) / self._rate
        time.sleep(max(0, self._free_at - time.monotonic()))
        return answer

    REQUESTS = {**Recorder.REQUESTS, WRITE: on_write}


if __name__ == '__main__':
    os.umask(0)
    SlowDisk(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])).serve()
