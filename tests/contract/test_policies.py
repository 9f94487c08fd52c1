# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus policy, the polkit policy and the unit know what the program has, and nothing else."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import GLib
from harness import MANAGER, SOURCE, Bus, Client, Daemon, Polkitd

XML_LANG = '{http://www.w3.org/XML/1998/namespace}lang'
LANGUAGES = {None, 'de', 'fr'}
EXPOSURE_LIMIT = 20  # tenths, as --threshold wants them


def policy_actions():
    return ElementTree.parse(SOURCE / 'data/polkit/org.virtask1.policy').getroot().findall('action')


def test_each_action_is_used_and_each_used_one_exists():
    used = set()
    for path in (SOURCE / 'src').rglob('*.[ch]'):
        # Interfaces and errors begin with a capital letter, actions don't.
        used.update(re.findall(r'"(org\.virtask1\.[a-z][a-z-]*)"', path.read_text(encoding='utf-8')))
    assert used == {action.get('id') for action in policy_actions()}


@pytest.mark.parametrize('action', policy_actions(), ids=lambda action: action.get('id'))
def test_an_action_is_described_in_all_languages(action):
    for tag in ('description', 'message'):
        assert {element.get(XML_LANG) for element in action.findall(tag)} == LANGUAGES
    assert all('$(vm)' in element.text for element in action.findall('message'))


def test_no_action_is_free_and_what_can_not_be_undone_is_never_kept():
    for action in policy_actions():
        defaults = {element.tag: element.text for element in action.find('defaults')}
        assert set(defaults) == {'allow_any', 'allow_inactive', 'allow_active'}
        assert all(value.startswith('auth_admin') for value in defaults.values())
        assert defaults['allow_any'] == defaults['allow_inactive'] == 'auth_admin'
        if action.get('id') in ('org.virtask1.define', 'org.virtask1.snapshot', 'org.virtask1.snapshot-apply', 'org.virtask1.export',
                                'org.virtask1.import', 'org.virtask1.storage'):
            assert defaults['allow_active'] == 'auth_admin'


def contract_methods():
    for path in (SOURCE / 'data/dbus').glob('*.xml'):
        for interface in ElementTree.parse(path).getroot().findall('interface'):
            for method in interface.findall('method'):
                yield interface.get('name'), method.get('name')


def test_the_bus_policy_lists_each_method_and_no_other():
    root = ElementTree.parse(Bus.POLICY).getroot()
    allowed = [(rule.get('send_interface'), rule.get('send_member')) for rule in root.findall("policy[@context='default']/allow")
               if (rule.get('send_interface') or '').startswith('org.virtask1.')]
    assert sorted(allowed) == sorted(contract_methods())


@pytest.mark.root
def test_a_real_bus_lets_others_reach_the_contract_and_nothing_else(scratch):
    bus = Bus(scratch, 'strict', policies=[Bus.POLICY])
    Daemon(scratch, bus, 'test:///default')
    nobody = Client(bus, user='nobody')

    assert nobody.call(MANAGER, 'Manager', 'ListVirtualMachines')
    assert nobody.objects()
    assert nobody.error(MANAGER, 'Manager', 'NoSuchMethod').short == 'AccessDenied'
    assert nobody.error(MANAGER, 'org.freedesktop.DBus.Properties', 'Set', 'ssv', 'org.virtask1.Manager',
                        'Version', GLib.Variant('s', 'x')).short == 'AccessDenied'


@pytest.mark.root
def test_the_stricter_example_hides_everything_from_others(scratch):
    example = scratch / 'operators.conf'
    # The group of the example is on no computer, this one on each.
    text = (SOURCE / 'docs/examples/org.virtask1-operators.conf').read_text(encoding='utf-8')
    example.write_text(text.replace('group="operators"', 'group="daemon"'), encoding='utf-8')
    bus = Bus(scratch, 'strict', policies=[Bus.POLICY, example])
    Daemon(scratch, bus, 'test:///default')
    nobody, member, root = Client(bus, user='nobody'), Client(bus, user='daemon'), Client(bus)

    assert nobody.error(MANAGER, 'Manager', 'ListVirtualMachines').short == 'AccessDenied'
    vm = member.machine('test')
    root.wait_task(root.call(vm, 'VirtualMachine', 'TurnOff', 'a{sv}', {}))
    member.wait_signal('TaskCompleted')
    nobody.bus_call('GetId')
    assert [signal for signal in nobody.signals if signal.path.startswith('/org/virtask1')] == []


@pytest.mark.root
def test_polkit_understands_the_example_of_the_rules(scratch, bus):
    rules = (SOURCE / 'docs/examples/50-virtask-web1.rules').read_text(encoding='utf-8')
    # The group of the example is on no computer, this one is that of "nobody" on each.
    polkitd = Polkitd(scratch, bus, rules.replace('isInGroup("web")', 'isInGroup("nogroup")'))
    nobody, daemon = Client(bus, user='nobody'), Client(bus, user='daemon')

    assert polkitd.allows(nobody, 'org.virtask1.control', vm='web1')
    assert not polkitd.allows(nobody, 'org.virtask1.control', vm='web2')
    assert not polkitd.allows(nobody, 'org.virtask1.define', vm='web1')
    assert not polkitd.allows(daemon, 'org.virtask1.control', vm='web1')


def test_the_unit_exposes_little(tmp_path):
    unit = (SOURCE / 'data/systemd/virtaskd.service.in').read_text(encoding='utf-8')
    path = tmp_path / 'virtaskd.service'
    path.write_text(unit.replace('@libexecdir@/virtaskd', '/bin/true'), encoding='utf-8')
    run = subprocess.run(['systemd-analyze', 'security', '--offline=yes', f'--threshold={EXPOSURE_LIMIT}', path],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout.splitlines()[-1:] + [run.stderr]
