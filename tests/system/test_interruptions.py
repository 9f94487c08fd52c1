# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cancels, crashes and lost hypervisors at random moments: the guest runs on or is saved completely, the task tells the truth, and no half
file is left."""

import time

import pytest
from gi.repository import GLib
from harness import BusError, Scratch
from harness.source import LONG
from qemu_house import BIG, House, Moments

ROUNDS = 20 if LONG else 2


@pytest.fixture(scope='module')
def embed():
    with Scratch() as scratch:
        yield House(scratch, 'embed')


@pytest.fixture(scope='module')
def embedded_guest(embed):
    return embed.register('big', memory=BIG)


@pytest.fixture(scope='module')
def libvirtd():
    with Scratch() as scratch:
        yield House(scratch, 'libvirtd')


@pytest.fixture(scope='module')
def served_guest(libvirtd):
    return libvirtd.register('big', memory=BIG)


def bring(house, guest, state):
    """Running or saved, whatever the last round left behind."""
    current = house.state(guest)
    if state == 'running' and current != 'running':
        house.do(guest, 'Startup')
    if state == 'saved' and current == 'running':
        house.do(guest, 'Save')
    assert house.state(guest) == state


def assert_whole(house, guest, before):
    """Nothing is lost: the guest goes on, from its memory or from its saved state, and there is no half file."""
    state = house.state(guest)
    assert state in ('running', 'saved')
    assert house.below.saved_files() == (['big.save'] if state == 'saved' else [])
    bring(house, guest, 'running')
    assert house.below.saved_files() == []
    guest.assert_goes_on(before)


def duration_of(house, guest, method):
    """How long the operation takes here and now, at its best."""
    def measure():
        bring(house, guest, 'running' if method == 'Save' else 'saved')
        begin = time.monotonic()
        house.do(guest, method)
        return time.monotonic() - begin

    # The first is the slowest: the file is new.
    return min(measure() for _ in range(3 if LONG else 1))


def begin(house, guest, method, part, duration):
    """Begins the operation and lets a part of its duration pass."""
    bring(house, guest, 'running' if method == 'Save' else 'saved')
    start = time.monotonic()
    task = house.begin(guest, method)
    house.pass_time(start + part * duration - time.monotonic())
    return task


def interruptions(what, house, guest, method):
    """Gives tasks, each at another random moment of its operation; what is true in the end has to be whole."""
    duration = duration_of(house, guest, method)
    moments = Moments(f'{what} in {method} ({house.kind})', ROUNDS)
    for part in moments:
        before = guest.ticks
        task = begin(house, guest, method, part, duration)
        house.met = house.is_in_the_middle(task)
        moments.hit(house.met)
        yield task
        assert_whole(house, guest, before)
    moments.check()


def assert_carried_out(house, guest, method):
    assert house.state(guest) == ('saved' if method == 'Save' else 'running')


def assert_undone(house, guest, method):
    assert house.state(guest) == ('running' if method == 'Save' else 'saved')


def cancel(house, guest, method):
    """Cancels the operation at random moments."""
    for task in interruptions('cancel', house, guest, method):
        refusal = None
        try:
            house.client.call(task, 'Task', 'Cancel')
        except BusError as error:
            refusal = error.short
        properties = house.client.wait_task(task)
        if refusal:
            assert refusal in ('NotCancelable', 'AlreadyComplete') and properties['ResultName'] == 'success'
        if properties['ResultName'] == 'success':
            assert_carried_out(house, guest, method)
        else:
            assert (properties['ResultName'], properties['Error']) == ('cancelled', 0x800704C7)
            assert house.client.get(task, 'ConcreteJob', 'JobState') == 8
            assert properties['PercentCompleted'] < 100
            assert_undone(house, guest, method)


@pytest.mark.parametrize('method', ['Save', 'Startup'])
def test_cancel_on_embed(embed, embedded_guest, method):
    cancel(embed, embedded_guest, method)


@pytest.mark.root
@pytest.mark.parametrize('method', ['Save', 'Startup'])
def test_cancel_on_libvirtd(libvirtd, served_guest, method):
    cancel(libvirtd, served_guest, method)


@pytest.mark.parametrize('method', ['Save', 'Startup'])
def test_daemon_killed_on_embed(embed, embedded_guest, method):
    """Embedded QEMU's work dies with the daemon: the next one cleans up and says so."""
    house, guest = embed, embedded_guest
    for task in interruptions('kill of the daemon', house, guest, method):
        house.daemon.kill()
        house.daemon.start()
        properties = house.client.wait_task(task)
        if properties['ResultName'] == 'success':
            assert_carried_out(house, guest, method)
        else:
            assert (properties['Result'], properties['ErrorName']) == (8, 'org.virtask1.Error.ServiceRestarted'), properties
            assert house.client.get(task, 'ConcreteJob', 'JobState') == 10
            assert_undone(house, guest, method)


@pytest.mark.root
@pytest.mark.parametrize('method', ['Save', 'Startup'])
def test_daemon_killed_on_libvirtd(libvirtd, served_guest, method):
    """A libvirtd goes on with the work: the next daemon takes the task over under its ID, to its true end. What libvirtd was not told of before is undone."""
    house, guest = libvirtd, served_guest
    for task in interruptions('kill of the daemon', house, guest, method):
        house.daemon.kill()
        house.daemon.start()
        properties = house.client.wait_task(task)
        if properties['ResultName'] == 'success':
            assert_carried_out(house, guest, method)
        else:
            assert not house.met and properties['ErrorName'] == 'org.virtask1.Error.ServiceRestarted', properties
            assert_undone(house, guest, method)


@pytest.mark.parametrize('state', ['running', 'paused'])
def test_daemon_killed_between_the_image_and_the_guest(embed, embedded_guest, state):
    """The image is removed and the guest does not run yet: it goes on as it was saved."""
    house, guest = embed, embedded_guest
    bring(house, guest, 'running')
    before = guest.ticks
    if state == 'paused':
        house.client.call(guest.path, 'VirtualMachine', 'Pause')
    house.do(guest, 'Save')
    house.daemon.stop()
    with house.daemon.crash('after_unlink', '/big.save'):
        house.daemon.start()
        task = house.begin(guest, 'Startup')
        house.daemon.wait_killed()
    house.daemon.start()
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert house.state(guest) == state
    assert house.below.saved_files() == []
    if state == 'paused':
        house.client.call(guest.path, 'VirtualMachine', 'Resume')
    guest.assert_goes_on(before)


@pytest.mark.parametrize('state', ['turned-off', 'saved'])
def test_daemon_killed_when_the_guest_is_noted_and_has_no_process(embed, embedded_guest, state):
    """libvirt alone would have a guest that nobody can end or start."""
    house, guest = embed, embedded_guest
    bring(house, guest, 'running')
    if state == 'turned-off':
        house.do(guest, 'TurnOff')
    else:
        house.do(guest, 'Save')
    before = guest.ticks
    house.daemon.stop()
    with house.daemon.crash('after_rename', '/run/qemu/big.xml', text="pid='0'"):
        house.daemon.start()
        task = house.begin(guest, 'Startup')
        house.daemon.wait_killed()
    house.daemon.start()
    properties = house.client.wait_task(task)
    assert properties['ErrorName'] == 'org.virtask1.Error.ServiceRestarted', properties
    assert house.state(guest) == state
    house.do(guest, 'Startup')
    if state == 'saved':
        guest.assert_goes_on(before)
    else:
        guest.wait_first_tick(guest.processes)


@pytest.mark.root
def test_libvirtd_killed(libvirtd, served_guest):
    """The machines come back within 5 seconds of libvirtd, and the task ends with what is true."""
    house, guest, client = libvirtd, served_guest, libvirtd.client
    for task in interruptions('kill of libvirtd', house, guest, 'Save'):
        seen = len(client.signals)
        house.below.kill()
        client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == guest.path, after=seen)
        house.below.start()
        back = time.monotonic()
        client.wait_signal('InterfacesAdded', where=lambda signal: signal.arguments[0] == guest.path, after=seen)
        assert time.monotonic() - back < 5
        properties = client.wait_task(task)
        if properties['ResultName'] == 'success':
            assert_carried_out(house, guest, 'Save')
        else:
            assert properties['ErrorName'] == 'org.virtask1.Error.ServiceRestarted', properties
            assert_undone(house, guest, 'Save')


@pytest.mark.root
def test_libvirtd_restarted(libvirtd, served_guest):
    """An idle libvirtd that is restarted: Connected goes and comes, and the machine is the same."""
    house, client = libvirtd, libvirtd.client
    bring(house, served_guest, 'running')
    house.below.restart()
    client.wait_property('/org/virtask1/manager', 'Manager', 'Connected', True)
    client.wait(lambda: served_guest.path in client.objects(), what='the machine')
    assert house.state(served_guest) == 'running'


def test_orderly_stop_on_embed_cancels_and_waits(embed, embedded_guest):
    house, guest = embed, embedded_guest
    duration = duration_of(house, guest, 'Save')
    before = guest.ticks
    task = begin(house, guest, 'Save', 0.4, duration)
    house.daemon.restart()
    properties = house.client.wait_task(task)
    assert properties['ResultName'] in ('cancelled', 'success')
    assert_whole(house, guest, before)


@pytest.mark.root
def test_upgrade_on_libvirtd_disturbs_nobody(libvirtd, served_guest):
    house, guest = libvirtd, served_guest
    duration = duration_of(house, guest, 'Save')
    before = guest.ticks
    task = begin(house, guest, 'Save', 0.4, duration)
    house.daemon.restart()
    assert house.client.wait_task(task)['ResultName'] == 'success'
    assert_whole(house, guest, before)


def test_force_turns_off_under_a_save(embed, embedded_guest):
    house, guest = embed, embedded_guest
    duration = duration_of(house, guest, 'Save')
    task = begin(house, guest, 'Save', 0.4, duration)
    house.do(guest, 'TurnOff', 'a{sv}', {'Force': GLib.Variant('b', True)})
    assert house.client.wait_task(task)['ResultName'] in ('cancelled', 'success')
    assert house.state(guest) in ('turned-off', 'saved')
    assert house.below.qemu_pid('big') is None
    if house.state(guest) == 'saved':
        house.client.call(guest.path, 'VirtualMachine', 'DiscardSavedState')
    house.do(guest, 'Startup')
    guest.wait(lambda: guest.ticks > 0, 'the guest to count')
