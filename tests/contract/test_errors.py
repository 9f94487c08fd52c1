# SPDX-License-Identifier: LGPL-2.1-or-later
"""src/util/error-table.h is the one place of an error."""

import importlib.util
import re

import pytest
from harness import SOURCE

HEADER = SOURCE / 'src/util/error-table.h'

specification = importlib.util.spec_from_file_location('interfaces', SOURCE / 'man/interfaces.py')
interfaces = importlib.util.module_from_spec(specification)
specification.loader.exec_module(interfaces)

ROWS = list(interfaces.error_rows(HEADER))


def test_each_row_can_be_read():
    text = HEADER.read_text(encoding='utf-8')
    assert len(ROWS) == len(re.findall(r'^\s+X\(', text, re.MULTILINE)) > 0


def test_names_are_unique():
    names = [row[0] for row in ROWS]
    assert sorted(set(names)) == sorted(names)


def test_a_symbol_stands_for_one_number():
    numbers = {}
    for _, hresult, symbol, *_ in ROWS:
        if symbol:
            assert numbers.setdefault(symbol, hresult) == hresult


def test_each_error_is_a_failure():
    for name, hresult, _, cim_a, cim_b, result, meaning in ROWS:
        assert int(hresult, 16) & 0x80000000, name
        assert int(cim_a) and int(cim_b) and 1 <= int(result) <= 9, name
        assert meaning and not meaning.endswith('.'), name


def test_the_manual_has_each_error():
    text = '\n'.join(interfaces.error_section(HEADER))
    assert re.findall(r'^``(.*)``$', text, re.MULTILINE) == [row[0] for row in ROWS]


@pytest.mark.parametrize('path', sorted((SOURCE / 'data/dbus').glob('*.xml')), ids=lambda path: path.stem)
def test_the_contract_names_no_error_that_does_not_exist(path):
    named = set(re.findall(r'org\.(?:virtask1\.Error|freedesktop\.DBus\.Error)\.\w+', path.read_text(encoding='utf-8')))
    assert named <= {row[0] for row in ROWS}


def test_nothing_else_spells_an_error_name():
    table = {HEADER, SOURCE / 'src/util/error-text.h'}
    for path in (SOURCE / 'src').rglob('*.[ch]'):
        if path not in table:
            assert not re.search(r'"org\.virtask1\.Error\.', path.read_text(encoding='utf-8')), path
