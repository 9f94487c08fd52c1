# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of all tests from outside; what they give is described in tests/lib/harness."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / 'lib'))
sys.dont_write_bytecode = True

from harness import Bus, Client, Daemon, Embed, Scratch  # noqa: E402
from harness.source import BUILD, LONG  # noqa: E402

LOG_LINES = 100


def pytest_configure(config):
    if (BUILD / 'virtask-bundle').exists():
        (BUILD / 'virtask-bundle').chmod(0o711)  # as it is installed
    config.addinivalue_line('markers', 'root: needs root, for mount namespaces or other users')
    config.addinivalue_line('markers', 'below(kind): what is below the daemon; otherwise the tests run on each')
    config.addinivalue_line('markers', 'long: belongs to the full counts alone')
    # A shell has what it starts in the background ignore Ctrl-C, and that would be inherited by the tool.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    if not LONG:
        items[:] = [item for item in items if not item.get_closest_marker('long')]
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker('root'):
                item.add_marker(pytest.mark.skip(reason='needs root'))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure carries the logs of what the test has started."""
    outcome = yield
    report = outcome.get_result()
    scratch = getattr(item, 'funcargs', {}).get('scratch')
    if report.when == 'call' and report.failed and scratch:
        for log in sorted(scratch.path.glob('*.log')):
            lines = log.read_text(encoding='utf-8', errors='replace').splitlines()[-LOG_LINES:]
            if lines:
                report.sections.append((log.name, '\n'.join(lines)))


@pytest.fixture
def scratch():
    with Scratch() as made:
        yield made


@pytest.fixture
def bus(scratch):
    return Bus(scratch)


@pytest.fixture
def embed(scratch):
    return Embed(scratch)


@pytest.fixture
def start_daemon(scratch, bus):
    """Starts a daemon: start_daemon(uri, ...)."""
    def start(uri='test:///default', **keywords):
        return Daemon(scratch, bus, uri, **keywords)
    return start


@pytest.fixture
def client(bus):
    return Client(bus)
