# SPDX-License-Identifier: LGPL-2.1-or-later
"""A caller on the bus that remembers, in order, everything it was told."""

import contextlib
import dataclasses
import os
import pwd
import time

import gi

gi.require_version('Gio', '2.0')
from gi.repository import Gio, GLib  # noqa: E402

from .process import TIMEOUT  # noqa: E402

NAME = 'org.virtask1'
ROOT = '/org/virtask1'
MANAGER = '/org/virtask1/manager'

LOOK_SECONDS = 0.5  # between two looks at what no signal tells of


class BusError(Exception):
    """An error reply."""

    def __init__(self, name, message):
        super().__init__(f'{name}: {message}')
        self.name = name
        self.message = message

    @property
    def short(self):
        """NotRunning, AccessDenied, ..."""
        return self.name.rpartition('.')[2]


class Deadline(AssertionError):
    """What was waited for did not happen."""


@dataclasses.dataclass
class Signal:
    """A signal, as it came; "index" is its place among everything that the client heard."""

    index: int
    sender: str
    path: str
    interface: str
    member: str
    arguments: tuple

    @property
    def changed(self):
        """Of PropertiesChanged: the values, and None for the names that are only announced."""
        assert self.member == 'PropertiesChanged'
        return {**self.arguments[1], **{name: None for name in self.arguments[2]}}


@contextlib.contextmanager
def _as_user(user):
    """The bus takes the user of the process at the moment of the connection."""
    if user is None:
        yield
        return
    entry = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, 0)
    os.setresuid(entry.pw_uid, entry.pw_uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def _interface(name):
    return name if '.' in name else f'{NAME}.{name}'


def path_of(uuid):
    """The object path of the machine with this UUID."""
    return f'{ROOT}/vm/_{uuid.lower().replace("-", "_")}'


class Call:
    """A call that is on its way. "index" is the place of the reply among what the client heard."""

    def __init__(self):
        self.done = False
        self.index = None
        self.value = None
        self.error = None
        self.cancellable = Gio.Cancellable()

    def result(self):
        if self.error:
            raise self.error
        return self.value


class Client:
    """One connection. With user=..., as that user: only root can do that.

    Signals and replies are taken in the order in which they came, but only while one of the methods runs. "signals" holds the signals,
    those of the bus itself too."""

    def __init__(self, bus, user=None, destination=NAME):
        self._destination = destination
        self._context = GLib.MainContext.new()
        self._heard = 0
        self.signals = []
        with self._in_context(), _as_user(user):
            self.connection = Gio.DBusConnection.new_for_address_sync(
                bus.address,
                Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
            self.connection.set_exit_on_close(False)
            self.connection.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE, self._on_signal)
        # The subscription has reached the bus when it has answered something later.
        self.bus_call('GetId')

    @property
    def name(self):
        return self.connection.get_unique_name()

    @contextlib.contextmanager
    def _in_context(self):
        self._context.push_thread_default()
        try:
            yield
        finally:
            self._context.pop_thread_default()

    def _on_signal(self, _connection, sender, path, interface, member, parameters):
        self.signals.append(Signal(self._heard, sender, path, interface, member, parameters.unpack()))
        self._heard += 1

    # --- Calls ---

    def start(self, path, interface, method, signature='', *arguments, destination=None, interactive=False, timeout=TIMEOUT):
        """Sends a call and returns at once."""
        call = Call()
        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE

        def on_reply(connection, result):
            try:
                value = connection.call_finish(result).unpack()
                call.value = value[0] if len(value) == 1 else value or None
            except GLib.Error as error:
                name = Gio.DBusError.get_remote_error(error)
                message = error.message.removeprefix(f'GDBus.Error:{name}: ')
                call.error = BusError(name, message) if name else Deadline(f'{method}: {message}')
            call.index = self._heard
            self._heard += 1
            call.done = True

        with self._in_context():
            self.connection.call(destination or self._destination, path, _interface(interface), method,
                                 GLib.Variant(f'({signature})', arguments), None, flags, int(timeout * 1000),
                                 call.cancellable, on_reply)
        return call

    def finish(self, call, timeout=TIMEOUT):
        """Waits for the reply."""
        self.wait(lambda: call.done, timeout, 'a reply')
        return call.result()

    def call(self, *arguments, timeout=TIMEOUT, **keywords):
        """Calls and waits: call(path, interface, method, signature, arguments...). "Task" means "org.virtask1.Task".

        Answers the value, or a tuple if there are several; an error reply is a BusError."""
        return self.finish(self.start(*arguments, timeout=timeout, **keywords), timeout + 5)

    def error(self, *arguments, **keywords):
        """Calls something that has to fail, and answers the error."""
        try:
            value = self.call(*arguments, **keywords)
        except BusError as error:
            return error
        raise AssertionError(f'{arguments[2]} did not fail, but answered {value!r}')

    def bus_call(self, method, signature='', *arguments):
        """Calls the bus itself."""
        return self.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', method, signature, *arguments,
                         destination='org.freedesktop.DBus')

    def get(self, path, interface, name):
        return self.call(path, 'org.freedesktop.DBus.Properties', 'Get', 'ss', _interface(interface), name)

    def get_all(self, path, interface):
        return self.call(path, 'org.freedesktop.DBus.Properties', 'GetAll', 's', _interface(interface))

    def objects(self):
        """All objects, as {path: {interface: {property: value}}}."""
        return self.call(ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')

    def machine(self, name):
        return self.call(MANAGER, 'Manager', 'FindVirtualMachine', 's', name)

    def has_owner(self, name=NAME):
        return self.bus_call('NameHasOwner', 's', name)

    def close(self):
        """Leaves the bus, as a program that ends."""
        self.connection.close_sync(None)

    # --- Waiting ---

    def wait(self, condition, timeout=TIMEOUT, what='it'):
        """Takes what comes until the condition holds; answers what the condition answered."""
        end = time.monotonic() + timeout
        # It goes on ringing: a tick that comes just before the deadline must not be the last, and a process that the bus has lost is still there for
        # a moment.
        alarm = GLib.timeout_source_new(max(int(min(timeout, LOOK_SECONDS) * 1000), 1))
        alarm.set_callback(lambda *_: GLib.SOURCE_CONTINUE)
        alarm.attach(self._context)
        try:
            while not (value := condition()):
                if time.monotonic() >= end:
                    raise Deadline(f'waited {timeout} s for {what}; last heard: {self.signals[-3:]}')
                self._context.iteration(True)
            return value
        finally:
            alarm.destroy()

    def wait_signal(self, member, path=None, where=lambda signal: True, after=0, timeout=TIMEOUT):
        """The first such signal at or after this place in "signals"; it may have come already."""
        def find():
            return next((signal for signal in self.signals[after:] if signal.member == member and
                         path in (None, signal.path) and where(signal)), None)
        return self.wait(find, timeout, f'{member} of {path}')

    def wait_property(self, path, interface, name, value, timeout=TIMEOUT):
        """Waits until a property has a value, or until value(property) is true. Needs a property that is announced."""
        holds = value if callable(value) else lambda current: current == value
        seen = len(self.signals)
        current = self.get(path, interface, name)

        def check():
            nonlocal seen, current
            for signal in self.signals[seen:]:
                if signal.path == path and signal.member == 'PropertiesChanged' and \
                        signal.arguments[0] == _interface(interface) and name in signal.changed:
                    current = signal.changed[name]
                    if holds(current):
                        return True
            seen = len(self.signals)
            return False

        if not holds(current):
            self.wait(check, timeout, f'{name} of {path}')
        return current

    def wait_task(self, task, timeout=TIMEOUT):
        """Waits for the end of a task and answers its properties."""
        self.wait_property(task, 'Task', 'IsComplete', True, timeout)
        return self.get_all(task, 'Task')

    def wait_owner(self, name=NAME, owned=True, timeout=TIMEOUT):
        """Waits until the name has an owner, or has none."""
        seen = len(self.signals)
        if self.has_owner(name) != owned:
            self.wait_signal('NameOwnerChanged', where=lambda signal: signal.arguments[0] == name and
                             bool(signal.arguments[2]) == owned, after=seen, timeout=timeout)

    def announced(self, path, interface, name):
        """All values of a property that were announced, in order."""
        return [signal.changed[name] for signal in self.signals
                if signal.path == path and signal.member == 'PropertiesChanged' and
                signal.arguments[0] == _interface(interface) and name in signal.changed]
