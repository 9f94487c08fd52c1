# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots on the bus, as libvirt's test driver has them from the beginning; their coming and going is in tests/system."""

import json
import time
import xml.etree.ElementTree as ElementTree

import pytest
from fakes import CREATED, DEFINITION, JOB, OFF, RUNNING, VM, machine_path, options, point_path, settle_signals, snapshot, snapshot_path, start, \
    uuid_of, wait_at, with_notes, with_snapshots
from harness import BUILD, ROOT

SNAPSHOT = 'Snapshot'
REALIZED = 'Microsoft:Hyper-V:Snapshot:Realized'
MACHINE = machine_path(0)


@pytest.fixture
def start_with(scratch, start_fake):
    """Starts a daemon with one machine, m0, that has these snapshots."""
    def start_one(*snapshots, state=RUNNING, notes=None):
        path = scratch / 'machine.xml'
        definition = DEFINITION.format(name='m0', uuid=uuid_of(0), state=state)
        definition = with_snapshots(with_notes(definition, notes) if notes else definition, *snapshots)
        path.write_text(f'<node>\n{definition}</node>\n', encoding='utf-8')
        return start_fake(f'test://{path}')
    return start_one


@pytest.fixture
def tree(start_with):
    """root ── old ── leaf, and a second branch "young", which is the current one."""
    return start_with(snapshot('young', 'root', 30, current=True), snapshot('leaf', 'old', 20), snapshot('old', 'root', 10, memory=True),
                      snapshot('root', notes='the <first> one'))


@pytest.fixture
def gate(gates):
    return gates.add()


def path(name):
    return snapshot_path(MACHINE, name)


def start_on(client, name, **values):
    return client.call(path(name), SNAPSHOT, 'FakeOnSnapshot', 'a{sv}', options(**values))


def rename(client, name, new_name):
    client.call(path(name), SNAPSHOT, 'Rename', 's', new_name)


def rename_error(client, name, new_name):
    return client.error(path(name), SNAPSHOT, 'Rename', 's', new_name).short


def children(client, node):
    """The names of the nodes below, as introspection says."""
    text = client.call(node, 'org.freedesktop.DBus.Introspectable', 'Introspect')
    return [child.get('name') for child in ElementTree.fromstring(text).findall('node')]


def is_sanitized():
    rows = json.loads((BUILD / 'meson-info/intro-buildoptions.json').read_text(encoding='utf-8'))
    return next(row['value'] for row in rows if row['name'] == 'b_sanitize') != 'none'


# --- Reading ---

def test_a_snapshot_has_its_properties(tree, client):
    assert client.get_all(path('root'), SNAPSHOT) == {
        'Name': 'root', 'ID': 'root', 'VirtualMachine': MACHINE, 'Parent': '/', 'Children': [path('old'), path('young')],
        'CreationTime': CREATED * 1_000_000, 'SnapshotType': 3, 'VirtualSystemType': REALIZED, 'ConsistencyLevel': 0,
        'HasSavedState': False, 'IsCurrent': False, 'SnapshotCollection': '/', 'Notes': 'the <first> one'}
    assert client.get_all(path('old'), SNAPSHOT) == {
        'Name': 'old', 'ID': 'old', 'VirtualMachine': MACHINE, 'Parent': path('root'), 'Children': [path('leaf')],
        'CreationTime': (CREATED + 10) * 1_000_000, 'SnapshotType': 2, 'VirtualSystemType': REALIZED, 'ConsistencyLevel': 0,
        'HasSavedState': True, 'IsCurrent': False, 'SnapshotCollection': '/', 'Notes': ''}


def test_the_machine_knows_its_snapshots(tree, client):
    assert client.get(MACHINE, VM, 'Snapshots') == [path(name) for name in ('root', 'old', 'leaf', 'young')]
    assert client.get(MACHINE, VM, 'CurrentSnapshot') == path('young')
    assert client.get(path('young'), SNAPSHOT, 'IsCurrent') is True
    assert client.get(MACHINE, 'SnapshotService', 'SupportedSnapshotTypes') == [2, 3, 32768]


def test_a_machine_without_snapshots_has_none(daemon, vm, client):
    assert (client.get(vm, VM, 'Snapshots'), client.get(vm, VM, 'CurrentSnapshot')) == ([], '/')
    assert not [path_ for path_ in client.objects() if '/snapshot/' in path_]


def test_all_snapshots_come_with_all_objects(tree, client):
    objects = client.objects()
    assert {path_ for path_ in objects if '/snapshot/' in path_} == {path(name) for name in ('root', 'old', 'leaf', 'young')}
    for name in ('root', 'old', 'leaf', 'young'):
        assert objects[path(name)]['org.virtask1.Snapshot'] == client.get_all(path(name), SNAPSHOT)
    assert not [signal for signal in client.signals if signal.member == 'InterfacesAdded']


def test_the_tree_can_be_walked(tree, client):
    assert children(client, MACHINE) == ['snapshot']
    assert sorted(children(client, f'{MACHINE}/snapshot')) == ['leaf', 'old', 'root', 'young']
    assert children(client, path('old')) == []
    assert [name for name in children(client, f'{ROOT}/vm') if '/' in name] == []


@pytest.mark.parametrize('name', ['a/b', 'a<b&"c', "it's", 'Büro 漢字', '.', '..', '_', '_61', ' ', '1', '%s%n', 'x' * 200])
def test_any_name_of_libvirt_has_a_path(start_with, client, name):
    start_with(snapshot(name))
    assert client.get(MACHINE, VM, 'Snapshots') == [path(name)]
    assert client.get(path(name), SNAPSHOT, 'ID') == name
    rename(client, name, 'better')
    assert client.get(path(name), SNAPSHOT, 'Name') == 'better'


@pytest.mark.parametrize('wrong', ['nothing', '_72oot', 'root/x', ''])
def test_what_is_no_snapshot_is_no_object(tree, client, wrong):
    target = f'{MACHINE}/snapshot/{wrong}' if wrong else f'{MACHINE}/snapshot'
    error = client.error(target, SNAPSHOT, 'Rename', 's', 'x')
    assert error.short in ('UnknownObject', 'UnknownMethod', 'UnknownInterface')


def test_many_snapshots_are_listed_quickly(start_with, client):
    """60 in line and 140 in branches."""
    line = [snapshot(f'line{number}', f'line{number - 1}' if number else None, number) for number in range(60)]
    branches = [snapshot(f'branch{number}', f'line{number % 60}', 60 + number) for number in range(140)]
    start_with(*line, *branches)
    times = []
    for _ in range(5):
        begin = time.monotonic()
        objects = client.objects()
        times.append(time.monotonic() - begin)
    assert len([path_ for path_ in objects if '/snapshot/' in path_]) == 200
    print(f'listed in {min(times) * 1000:.1f} ms')
    assert is_sanitized() or min(times) < 0.1


# --- Rename ---

def test_a_snapshot_gets_another_name(tree, client):
    rename(client, 'old', 'before the update')
    assert client.get(path('old'), SNAPSHOT, 'Name') == 'before the update'
    assert client.get(path('old'), SNAPSHOT, 'ID') == 'old'
    assert client.announced(path('old'), SNAPSHOT, 'Name') == ['before the update']
    # Nothing else has changed, and nothing came or went.
    for _ in range(5):
        settle_signals(client)
    changes = [signal.changed for signal in client.signals if signal.member == 'PropertiesChanged' and '/snapshot/' in signal.path]
    assert changes == [{'Name': 'before the update'}]
    assert not [signal for signal in client.signals if signal.member in ('InterfacesAdded', 'InterfacesRemoved')
                and '/snapshot/' in signal.arguments[0]]


def test_the_reply_comes_after_the_change(tree, client):
    call = client.start(path('old'), SNAPSHOT, 'Rename', 's', 'new')
    client.finish(call)
    changed = client.wait_signal('PropertiesChanged', path('old'))
    assert changed.index < call.index


def test_names_need_not_be_unique(tree, client):
    for name in ('old', 'leaf'):
        rename(client, name, 'root')
        assert client.get(path(name), SNAPSHOT, 'Name') == 'root'


def test_a_name_may_be_given_again(tree, client):
    for name in ('one', 'one', 'Büro & "more"', 'old'):
        if '"' in name:
            assert rename_error(client, 'old', name) == 'NameInvalidChar'
        else:
            rename(client, 'old', name)
            assert client.get(path('old'), SNAPSHOT, 'Name') == name


@pytest.mark.parametrize('name, error', [('', 'NameEmpty'), ('x' * 81, 'NameTooLong'), ('a/b', 'NameInvalidChar'), ('a\nb', 'NameInvalidChar')])
def test_the_rules_for_names_are_those_of_machines(tree, client, name, error):
    assert rename_error(client, 'old', name) == error
    assert client.get(path('old'), SNAPSHOT, 'Name') == 'old'


@pytest.mark.parametrize('state', ['running', 'paused', 'saved', 'turned-off'])
def test_a_snapshot_is_renamed_in_any_state(tree, client, state):
    if state == 'paused':
        client.call(MACHINE, VM, 'Pause')
    elif state != 'running':
        client.wait_task(start(client, MACHINE, {'saved': 'Save', 'turned-off': 'TurnOff'}[state]))
    assert client.get(MACHINE, VM, 'StateName') == state
    rename(client, 'old', 'new')
    assert client.get(path('old'), SNAPSHOT, 'Name') == 'new'


def test_names_stay_when_the_machine_is_turned_off_and_on(tree, client):
    rename(client, 'old', 'new')
    for member in ('TurnOff', 'Startup', 'Save', 'Startup'):
        client.wait_task(start(client, MACHINE, member))
        assert client.get(path('old'), SNAPSHOT, 'Name') == 'new'


def test_a_busy_machine_has_busy_snapshots(tree, client, gate):
    task = start(client, MACHINE, 'FakeStuck', Gate=gate)
    wait_at(client, task, gate)
    assert rename_error(client, 'old', 'new') == 'InUse'


# --- Operations on snapshots ---

def test_an_operation_on_a_snapshot_holds_its_machine(tree, client, gates, gate):
    task = start_on(client, 'old', Gate=gate)
    wait_at(client, task, gate)
    values = client.get_all(task, 'Task')
    assert (values['Operation'], values['Subject'], values['Objects']) == ('fake-on-snapshot', MACHINE, [MACHINE])
    assert client.get(MACHINE, VM, 'ActiveTasks') == [task]
    assert client.error(path('root'), SNAPSHOT, 'FakeOnSnapshot', 'a{sv}', {}).short == 'InUse'
    assert client.error(MACHINE, VM, 'FakeSlow', 'a{sv}', {}).short == 'InUse'
    gates.release(gate)
    values = client.wait_task(task)
    assert (values['Result'], values['ResultObject']) == (0, path('old'))
    assert client.call(task, 'Task', 'GetResults')['Snapshot'] == 'old'


@pytest.mark.parametrize('where', ['snapshot', 'service'])
def test_the_operational_status_tells_what_is_done(tree, client, gates, gate, where):
    if where == 'snapshot':
        task = start_on(client, 'old', Gate=gate)
    else:
        task = client.call(MACHINE, 'SnapshotService', 'FakeOfService', 'a{sv}', options(Gate=gate))
    wait_at(client, task, gate)
    status = [11, {'snapshot': 32769, 'service': 32768}[where]]
    assert client.get(MACHINE, VM, 'OperationalStatus') == status
    gates.release(gate)
    client.wait_task(task)
    assert client.get(MACHINE, VM, 'OperationalStatus') == [2]
    assert client.announced(MACHINE, VM, 'OperationalStatus') == [status, [2]]


def test_what_failed_has_made_nothing(tree, client):
    task = start_on(client, 'old', Error=1)
    values = client.wait_task(task)
    assert values['Result'] != 0 and values['ResultObject'] == '/'


def test_a_task_knows_its_snapshot_after_a_restart(tree, client, gates, gate):
    task = start_on(client, 'old', Gate=gate)
    wait_at(client, task, gate)
    tree.kill()
    tree.start()
    wait_at(client, task, gate)
    assert client.get(MACHINE, VM, 'OperationalStatus') == [11, 32769]
    gates.release(gate)
    values = client.wait_task(task)
    assert (values['ResultObject'], client.get(task, JOB, 'JobState')) == (path('old'), 7)
    assert client.call(task, 'Task', 'GetResults')['Snapshot'] == 'old'


def test_a_machine_that_goes_takes_its_snapshots_along(start_with, client):
    start_with(snapshot('root'), snapshot('leaf', 'root', 10), state=OFF)
    client.wait_task(start(client, MACHINE, 'Delete'))
    client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == MACHINE)
    removed = [signal.arguments for signal in client.signals if signal.member == 'InterfacesRemoved']
    assert [arguments[0] for arguments in removed] == [path('leaf'), path('root'), MACHINE]
    assert removed[0][1] == ['org.virtask1.Snapshot']
    assert sorted(interface for interface in removed[2][1] if interface.startswith('org.virtask1.')) == \
        ['org.virtask1.GuestOS', 'org.virtask1.ReferencePointService', 'org.virtask1.SnapshotService', 'org.virtask1.VirtualMachine']
    assert not [path_ for path_ in client.objects() if path_.startswith(MACHINE)]


# --- Reference points ---

POINT = 32769


@pytest.fixture
def line(start_with):
    """first ── point ── second ── last point, which libvirt calls the current one."""
    return start_with(snapshot('s1'), snapshot('p 1', 's1', 10), snapshot('s2', 'p 1', 20), snapshot('p2', 's2', 30, current=True),
                      state=OFF, notes={'p 1': POINT, 'p2': POINT})


def test_a_reference_point_is_left_out_of_the_line(line, client):
    assert client.get(MACHINE, VM, 'Snapshots') == [path('s1'), path('s2')]
    assert client.get(MACHINE, VM, 'CurrentSnapshot') == path('s2') and client.get(path('s2'), SNAPSHOT, 'IsCurrent')
    assert client.get(path('s2'), SNAPSHOT, 'Parent') == path('s1') and client.get(path('s1'), SNAPSHOT, 'Children') == [path('s2')]
    points = [point_path(MACHINE, 'p 1'), point_path(MACHINE, 'p2')]
    assert client.get(MACHINE, 'ReferencePointService', 'ReferencePoints') == points
    assert client.get(points[0], 'ReferencePoint', 'InstanceID') == f'{uuid_of(0)}/p 1'
    assert sorted(children(client, MACHINE)) == ['referencepoint', 'snapshot']
    assert [f'{MACHINE}/referencepoint/{name}' for name in children(client, f'{MACHINE}/referencepoint')] == points
    assert set(points) <= set(client.objects())


@pytest.mark.parametrize('name', ['s1', 'p3', 'p_31'])
def test_what_is_no_reference_point(line, client, name):
    error = client.error(f'{MACHINE}/referencepoint/{name}', 'ReferencePoint', 'Destroy', 'a{sv}', {})
    assert error.short == 'UnknownObject'
    assert client.error(path('p2'), SNAPSHOT, 'Destroy', 'a{sv}', {}).short == 'UnknownObject'


def test_reference_points_go_with_their_machine(line, client):
    client.wait_task(start(client, MACHINE, 'Delete'))
    client.wait_signal('InterfacesRemoved', where=lambda signal: signal.arguments[0] == MACHINE)
    removed = [signal.arguments[0] for signal in client.signals if signal.member == 'InterfacesRemoved']
    assert removed == [point_path(MACHINE, 'p2'), point_path(MACHINE, 'p 1'), path('s2'), path('s1'), MACHINE]
