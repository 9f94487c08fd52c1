# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands where polkit or the person in front of the screen stands, and does what the real ones can't be made to do."""

import dataclasses
import os
import pathlib

from gi.repository import Gio, GLib
from harness import Client

POLKIT = 'org.freedesktop.PolicyKit1'
AUTHORITY = '/org/freedesktop/PolicyKit1/Authority'

_AUTHORITY_XML = """
<node><interface name="org.freedesktop.PolicyKit1.Authority">
  <method name="CheckAuthorization">
    <arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
    <arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/>
  </method>
  <method name="CancelCheckAuthorization"><arg type="s" direction="in"/></method>
</interface></node>"""

_AGENT_XML = """
<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
  <method name="BeginAuthentication">
    <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
    <arg type="s" direction="in"/><arg type="a(sa{sv})" direction="in"/>
  </method>
  <method name="CancelAuthentication"><arg type="s" direction="in"/></method>
</interface></node>"""


class Service(Client):
    """A client that is called itself. What it was asked waits until the test looks: take() runs it."""

    def __init__(self, bus, path, xml):
        super().__init__(bus)
        self._calls = []
        with self._in_context():
            self.connection.register_object(path, Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], self._on_call, None, None)

    def _on_call(self, _connection, _sender, _path, _interface, method, parameters, invocation):
        self._calls.append((method, parameters.unpack(), invocation.get_message()))
        self._heard += 1

    def take(self, method):
        """The next call of this method."""
        def find():
            return next((call for call in self._calls if call[0] == method), None)
        call = self.wait(find, what=f'a call of {method}')
        self._calls.remove(call)
        return call[1], call[2]

    def waiting(self, method):
        """How many calls of this method have come and were not taken; what was sent before is heard first."""
        self.bus_call('GetId')
        return sum(call[0] == method for call in self._calls)

    def reply(self, message, value):
        reply = Gio.DBusMessage.new_method_reply(message)
        if value is not None:
            reply.set_body(value)
        self._send(reply)

    def reply_error(self, message, name, text='because'):
        self._send(Gio.DBusMessage.new_method_error_literal(message, name, text))

    def _send(self, message):
        self.connection.send_message(message, Gio.DBusSendMessageFlags.NONE)
        self.connection.flush_sync(None)


@dataclasses.dataclass
class Question:
    """A CheckAuthorization that has no answer yet."""

    caller: str
    kind: str
    action: str
    details: dict
    flags: int
    cancellation: str
    message: Gio.DBusMessage


class MockPolkit(Service):
    """Says what the test wants, when it wants: the real polkitd is never late, broken or silent."""

    def __init__(self, bus):
        super().__init__(bus, AUTHORITY, _AUTHORITY_XML)
        assert self.bus_call('RequestName', 'su', POLKIT, 4) == 1

    def question(self):
        """The next question."""
        ((kind, subject), action, details, flags, cancellation), message = self.take('CheckAuthorization')
        return Question(subject.get('name'), kind, action, details, flags, cancellation, message)

    @property
    def questions(self):
        """How many questions were not looked at."""
        return self.waiting('CheckAuthorization')

    @property
    def cancellations(self):
        """How many cancellations were not looked at."""
        return self.waiting('CancelCheckAuthorization')

    def cancelled(self):
        """The cancellation ID of the next CancelCheckAuthorization."""
        return self.take('CancelCheckAuthorization')[0][0]

    def answer(self, question, allowed, challenge=False, **details):
        details = {key.replace('_', '.'): value for key, value in details.items()}
        self.reply(question.message, GLib.Variant('((bba{ss}))', ((allowed, challenge, details),)))

    def garbage(self, question, signature, *values):
        """An answer of another form."""
        self.reply(question.message, GLib.Variant(signature, values))

    def fail(self, question, name):
        self.reply_error(question.message, name, 'polkit has its reasons')

    def wait_gone(self, name):
        """Waits until the bus has said that this connection is gone: it has told the daemon before."""
        self.wait_signal('NameOwnerChanged', where=lambda signal: signal.arguments[0] == name and not signal.arguments[2])


class Agent(Service):
    """The person who is asked for a password by the real polkitd. polkit takes agents of processes only; all clients of a test
    belong to the process of the test."""

    PATH = '/agent'

    def __init__(self, bus, locale='C'):
        super().__init__(bus, self.PATH, _AGENT_XML)
        # The start is the 20th field behind the name of the program, which may hold spaces.
        start = int(pathlib.Path('/proc/self/stat').read_text(encoding='ascii').rpartition(')')[2].split()[19])
        subject = ('unix-process', {'pid': GLib.Variant('u', os.getpid()), 'start-time': GLib.Variant('t', start),
                                    'uid': GLib.Variant('i', os.getuid())})
        self._authority('RegisterAuthenticationAgent', '(sa{sv})ss', subject, locale, self.PATH)

    def _authority(self, method, signature, *arguments):
        return self.call(AUTHORITY, f'{POLKIT}.Authority', method, signature, *arguments, destination=POLKIT)

    def dialog(self):
        """The dialog that is on the screen: its action, text, details, cookie and message."""
        (action, text, _icon, details, cookie, identities), message = self.take('BeginAuthentication')
        return {'action': action, 'text': text, 'details': details, 'cookie': cookie, 'identities': identities, 'message': message}

    def type_password(self, dialog):
        """The right one, of the first administrator. What polkit's helper says for it, only root may say."""
        kind, values = dialog['identities'][0]
        identity = (kind, {key: GLib.Variant('u' if isinstance(value, int) else 's', value) for key, value in values.items()})
        self._authority('AuthenticationAgentResponse2', 'us(sa{sv})', os.getuid(), dialog['cookie'], identity)
        self.reply(dialog['message'], None)

    def dismiss(self, dialog):
        self.reply_error(dialog['message'], f'{POLKIT}.Error.Cancelled')

    def withdrawn(self):
        """The cookie of the dialog that polkit has taken from the screen."""
        return self.take('CancelAuthentication')[0][0]
