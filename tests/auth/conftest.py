# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the authorization tests: a house without polkit, with the real one, and with one that misbehaves."""

import houses
import polkits
import pytest
from harness import Polkitd


@pytest.fixture
def make_house(scratch):
    return lambda machines=None, **keywords: houses.House(scratch, machines, **keywords)


@pytest.fixture
def house(make_house):
    return make_house()


@pytest.fixture
def polkitd(scratch, house):
    """The real polkitd, with the rules of houses.RULES."""
    return Polkitd(scratch, house.bus, houses.RULES)


@pytest.fixture
def mock(house):
    return polkits.MockPolkit(house.bus)


@pytest.fixture
def nobody(house):
    return house.client(houses.DEFAULT)
