# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of the tool about collections, on real guests."""

import itertools
import re
import select
import signal

import pytest
from harness.process import TIMEOUT
from tool import FAILED, NOT_FOUND, STATE, USAGE, undated

pytestmark = pytest.mark.below('embed')

GUESTS = ('web', 'db')
NOBODY = '6695eb01-f6a4-8304-79aa-97f2502e193f'

numbers = itertools.count(1)


@pytest.fixture(scope='module')
def guests(house):
    """web runs, db is off."""
    return {'web': house.register('web'), 'db': house.register('db', boot=False)}


@pytest.fixture
def shop(tool, house, guests):
    """The name of a collection of both, which only this test has."""
    name = f'shop {next(numbers)}'
    if house.state(guests['web']) != 'running':
        tool.run('start', 'web')
    tool.run('define-collection', name, *GUESTS)
    yield name
    for collection in tool.read('collections'):
        for snapshot in collection['snapshots']:
            tool.run('delete-collection-snapshot', snapshot['uuid'])
        tool.run('delete-collection', collection['uuid'])


def members(tool, collection):
    return [member['name'] for member in tool.read('collection', collection)['members']]


def snapshots(tool, collection):
    return [snapshot['name'] for snapshot in tool.read('collection', collection)['snapshots']]


# --- Looking ---

def test_without_collections_there_is_an_empty_list(tool, guests):
    assert tool.say('collections') == 'COLLECTION  OF  MEMBERS  SNAPSHOTS\n0 collections.\n'
    assert tool.read('collections') == []
    assert 'Collections' not in tool.say('show', 'web')
    assert '\nCollections: 0\n' in tool.say('status')


def test_a_collection_is_shown_with_its_members_and_snapshots(tool, shop):
    collection = tool.read('collection', shop)
    tool.run('snapshot-collection', shop, 'before')
    tool.run('snapshot-collection', shop, 'for backup', '--recovery')
    assert undated(tool.say('collection', shop)) == f"""\
{shop}
        UUID: {collection['uuid']}
      Object: {collection['path']}

   VM   STATE
●  web  running
○  db   off

SNAPSHOT    TYPE      CONSISTENCY  VMS  CREATED
before      standard  crash          2  DATE
for backup  recovery  crash          2  DATE
2 members, 2 snapshots.
"""
    assert tool.say('collections') == f"""\
COLLECTION  OF        MEMBERS  SNAPSHOTS
{shop:10}  machines        2          2
1 collection.
"""
    assert f' Collections: {shop}\n' in tool.say('show', 'web')
    assert tool.read('status')['collections'] == 1


def test_json_has_everything(tool, house, guests, shop):
    tool.run('snapshot-collection', shop, 'before')
    [collection] = tool.read('collections')
    assert collection == tool.read('collection', shop)
    [snapshot] = collection.pop('snapshots')
    uuid, path = collection['uuid'], collection['path']
    assert path == f'/org/virtask1/collection/_{uuid.replace("-", "_")}'
    assert collection == {
        'name': shop, 'uuid': uuid, 'type': 'machines', 'collection_type': 0, 'path': path,
        'members': [{'name': name, 'uuid': guests[name].uuid, 'missing': False, 'state': state, 'path': guests[name].path}
                    for name, state in (('web', 'running'), ('db', 'turned-off'))]}
    parts = snapshot.pop('snapshots')
    assert snapshot == {
        'name': 'before', 'uuid': snapshot['uuid'], 'type': 'standard', 'snapshot_type': 1, 'consistency': 'crash',
        'consistency_level': 2, 'creation_time_us': house.client.get(snapshot['path'], 'SnapshotCollection', 'CreationTime'),
        'path': f'/org/virtask1/snapshotcollection/_{snapshot["uuid"].replace("-", "_")}'}
    assert sorted((part['machine'], part['path'].rpartition('/snapshot/')[0]) for part in parts) == [
        (name, guests[name].path) for name in ('db', 'web')]


def test_collections_can_be_collected(tool, shop):
    tool.run('define-collection', 'all', shop, '--of-collections')
    assert f'COLLECTION  HAS\n   {shop:10}  2 machines\n' in tool.say('collection', 'all')
    assert tool.read('collection', 'all')['type'] == 'collections'
    assert '2 machines' in tool.say('snapshot-collection', 'all', 'both')
    assert snapshots(tool, shop) == []


def test_a_member_that_is_gone_is_missing(tool, house, shop):
    machine = house.register('passing', boot=False)
    tool.run('add-member', shop, 'passing')
    house.client.call(machine.path, 'VirtualMachine', 'Unregister')
    assert re.search(rf'^\?  {machine.uuid}  missing$', tool.say('collection', shop), re.MULTILINE)
    assert tool.read('collection', shop)['members'][2] == {
        'name': None, 'uuid': machine.uuid, 'missing': True, 'state': None, 'path': machine.path}
    assert machine.uuid in tool.fail(NOT_FOUND, 'snapshot-collection', shop)
    tool.run('remove-member', shop, machine.uuid)
    assert members(tool, shop) == ['web', 'db']


# --- Members and names ---

def test_members_come_and_go(tool, shop):
    assert tool.say('remove-member', shop, 'web', 'db') == f'Removed web, db from {shop}\n'
    assert members(tool, shop) == []
    assert tool.say('add-member', shop, 'db', 'web') == f'Added db, web to {shop}\n'
    assert members(tool, shop) == ['db', 'web']
    assert tool.read('add-member', shop, 'db') == {
        'command': 'add-member', 'collection': shop, 'state': 'done', 'path': tool.read('collection', shop)['path']}


def test_a_misspelt_member_changes_nothing(tool, shop):
    assert tool.fail(NOT_FOUND, 'define-collection', 'new', 'web', 'bd').startswith('virtask: no virtual machine "bd" (try: db')
    assert tool.fail(NOT_FOUND, 'define-collection', 'new', 'no', '--of-collections') == \
        f'virtask: no collection "no" (try: {shop})\n'
    assert [collection['name'] for collection in tool.read('collections')] == [shop]
    assert tool.fail(NOT_FOUND, 'remove-member', shop, 'web', 'bd') == f'virtask: {shop} has no member "bd" (try: db, web)\n'
    assert 'no virtual machine' in tool.fail(NOT_FOUND, 'add-member', shop, shop)
    assert members(tool, shop) == ['web', 'db']


def test_a_collection_is_defined_and_deleted(tool, guests):
    assert tool.say('define-collection', 'empty') == 'Defined collection empty\n'
    assert tool.say('define-collection', 'one', 'web') == 'Defined collection one of web\n'
    assert tool.fail(STATE, 'snapshot-collection', 'empty')
    assert tool.say('delete-collection', 'empty') == 'Deleted collection empty\n'
    assert tool.read('delete-collection', 'one')['command'] == 'delete-collection'
    assert tool.read('collections') == []


def test_a_collection_gets_another_name(tool, shop):
    assert tool.say('rename-collection', shop, 'Laden') == f'Renamed collection {shop} to Laden\n'
    assert members(tool, 'Laden') == ['web', 'db']
    assert tool.fail(FAILED, 'rename-collection', 'Laden', 'a/b').startswith('virtask: cannot rename collection Laden: ')


# --- Snapshots ---

def test_a_snapshot_brings_all_machines_back(tool, guests, shop):
    web = guests['web']
    tool.run('start', 'db')
    before = web.wait_ticks()
    text, errors = tool.run('snapshot-collection', shop, 'before')
    assert re.fullmatch(rf"Snapshot 'before' of collection '{shop}' taken: 2 machines within [\d.]+ ms, "
                        rf"stopped for [\d.]+ m?s\.\n", text)
    assert errors == '' or errors.startswith(f'Taking a snapshot of {shop}: ')
    assert web.wait_ticks(before + 5)
    boots = web.boots
    assert re.fullmatch(rf'Reverted to {shop}/before \(2 machines, .*\)\n', tool.say('revert-collection', 'before'))
    assert [member['state'] for member in tool.read('collection', shop)['members']] == ['turned-off'] * 2  # no memory in it
    tool.run('start', 'web')
    web.wait(lambda: web.boots > boots, 'the guest to boot again')
    assert re.fullmatch(rf'Deleted snapshot {shop}/before \(2 machines, .*\)\n',
                        tool.say('delete-collection-snapshot', f'{shop}/before'))
    assert snapshots(tool, shop) == tool.read('snapshots', 'web') == tool.read('snapshots', 'db') == []


def test_the_parts_are_snapshots_of_the_machines(tool, shop):
    tool.run('snapshot-collection', shop, 'before', '--notes', 'why')
    path = tool.read('collection', shop)['snapshots'][0]['path']
    for name in GUESTS:
        [snapshot] = tool.read('snapshots', name)
        assert (snapshot['name'], snapshot['type'], snapshot['notes'], snapshot['collection_snapshot']) == (
            'before', 'disks', 'why', path)
        assert undated(tool.say('snapshots', name)).splitlines()[:2] == [
            '   SNAPSHOT  TYPE   MEMORY  CREATED              PART OF',
            f'●  before    disks  no      DATE  {shop}/before']


def test_a_task_has_parts(tool, shop):
    task = tool.read('snapshot-collection', shop, 'before')
    assert (task['operation'], task['state'], task['machine'], task['collection'], task['parent']) == (
        'collection-snapshot', 'done', None, shop, None)
    assert {'SpreadUSec', 'StoppedUSec'} <= set(task['result'])
    assert task['result_object'] == tool.read('collection', shop)['snapshots'][0]['path']
    parts = [part for part in tool.read('tasks', '--all') if part['parent'] == task['id']]
    assert sorted(part['machine'] for part in parts) == ['db', 'web']
    assert [part['id'] for part in parts] == task['sub_tasks']
    lines = tool.say('tasks', '--all', '--no-legend').splitlines()
    begin = next(i for i, line in enumerate(lines) if line.split()[0] == str(task['id']))
    assert [line.split()[1:4:2] for line in lines[begin:begin + 3]] == [
        ['collection-snapshot', shop.split()[1]], ['├─', parts[0]['machine']], ['└─', parts[1]['machine']]]
    assert f'Collection: {shop}\n' in tool.say('task', str(task['id']))
    assert re.search(rf'^ +Part of: {task["id"]}$', tool.say('task', str(parts[0]['id'])), re.MULTILINE)
    assert f"of collection '{shop}' taken: 2 machines" in tool.say('wait', str(task['id']))


def test_without_waiting_the_task_is_named(tool, shop):
    match = re.fullmatch(rf'Task (\d+): snapshot collection {shop}\n', tool.say('snapshot-collection', shop, 's', '--no-wait'))
    assert tool.say('wait', match[1]).startswith("Snapshot 's' of")
    number = tool.say('revert-collection', 's', '--no-wait', '--quiet').strip()
    assert re.fullmatch(r'Reverted to s \(2 machines, .*\)\n', tool.say('wait', number))


def test_the_guests_are_asked_to_be_quiet(tool, shop):
    """They have no agent, which is what tells that they were asked."""
    assert 'agent' in tool.fail(FAILED, 'snapshot-collection', shop, '--quiesce')
    assert snapshots(tool, shop) == []


@pytest.mark.parametrize('words, complaint', [
    (['snapshot-collection', 'x', '--disks-only'], '"snapshot-collection" does not take --disks-only'),
    (['snapshot-collection', 'a', 'b', 'c'], 'usage: virtask snapshot-collection COLLECTION [NAME]'),
    (['add-member', 'x'], 'usage: virtask add-member COLLECTION MEMBER...'),
    (['define-collection'], 'usage: virtask define-collection NAME'),
])
def test_a_wrong_line_does_nothing(tool, words, complaint):
    assert complaint in tool.fail(USAGE, *words)


# --- Which one ---

def test_a_name_of_several_is_nobody(tool, shop):
    tool.run('define-collection', 'other', 'db')
    for name in (shop, 'other'):
        tool.run('snapshot-collection', name, 'same')
    assert tool.fail(NOT_FOUND, 'delete-collection-snapshot', 'same') == \
        f'virtask: "same" fits several snapshots of collections ({shop}/same, other/same)\n'
    tool.run('rename-collection-snapshot', 'other/same', 'mine')
    assert (snapshots(tool, shop), snapshots(tool, 'other')) == (['same'], ['mine'])
    tool.run('delete-collection-snapshot', 'same')
    tool.run('rename-collection', 'other', shop)
    uuids = ', '.join(collection['uuid'] for collection in tool.read('collections'))
    assert tool.fail(NOT_FOUND, 'delete-collection', shop) == f'virtask: "{shop}" fits several collections ({uuids})\n'


def test_there_are_other_names(tool, shop):
    collection = tool.read('collection', shop)
    for name in (collection['uuid'], collection['uuid'].upper(), collection['uuid'][:8], collection['path']):
        assert tool.read('collection', name) == collection
    tool.run('snapshot-collection', shop, 's')
    snapshot = tool.read('collection', shop)['snapshots'][0]
    for number, name in enumerate((snapshot['uuid'], snapshot['uuid'][:8], snapshot['path'], f'{shop}/2')):
        tool.run('rename-collection-snapshot', name, str(number))
    assert snapshots(tool, shop) == ['3']


@pytest.mark.parametrize('words', [['collection', 'x'], ['add-member', 'x', 'web'], ['remove-member', 'x', 'web'],
                                   ['rename-collection', 'x', 'y'], ['delete-collection', 'x'], ['snapshot-collection', 'x']])
def test_an_unknown_collection_is_not_found(tool, words):
    assert tool.fail(NOT_FOUND, *words) == 'virtask: no collection "x" (there are none)\n'


@pytest.mark.parametrize('words', [['revert-collection', 'x'], ['delete-collection-snapshot', 'x/y'],
                                   ['rename-collection-snapshot', NOBODY, 'y']])
def test_an_unknown_snapshot_is_not_found(tool, words):
    assert tool.fail(NOT_FOUND, *words) == f'virtask: no snapshot of a collection "{words[1]}" (there are none)\n'


# --- Completion and the rest ---

def test_completion_asks_for_the_names(tool, shop):
    tool.run('define-collection', 'all', shop, '--of-collections')
    tool.run('snapshot-collection', shop, 'before')
    for verb in ('collection', 'rename-collection', 'delete-collection', 'snapshot-collection', 'add-member', 'remove-member'):
        assert tool.complete(verb, '') == ['all', shop]
        assert tool.complete(verb, 's') == [shop]
    for verb in ('revert-collection', 'delete-collection-snapshot', 'rename-collection-snapshot'):
        assert tool.complete(verb, '') == ['before']
        assert tool.complete(verb, 'sho') == [f'{shop}/before']
        assert tool.complete(verb, 'before', '') == []
    assert tool.complete('snapshot-collection', shop, '') == tool.complete('define-collection', '') == []
    for words in (['add-member', shop], ['remove-member', shop], ['define-collection', 'new']):
        assert sorted(tool.complete(*words, '')) == ['db', 'web']
    for words in (['add-member', 'all'], ['define-collection', '--of-collections', 'new']):
        assert tool.complete(*words, '') == ['all', shop]
    assert tool.complete('remove-member', 'all', '') == [shop]
    assert tool.complete('define-collection', '--of') == ['--of-collections']


def test_monitor_tells_of_collections(tool, shop):
    process = tool.start('monitor')
    count = 0
    while not select.select([process.stdout], [], [], 0.05)[0]:  # until it listens
        count += 1
        tool.run('rename-collection', shop, f'name {count}')
        shop = f'name {count}'
    tool.run('define-collection', 'new', 'db')
    tool.run('snapshot-collection', 'new', 'a')
    tool.run('rename-collection-snapshot', 'a', 'b')
    tool.run('delete-collection-snapshot', 'b')
    tool.run('delete-collection', 'new')
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=TIMEOUT)[0]
    assert re.search(rf'collection .* renamed to {shop}$', text, re.MULTILINE)
    for line in ('collection new added', 'collection new has 1 member', r'task #\d+ collection-snapshot new begun by \w+',
                 r'task #\d+ collection-snapshot new done', 'snapshot new/a added', 'snapshot new/a renamed to b',
                 r'task #\d+ group-destroy new/b begun by \w+', 'snapshot new/b removed', 'collection new removed'):
        assert re.search(rf'^\d\d:\d\d:\d\d {line}$', text, re.MULTILINE), (line, text)
