# SPDX-License-Identifier: LGPL-2.1-or-later
"""Packages of a caller who is not root: made and read with his rights, and nothing where he may not write or look."""

import itertools
import shutil
import subprocess

import pytest
from export_houses import House
from gi.repository import GLib
from harness import BUILD, MANAGER, BusError, Scratch
from houses import GRANTED, VM

pytestmark = pytest.mark.root

DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
PREFIX = 'org.virtask1.Error.'
EXPORTED = 'exported'

numbers = itertools.count()


@pytest.fixture(scope='module')
def house():
    with Scratch() as scratch:
        yield House(scratch)


@pytest.fixture
def place(house):
    """A new directory of the caller."""
    path = house.home / f'place{next(numbers)}'
    path.mkdir()
    shutil.chown(path, GRANTED, GRANTED)
    return path


def outcome(house, path):
    """EXPORTED, or the name of the error, at once or of the task."""
    try:
        task = house.granted.call(house.guest.path, VM, 'ExportPackage', 'sa{sv}', str(path), {})
    except BusError as error:
        return error.name
    properties = house.granted.wait_task(task)
    results = house.granted.call(task, 'Task', 'GetResults')
    if properties['ResultName'] != 'success':
        assert 'ExportFile' not in results
        return properties['ErrorName']
    subprocess.run([BUILD / 'virtask-bundle', 'verify', results['ExportFile']], check=True)
    return EXPORTED


def test_it_is_his(house, place):
    with house.untouched():
        assert outcome(house, place / 'web.ova') == EXPORTED
    assert (place / 'web.ova').owner() == GRANTED
    assert (place / 'web.ova').stat().st_mode & 0o777 == 0o600
    subprocess.run(['qemu-img', 'compare', '-f', 'raw', '-F', 'raw', house.guest.image, unpack(place / 'web.ova')], check=True)
    assert [path.name for path in place.iterdir() if path.name != 'out'] == ['web.ova']


def unpack(package):
    """The disk as others read it."""
    out = package.parent / 'out'
    out.mkdir()
    subprocess.run(['tar', '-C', out, '-xf', package], check=True)
    subprocess.run(['qemu-img', 'convert', '-f', 'vmdk', '-O', 'raw', next(out.glob('*.vmdk')), out / 'raw'], check=True)
    return out / 'raw'


PLACES = {
    'in a directory of root': (lambda house, place: house.secret / 'web.ova', DENIED),
    'in one of another user': (lambda house, place: house.foreign / 'web.ova', DENIED),
    'through a link': (lambda house, place: link(place, house.secret) / 'web.ova', DENIED),
    'through a link to his own': (lambda house, place: link(place, place) / 'web.ova', EXPORTED),
    'over a file of root': (lambda house, place: house.secret / 'file', DENIED),
    'over a link to it': (lambda house, place: link(place, house.secret / 'file'), PREFIX + 'FileExists'),
    'over a link to nothing': (lambda house, place: link(place, place / 'missing'), PREFIX + 'FileExists'),
    'nowhere': (lambda house, place: place / 'missing' / 'web.ova', PREFIX + 'PathNotFound'),
    'below a file': (lambda house, place: '/etc/passwd/web.ova', PREFIX + 'PathNotFound'),
    'parent': (lambda house, place: f'{place}/..', PREFIX + 'NameInvalid'),
    'relative': (lambda house, place: 'web.ova', PREFIX + 'BadPath'),
}


def link(place, target):
    (place / 'link').symlink_to(target)
    return place / 'link'


@pytest.mark.parametrize('name', PLACES)
def test_places(house, place, name):
    make, wanted = PLACES[name]
    path = make(house, place)
    before = sorted(place.iterdir())
    with house.untouched():
        assert outcome(house, path) == wanted
    assert sorted(path for path in place.iterdir() if path.name != 'web.ova') == before
    assert (place / 'web.ova').exists() == (wanted == EXPORTED)


# --- Imports ---

def import_(house, path, **options):
    """The properties of the finished task."""
    options = {key: GLib.Variant('s', str(value)) for key, value in {'Name': 'web2', **options}.items()}
    return house.granted.wait_task(house.granted.call(MANAGER, 'Manager', 'ImportPackage', 'sa{sv}', str(path), options))


def test_an_import_is_read_as_its_caller(house, place):
    """Who can read the package may import it, and the machine is the service's."""
    assert outcome(house, place / 'web.ova') == EXPORTED
    shutil.copy(place / 'web.ova', house.secret / 'web.ova')
    images = house.libvirtd.root / 'lib/images'
    before = sorted(images.rglob('*'))
    for path in (house.secret / 'web.ova', link(place, house.secret / 'web.ova'), house.secret / 'missing.ova'):
        assert import_(house, path)['ErrorName'] == DENIED
    assert import_(house, place / 'web.ova', StorageDirectory=place)['ErrorName'] == DENIED
    assert sorted(images.rglob('*')) == before

    done = import_(house, place / 'web.ova')
    assert done['ResultName'] == 'success', done['ErrorDescription']
    made = list((images / 'web2').iterdir())
    assert {path.owner() for path in made} == {'root'} and {path.stat().st_mode & 0o777 for path in made} == {0o600}
    subprocess.run(['qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', house.guest.image, made[0]], check=True)
    house.granted.wait_task(house.granted.call(done['ResultObject'], VM, 'Delete', 'a{sv}', {}))
