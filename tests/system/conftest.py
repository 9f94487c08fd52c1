# SPDX-License-Identifier: LGPL-2.1-or-later
"""Houses on real QEMU, one for all tests of a module."""

import pytest
from harness import Scratch
from qemu_house import House


@pytest.fixture(params=['embed', pytest.param('libvirtd', marks=pytest.mark.root)], scope='module')
def house(request):
    """One house for all tests of a module that leave it as they found it."""
    with Scratch() as scratch:
        yield House(scratch, request.param)


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
