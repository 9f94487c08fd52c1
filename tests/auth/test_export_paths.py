# SPDX-License-Identifier: LGPL-2.1-or-later
"""Paths of callers who want more than they may (security.md T3): each ends in the error that it should, or in a whole bundle, and nothing is read,
made or changed that the caller could not have made himself. The daemon answers meanwhile."""

import contextlib
import itertools
import os
import pathlib
import pwd
import shutil
import socket
import stat
import subprocess
import time

import pytest
from export_houses import FOREIGN_GROUP, HIS_GROUP, MS_BIND, MS_RDONLY, House, group_id, mount
from gi.repository import Gio, GLib
from harness import MANAGER, BusError, Scratch
from harness.client import NAME, _as_user
from harness.process import credentials
from houses import GRANTED, OWNER

pytestmark = pytest.mark.root

PREFIX = 'org.virtask1.Error.'
DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
EXPORTED = 'exported'
PING_SECONDS = 1  # far less than anything that hangs; it takes a millisecond
CANCEL_SECONDS = 6  # SIGTERM, 3 s, SIGKILL, and 1 s for what was left

numbers = itertools.count()


def prepare(house):
    """File systems; the daemon sees only what is mounted before it starts."""
    scratch, home = house.scratch, house.home
    for name in ('read-only', 'full', 'without-inodes', 'bound', 'hanging'):
        (home / name).mkdir()
    mount(scratch, 'read-only', home / 'read-only', flags=MS_RDONLY, options='mode=777')
    mount(scratch, 'full', home / 'full', options='mode=777,size=16k')
    mount(scratch, 'without-inodes', home / 'without-inodes', options='mode=777,nr_inodes=6')
    mount(scratch, house.secret, home / 'bound', kind='none', flags=MS_BIND)
    # Nobody answers there.
    device = os.open('/dev/fuse', os.O_RDWR)
    scratch.callback(os.close, device)
    mount(scratch, 'hanging', home / 'hanging', 'fuse', options=f'fd={device},rootmode=40000,user_id=0,group_id=0,allow_other')


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch, prepare=prepare)


@pytest.fixture
def place(house):
    """A new directory of the caller."""
    path = house.home / f'place{next(numbers)}'
    path.mkdir()
    shutil.chown(path, GRANTED, GRANTED)
    yield path
    shutil.rmtree(path)


def ping(house):
    begin = time.monotonic()
    house.root.call('/org/virtask1', 'org.freedesktop.DBus.Peer', 'Ping')
    assert time.monotonic() - begin < PING_SECONDS


def outcome(house, path, **keywords):
    """EXPORTED, or the name of the error, at once or of the task."""
    try:
        task = house.begin(path, **keywords)
    except BusError as error:
        return error.name
    while not house.root.get(task, 'Task', 'IsComplete'):
        ping(house)
    properties = house.granted.wait_task(task)
    if properties['ResultName'] != 'success':
        assert house.granted.call(task, 'Task', 'GetResults').get('ExportDirectory') is None
        return properties['ErrorName']
    house.assert_whole(pathlib.Path(house.granted.call(task, 'Task', 'GetResults')['ExportDirectory']))
    return EXPORTED


def names_below(path):
    """Not through links, and not into what is mounted there."""
    return sorted(os.path.join(directory, name) for directory, directories, files in os.walk(path) for name in directories + files)


def check(house, place, path, wanted, **keywords):
    before = names_below(place)
    with house.untouched():
        assert outcome(house, path, **keywords) == wanted
    if wanted != EXPORTED:
        assert names_below(place) == before


def set_owner(path, owner=GRANTED, group=None, mode=0o700):
    os.chown(path, pwd.getpwnam(owner).pw_uid, group_id(group or 'root'))
    path.chmod(mode)
    return path


def make(path, **keywords):
    path.mkdir()
    return set_owner(path, **keywords)


def link(place, target, name='link'):
    (place / name).symlink_to(target)
    return place / name


# --- What is no path ---

NO_PATHS = {
    'empty': ('', 'BadPath'),
    'relative': ('home', 'BadPath'),
    'dot': ('.', 'BadPath'),
    'home': ('~', 'BadPath'),
    'option': ('-rf', 'BadPath'),
    'json': ('json:{"driver":"raw"}', 'BadPath'),
    'nbd': ('nbd://localhost/x', 'BadPath'),
    'space': (' /tmp', 'BadPath'),
    'long name': ('/tmp/' + 'x' * 256, 'PathTooLong'),
    'long name in characters of two bytes': ('/tmp/' + 'ä' * 128, 'PathTooLong'),
    'long': ('/tmp' * 1024, 'PathTooLong'),
    'longer': ('/tmp' * 16000, 'PathTooLong'),
    'newline': ('/tmp/a\nb', 'NameInvalid'),
    'escape': ('/tmp/\x1b[2J', 'NameInvalid'),
    'delete': ('/tmp/\x7f', 'NameInvalid'),
    'control character of two bytes': ('/tmp/\x85', 'NameInvalid'),
}


@pytest.mark.parametrize('name', NO_PATHS)
def test_what_is_no_path(house, place, name):
    path, error = NO_PATHS[name]
    check(house, place, path, PREFIX + error)


def test_what_is_no_text(house, place):
    """The bus hangs up on who sends it."""
    tasks = house.root.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {})
    message = Gio.DBusMessage.new_method_call(NAME, house.guest.path, f'{NAME}.VirtualMachine', 'ExportSystemDefinition')
    message.set_body(GLib.Variant('(sa{sv})', (f'{place}/XX', {})))
    hello = Gio.DBusMessage.new_method_call('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'Hello')
    with socket.socket(socket.AF_UNIX) as bus:
        with _as_user(GRANTED):
            bus.connect(str(house.bus.socket))
            bus.sendall(b'\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n')
        for serial, sent in enumerate((hello, message), 1):
            sent.set_serial(serial)
            bus.sendall(bytes(sent.to_blob(Gio.DBusCapabilityFlags.NONE)).replace(b'/XX', b'/\xff\xfe'))
        while bus.recv(4096):
            pass
    ping(house)
    assert house.root.call(MANAGER, 'Manager', 'ListTasks', 'a{sv}', {}) == tasks


# --- Links, dots, magic links ---

LINKS = {
    'to a directory of root': (lambda house, place: link(place, house.secret), DENIED),
    'to a directory in one of root': (lambda house, place: link(place, house.secret / 'inside'), DENIED),
    'in the middle': (lambda house, place: link(place, house.secret) / 'inside', DENIED),
    'at the first component': (lambda house, place: link(place, '/') / str(house.secret)[1:], DENIED),
    'to a link': (lambda house, place: link(place, link(place, house.secret, 'first'), 'second'), DENIED),
    'relative': (lambda house, place: link(place, os.path.relpath(house.secret, place)), DENIED),
    'to another user': (lambda house, place: link(place, house.foreign), DENIED),
    'to the root': (lambda house, place: link(place, '/'), DENIED),
    'dangling': (lambda house, place: link(place, place / 'missing'), PREFIX + 'PathNotFound'),
    'to itself': (lambda house, place: link(place, 'link'), PREFIX + 'PathNotFound'),
    'to a file of root': (lambda house, place: link(place, '/etc/passwd'), PREFIX + 'PathNotFound'),
    'to a directory of his': (lambda house, place: link(place, make(place / 'his')), EXPORTED),
    'to a name with a newline': (lambda house, place: link(place, make(place / 'a\npath \n')), PREFIX + 'NameInvalid'),
    'to a name that is no text': (lambda house, place: link(place, make(pathlib.Path(os.fsdecode(bytes(place) + b'/\xff')))), PREFIX + 'NameInvalid'),
    'dots to root': (lambda house, place: f'{place}/../../safe/secret', DENIED),
    'dots beyond the root': (lambda house, place: '/..' * 200, DENIED),
    'dots to his': (lambda house, place: f'{place}/../{place.name}', EXPORTED),
    'dots behind a link': (lambda house, place: f'{link(place, house.secret / "inside")}/../..', DENIED),
    'dots behind what is missing': (lambda house, place: f'{place}/missing/..', PREFIX + 'PathNotFound'),
    'slashes': (lambda house, place: str(place).replace('/', '//') + '///', EXPORTED),
    'a dash in front': (lambda house, place: make(place / '-rf'), EXPORTED),
    'like json': (lambda house, place: make(place / 'json:{"driver":"raw"}'), EXPORTED),
    'with what XML escapes': (lambda house, place: make(place / '<a href="\'">&amp;'), EXPORTED),
    'of 255 bytes': (lambda house, place: make(place / ('x' * 255)), EXPORTED),
    'of the process': (lambda house, place: '/proc/self/cwd', DENIED),
    'its root': (lambda house, place: '/proc/self/root', DENIED),
    'its input': (lambda house, place: '/proc/self/fd/0', PREFIX + 'PathNotFound'),
    'its image': (lambda house, place: '/proc/self/fd/3', PREFIX + 'PathNotFound'),
    'its thread': (lambda house, place: '/proc/thread-self/cwd', DENIED),
    'of the daemon': (lambda house, place: f'/proc/{house.daemon.pid}/cwd', DENIED),
    'root of the daemon': (lambda house, place: f'/proc/{house.daemon.pid}/root{house.secret}', DENIED),
    'a file of the daemon': (lambda house, place: f'/proc/{house.daemon.pid}/fd/0', DENIED),
}


@pytest.mark.parametrize('name', LINKS)
def test_links(house, place, name):
    make_path, wanted = LINKS[name]
    path = make_path(house, place)
    check(house, place, path, wanted)


def test_a_directory_that_a_process_of_the_caller_holds(house, place):
    """He may have a descriptor of a directory that he may not enter, and be in one."""
    fd = os.open(house.secret, os.O_PATH)
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE, cwd=house.secret, pass_fds=[fd], **credentials(GRANTED)) as process:
        os.close(fd)
        for path in (f'/proc/{process.pid}/fd/{fd}', f'/proc/{process.pid}/cwd', f'/proc/{process.pid}/cwd/inside'):
            check(house, place, path, DENIED)


def test_a_directory_that_was_removed(house, place):
    gone = make(place / 'gone')
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE, cwd=gone, **credentials(GRANTED)) as process:
        gone.rmdir()
        check(house, place, f'/proc/{process.pid}/cwd', PREFIX + 'PathNotFound')


# --- What is no directory ---

def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        fd = os.open(path.parent, os.O_PATH)
        listener.bind(f'/proc/self/fd/{fd}/{path.name}')
        os.close(fd)


OTHERS = {
    'FIFO': os.mkfifo,
    'character device': lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    'block device': lambda path: os.mknod(path, stat.S_IFBLK | 0o666, os.makedev(7, 0)),
    'socket': make_socket,
    'file': lambda path: path.write_text('mine', encoding='ascii'),
    'hard link': lambda path: path.hardlink_to(path.parent.parent.parent / 'bus.conf'),
}


@pytest.mark.parametrize('kind', OTHERS)
@pytest.mark.parametrize('where', ['last', 'in the middle', 'as the target', 'as the directory itself'])
def test_what_is_no_directory(house, place, kind, where):
    path = place / (house.guest.name if where == 'as the target' else 'other')
    OTHERS[kind](path)
    with contextlib.suppress(FileNotFoundError):
        os.chown(path, pwd.getpwnam(GRANTED).pw_uid, -1) if kind != 'hard link' else None
    given = {'last': path, 'in the middle': path / 'x', 'as the target': place, 'as the directory itself': path}[where]
    check(house, place, given, PREFIX + ('FileExists' if where.startswith('as') else 'PathNotFound'), subdirectory='itself' not in where)


# --- Whose directory ---

DIRECTORIES = {
    'of root, in one that he may search': (dict(owner='root', mode=0o755), DENIED),
    'of root, sticky': (dict(owner='root', mode=0o1777), EXPORTED),
    'of another, sticky': (dict(owner=OWNER, mode=0o1777), EXPORTED),
    'of another, for all': (dict(owner=OWNER, mode=0o777), EXPORTED),
    'of another, to be read': (dict(owner=OWNER, mode=0o755), DENIED),
    'of another, to be searched': (dict(owner=OWNER, mode=0o711), DENIED),
    'of another alone': (dict(owner=OWNER, mode=0o700), DENIED),
    'his, not to be written': (dict(mode=0o555), DENIED),
    'his, to be searched': (dict(mode=0o111), DENIED),
    'his, not to be searched': (dict(mode=0o600), DENIED),
    'his, with no rights': (dict(mode=0), DENIED),
    'his, but not for the owner': (dict(mode=0o077), DENIED),
    'of his group': (dict(owner='root', group=GRANTED, mode=0o770), EXPORTED),
    'of another group of his': (dict(owner='root', group=HIS_GROUP, mode=0o770), EXPORTED),
    'of another group of his, to be read': (dict(owner='root', group=HIS_GROUP, mode=0o750), DENIED),
    'of a foreign group': (dict(owner='root', group=FOREIGN_GROUP, mode=0o770), DENIED),
    'of a group of his, but not for it': (dict(owner='root', group=HIS_GROUP, mode=0o707), DENIED),
    'of the group of the daemon': (dict(owner='root', group='root', mode=0o770), DENIED),
    'that gives its group away': (dict(group=HIS_GROUP, mode=0o2770), EXPORTED),
}


@pytest.mark.parametrize('name', DIRECTORIES)
def test_whose_directory(house, place, name):
    keywords, wanted = DIRECTORIES[name]
    check(house, place, make(place / 'one', **keywords), wanted)


def test_no_place_of_others_is_taken_in_a_sticky_directory(house, place):
    """An empty directory of another user becomes nobody's export."""
    sticky = make(place / 'sticky', owner='root', mode=0o1777)
    theirs = make(sticky / 'theirs', owner=OWNER)
    check(house, place, theirs, DENIED, subdirectory=False)
    assert theirs.owner() == OWNER
    make(sticky / house.guest.name, owner=OWNER)
    check(house, place, sticky, PREFIX + 'FileExists')


# --- Where in the file system ---

@pytest.mark.parametrize('name, error', [('read-only', PREFIX + 'FileReadOnly'), ('full', PREFIX + 'DiskFull'),
                                         ('without-inodes', PREFIX + 'DiskFull'), ('bound', DENIED)])
def test_other_file_systems(house, place, name, error):
    check(house, place, house.home / name, error)
    if name != 'bound':
        assert not names_below(house.home / name)


@pytest.mark.parametrize('path', ['/proc', '/sys', '/dev', '/proc/1', '/proc/1/root', '/etc', '/root', '/usr/lib'])
def test_places_of_the_system(house, place, path):
    check(house, place, path, PREFIX + 'PathNotFound' if path in ('/proc', '/proc/1') else DENIED)


def workers(house):
    """Processes of the daemon that write bundles."""
    children = [child for task in pathlib.Path(f'/proc/{house.daemon.pid}/task').iterdir()
                for child in (task / 'children').read_text(encoding='ascii').split()]
    return [child for child in children if b'virtask-bundle' in pathlib.Path(f'/proc/{child}/cmdline').read_bytes()]


@pytest.mark.parametrize('subdirectory', [True, False])
def test_a_file_system_that_hangs(house, place, subdirectory):
    """The task can be cancelled; nobody else waits."""
    other = house.register(f'other{next(numbers)}')
    with house.untouched():
        task = house.begin(house.home / 'hanging/x', subdirectory=subdirectory)
        for _ in range(20):
            ping(house)
        worker, = house.root.wait(lambda: workers(house), what='the worker')
        listing = subprocess.run(['ls', f'/proc/{worker}/fd'], capture_output=True, **credentials(GRANTED))
        assert listing.returncode != 0 and not listing.stdout, 'the descriptors of the worker are within reach'
        assert house.export(place, guest=other) == place / other.name
        begin = time.monotonic()
        house.granted.call(task, 'Task', 'Cancel')
        assert house.granted.wait_task(task)['ResultName'] == 'cancelled'
        assert time.monotonic() - begin < CANCEL_SECONDS


def test_beside_the_images_of_the_machine(house, place):
    check(house, place, house.guest.image.parent, DENIED)
    check(house, place, house.guest.image, PREFIX + 'PathNotFound')


def test_a_long_path(house, place):
    """As long as it can be, and longer by what comes below it."""
    def directory(length):
        path = str(place)
        while len(path) < length:
            left = length - len(path) - 1
            path += '/' + 'x' * (left if left < 200 else min(200, left - 2))
        assert len(path) == length
        os.makedirs(path, exist_ok=True)
        subprocess.run(['chown', '-R', GRANTED, place], check=True)
        return path

    for length, wanted in ((3500, EXPORTED), (3832, EXPORTED), (3833, PREFIX + 'PathTooLong'), (4090, PREFIX + 'PathTooLong')):
        check(house, place, directory(length), wanted)
        shutil.rmtree(place)
        place.mkdir()
    longest = '/tmp' + '/x' * 2045 + 'x'
    assert len(longest) == 4095
    check(house, place, longest, PREFIX + 'PathNotFound')


# --- What is there already ---

TARGETS = {
    'directory': (lambda house, path: (make(path), make(path / 'mine')), 'FileExists', 'FileExists'),
    'empty directory': (lambda house, path: make(path), 'FileExists', EXPORTED),
    'dangling link': (lambda house, path: path.symlink_to('/nowhere'), 'FileExists', 'FileExists'),
    'link to an empty directory': (lambda house, path: path.symlink_to(make(path.parent / 'empty')), 'FileExists', 'FileExists'),
    'link to a directory of root': (lambda house, path: path.symlink_to(house.secret), 'FileExists', 'FileExists'),
    'link to a file of root': (lambda house, path: path.symlink_to(house.secret / 'file'), 'FileExists', 'FileExists'),
    'nothing': (lambda house, path: None, EXPORTED, EXPORTED),
}


@pytest.mark.parametrize('subdirectory', [True, False])
@pytest.mark.parametrize('kind', TARGETS)
def test_what_is_there_already(house, place, kind, subdirectory):
    prepare_target, *results = TARGETS[kind]
    target = place / house.guest.name
    prepare_target(house, target)
    wanted = results[not subdirectory]
    check(house, place, place if subdirectory else target, wanted if wanted == EXPORTED else PREFIX + wanted, subdirectory=subdirectory)


@pytest.mark.parametrize('end', ['/', '//', '/.', '/x/..'])
def test_the_end_of_the_directory_itself(house, place, end):
    """It is the directory that is meant, however its name is written, or it is an error."""
    target = make(place / 'itself')
    make(target / 'x') if 'x' in end else None
    wanted = EXPORTED if end.strip('/') == '' else PREFIX + 'NameInvalid'
    check(house, place, f'{target}{end}', wanted, subdirectory=False)
    assert (target / 'manifest.json').exists() == (wanted == EXPORTED)


def test_the_root_is_not_replaced(house, place):
    check(house, place, '/', PREFIX + 'NameInvalid', subdirectory=False)
    check(house, place, '///', PREFIX + 'NameInvalid', subdirectory=False)


def test_a_name_of_many_bytes(house, place):
    """The name of the unfinished bundle is cut."""
    guest = house.register('many', called='x' + 'ä' * 60)
    check(house, place, place, EXPORTED, guest=guest)


# --- What an import rests on ---

@pytest.fixture(scope='module')
def difference(house):
    """A full export and what has changed since, of the caller."""
    path = house.home / 'difference'
    path.mkdir()
    shutil.chown(path, GRANTED, GRANTED)
    guest = house.register('differs')
    bundles, base = [], {}
    for name in ('full', 'one'):
        task = house.granted.call(guest.path, 'SnapshotService', 'CreateSnapshot', 'qa{sv}', 3, {})
        snapshot = house.granted.wait_task(task)['ResultObject']
        task = house.granted.call(guest.path, 'VirtualMachine', 'ExportSystemDefinition', 'sa{sv}', str(path / name), {
            'CreateVmExportSubdirectory': GLib.Variant('b', False), 'CopySnapshotConfiguration': GLib.Variant('y', 3),
            'SnapshotVirtualSystem': GLib.Variant('s', snapshot), **base})
        assert house.granted.wait_task(task)['ResultName'] == 'success'
        base = {'DifferentialBackupBase': GLib.Variant('s', snapshot)}
        bundles.append(path / name)
    return bundles


def import_on(house, bundle, base):
    """The properties of the task."""
    options = {'BaseDirectories': GLib.Variant('as', [str(base)]), 'Name': GLib.Variant('s', 'on-base'), 'GenerateNewSystemIdentifier': GLib.Variant('b', True)}
    return house.granted.wait_task(house.granted.call(MANAGER, 'Manager', 'ImportSystemDefinition', 'sa{sv}', str(bundle), options))


# Where nobody but root may write, and everybody may read.
READABLE = ('to the root', 'dots beyond the root', 'of the process', 'its root', 'its thread')


@pytest.mark.parametrize('name', LINKS)
def test_links_as_a_base(house, place, difference, name):
    """What he may read is read, and is no export."""
    make_path, wanted = LINKS[name]
    path = make_path(house, place)
    before = names_below(house.libvirtd.root / 'lib/images')
    with house.untouched():
        error = import_on(house, difference[1], path)['ErrorName']
    is_read = name in READABLE or wanted not in (DENIED, PREFIX + 'PathNotFound')
    assert error == (PREFIX + 'InvalidBundle' if is_read else wanted)
    assert names_below(house.libvirtd.root / 'lib/images') == before


def test_a_base_is_read_as_its_caller(house, difference):
    """What he can not read is no base, whatever it is; and what is made of both is the service's."""
    hidden = house.secret / 'full'
    shutil.copytree(difference[0], hidden)
    with house.untouched():
        for path in (hidden, house.secret / 'missing'):
            assert import_on(house, difference[1], path)['ErrorName'] == DENIED
    shutil.rmtree(hidden)
    done = import_on(house, difference[1], difference[0])
    assert done['ResultName'] == 'success', done['ErrorDescription']
    images = house.libvirtd.root / 'lib/images/on-base'
    assert {(path.name, path.owner(), stat.S_IMODE(path.stat().st_mode)) for path in images.iterdir()} == {
        ('hda.qcow2', 'root', 0o600), ('base1-hda.raw', 'root', 0o600)}
    house.granted.wait_task(house.granted.call(done['ResultObject'], 'VirtualMachine', 'Delete', 'a{sv}', {}))
    shutil.rmtree(images)
