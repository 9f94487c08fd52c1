# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a site's rules can tell apart, what polkit asks a person, and what it says of our actions."""

import fakes
import pytest
from harness import MANAGER, Client, Polkitd
from houses import DEFAULT, DENIED, DENIED_NAME, GRANTED, OWNER, RULES, VM, outcome, refusal, save
from polkits import AUTHORITY, POLKIT, Agent

pytestmark = pytest.mark.root

# Of polkit's CheckAuthorization.
ADMIN, ADMIN_KEPT = 2, 4

MACHINES = {'web1': 'running', 'web2': 'running', 'db1': 'turned-off'}


@pytest.fixture
def house(make_house):
    return make_house(MACHINES)


def allow(condition):
    return f'polkit.addRule(function(action, subject) {{ if ({condition}) return polkit.Result.YES; }});'


def allowed(client, path, method, signature='', *arguments):
    """Whether polkit has let the call pass, whatever came of it then."""
    error = outcome(client, path, VM, method, signature, *arguments)
    return error is None or error.short not in ('AccessDenied', 'InteractiveAuthorizationRequired')


def test_a_rule_can_name_the_machine(scratch, house, nobody):
    Polkitd(scratch, house.bus, allow('action.id == "org.virtask1.control" && action.lookup("vm") == "web1"'))
    assert allowed(nobody, house.path('web1'), 'Pause')
    assert not allowed(nobody, house.path('web2'), 'Pause')
    assert not allowed(nobody, house.path('web1'), 'SetNotes', 's', 'configure is another action')
    assert (house.state('web1'), house.state('web2')) == ('paused', 'running')


def test_a_rule_can_name_the_uuid(scratch, house, nobody):
    Polkitd(scratch, house.bus, allow(f'action.lookup("uuid") == "{house.uuid("web2")}"'))
    assert not allowed(nobody, house.path('web1'), 'Pause')
    assert allowed(nobody, house.path('web2'), 'Pause')


def test_a_rule_can_name_the_operation(scratch, house, nobody):
    Polkitd(scratch, house.bus, allow('action.lookup("operation") == "vm-pause"'))
    assert not allowed(nobody, house.path('web1'), 'Reset', 'a{sv}', {})
    assert allowed(nobody, house.path('web1'), 'Pause')
    assert allowed(nobody, house.path('web2'), 'RequestStateChange', 'qa{sv}', 9, {})
    assert not allowed(nobody, house.path('web2'), 'RequestStateChange', 'qa{sv}', 3, {})


def test_a_rule_can_name_the_snapshot(scratch, make_house):
    house = make_house(MACHINES, snapshots={'web1': ['nightly', 'other']})
    Polkitd(scratch, house.bus, allow('action.lookup("vm") == "web1" && action.lookup("snapshot") == "nightly"'))
    nobody = house.client(DEFAULT)

    def rename(name, new_name):
        return outcome(nobody, house.snapshot_path('web1', name), 'Snapshot', 'Rename', 's', new_name)

    assert rename('other', 'nightly').short == 'InteractiveAuthorizationRequired'
    assert not allowed(nobody, house.path('web1'), 'SetNotes', 's', 'that is no snapshot')
    assert rename('nightly', 'weekly') is None
    # It is the name that counts, not libvirt's.
    assert rename('nightly', 'nightly').short == 'InteractiveAuthorizationRequired'


def test_a_rule_of_a_name_does_not_follow_the_machine(scratch, house, nobody):
    Polkitd(scratch, house.bus, allow('action.lookup("vm") == "db1"'))
    assert allowed(nobody, house.path('db1'), 'SetNotes', 's', 'mine')
    house.root.call(house.path('db1'), VM, 'SetName', 's', 'db2')
    assert not allowed(nobody, house.path('db1'), 'SetNotes', 's', 'not mine')
    assert house.root.get(house.path('db1'), VM, 'Notes') == 'mine'


@pytest.mark.parametrize('condition', ['action.lookup("task-owner") == "{owner}"', 'action.lookup("vm") == "web1"',
                                       'action.lookup("uuid") == "{uuid}"'])
def test_a_rule_can_name_whose_task_it_is(scratch, house, nobody, condition):
    rule = allow('action.id == "org.virtask1.cancel-others" && ' + condition.format(owner=OWNER, uuid=house.uuid('web1')))
    Polkitd(scratch, house.bus, RULES + rule)
    mine = house.start_task(house.client(OWNER), 'web1')
    others = house.start_task(house.root, 'web2')
    assert outcome(nobody, mine, 'Task', 'Cancel') is None
    assert outcome(nobody, others, 'Task', 'Cancel').short == 'InteractiveAuthorizationRequired'
    assert house.root.wait_task(mine)['ResultName'] == 'cancelled'
    assert not house.root.get(others, 'Task', 'IsComplete')


def test_no_rule_reaches_a_definition_by_its_name(scratch, house, nobody):
    """A new machine has no name yet but the one that the caller wants it to have."""
    Polkitd(scratch, house.bus, allow('action.lookup("vm") == "new" || action.lookup("uuid")'))
    assert outcome(nobody, MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', fakes.definition('new', 99), {}).short == \
        'InteractiveAuthorizationRequired'


def test_rules_that_change_count_at_once(house, polkitd, nobody):
    assert not allowed(nobody, house.path('web1'), 'Pause')
    polkitd.set_rules(allow('action.id == "org.virtask1.control"'))
    assert allowed(nobody, house.path('web1'), 'Pause')
    polkitd.set_rules('')
    assert not allowed(nobody, house.path('web1'), 'Resume')


# --- The dialog ---

def test_a_password_opens_the_door_once(house, polkitd, nobody):
    agent = Agent(house.bus)
    for _ in range(2):  # without a session nothing is kept
        call = save(nobody, house.path('web1'), interactive=True)
        dialog = agent.dialog()
        assert house.tasks() == [] and not call.done
        assert dialog['action'] == 'org.virtask1.control' and 'web1' in dialog['text']
        agent.dismiss(dialog)
        assert refusal(nobody, call).name == DENIED_NAME
    call = save(nobody, house.path('web1'), interactive=True)
    agent.type_password(agent.dialog())
    assert house.root.wait_task(nobody.finish(call))['ResultName'] == 'success'
    assert house.state('web1') == 'saved'


def test_without_the_flag_nobody_is_asked(house, polkitd, nobody):
    agent = Agent(house.bus)
    assert outcome(nobody, house.path('web1'), VM, 'Pause').short == 'InteractiveAuthorizationRequired'
    assert agent.waiting('BeginAuthentication') == 0


def test_a_rule_that_denies_asks_nobody(house, polkitd):
    denied = house.client(DENIED)
    agent = Agent(house.bus)
    assert outcome(denied, house.path('web1'), VM, 'Pause', interactive=True).name == DENIED_NAME
    assert agent.waiting('BeginAuthentication') == 0


@pytest.mark.parametrize('locale', ['C', 'de_DE.UTF-8', 'fr_FR.UTF-8'])
@pytest.mark.parametrize('method, arguments', [('Pause', ()), ('SetNotes', ('s', 'x')), ('Delete', ('a{sv}', {})), ('Register', ()),
                                               ('Cancel', ())])
def test_the_dialog_says_what_it_is_about(house, polkitd, nobody, locale, method, arguments):
    """In the language of the person, with nothing left to fill in."""
    agent = Agent(house.bus, locale)
    if method == 'Register':
        call = nobody.start(MANAGER, 'Manager', 'RegisterVirtualMachine', 'sa{sv}', fakes.definition('new', 99), {}, interactive=True)
        needed = ()
    elif method == 'Cancel':
        task = house.start_task(house.client(OWNER), 'web1')
        call = nobody.start(task, 'Task', 'Cancel', interactive=True)
        needed = ('web1', OWNER)
    else:
        call = nobody.start(house.path('web1'), VM, method, *arguments, interactive=True)
        needed = ('web1',)
    dialog = agent.dialog()
    assert '$' not in dialog['text'] and all(word in dialog['text'] for word in needed)
    assert {'C': 'Authentication is', 'de': 'Anmeldung', 'fr': 'Une authentification'}[locale[:2].rstrip('.')] in dialog['text']
    agent.dismiss(dialog)
    assert refusal(nobody, call).name == DENIED_NAME


def test_a_caller_who_leaves_takes_the_dialog_along(house, polkitd, nobody):
    agent = Agent(house.bus)
    save(nobody, house.path('web1'), interactive=True)
    dialog = agent.dialog()
    nobody.close()
    assert agent.withdrawn() == dialog['cookie']
    assert house.tasks() == [] and house.state('web1') == 'running'


# --- The actions, as polkitd has read them ---

def actions(bus, locale=''):
    """{id: (description, message, any, inactive, active)}"""
    rows = Client(bus).call(AUTHORITY, f'{POLKIT}.Authority', 'EnumerateActions', 's', locale, destination=POLKIT)
    return {row[0]: (row[1], row[2], *row[6:9]) for row in rows if row[0].startswith('org.virtask1.')}


def test_polkit_keeps_what_may_be_kept(house, polkitd):
    kept = {name: row[2:] for name, row in actions(house.bus).items()}
    usual = (ADMIN, ADMIN, ADMIN_KEPT)
    assert kept == {'org.virtask1.control': usual, 'org.virtask1.configure': usual, 'org.virtask1.cancel-others': usual,
                    'org.virtask1.define': (ADMIN, ADMIN, ADMIN), 'org.virtask1.snapshot': (ADMIN, ADMIN, ADMIN),
                    'org.virtask1.snapshot-apply': (ADMIN, ADMIN, ADMIN), 'org.virtask1.export': (ADMIN, ADMIN, ADMIN),
                    'org.virtask1.import': (ADMIN, ADMIN, ADMIN), 'org.virtask1.storage': (ADMIN, ADMIN, ADMIN)}


def test_polkit_knows_three_languages(house, polkitd):
    english, german, french = (actions(house.bus, locale) for locale in ('', 'de_DE.UTF-8', 'fr_FR.UTF-8'))
    for name in english:
        for field in (0, 1):
            assert len({english[name][field], german[name][field], french[name][field]}) == 3


def test_whoever_is_granted_needs_no_dialog(house, polkitd):
    granted = house.client(GRANTED)
    agent = Agent(house.bus)
    assert outcome(granted, house.path('web1'), VM, 'Pause', interactive=True) is None
    assert agent.waiting('BeginAuthentication') == 0
