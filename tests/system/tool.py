# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line tool at the bus of a house."""

import json
import os
import re
import subprocess

from harness import BUILD
from harness.process import TIMEOUT

OK, FAILED, USAGE, NOT_FOUND, DENIED, STATE, CANCELLED = 0, 1, 2, 3, 5, 6, 130


class Tool:
    """virtask, at the bus of a house."""

    def __init__(self, house):
        self.environment = {**os.environ, 'DBUS_SYSTEM_BUS_ADDRESS': house.bus.address, 'TZ': 'UTC',
                            'PATH': f'{BUILD}:{os.environ["PATH"]}'}

    def start(self, *arguments, locale='C.UTF-8', directory=None):
        return subprocess.Popen([BUILD / 'virtask', *arguments], text=True, env={**self.environment, 'LC_ALL': locale}, cwd=directory,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments, code=OK, **keywords):
        """What it prints, and what it says beside that."""
        process = self.start(*arguments, **keywords)
        output, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode == code, (arguments, process.returncode, output, errors)
        return output, errors

    def say(self, *arguments, **keywords):
        """What it prints."""
        return self.run(*arguments, **keywords)[0]

    def fail(self, code, *arguments):
        """Why it fails; it prints nothing."""
        output, errors = self.run(*arguments, code=code)
        assert output == ''
        return errors

    def read(self, *arguments):
        return json.loads(self.say(*arguments, '--json'))

    def complete(self, *words):
        """The candidates for the last word of the line."""
        return self.say('__complete', str(len(words)), 'virtask', *words).splitlines()


def undated(text):
    return re.sub(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d', 'DATE', text)
