# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private message bus of type "system"."""

import os

from .process import Process
from .source import SOURCE

CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
        "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
        <type>system</type>
        <listen>unix:path={socket}</listen>
        <auth>EXTERNAL</auth>
        {policy}
        <limit name="max_connections_per_user">2000</limit>
        <limit name="max_replies_per_connection">50000</limit>
</busconfig>
"""

PERMISSIVE = """\
        <policy context="default">
                <allow user="*"/>
                <allow own="*"/>
                <allow send_destination="*"/>
                <allow send_type="method_call"/>
                <allow send_type="signal"/>
                <allow send_requested_reply="true" send_type="method_return"/>
                <allow send_requested_reply="true" send_type="error"/>
                <allow receive_sender="*"/>
        </policy>"""

# What /usr/share/dbus-1/system.conf says, which a private bus should not read: it would read the host's files as well.
STRICT = """\
        <policy context="default">
                <allow user="*"/>
                <deny own="*"/>
                <deny send_type="method_call"/>
                <allow send_type="signal"/>
                <allow send_requested_reply="true" send_type="method_return"/>
                <allow send_requested_reply="true" send_type="error"/>
                <allow receive_type="method_call"/>
                <allow receive_type="method_return"/>
                <allow receive_type="error"/>
                <allow receive_type="signal"/>
                <allow send_destination="org.freedesktop.DBus"/>
        </policy>
        <include ignore_missing="yes">/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>"""


class Bus:
    """Everybody may do everything, or, with policies=[...], what a real system bus with these files allows.

    The policy of the project is Bus.POLICY; it lets only root own the name."""

    POLICY = SOURCE / 'data/dbus/org.virtask1.conf'

    def __init__(self, scratch, name='bus', policies=None):
        self.socket = scratch / f'{name}.socket'
        self.address = f'unix:path={self.socket}'
        policy = PERMISSIVE
        if policies is not None:
            policy = STRICT + ''.join(f'\n        <include>{path}</include>' for path in policies)
        configuration = scratch / f'{name}.conf'
        configuration.write_text(CONFIGURATION.format(socket=self.socket, policy=policy), encoding='utf-8')

        # The bus prints its address when it accepts connections.
        told, tell = os.pipe()
        self.process = Process(scratch, name, ['dbus-daemon', f'--config-file={configuration}', '--nofork', '--nopidfile',
                                               f'--print-address={tell}'], pass_fds=[tell])
        os.close(tell)
        with open(told, 'rb') as answer:
            if not answer.readline():
                raise RuntimeError(f'no bus: {self.process.log}')
