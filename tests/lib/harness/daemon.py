# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtaskd from the build directory under test."""

import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import threading
import time

from .client import Deadline
from .namespace import Namespace, qemu_user
from .process import TIMEOUT, Process
from .source import BUILD

SANITIZER = re.compile(r'ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error: ')


class SanitizerReport(AssertionError):
    """A sanitizer has found something."""


class Daemon:
    """Started, and ready when the constructor returns: it has said so to NOTIFY_SOCKET, as systemd would demand.

    It keeps its directories over stop(), kill() and start()."""

    def __init__(self, scratch, bus, uri, *, authorizer=None, options=(), config=None, user=None, namespace=None, wrapper=(),
                 name='virtaskd', program='virtaskd', environment=None, start=True):
        self._scratch = scratch
        self._name = name
        self._user = user
        self._namespace = namespace or self._needed_namespace()
        self.environment = environment or {}  # of the next start
        self.state = scratch.directory(f'{name}.state', user)
        self._home = scratch.directory(f'{name}.home', user)  # libvirt writes there
        self._arguments = [*wrapper, BUILD / program, f'--address={bus.address}', f'--uri={uri}',
                           f'--state-directory={self.state}', *options]
        if authorizer:
            self._arguments.append(f'--authorizer={authorizer}')
        if config is not None:
            path = scratch / f'{name}.conf'
            path.write_text('[virtaskd]\n' + ''.join(f'{key}={value}\n' for key, value in config.items()), encoding='utf-8')
            self._arguments.append(f'--config={path}')
        self.process = None
        self._notify = None
        self._checked = 0
        scratch.callback(self._end)
        if start:
            self.start()

    def _needed_namespace(self):
        commands = qemu_user(self._scratch) if os.geteuid() == 0 and self._user is None else []
        return Namespace(self._scratch, f'{self._name}.namespace', commands) if commands else None

    def _end(self):
        if self.process and self.process.running:
            self.stop()
        else:
            self._check()
        if self._notify:
            self._notify.close()

    def start(self, ready=True):
        """Starts it (again); with ready=False it may not come up."""
        path = str(self._scratch / f'{self._name}.notify')
        if self._notify:
            self._notify.close()
        if os.path.exists(path):
            os.unlink(path)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(path)
        os.chmod(path, 0o777)
        self.process = Process(self._scratch, self._name, self._arguments, user=self._user, namespace=self._namespace,
                               environment={'NOTIFY_SOCKET': path, 'HOME': str(self._home),
                                            **self.environment})
        if ready:
            self._wait_notice(b'READY=1')
        return self

    def _wait_notice(self, line):
        poll = select.poll()
        poll.register(self._notify, select.POLLIN)
        poll.register(self.process.pidfd, select.POLLIN)
        end = time.monotonic() + TIMEOUT
        while (left := end - time.monotonic()) > 0:
            events = dict(poll.poll(left * 1000))
            if self._notify.fileno() in events and line in self._notify.recv(4096).split(b'\n'):
                return
            if self.process.pidfd in events:
                raise RuntimeError(f'virtaskd ended with {self.process.wait()}:\n{self.log}')
        raise RuntimeError(f'virtaskd did not say {line.decode()}:\n{self.log}')

    def terminate(self):
        """SIGTERM; it has read it when this returns, and takes up no more work."""
        self.process.signal(signal.SIGTERM)
        self._wait_notice(b'STOPPING=1')

    @property
    def log(self):
        return self.process.log if self.process else ''

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """SIGTERM; it has to end in order."""
        self.process.signal(signal.SIGTERM)
        status = self.process.wait()
        self._check()
        assert status == 0, f'virtaskd ended with {status}:\n{self.log}'

    def kill(self):
        """kill -9, as a crash."""
        self.process.kill()
        self._check()

    @staticmethod
    def crash_point(when, end, count=1, text=None):
        """The environment of a process that dies "after_unlink" of a file whose path has this end, or "after_rename" or "before_rename" to it (of a
        file with this text)."""
        return {'LD_PRELOAD': str(BUILD / 'tests/crash-point.so'), f'VIRTASK_CRASH_{when.upper()}': end, 'VIRTASK_CRASH_COUNT': str(count),
                **({'VIRTASK_CRASH_TEXT': text} if text else {})}

    @contextlib.contextmanager
    def crash(self, when, end, count=1, text=None):
        """What is started in this context dies there."""
        saved = self.environment
        self.environment = {**saved, **self.crash_point(when, end, count, text),
                            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}
        try:
            yield
        finally:
            self.environment = saved

    @contextlib.contextmanager
    def stopped_before(self, function):
        """Has it stop before it calls this function of libvirt; wait_stopped() waits for that, and it goes on at the end. Needs the environment of
        stop_points()."""
        pathlib.Path(self.environment['VIRTASK_STOP_BEFORE']).write_text(function, encoding='ascii')
        try:
            yield
        finally:
            if self.process.running:
                self.process.signal(signal.SIGCONT)

    @staticmethod
    def stop_points(scratch):
        return {'LD_PRELOAD': str(BUILD / 'tests/stop-point.so'), 'VIRTASK_STOP_BEFORE': str(scratch / 'stop-before'),
                'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}

    def wait_stopped(self):
        waiter = threading.Thread(target=os.waitid, args=(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT), daemon=True)
        waiter.start()
        waiter.join(TIMEOUT)
        if waiter.is_alive() or not self.process.running:
            raise Deadline(f'virtaskd did not stop:\n{self.log}')

    def wait_killed(self):
        assert self.process.wait() == -signal.SIGKILL
        self._check()

    def restart(self):
        self.stop()
        self.start()

    def _check(self):
        log = self.log[self._checked:]
        self._checked += len(log)
        if SANITIZER.search(log):
            raise SanitizerReport(log)
