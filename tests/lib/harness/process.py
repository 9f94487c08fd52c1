# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that a test starts."""

import ctypes
import os
import pwd
import signal
import subprocess

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

# Generous: the machines of others are slow, and a sanitizer makes it worse. Nothing waits this long unless it fails.
TIMEOUT = 60


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment():
    """Ours, without the directories of our session: whoever is started has none."""
    return {key: value for key, value in os.environ.items() if not key.startswith('XDG_')}


def credentials(user):
    """What subprocess wants to know to become this user (a name or a number)."""
    entry = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    return {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}


class Process:
    """A program in the background, with its output in a log. It ends with the scratch, or with us if we die."""

    def __init__(self, scratch, name, arguments, *, environment=None, user=None, namespace=None, pass_fds=(), stdin=None):
        self.name = name
        self.log_path = scratch / f'{name}.log'
        arguments = [str(argument) for argument in arguments]
        if namespace:
            arguments = namespace.enter(arguments)
        with open(self.log_path, 'ab') as log:
            self._popen = subprocess.Popen(
                arguments, stdin=stdin or subprocess.DEVNULL, stdout=log, stderr=log, cwd='/', pass_fds=pass_fds,
                env={**_environment(), **(environment or {})}, preexec_fn=_die_with_parent,
                **(credentials(user) if user is not None else {}))
        self.pid = self._popen.pid
        self.pidfd = os.pidfd_open(self.pid)
        scratch.callback(self._end)

    def _end(self):
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.wait()
        os.close(self.pidfd)

    @property
    def running(self):
        return self._popen.poll() is None

    @property
    def log(self):
        return self.log_path.read_text(encoding='utf-8', errors='replace')

    def signal(self, number):
        """Sends a signal. It can't reach another process: ours is not reaped before wait()."""
        self._popen.send_signal(number)

    def wait(self, timeout=TIMEOUT):
        """Waits for the end and answers the exit status, or the negative signal."""
        return self._popen.wait(timeout)

    def kill(self):
        """kill -9, and waits."""
        self.signal(signal.SIGKILL)
        return self.wait()
