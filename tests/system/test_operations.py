# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each operation on a real guest, and each state that refuses it."""

import os

import pytest
from gi.repository import GLib
from harness import MANAGER

def put(house, guest, state):
    """Brings the running guest into a state."""
    if state == 'turned-off':
        house.do(guest, 'TurnOff')
    elif state == 'saved':
        house.do(guest, 'Save')
    elif state == 'paused':
        house.client.call(guest.path, 'VirtualMachine', 'Pause')
    assert house.state(guest) == state


def test_save_and_startup_carry_the_guest_over(house, running):
    client = house.client
    before, seen = running.ticks, len(client.signals)
    task = house.do(running, 'Save')
    assert (task['Result'], task['Error'], task['ReturnValue'], task['PercentCompleted']) == (0, 0, 0, 100)
    assert task['BytesDone'] == task['BytesTotal']
    machine = client.get_all(running.path, 'VirtualMachine')
    assert (machine['State'], machine['HasSavedState'], machine['EnabledState']) == (2, True, 6)
    assert machine['SavedStateFilePath'].endswith('web1.save')
    assert house.below.saved_files() == ['web1.save']
    results = client.call(f'/org/virtask1/task/{task["ID"]}', 'Task', 'GetResults')
    assert results == {'SavedStateFilePath': machine['SavedStateFilePath']}

    house.do(running, 'Startup')
    running.assert_goes_on(before)
    running.wait_memory()
    assert house.below.saved_files() == []
    changes = [signal.arguments for signal in client.signals[seen:]
               if signal.member == 'StateChanged' and signal.path == running.path]
    assert changes == [(5, 7), (7, 2), (2, 4), (4, 5)]


def test_the_machine_has_its_final_state_before_the_task_ends(house, running):
    client, seen = house.client, len(house.client.signals)
    task = house.begin(running, 'Save')

    def index(member, path, where=lambda signal: True):
        return client.wait_signal(member, path, where, after=seen).index

    order = [
        index('PropertiesChanged', running.path, lambda signal: signal.changed.get('State') == 2),
        index('StateChanged', running.path, lambda signal: signal.arguments == (7, 2)),
        index('PropertiesChanged', task, lambda signal: signal.changed.get('IsComplete')),
        index('PropertiesChanged', task, lambda signal: signal.changed.get('JobState') == 7),
        index('Completed', task),
        index('TaskCompleted', MANAGER, lambda signal: signal.arguments[1] == task),
    ]
    assert order == sorted(order)
    last_of_machine = max(signal.index for signal in client.signals if signal.path == running.path)
    assert last_of_machine == order[1]


def test_a_paused_guest_is_saved_and_comes_back_paused(house, running):
    put(house, running, 'paused')
    house.do(running, 'Save')
    house.do(running, 'Startup')
    assert house.state(running) == 'paused'
    before = running.ticks
    house.client.call(running.path, 'VirtualMachine', 'Resume')
    running.assert_goes_on(before)


def test_startup_with_paused_leaves_it_paused(house, running):
    put(house, running, 'saved')
    house.do(running, 'Startup', 'a{sv}', {'Paused': GLib.Variant('b', True)})
    assert house.state(running) == 'paused'
    before = running.ticks
    house.client.call(running.path, 'VirtualMachine', 'Resume')
    running.assert_goes_on(before)


def test_force_boot_drops_the_saved_state(house, running):
    put(house, running, 'saved')
    boots = running.boots
    house.do(running, 'Startup', 'a{sv}', {'ForceBoot': GLib.Variant('b', True)})
    running.wait(lambda: running.boots == boots + 1, 'a boot')
    assert house.below.saved_files() == []


def test_discard_saved_state(house, running):
    put(house, running, 'saved')
    house.client.call(running.path, 'VirtualMachine', 'DiscardSavedState')
    assert house.state(running) == 'turned-off'
    assert house.below.saved_files() == []
    assert house.client.get(running.path, 'VirtualMachine', 'SavedStateFilePath') == ''


def test_turn_off_and_startup2_boot_anew(house, running):
    boots = running.boots
    house.do(running, 'TurnOff')
    assert house.state(running) == 'turned-off'
    task = house.do(running, 'Startup2', 'ua{sv}', 1, {})
    assert task['Operation'] == 'vm-startup2'
    running.wait(lambda: running.boots == boots + 1, 'a boot')


def test_reset_boots_without_turning_off(house, running):
    boots, seen = running.boots, len(house.client.signals)
    house.do(running, 'Reset')
    running.wait(lambda: running.boots == boots + 1, 'a boot')
    house.client.wait_signal('ResetOccurred', running.path, after=seen)
    assert house.state(running) == 'running'


def test_request_state_change_is_another_way_to_the_same(house, running):
    client = house.client

    def request(state):
        return client.call(running.path, 'VirtualMachine', 'RequestStateChange', 'qa{sv}', state, {})

    assert request(9) == (0, '/')
    assert house.state(running) == 'paused'
    assert request(2) == (0, '/')
    assert house.state(running) == 'running'
    for state, name in ((6, 'saved'), (2, 'running'), (11, 'running'), (3, 'turned-off')):
        value, task = request(state)
        assert value == 4096
        assert client.wait_task(task)['ReturnValue'] == 0
        assert house.state(running) == name
    assert house.refused(running, 'RequestStateChange', 'qa{sv}', 10, {}) == 'NotRunning'
    assert house.refused(running, 'RequestStateChange', 'qa{sv}', 7, {}) == 'NotSupported'


REFUSALS = {
    'turned-off': {'Save': 'NotRunning', 'TurnOff': 'NotRunning', 'Reset': 'NotRunning', 'Pause': 'NotRunning', 'Resume': 'NotRunning',
                   'DiscardSavedState': 'NoSavedState'},
    'saved': {'Save': 'NotRunning', 'TurnOff': 'NotRunning', 'Reset': 'NotRunning', 'Pause': 'NotRunning', 'Resume': 'NotRunning',
              'Unregister': 'RunningOrSaved', 'SetName': 'MachineActive'},
    'running': {'Startup': 'AlreadyRunning', 'Resume': 'NotPaused', 'DiscardSavedState': 'AlreadyRunning',
                'Unregister': 'RunningOrSaved', 'Delete': 'AlreadyRunning', 'SetName': 'MachineActive'},
    'paused': {'Startup': 'AlreadyRunning', 'Pause': 'AlreadyPaused', 'DiscardSavedState': 'AlreadyRunning',
               'Unregister': 'RunningOrSaved', 'Delete': 'AlreadyRunning', 'SetName': 'MachineActive'},
}
ARGUMENTS = {'Save': ('a{sv}', {}), 'TurnOff': ('a{sv}', {}), 'Reset': ('a{sv}', {}), 'Startup': ('a{sv}', {}),
             'Delete': ('a{sv}', {}), 'SetName': ('s', 'other')}


@pytest.mark.parametrize('state', REFUSALS)
def test_what_the_state_does_not_allow_is_refused_by_name(house, running, state):
    if state != 'running':
        put(house, running, state)
    for method, error in REFUSALS[state].items():
        assert house.refused(running, method, *ARGUMENTS.get(method, ())) == error, method
    assert house.state(running) == state


def test_a_busy_machine_names_the_task(house, running):
    task = house.begin(running, 'Save')
    error = house.client.error(running.path, 'VirtualMachine', 'TurnOff', 'a{sv}', {})
    assert error.short == 'InUse' and task in error.message
    queued = house.begin(running, 'Startup', 'a{sv}', {'Queue': GLib.Variant('b', True)})
    assert house.client.get(queued, 'ConcreteJob', 'JobState') == 3
    assert house.client.wait_task(queued)['ResultName'] == 'success'
    assert house.client.get(task, 'Task', 'ResultName') == 'success'
    assert house.state(running) == 'running'


def test_names_and_notes(house, running):
    client = house.client
    client.call(running.path, 'VirtualMachine', 'SetNotes', 's', 'Ünïcode\nand <more>')
    assert client.get(running.path, 'VirtualMachine', 'Notes') == 'Ünïcode\nand <more>'
    client.call(running.path, 'VirtualMachine', 'SetNotes', 's', '')
    assert client.get(running.path, 'VirtualMachine', 'Notes') == ''
    put(house, running, 'turned-off')
    for name, error in (('', 'NameEmpty'), ('x' * 81, 'NameTooLong'), ('a/b', 'NameInvalidChar'), ('a\nb', 'NameInvalidChar')):
        assert house.refused(running, 'SetName', 's', name) == error
    other = house.register('web2', boot=False)
    assert house.refused(running, 'SetName', 's', 'WEB2') == 'DuplicateName'
    client.call(running.path, 'VirtualMachine', 'SetName', 's', 'Web1')
    assert client.get(running.path, 'VirtualMachine', 'Name') == 'Web1'
    assert client.machine('wEB1') == running.path
    client.call(running.path, 'VirtualMachine', 'SetName', 's', 'web1')
    house.do(other, 'Delete')


def test_unregister_and_register_again(house):
    guest = house.register('gone', boot=False)
    seen = len(house.client.signals)
    house.client.call(guest.path, 'VirtualMachine', 'Unregister')
    house.client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == guest.path, after=seen)
    assert house.client.error(MANAGER, 'Manager', 'FindVirtualMachine', 's', 'gone').short == 'NoSuchVirtualMachine'
    assert guest.image.exists()
    assert house.client.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml, {}) == guest.path
    error = house.client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', guest.xml, {})
    assert error.short == 'DuplicateName'
    task = house.do(guest, 'Delete')
    assert guest.path not in house.client.objects()
    assert task['Subject'] == guest.path
    assert guest.image.exists()


def test_delete_takes_the_saved_state_along(house):
    guest = house.register('deleted')
    house.do(guest, 'Save')
    seen = len(house.client.signals)
    house.do(guest, 'Delete')
    assert 'deleted.save' not in house.below.saved_files()
    states = [signal.arguments for signal in house.client.signals[seen:]
              if signal.member == 'StateChanged' and signal.path == guest.path]
    assert states == [(2, 10)]


@pytest.mark.parametrize('definition', ['', 'no xml', '<domain/>', '<network><name>x</name></network>',
                                        '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><domain><name>&e;</name></domain>',
                                        '<domain type="qemu"><name>x</name><memory>lots</memory></domain>'])
def test_what_is_no_definition_is_refused(house, definition):
    error = house.client.error(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition, {})
    assert error.short == 'InvalidArgument'


def test_a_guest_that_turns_itself_off(house, running):
    seen = len(house.client.signals)
    running.send('p')
    house.client.wait_property(running.path, 'VirtualMachine', 'StateName', 'turned-off')
    house.client.wait_signal('GuestShutdown', running.path, after=seen)


def test_a_qemu_that_dies(house, running):
    os.kill(house.below.qemu_pid('web1'), 9)
    house.client.wait_property(running.path, 'VirtualMachine', 'StateName', 'turned-off')


def test_a_damaged_saved_state_is_named_and_kept(house, running):
    put(house, running, 'saved')
    path = house.client.get(running.path, 'VirtualMachine', 'SavedStateFilePath')
    real = house.below.saved_path('web1')
    assert path.endswith(real.name)
    with open(real, 'r+b') as file:
        file.truncate(real.stat().st_size // 2)
    task = house.client.wait_task(house.begin(running, 'Startup'))
    assert (task['ResultName'], task['ErrorName']) == ('incompatible-saved-state', 'org.virtask1.Error.IncompatibleSavedState')
    assert house.state(running) == 'saved'
    house.client.call(running.path, 'VirtualMachine', 'DiscardSavedState')


def test_a_half_saved_state_is_not_loaded(house, running):
    put(house, running, 'saved')
    with open(house.below.saved_path('web1'), 'r+b') as file:
        file.write(b'LibvirtQemudPart')
    task = house.client.wait_task(house.begin(running, 'Startup'))
    assert task['ErrorName'] == 'org.virtask1.Error.IncompatibleSavedState'
    assert house.state(running) == 'saved'
    house.client.call(running.path, 'VirtualMachine', 'DiscardSavedState')


def test_a_missing_disk_fails_the_task(house):
    guest = house.register('nodisk', boot=False)
    guest.image.unlink()
    task = house.client.wait_task(house.begin(guest, 'Startup'))
    assert task['ErrorName'] == 'org.virtask1.Error.FileNotFound', task['ErrorDescription']
    assert str(guest.image) not in task['ErrorDescription']
    assert house.state(guest) == 'turned-off'
    house.do(guest, 'Delete')


def test_a_disk_in_use_is_named(house, running):
    other = house.register('twin', boot=False)
    definition = other.xml.replace(str(other.image), str(running.image))
    house.do(other, 'Delete')
    house.client.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', definition, {})
    task = house.client.wait_task(house.begin(other, 'Startup'))
    assert task['ErrorName'] == 'org.virtask1.Error.FileInUse', task['ErrorDescription']
    house.do(other, 'Delete')
