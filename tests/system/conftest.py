# SPDX-License-Identifier: LGPL-2.1-or-later
"""Houses on real QEMU, one for all tests of a module."""

import itertools
import shutil

import pytest
from harness import Scratch
from qemu_house import House
from tool import Tool

KINDS = {'embed': (), 'libvirtd': pytest.mark.root}

numbers = itertools.count(1)


def pytest_generate_tests(metafunc):
    if 'below' in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker('below')
        kinds = [pytest.param(kind, marks=KINDS[kind]) for kind in (marker.args if marker else KINDS)]
        metafunc.parametrize('below', kinds, scope='module')


@pytest.fixture(scope='module')
def house(below):
    """One house for all tests of a module that leave it as they found it."""
    with Scratch() as scratch:
        yield House(scratch, below)


@pytest.fixture(scope='module')
def guest(house):
    """Its running guest; use "running" to be sure that it runs."""
    return house.register('web1')


@pytest.fixture
def running(house, guest):
    state = house.state(guest)
    if state in ('turned-off', 'saved'):
        house.do(guest, 'Startup')
    elif state == 'paused':
        house.client.call(guest.path, 'VirtualMachine', 'Resume')
    guest.wait_ticks()
    return guest


@pytest.fixture(scope='module')
def tool(house):
    return Tool(house)


@pytest.fixture
def directory(house):
    """A new one, for what a test writes."""
    path = house.scratch / f'to{next(numbers)}'
    path.mkdir()
    yield path
    shutil.rmtree(path)
