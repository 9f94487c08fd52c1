# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which of the real operations keep the computer awake; tests/bus/test_inhibitor.py has the rest."""

import pytest
from harness import Logind

pytestmark = [pytest.mark.root, pytest.mark.below('embed')]


@pytest.fixture(scope='module')
def logind(house):
    return Logind(house.scratch, house.bus)


@pytest.fixture
def taken(house, logind):
    """The number of locks that were taken up to now; logind tells the bus of each."""
    client = house.client

    def count():
        logind.wait_locks(0)
        return sum(signal.member == 'PropertiesChanged' and 'shutdown' in (signal.changed.get('BlockInhibited') or '')
                   for signal in client.signals)
    return count


def test_what_changes_data_does(house, running, taken, directory):
    before = taken()
    house.do(running, 'Save')
    assert taken() == before + 1
    house.do(running, 'ExportSystemDefinition', 'sa{sv}', str(directory), {})
    assert taken() == before + 2


def test_what_does_not_change_any_does_not(house, running, taken):
    before = taken()
    house.do(running, 'Reset')
    house.do(running, 'TurnOff')
    house.do(running, 'Startup')
    assert taken() == before
