# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of the tool about snapshots, on real guests."""

import os
import re
import select
import signal
import subprocess

import pytest
from harness import ROOT
from harness.process import TIMEOUT
from qemu_house import BIG
from tool import CANCELLED, FAILED, NOT_FOUND, STATE, USAGE, undated

pytestmark = pytest.mark.below('embed')

# libvirt leaves a disk out that several machines write to.
SHARED_DISK = """\
<disk type="file">
  <driver name="qemu" type="raw"/>
  <source file="{path}"/>
  <target dev="hdb" bus="ide"/>
  <shareable/>
</disk>"""


@pytest.fixture
def machine(house):
    """A machine that is off, and that only this test has."""
    return house.register(f'm{len(house.client.objects())}', boot=False)


@pytest.fixture
def running(house, machine):
    house.do(machine, 'Startup')
    machine.wait_ticks()
    return machine


@pytest.fixture(scope='module')
def big(house):
    """A guest whose memory takes time. Its tests leave nothing behind."""
    return house.register('big', memory=BIG)


def ids(tool, machine):
    return [snapshot['id'] for snapshot in tool.read('snapshots', machine.name)]


@pytest.fixture
def forest(tool, machine):
    """base ── left ── deep, and a second branch "right", which is the current one."""
    for name in ('base', 'left', 'deep'):
        tool.run('snapshot', machine.name, name)
    tool.run('revert', machine.name, 'base')
    tool.run('snapshot', machine.name, 'right', '--disks-only')
    return machine


# --- Looking ---

def test_a_machine_without_snapshots_says_so(tool, machine):
    assert tool.say('snapshots', machine.name) == f'   SNAPSHOT  TYPE  MEMORY  CREATED\n0 snapshots of {machine.name}.\n'
    assert tool.read('snapshots', machine.name) == []
    assert 'Snapshots' not in tool.say('show', machine.name)


def test_the_tree_has_lines_where_the_terminal_has_them(tool, forest):
    tool.run('rename-snapshot', forest.name, 'deep', 'tief unten')
    assert undated(tool.say('snapshots', forest.name)) == f"""\
   SNAPSHOT                 TYPE   MEMORY  CREATED
   base                     full   no      DATE
   ├─ left                  full   no      DATE
   │  └─ tief unten (deep)  full   no      DATE
●  └─ right                 disks  no      DATE
4 snapshots of {forest.name}.
"""


def test_the_tree_is_indented_where_there_are_no_lines(tool, forest):
    text = undated(tool.say('snapshots', forest.name, '--no-legend', locale='C'))
    assert text == """\
   base      full   no  DATE
     left    full   no  DATE
       deep  full   no  DATE
*    right   disks  no  DATE
"""


def test_json_has_everything(tool, house, forest):
    tool.run('snapshot', forest.name, 'last one', '--recovery', '--notes', 'two\nlines')
    snapshots = tool.read('snapshots', forest.name)
    assert [(snapshot['id'], snapshot['parent'], snapshot['current']) for snapshot in snapshots] == [
        ('base', None, False), ('left', 'base', False), ('deep', 'left', False), ('right', 'base', False),
        ('last-one', 'right', True)]
    path = f'{forest.path}/snapshot/last_2done'
    created = house.client.get(path, 'Snapshot', 'CreationTime')
    assert snapshots[-1] == {
        'id': 'last-one', 'name': 'last one', 'parent': 'right', 'current': True, 'type': 'recovery', 'snapshot_type': 32768,
        'memory': False, 'consistency_level': 2, 'creation_time_us': created, 'notes': 'two\nlines',
        'collection_snapshot': None, 'path': path}


def test_show_has_the_number_and_the_current_one(tool, forest):
    assert '   Snapshots: 4, current: right\n' in tool.say('show', forest.name)
    tool.run('rename-snapshot', forest.name, 'right', 'rechts')
    assert '   Snapshots: 4, current: rechts (right)\n' in tool.say('show', forest.name)


# --- Taking ---

def test_a_snapshot_brings_the_guest_back(tool, house, running):
    before = running.wait_ticks()
    assert re.fullmatch(rf'Took snapshot first-one of {running.name} \(.*\)\n', tool.say('snapshot', running.name, 'first one'))
    after = running.wait_ticks(20)
    assert re.fullmatch(rf'Reverted {running.name} to first one \(first-one\) \(.*\)\n',
                        tool.say('revert', running.name, 'first one'))
    running.wait(lambda: before <= running.ticks < after, 'the guest to be back')
    assert house.state(running) == 'running' and running.boots == 1
    assert [(snapshot['type'], snapshot['memory']) for snapshot in tool.read('snapshots', running.name)] == [('full', True)]


def test_a_reverted_guest_may_stay_paused(tool, house, running):
    tool.run('snapshot', running.name)
    tool.run('revert', running.name, 'snapshot-1', '--paused')
    assert house.state(running) == 'paused'


@pytest.mark.parametrize('option, word, number', [('--disks-only', 'disks', 3), ('--recovery', 'recovery', 32768)])
def test_a_snapshot_of_disks_alone_has_no_memory(tool, running, option, word, number):
    tool.run('snapshot', running.name, option)
    assert [(snapshot['type'], snapshot['snapshot_type'], snapshot['memory'])
            for snapshot in tool.read('snapshots', running.name)] == [(word, number, False)]


def test_the_guest_is_asked_to_be_quiet(tool, running):
    """It has no agent, which is what tells that it was asked."""
    assert 'agent' in tool.fail(FAILED, 'snapshot', running.name, '--disks-only', '--quiesce')
    assert ids(tool, running) == []


def test_disks_that_can_not_take_part_are_left_out_when_asked(tool, house):
    path = house.scratch / 'shared.img'
    path.write_bytes(bytes(1 << 20))
    machine = house.register('sharing', boot=False, devices=SHARED_DISK.format(path=path))
    assert 'Disk hdb can not be part of a snapshot' in tool.fail(FAILED, 'snapshot', 'sharing')
    tool.run('snapshot', 'sharing', '--ignore-disks')
    assert ids(tool, machine) == ['snapshot-1']


@pytest.mark.parametrize('words, complaint', [
    (['--disks-only', '--recovery'], '--disks-only and --recovery exclude each other'),
    (['--quiesce'], '--quiesce is for --disks-only and --recovery'),
    (['--children'], '"snapshot" does not take --children'),
    (['a', 'b'], 'usage: virtask snapshot VM [NAME]'),
])
def test_a_wrong_line_does_nothing(tool, machine, words, complaint):
    assert complaint in tool.fail(USAGE, 'snapshot', machine.name, *words)
    assert ids(tool, machine) == []


def test_a_wrong_name_is_refused(tool, machine):
    assert 'The name holds one of' in tool.fail(FAILED, 'snapshot', machine.name, 'a/b')
    assert 'The name is empty' in tool.fail(FAILED, 'snapshot', machine.name, '')
    assert 'not UTF-8' in tool.fail(FAILED, 'snapshot', machine.name, b'\xff')
    assert ids(tool, machine) == []


def test_json_of_a_snapshot_has_its_id(tool, machine):
    task = tool.read('snapshot', machine.name, 'a b')
    assert (task['operation'], task['state'], task['result']) == ('snapshot-create', 'done', {'SnapshotID': 'a-b'})
    assert task['result_object'] == f'{machine.path}/snapshot/a_2db'


# --- Progress ---

def test_without_waiting_the_task_is_named(tool, big):
    match = re.fullmatch(r'Task (\d+): snapshot big\n', tool.say('snapshot', 'big', 'later', '--no-wait'))
    assert re.fullmatch(r'Took snapshot later of big \(.*\)\n', tool.say('wait', match[1]))
    number = tool.say('delete-snapshot', 'big', 'later', '--no-wait', '--quiet').strip()
    assert re.fullmatch(r'Deleted a snapshot of big \(.*\)\n', tool.say('wait', number))


def written(house):
    """How much of the memory lies in the file already."""
    return max((path.stat().st_size for path in house.below.saved_states.glob('*.half.memory')), default=0)


def begin_stuck(tool, house, big, pid):
    """Stops QEMU in the middle of a snapshot. The tool and the task; None if we were too late."""
    process = tool.start('snapshot', 'big', 'half')
    while not (tasks := house.client.get(big.path, 'VirtualMachine', 'ActiveTasks')) and process.poll() is None:
        house.pass_time(0.001)
    while process.poll() is None and written(house) < 1 << 20:
        house.pass_time(0.001)  # nobody tells of that
    os.kill(pid, signal.SIGSTOP)
    if process.poll() is None and written(house) < BIG << 19:
        return process, tasks[0]
    os.kill(pid, signal.SIGCONT)
    process.communicate(timeout=TIMEOUT)
    tool.run('delete-snapshot', 'big', 'half')
    return None


@pytest.fixture
def stuck(tool, house, big):
    """A snapshot in the middle, whose QEMU is stopped: the tool, the number of the task, and how to let it go on.

    It may go on only when the service has had time to look at it."""
    big.wait_memory()
    pid = house.below.qemu_pid('big')
    process, task = next(filter(None, (begin_stuck(tool, house, big, pid) for _ in range(10))))

    def go_on():
        house.pass_time(0.5)
        os.kill(pid, signal.SIGCONT)

    yield process, task.rpartition('/')[2], go_on
    os.kill(pid, signal.SIGCONT)
    process.communicate(timeout=TIMEOUT)


def test_the_progress_of_a_snapshot_is_shown(tool, house, stuck):
    process, number, go_on = stuck
    pid = house.below.qemu_pid('big')
    # In small steps, until the service has seen some of it.
    while process.poll() is None and house.client.get(f'{ROOT}/task/{number}', 'Task', 'BytesDone') == 0:
        os.kill(pid, signal.SIGCONT)
        house.pass_time(0.002)
        os.kill(pid, signal.SIGSTOP)
        house.pass_time(0.05)
    go_on()
    output, errors = process.communicate(timeout=TIMEOUT)
    assert re.fullmatch(r'Took snapshot half of big \([\d.]+ [MG]iB, .*\)\n', output)
    assert re.search(r'^Taking a snapshot of big: \d+ %  .*[MG]iB', errors, re.MULTILINE)
    tool.run('delete-snapshot', 'big', 'half')


def test_ctrl_c_cancels_a_snapshot(tool, big, stuck):
    process, number, go_on = stuck
    process.send_signal(signal.SIGINT)
    go_on()
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (CANCELLED, '')
    assert f'Cancelling task {number} (press Ctrl-C again' in errors
    assert f'virtask: task {number} cancelled; big is running\n' in errors
    assert ids(tool, big) == []


def test_a_busy_machine_is_told_apart_and_can_be_waited_for(tool, big, stuck):
    process, number, go_on = stuck
    assert f'Task {number} ' in tool.fail(STATE, 'snapshot', 'big', 'second')
    queued = tool.start('snapshot', 'big', 'queued', '--disks-only', '--queue')
    go_on()
    assert [waiting.communicate(timeout=TIMEOUT)[0].split()[:3] for waiting in (process, queued)] == [
        ['Took', 'snapshot', 'half'], ['Took', 'snapshot', 'queued']]
    tool.run('delete-snapshot', 'big', 'half', '--children')


# --- Changing ---

def test_children_of_a_deleted_snapshot_stay(tool, forest):
    assert re.fullmatch(rf'Deleted snapshot left of {forest.name} \(.*\)\n', tool.say('delete-snapshot', forest.name, 'left'))
    assert [(snapshot['id'], snapshot['parent']) for snapshot in tool.read('snapshots', forest.name)] == [
        ('base', None), ('deep', 'base'), ('right', 'base')]


def test_children_can_be_deleted_too(tool, forest):
    assert re.fullmatch(rf'Deleted snapshot left of {forest.name} and all below it \(.*\)\n',
                        tool.say('delete-snapshot', forest.name, 'left', '--children'))
    assert ids(tool, forest) == ['base', 'right']


def test_the_memory_of_a_snapshot_can_be_dropped(tool, house, running):
    tool.run('snapshot', running.name, 's')
    assert re.fullmatch(rf'Cleared the memory of snapshot s of {running.name} \(.*\)\n',
                        tool.say('clear-snapshot', running.name, 's'))
    assert [snapshot['memory'] for snapshot in tool.read('snapshots', running.name)] == [False]
    tool.run('revert', running.name, 's')
    assert house.state(running) == 'turned-off'


def test_a_snapshot_gets_another_name(tool, forest):
    assert tool.say('rename-snapshot', forest.name, 'deep', 'tief') == f'Renamed snapshot deep of {forest.name} to tief\n'
    assert tool.read('rename-snapshot', forest.name, 'tief', 'Höhle') == {
        'command': 'rename-snapshot', 'machine': forest.name, 'state': 'done', 'path': f'{forest.path}/snapshot/deep'}
    assert tool.say('rename-snapshot', forest.name, 'Höhle', 'x', '--quiet') == ''
    assert [snapshot['name'] for snapshot in tool.read('snapshots', forest.name) if snapshot['id'] == 'deep'] == ['x']
    assert 'The name holds one of' in tool.fail(FAILED, 'rename-snapshot', forest.name, 'deep', 'a*')


# --- Which one ---

CHANGES = [['revert'], ['delete-snapshot'], ['delete-snapshot', '--children'], ['clear-snapshot'], ['rename-snapshot']]


@pytest.fixture
def namesakes(tool, machine):
    for name in ('one', 'two'):
        tool.run('snapshot', machine.name, name)
        tool.run('rename-snapshot', machine.name, name, 'same')
    return machine


@pytest.mark.parametrize('command', CHANGES, ids=' '.join)
def test_a_name_of_several_is_nobody(tool, namesakes, command):
    before = tool.read('snapshots', namesakes.name)
    more = ['new'] if command == ['rename-snapshot'] else []
    assert tool.fail(NOT_FOUND, *command, namesakes.name, 'same', *more) == \
        f'virtask: "same" is the name of several snapshots of {namesakes.name}; take an ID (one, two)\n'
    assert tool.read('snapshots', namesakes.name) == before


@pytest.mark.parametrize('command', CHANGES, ids=' '.join)
def test_an_unknown_snapshot_is_not_found(tool, machine, command):
    more = ['new'] if command == ['rename-snapshot'] else []
    assert tool.fail(NOT_FOUND, *command, machine.name, 'x', *more) == \
        f'virtask: {machine.name} has no snapshot "x" (there are none)\n'
    assert 'no virtual machine "nobody"' in tool.fail(NOT_FOUND, *command, 'nobody', 'x', *more)


def test_near_names_are_suggested(tool, forest):
    assert '(try: right)\n' in tool.fail(NOT_FOUND, 'revert', forest.name, 'rigth')


def test_an_id_is_stronger_than_a_name(tool, forest):
    tool.run('rename-snapshot', forest.name, 'right', 'deep')
    assert 'Deleted snapshot deep of' in tool.say('delete-snapshot', forest.name, 'deep')
    assert ids(tool, forest) == ['base', 'left', 'right']


def test_a_snapshot_has_a_path(tool, forest):
    tool.run('delete-snapshot', forest.name, f'{forest.path}/snapshot/deep')
    assert ids(tool, forest) == ['base', 'left', 'right']


# --- Completion and the rest ---

def test_completion_asks_for_the_snapshots(tool, forest):
    tool.run('rename-snapshot', forest.name, 'deep', 'tief unten')
    for verb in ('revert', 'delete-snapshot', 'clear-snapshot', 'rename-snapshot'):
        assert tool.complete(verb, forest.name) == [forest.name]
        assert sorted(tool.complete(verb, forest.name, '')) == ['base', 'deep', 'left', 'right']
        assert tool.complete(verb, forest.name, 'l') == ['left']
        assert tool.complete(verb, forest.name, 'tie') == ['tief unten']
        assert tool.complete(verb, forest.name, 'base', '') == []
        assert tool.complete(verb, 'nobody', '') == []
    assert forest.name in tool.complete('snapshot', '')
    assert tool.complete('snapshot', forest.name, '') == []
    assert '--notes=' in tool.complete('snapshot', forest.name, '--')
    assert tool.complete('delete-snapshot', '--ch') == ['--children']


def test_bash_completes_a_name_with_a_blank(tool, forest):
    tool.run('rename-snapshot', forest.name, 'deep', 'tief unten')
    script = f'''eval "$(virtask completion bash)"
                 COMP_WORDS=(virtask revert {forest.name} tie) COMP_CWORD=3 COMP_LINE="virtask revert {forest.name} tie"
                 _virtask && printf '%s\\n' "${{COMPREPLY[@]}}"'''
    run = subprocess.run(['bash', '-c', script], env={**tool.environment, 'LC_ALL': 'C.UTF-8'}, capture_output=True, text=True,
                         check=True, timeout=TIMEOUT)
    assert (run.stdout, run.stderr) == ('tief\\ unten\n', '')


def test_help_has_the_commands(tool):
    text = tool.say('help')
    for verb in ('snapshots', 'snapshot', 'revert', 'delete-snapshot', 'clear-snapshot', 'rename-snapshot'):
        assert re.search(rf'^  {verb} VM', text, re.MULTILINE)
    assert '--ignore-disks' in tool.say('help', 'snapshot')


def test_monitor_tells_of_snapshots(tool, forest):
    process = tool.start('monitor')
    count = 0
    while not select.select([process.stdout], [], [], 0.05)[0]:  # until it listens
        count += 1
        tool.run('rename-snapshot', forest.name, 'right', f'name {count}')
    tool.run('snapshot', forest.name, 'new')
    tool.run('delete-snapshot', forest.name, 'new')
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=TIMEOUT)[0]
    assert re.search(rf'snapshot .* of {forest.name} renamed to name {count}$', text, re.MULTILINE)
    for line in ('new of NAME added \\(full\\)', 'new of NAME removed', r'name \d+ \(right\) of NAME is the current one'):
        assert re.search(rf'^\d\d:\d\d:\d\d snapshot {line.replace("NAME", forest.name)}$', text, re.MULTILINE), text
