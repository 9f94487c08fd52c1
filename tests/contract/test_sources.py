# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may know whom (docs/ARCHITECTURE.md), and headers that stand alone."""

import functools
import importlib.util
import re
import shutil
import subprocess

import pytest
from harness import SOURCE

# A room may include itself and what stands here; never sideways or upward.
BELOW = {
    'util': set(),
    'image': {'util'},
    'ovf': {'util'},
    'bundle': {'util', 'image', 'ovf'},
    'bus': {'util'},
    'backend': {'util'},
    'jobs': {'util', 'bus', 'backend'},
    'disk': {'util', 'image', 'backend', 'jobs'},
    'guest': {'util', 'backend', 'jobs'},
    'snapshot': {'util', 'bus', 'backend', 'jobs', 'disk', 'guest'},
    'undo': {'util', 'bus', 'backend', 'jobs', 'disk', 'snapshot'},
    'lifecycle': {'util', 'bus', 'backend', 'jobs', 'disk', 'guest', 'snapshot', 'undo'},
    'export': {'util', 'ovf', 'bundle', 'bus', 'backend', 'jobs', 'disk', 'guest', 'snapshot'},
    'harddisk': {'util', 'image', 'bus', 'backend', 'jobs', 'disk'},
    'collection': {'util', 'bus', 'backend', 'jobs', 'disk', 'guest', 'snapshot', 'export'},
    'service': {'util', 'image', 'bus', 'backend', 'jobs', 'disk', 'guest', 'lifecycle', 'snapshot', 'undo', 'export', 'harddisk', 'collection'},
}
KNOW_LIBVIRT = {'backend', 'disk', 'guest', 'lifecycle', 'snapshot', 'undo', 'export'}
SHARED_WITH_CLIENTS = {'util/error-table.h'}

SOURCES = sorted((SOURCE / 'src').rglob('*.[ch]'))
CLIENT_SOURCES = sorted((SOURCE / 'client').rglob('*.[ch]'))
HEADERS = [path for path in [*SOURCES, *CLIENT_SOURCES] if path.suffix == '.h']


def relative(path):
    return str(path.relative_to(SOURCE))


def includes(path, kind):
    pattern = {'own': r'^#include "([^"]+)"', 'system': r'^#include <([^>]+)>'}[kind]
    return re.findall(pattern, path.read_text(encoding='utf-8'), re.MULTILINE)


def room(path):
    return path.relative_to(SOURCE / 'src').parts[0]


@pytest.mark.parametrize('path', SOURCES, ids=relative)
def test_a_room_includes_only_rooms_below(path):
    for header in includes(path, 'own'):
        target = header.split('/')[0]
        assert target in {room(path), *BELOW[room(path)]}, f'"{header}"'
    if room(path) not in KNOW_LIBVIRT:
        assert not [header for header in includes(path, 'system') if header.startswith('libvirt/')]


@pytest.mark.parametrize('path', CLIENT_SOURCES, ids=relative)
def test_a_client_shares_only_the_errors_with_the_daemon(path):
    for header in includes(path, 'own'):
        assert header in SHARED_WITH_CLIENTS or (path.parent / header).exists(), f'"{header}"'


def test_the_shared_headers_include_nothing():
    for header in SHARED_WITH_CLIENTS:
        path = SOURCE / 'src' / header
        if path.exists():
            assert set(includes(path, 'own')) <= SHARED_WITH_CLIENTS
            assert not includes(path, 'system')


@functools.cache
def flags():
    return subprocess.run(['pkg-config', '--cflags', 'libsystemd', 'glib-2.0', 'libvirt', 'libxml-2.0', 'json-glib-1.0', 'libcrypto'], check=True,
                          capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize('header', HEADERS, ids=relative)
def test_a_header_stands_alone(header):
    # Twice: it has to survive that as well.
    program = f'#include "{header}"\n' * 2
    run = subprocess.run([shutil.which('gcc') or 'cc', '-fsyntax-only', '-std=gnu17', '-Wall', '-Wextra', '-Werror',
                          '-Wno-unused-parameter', f'-I{SOURCE}/src', f'-I{SOURCE}/client/tool', *flags(), '-x', 'c', '-'],
                         input=program, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize('path', [*SOURCES, *CLIENT_SOURCES], ids=relative)
def test_a_file_names_its_licence_first(path):
    assert path.read_text(encoding='utf-8').startswith('/* SPDX-License-Identifier: LGPL-2.1-or-later */\n')


def test_each_test_belongs_to_one_step_of_the_check():
    spec = importlib.util.spec_from_file_location('check', SOURCE / 'tools/check.py')
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    tests = SOURCE / 'tests'
    steps = [path for patterns in check.OUTSIDE.values() for pattern in patterns for path in tests.glob(pattern)]
    assert sorted(steps) == sorted(path for path in tests.glob('*/test_*.py'))
    assert {path.name for path in steps} >= set(check.SLOW)
