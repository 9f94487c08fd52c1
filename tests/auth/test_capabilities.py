# SPDX-License-Identifier: LGPL-2.1-or-later
"""With exactly the capabilities that the unit leaves, on a bus as of a system, with the real polkitd and a libvirtd: everything works."""

import configparser
import grp
import pathlib
import pwd
import shutil
import subprocess

import pytest
from gi.repository import GLib
from harness import MANAGER, SOURCE, Bus, Client, Daemon, Guest, Libvirtd, Polkitd, Scratch
from houses import CHALLENGE_NAME, DEFAULT, DENIED, DENIED_NAME, GRANTED, RULES, VM, outcome

pytestmark = pytest.mark.root

# A save of this much takes a second or two, long enough to be met in the middle.
BIG = 384
TRIES = 5

CAPABILITY_LINES = ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs')


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(SOURCE / 'data/systemd/virtaskd.service.in', encoding='utf-8')
    return parser['Service']


def confine():
    """The command that runs another as systemd would run it."""
    service = unit()
    names = [name.removeprefix('CAP_').lower() for name in service['CapabilityBoundingSet'].split()]
    assert names and not service['CapabilityBoundingSet'].startswith('~')
    assert 'AmbientCapabilities' not in service and service['NoNewPrivileges'] == 'yes' and 'User' not in service
    bounding = ','.join(['-all', *(f'+{name}' for name in names)])
    return ['setpriv', f'--bounding-set={bounding}', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs',
            'sh', '-c', f'umask {service["UMask"]} && exec "$@"', 'sh']


def capabilities(status):
    return {key: value.strip() for key, _, value in (line.partition(':') for line in status.splitlines()) if key in CAPABILITY_LINES}


class House:
    """All that a computer with the unit has, and two callers: root, and a user whom polkit's rules allow everything."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.bus = Bus(scratch, policies=[Bus.POLICY])
        self.polkitd = Polkitd(scratch, self.bus, RULES)
        self.libvirtd = Libvirtd(scratch)
        self.daemon = Daemon(scratch, self.bus, Libvirtd.URI, authorizer='polkit', namespace=self.libvirtd.namespace,
                             wrapper=confine())
        self.root, self.granted = Client(self.bus), Client(self.bus, user=GRANTED)

    def state(self, guest):
        return self.root.get(guest.path, VM, 'StateName')

    def begin(self, guest, method):
        return self.granted.call(guest.path, VM, method, 'a{sv}', {})

    def do(self, guest, method):
        properties = self.granted.wait_task(self.begin(guest, method))
        assert properties['ResultName'] == 'success', properties
        return properties


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch)


@pytest.fixture(scope='module')
def guest(house):
    """Registered through the service, and running."""
    made = Guest(house.scratch, 'web1', memory=BIG)
    assert house.root.call(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', made.xml, {}) == made.path
    house.do(made, 'Startup')
    made.wait(lambda: made.ticks > 0, 'the guest to count')
    return made


def test_it_has_what_the_unit_gives_and_no_more(house):
    status = pathlib.Path(f'/proc/{house.daemon.pid}/status').read_text(encoding='ascii')
    confined = subprocess.run([*confine(), 'cat', '/proc/self/status'], check=True, capture_output=True, text=True).stdout
    mine = capabilities(status)
    assert mine == capabilities(confined) and mine['NoNewPrivs'] == '1'
    assert mine['CapEff'] == mine['CapPrm'] == mine['CapBnd'] and int(mine['CapAmb'], 16) == int(mine['CapInh'], 16) == 0
    assert int(mine['CapBnd'], 16).bit_count() == len(unit()['CapabilityBoundingSet'].split())


def test_polkit_is_asked(house, guest):
    for user, name in ((DEFAULT, CHALLENGE_NAME), (DENIED, DENIED_NAME)):
        assert outcome(Client(house.bus, user=user), guest.path, VM, 'Save', 'a{sv}', {}).name == name
    assert house.state(guest) == 'running'


def test_a_save_with_progress_and_a_restore(house, guest):
    before, seen = guest.wait_ticks(), len(house.granted.signals)
    task = house.begin(guest, 'Save')
    saved = house.granted.wait_task(task)
    assert (saved['ResultName'], saved['PercentCompleted'], saved['ProgressValid']) == ('success', 100, True), saved
    percents = [signal.changed['PercentCompleted'] for signal in house.granted.signals[seen:]
                if signal.path == task and signal.member == 'PropertiesChanged' and 'PercentCompleted' in signal.changed]
    assert percents == sorted(percents) and any(0 < percent < 100 for percent in percents)
    assert house.state(guest) == 'saved' and house.root.get(guest.path, VM, 'HasSavedState')

    # The offset in the image is a secret of QEMU, which has another user: whether it can be read depends on the capabilities.
    restored = house.do(guest, 'Startup')
    assert restored['PercentCompleted'] == 100
    assert house.state(guest) == 'running'
    guest.assert_goes_on(before)


def test_a_save_that_is_cancelled(house, guest):
    """It may be over before the cancel comes; then another one is tried."""
    for _ in range(TRIES):
        before = guest.wait_ticks()
        task = house.begin(guest, 'Save')
        house.granted.wait_property(task, 'Task', 'BytesDone', lambda done: done > 0)
        refused = outcome(house.granted, task, 'Task', 'Cancel')
        result = house.granted.wait_task(task)['ResultName']
        if result == 'cancelled':
            break
        assert result == 'success' and (refused is None or refused.short in ('NotCancelable', 'AlreadyComplete'))
        house.do(guest, 'Startup')
    assert result == 'cancelled'
    assert house.state(guest) == 'running' and house.libvirtd.saved_files() == []
    guest.assert_goes_on(before)


def test_a_restore_that_is_cancelled(house, guest):
    before = guest.wait_ticks()
    house.do(guest, 'Save')
    task = house.begin(guest, 'Startup')
    house.granted.wait_property(task, 'ConcreteJob', 'JobState', lambda state: state >= 4)
    error = outcome(house.granted, task, 'Task', 'Cancel')
    result = house.granted.wait_task(task)['ResultName']
    assert error is None or result == 'success'
    assert house.state(guest) == {'success': 'running', 'cancelled': 'saved'}[result]
    if result == 'cancelled':
        assert house.libvirtd.saved_files() == ['web1.save']
        house.do(guest, 'Startup')
    guest.assert_goes_on(before)


def test_all_the_rest(house, guest):
    granted = house.granted
    house.do(guest, 'Reset')
    granted.call(guest.path, VM, 'Pause')
    granted.call(guest.path, VM, 'Resume')
    granted.call(guest.path, VM, 'SetNotes', 's', 'confined')
    house.do(guest, 'Save')
    granted.call(guest.path, VM, 'DiscardSavedState')
    assert house.state(guest) == 'turned-off' and house.libvirtd.saved_files() == []
    granted.call(guest.path, VM, 'SetName', 's', 'web2')
    granted.call(guest.path, VM, 'SetName', 's', 'web1')
    house.do(guest, 'Startup')
    house.do(guest, 'TurnOff')
    assert house.state(guest) == 'turned-off'


@pytest.fixture
def home(house):
    """A directory of the granted user that nobody else may look into."""
    path = house.scratch / 'home'
    path.mkdir(mode=0o700)
    shutil.chown(path, GRANTED, GRANTED)
    yield path
    shutil.rmtree(path)


def test_an_export_belongs_to_its_caller(house, guest, home):
    """Of images that he could not read himself, and with no other rights than his where he wants it."""
    def export(client, directory):
        task = client.call(guest.path, VM, 'ExportSystemDefinition', 'sa{sv}', str(directory), {})
        return client.wait_task(task)

    done = export(house.granted, home)
    assert done['ResultName'] == 'success', done
    paths = [path for path in (home / guest.name).rglob('*')]
    assert home / guest.name / 'manifest.json' in paths
    assert {path.owner() for path in paths} == {GRANTED} and {path.group() for path in paths} == {grp.getgrgid(pwd.getpwnam(GRANTED).pw_gid).gr_name}

    for forbidden in (house.scratch / 'of-root', home.parent):
        forbidden.mkdir(mode=0o700, exist_ok=True)
        before = sorted(forbidden.iterdir())
        assert export(house.granted, forbidden)['ErrorName'] == 'org.freedesktop.DBus.Error.AccessDenied'
        assert sorted(forbidden.iterdir()) == before


def test_an_export_that_is_cancelled(house, guest, home):
    """The worker has another user than the daemon then."""
    path = guest.image
    subprocess.run(['qemu-img', 'resize', '-q', '-f', 'raw', path, '1G'], check=True)
    subprocess.run(['qemu-io', '-f', 'raw', '-c', 'write -P 7 64M 256M', path], check=True, capture_output=True)
    for _ in range(TRIES):
        task = house.granted.call(guest.path, VM, 'ExportSystemDefinition', 'sa{sv}', str(home), {})
        house.granted.wait_property(task, 'Task', 'BytesDone', lambda done: done > 0)
        outcome(house.granted, task, 'Task', 'Cancel')
        result = house.granted.wait_task(task)['ResultName']
        if result == 'cancelled':
            break
        shutil.rmtree(home / guest.name)
    assert result == 'cancelled' and list(home.iterdir()) == []


def test_a_daemon_that_is_killed_takes_its_worker_along(house, guest, home):
    task = house.granted.call(guest.path, VM, 'ExportSystemDefinition', 'sa{sv}', str(home), {})
    house.granted.wait_property(task, 'Task', 'BytesDone', lambda done: done > 0)
    house.daemon.kill()
    house.daemon.start()
    assert house.granted.wait_task(task)['ErrorName'] == 'org.virtask1.Error.ServiceRestarted'
    assert list(home.iterdir()) == []


@pytest.fixture
def bundle(house, guest, home):
    """An export of the granted user, in his home."""
    task = house.granted.call(guest.path, VM, 'ExportSystemDefinition', 'sa{sv}', str(home), {})
    assert house.granted.wait_task(task)['ResultName'] == 'success'
    return home / guest.name


def test_an_import_is_read_as_its_caller(house, guest, bundle):
    """Who can read the bundle may import it, and the machine is the service's."""
    def run(client, directory, **options):
        options = {'Name': GLib.Variant('s', 'web2'), 'GenerateNewSystemIdentifier': GLib.Variant('b', True), **options}
        return client.wait_task(client.call(MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(directory), options))

    images = house.libvirtd.root / 'lib/images'
    before = sorted(images.iterdir()) if images.exists() else []
    other = run(house.granted, bundle, StorageDirectory=GLib.Variant('s', str(bundle.parent)))
    assert other['ErrorName'] == 'org.freedesktop.DBus.Error.AccessDenied'
    assert list(bundle.parent.iterdir()) == [bundle]
    hidden = house.scratch / 'hidden'
    hidden.mkdir(mode=0o700)
    shutil.copytree(bundle, hidden / 'web1')
    for path in (hidden / 'web1', hidden / 'missing'):
        assert run(house.granted, path)['ErrorName'] == 'org.freedesktop.DBus.Error.AccessDenied'
    assert (sorted(images.iterdir()) if images.exists() else []) == before

    done = run(house.granted, bundle)
    assert done['ResultName'] == 'success', done
    assert {path.owner() for path in (images / 'web2').iterdir()} == {'root'}
    assert (images / 'web2').stat().st_mode & 0o777 == 0o711
    assert {path.stat().st_mode & 0o777 for path in (images / 'web2').iterdir()} == {0o600}
    for path in (images / 'web2').iterdir():
        path.chmod(0o666)  # libvirtd gives files to QEMU's user; this one has no security driver
    imported = done['ResultObject']
    for method in ('Startup', 'TurnOff', 'Delete'):
        properties = house.granted.wait_task(house.granted.call(imported, VM, method, 'a{sv}', {}))
        assert properties['ResultName'] == 'success', properties['ErrorDescription']
    for client in (Client(house.bus, user=DEFAULT), Client(house.bus, user=DENIED)):
        assert outcome(client, MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(bundle), {}).name in (CHALLENGE_NAME, DENIED_NAME)


def test_the_ledger_is_kept(house, guest):
    """Tasks of before are there after a restart, and the state directory belongs to root alone."""
    tasks = house.root.get(MANAGER, 'Manager', 'Tasks')
    house.daemon.restart()
    assert house.root.get(MANAGER, 'Manager', 'Tasks') == tasks != []
    assert all(path.stat().st_uid == 0 and path.stat().st_mode & 0o077 == 0
               for path in house.daemon.state.rglob('*') if path.is_file())
    house.do(guest, 'Delete')
    assert house.libvirtd.virsh('list', '--all', '--name') == ''
