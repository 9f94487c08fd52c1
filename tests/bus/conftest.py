# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the bus tests: virtaskd-fake, and the gates at which its operations wait."""

import fakes
import pytest
from harness import Daemon


@pytest.fixture
def gates(scratch):
    made = fakes.Gates(scratch.directory('fake'))
    yield made
    # Before the scratch stops the daemon, which waits for its tasks.
    made.close()


@pytest.fixture
def start_fake(scratch, bus, gates):
    """Starts a daemon that has the fakes: start_fake(uri, ...)."""
    def start(uri='test:///default', **keywords):
        return Daemon(scratch, bus, uri, program='tests/virtaskd-fake',
                      environment={'VIRTASK_FAKE_DIRECTORY': str(gates.directory)}, **keywords)
    return start


@pytest.fixture
def daemon(start_fake):
    return start_fake()


@pytest.fixture
def vm(daemon, client):
    """A machine that runs; nothing lasts on it."""
    return client.machine('test')


@pytest.fixture
def start_machines(scratch, start_fake):
    """Starts a daemon with so many running machines: start_machines(8, ...)."""
    def start(count, state=fakes.RUNNING, **keywords):
        return start_fake(fakes.machines_uri(scratch, count, state), **keywords)
    return start
