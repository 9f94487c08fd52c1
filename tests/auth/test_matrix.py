# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every method of the live introspection, called by everybody: who is let in, and that a refusal changes nothing."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import fakes
import pytest
from harness import MANAGER, Polkitd, Scratch
from houses import CHALLENGE_NAME, DEFAULT, DENIED, DENIED_NAME, GRANTED, OWNER, RULES, VM, House, outcome

pytestmark = pytest.mark.root

READABLE = '/etc/passwd'  # by everybody
OPEN = 'open'            # everybody
PRIVATE = 'private'      # the owner of the task and root


@dataclasses.dataclass
class Row:
    """Who may call a method, and a call that succeeds: the state that the machine or the task has to be in, and arguments."""

    action: str
    state: str = 'running'
    signature: str = ''
    arguments: tuple = ()
    shows: bool = True  # something that can be read is different afterwards


def control(state, signature='a{sv}', *arguments):
    return Row('control', state, signature, arguments or ({},) if signature else ())


SOON = fakes.options(TimeoutUSec=1)  # no guest is there to do it

TABLE = {
    'Manager': {
        'FindVirtualMachine': Row(OPEN, None, 's', ('open',)),
        'GetTask': Row(OPEN, None, 'u', (1,)),
        'ListTasks': Row(OPEN, None, 'a{sv}', ({},)),
        'ListVirtualMachines': Row(OPEN, None),
        'DescribeError': Row(OPEN, None, 's', ('E_FAIL',)),
        'GetHardDisk': Row(OPEN, None, 's', (READABLE,)),
        'CreateDynamicVirtualHardDisk': Row('storage', None, 'sta{sv}', ('/dev/null/no.raw', 8, {})),
        'CreateFixedVirtualHardDisk': Row('storage', None, 'sta{sv}', ('/dev/null/no.raw', 8, {})),
        'CreateDifferencingVirtualHardDisk': Row('storage', None, 'ssa{sv}', ('/dev/null/no.qcow2', '/dev/null/no.raw', {})),
        'RegisterVirtualMachine': Row('define', None, 'sa{sv}', None),
        'ImportSystemDefinition': Row('import', None, 'sa{sv}', ('/nowhere', {})),
        'ImportPackage': Row('import', None, 'sa{sv}', ('/nowhere/web.ova', {})),
        'DefineCollection': Row('configure', None, 'ssqa{sv}', ('some', '', 0, {})),
    },
    'HardDisk': {
        'Convert': Row('storage', None, 'sua{sv}', ('/dev/null/no.raw', 0, {})),
        'MergeTo': Row('storage', None, 'sua{sv}', ('/dev/null/no.raw', 0, {})),
    },
    'VirtualMachine': {
        'Startup': control('turned-off'),
        'Startup2': control('turned-off', 'ua{sv}', 0, {}),
        'Save': control('running'),
        'TurnOff': control('running'),
        'Reset': control('running'),
        'Pause': control('running', ''),
        'Resume': control('paused', ''),
        'DiscardSavedState': control('saved', ''),
        'RequestStateChange': control('running', 'qa{sv}', 3, {}),
        'SetName': Row('configure', 'turned-off', 's', None),
        'SetNotes': Row('configure', 'running', 's', ('new',)),
        'SetUndoable': Row('configure', 'turned-off', 'b', (True,)),
        'SetUndoAction': Row('configure', 'running', 'u', (2,)),
        'MergeUndoDisks': Row('snapshot-apply', 'turned-off', 'a{sv}', ({},)),
        'DiscardUndoDisks': Row('snapshot-apply', 'turned-off', shows=False),  # machines of the test driver have no disks
        'Unregister': Row('define', 'turned-off'),
        'Delete': Row('define', 'turned-off', 'a{sv}', ({},)),
        'ExportSystemDefinition': Row('export', 'turned-off', 'sa{sv}', ('/nowhere', {})),
        'ExportPackage': Row('export', 'turned-off', 'sa{sv}', ('/nowhere/web.ova', {})),
    },
    'GuestOS': {
        'Shutdown': control('running', 'ba{sv}', False, SOON),
        'Restart': control('running', 'ba{sv}', True, SOON),
        'Logoff': control('running', 'a{sv}', SOON),
    },
    'SnapshotService': {
        'CreateSnapshot': Row('snapshot', 'running', 'qa{sv}', (2, {})),
    },
    'Snapshot': {
        'Apply': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'Destroy': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'DestroyTree': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'ClearState': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'Rename': Row('configure', 'running', 's', None),
        'Export': Row('export', 'running', 'sa{sv}', ('/nowhere', {})),
        'ConvertToReferencePoint': Row('snapshot', 'running', 'a{sv}', ({},)),
    },
    'ReferencePointService': {
        'CreateReferencePoint': Row('snapshot', 'running', 'qa{sv}', (2, {})),
    },
    'ReferencePoint': {
        'Destroy': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'RemoveAssociatedData': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'Export': Row('export', 'running', 'sa{sv}', ('/nowhere', {})),
    },
    'Collection': {
        'AddMember': Row('configure', 'running', 'o', None),
        'RemoveMember': Row('configure', 'running', 'o', None),
        'Rename': Row('configure', 'running', 's', ('other',)),
        'Destroy': Row('configure', 'running'),
        'CreateSnapshot': Row('snapshot', 'running', 'qa{sv}', (1, {})),
        'CreateReferencePoint': Row('snapshot', 'running', 'qa{sv}', (2, {})),
    },
    'SnapshotCollection': {
        'Apply': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'Destroy': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'ExportSnapshot': Row('export', 'running', 'sa{sv}', ('/nowhere', {})),
        'Rename': Row('configure', 'running', 's', ('other',)),
        'ConvertToReferencePoint': Row('snapshot', 'running', 'a{sv}', ({},)),
    },
    'ReferencePointCollection': {
        'Destroy': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'RemoveAssociatedData': Row('snapshot-apply', 'running', 'a{sv}', ({},)),
        'ExportReferencePoint': Row('export', 'running', 'sa{sv}', ('/nowhere', {})),
    },
    'Task': {
        'Cancel': Row('cancel-others', 'unfinished'),
        'WaitForCompletion': Row(OPEN, 'unfinished', 'i', (0,)),
        'WaitForSuccess': Row(OPEN, 'finished', 'i', (0,)),
        'Remove': Row('cancel-others', 'finished'),
        'GetLog': Row(PRIVATE, 'finished', 'u', (0,)),
        'GetResults': Row(PRIVATE, 'finished'),
        'GetErrorDescription': Row(OPEN, 'finished', 's', ('de',)),
    },
    'ConcreteJob': {
        'RequestStateChange': Row('cancel-others', 'unfinished', 'qt', (4, 0)),
        'GetError': Row(OPEN, 'finished'),
        'SetDeleteOnCompletion': Row('cancel-others', 'unfinished', 'b', (False,)),
    },
}

# Who calls: the user, whether with the interactive flag, and what comes of a call that needs a permission.
CALLERS = {
    'root': (None, False, None),
    'granted': (GRANTED, False, None),
    'by-default': (DEFAULT, False, CHALLENGE_NAME),
    'without-an-agent': (DEFAULT, True, CHALLENGE_NAME),
    'denied': (DENIED, False, DENIED_NAME),
    'denied-with-the-flag': (DENIED, True, DENIED_NAME),
}

GROUPS = {'Collection': None, 'SnapshotCollection': 'snapshots', 'ReferencePointCollection': 'reference-points'}  # what of
ON_MACHINES = (VM, 'GuestOS', 'SnapshotService', 'ReferencePointService')
RECOVERY, POINT = 32768, 32769  # types of snapshots
GUEST_DEVICES = ("<features><acpi/></features><devices><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
                 "</devices>")
STATES = ('turned-off', 'saved', 'running', 'paused')


def introspect(house, path):
    """(interface, method) of an object, ours only and without the fakes."""
    root = ElementTree.fromstring(house.root.call(path, 'org.freedesktop.DBus.Introspectable', 'Introspect'))
    for interface in root.findall('interface'):
        if interface.get('name').startswith('org.virtask1.'):
            for method in interface.findall('method'):
                if not method.get('name').startswith('Fake'):
                    yield interface.get('name').removeprefix('org.virtask1.'), method.get('name')


class MatrixHouse(House):
    """A machine for each method and caller, and one for tasks."""

    def __init__(self, scratch):
        machines = {self.name(interface, method, caller): row.state for interface in (*ON_MACHINES, 'Snapshot', 'ReferencePoint', *GROUPS)
                    for method, row in TABLE[interface].items() for caller in CALLERS}
        snapshots = {self.name(interface, method, caller): ['s1'] for interface in ('Snapshot', 'ReferencePoint', 'SnapshotCollection', 'ReferencePointCollection')
                     for method in TABLE[interface] for caller in CALLERS}
        notes = {self.name(interface, method, caller): {'s1': POINT} for interface in ('ReferencePoint', 'ReferencePointCollection')
                 for method in TABLE[interface] for caller in CALLERS}
        notes.update({self.name(interface, 'ConvertToReferencePoint', caller): {'s1': RECOVERY} for interface in ('Snapshot', 'SnapshotCollection')
                      for caller in CALLERS}, open={'s2': POINT})
        self._collections = {}
        machines.update({f'state-{state}': state for state in STATES}, open='running', tasks='running')
        super().__init__(scratch, machines, snapshots={**snapshots, 'open': ['s1', 's2']}, notes=notes)
        self.polkitd = Polkitd(scratch, self.bus, RULES)
        self.owner = self.client(OWNER)
        self.first = self.make_task('finished')
        self._disk = self.root.call(MANAGER, 'Manager', 'GetHardDisk', 's', READABLE)
        self._numbers = iter(range(1000, 2000))
        for method in ('MergeUndoDisks', 'DiscardUndoDisks'):
            for caller in CALLERS:
                self.root.call(self.path(self.name(VM, method, caller)), VM, 'SetUndoable', 'b', True)

    def snapshot(self):
        """With what a listing leaves out."""
        undo = {path: (self.root.get(path, VM, 'Undoable'), self.root.get(path, VM, 'UndoAction'))
                for path in (self.path(self.name(VM, method, caller)) for method in ('SetUndoable', 'SetUndoAction') for caller in CALLERS)}
        return {**super().snapshot(), 'undo': undo}

    def _define(self, name, state, snapshots, notes):
        """With what it takes to reach a guest, if there were one."""
        text = super()._define(name, state, snapshots, notes)
        if name.partition('-')[0] in TABLE['GuestOS']:
            text = text.replace('</domain>', GUEST_DEVICES + '</domain>')
        return text

    @staticmethod
    def name(interface, method, caller):
        return f'{interface if interface in (*GROUPS, "ReferencePoint") else ""}{method}-{caller}'

    def prepare(self, state):
        """A collection for each of their methods and callers, with the machine of that name."""
        for interface, kind in GROUPS.items():
            for method in (*TABLE[interface], 'open'):
                for caller in CALLERS if method != 'open' else ('',):
                    name = self.name(interface, method, caller)
                    machines = [self.uuid(name)] if method not in ('AddMember', 'open') else []
                    self._collections[name] = fakes.collection_file(
                        state, 5000 + len(self._collections), name, machines, kind and ['s1'][:len(machines)], kind)

    def methods(self):
        """What the objects have, as they say themselves."""
        for path in (MANAGER, self.path('open'), self.snapshot_path('open', 's1'), self.point_path('open', 's2'), self.first, self._disk,
                     *(self._collections[self.name(interface, 'open', '')] for interface in GROUPS)):
            yield from introspect(self, path)

    def make_task(self, state):
        if state == 'unfinished':
            return self.start_task(self.owner, 'tasks')
        task = fakes.start(self.owner, self.path('tasks'), 'FakeSlow')
        self.root.wait_task(task)
        return task

    def target(self, interface, method, caller):
        """An object in the right state for a call."""
        if interface == 'Manager':
            return MANAGER
        if interface == 'HardDisk':
            return self._disk
        if interface in ON_MACHINES:
            return self.path(self.name(interface, method, caller))
        if interface == 'Snapshot':
            return self.snapshot_path(self.name(interface, method, caller), 's1')
        if interface == 'ReferencePoint':
            return self.point_path(self.name(interface, method, caller), 's1')
        if interface in GROUPS:
            return self._collections[self.name(interface, method, caller)]
        return self.make_task(TABLE[interface][method].state)

    def arguments(self, method, caller):
        if method == 'RegisterVirtualMachine':
            return fakes.definition(f'new-{caller}', next(self._numbers)), {}
        if method.endswith('Member'):
            return (self.path(self.name('Collection', method, caller)),)
        return (f'renamed-{caller}',)

    def settle(self, interface, target, row):
        """Lets what the call began come to its end."""
        for task in self.root.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', fakes.options(Unfinished=True)):
            if interface in ('Task', 'ConcreteJob') and task[-1] == target and row.state == 'unfinished':
                outcome(self.owner, target, 'Task', 'Cancel')
            self.root.wait_task(task[-1])


@pytest.fixture(scope='module')
def matrix():
    with Scratch() as scratch:
        yield MatrixHouse(scratch)


def test_the_table_is_what_the_introspection_says(matrix):
    assert sorted(matrix.methods()) == sorted((interface, method) for interface, rows in TABLE.items() for method in rows)


@pytest.mark.parametrize('caller', CALLERS)
def test_each_method(matrix, caller):
    user, interactive, refused = CALLERS[caller]
    client = matrix.client(user)
    called = 0
    before = None
    for interface, method in matrix.methods():
        row = TABLE[interface][method]
        target = matrix.target(interface, method, caller)
        arguments = row.arguments if row.arguments is not None else matrix.arguments(method, caller)
        expected = {OPEN: None, PRIVATE: None if caller == 'root' else DENIED_NAME}.get(row.action, refused)

        # After a refusal all is what it was before, unless there is a new task to be refused at.
        if before is None or interface in ('Task', 'ConcreteJob'):
            before = matrix.snapshot()
        error = outcome(client, target, interface, method, row.signature, *arguments, interactive=interactive)
        assert (error and error.name) == expected, f'{interface}.{method} for {caller}: {error}'
        if error:
            assert '0x80070005' in error.message, f'{method}: {error}'
        if error or row.action in (OPEN, PRIVATE):
            assert matrix.snapshot() == before, f'{interface}.{method} has changed something'
        else:
            matrix.settle(interface, target, row)
            assert not row.shows or matrix.snapshot() != before, f'{interface}.{method} was allowed and did nothing'
            before = None
        matrix.settle(interface, target, row)
        called += 1
    assert called == sum(len(rows) for rows in TABLE.values())


def test_a_refusal_does_not_tell_the_state(matrix):
    """Decision 18: whoever may not, gets the same answer from a machine in any state."""
    client = matrix.client(DENIED)
    before = matrix.snapshot()
    for method, row in TABLE[VM].items():
        arguments = row.arguments if row.arguments is not None else ('other',)
        errors = {str(outcome(client, matrix.path(f'state-{state}'), VM, method, row.signature, *arguments)) for state in STATES}
        assert len(errors) == 1 and errors.pop().startswith(DENIED_NAME), f'{method}: {errors}'
    assert matrix.snapshot() == before


def test_a_busy_machine_is_no_exception(matrix):
    task = matrix.make_task('unfinished')
    error = outcome(matrix.client(DENIED), matrix.path('tasks'), VM, 'Save', 'a{sv}', {})
    assert error.name == DENIED_NAME and task not in error.message
    matrix.owner.call(task, 'Task', 'Cancel')
    matrix.root.wait_task(task)


def test_properties_are_open(matrix):
    """Nobody reads the same as root."""
    nobody = matrix.client(DEFAULT)
    assert nobody.objects().keys() == matrix.root.objects().keys()
    assert nobody.get_all(matrix.path('open'), VM) == matrix.root.get_all(matrix.path('open'), VM)
    snapshot = matrix.snapshot_path('open', 's1')
    assert nobody.get_all(snapshot, 'Snapshot') == matrix.root.get_all(snapshot, 'Snapshot')
    assert nobody.get_all(matrix.first, 'Task') == matrix.root.get_all(matrix.first, 'Task')
