# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is told in two places is the same in both."""

import re
import subprocess

from harness import BUILD, SOURCE


def section(text, title):
    """The text of a section of a reStructuredText page."""
    begin = text.index(f'\n{title}\n=') + 1
    end = re.search(r'\n[A-Z ]+\n===', text[begin + len(title):])
    return text[begin:begin + len(title) + end.start()] if end else text[begin:]


def manual():
    return (SOURCE / 'man/virtaskd.8.rst').read_text(encoding='utf-8')


LISTS = {'ImageDirectories'}  # keys that are no numbers


def test_keys_that_are_no_numbers_are_known_everywhere():
    for key in LISTS:
        assert f'"{key}"' in (SOURCE / 'src/service/config.c').read_text(encoding='utf-8')
        assert re.search(f'^#{key}=/', (SOURCE / 'data/virtaskd.conf').read_text(encoding='utf-8'), re.MULTILINE)
        assert re.search(f'^{key}$', section(manual(), 'CONFIGURATION'), re.MULTILINE)


def defaults_of_example():
    text = (SOURCE / 'data/virtaskd.conf').read_text(encoding='utf-8')
    return dict(re.findall(r'^#(\w+)=(\d+)$', text, re.MULTILINE))


def test_the_manual_and_the_example_have_the_same_configuration_keys_and_defaults():
    text = section(manual(), 'CONFIGURATION')
    described = {}
    for keys, description in re.findall(r'^((?:[A-Z]\w+(?:, )?)+)\n((?:        .*\n)+)', text, re.MULTILINE):
        numbers = re.findall(r'\((\d+)\)', description)
        if keys in LISTS:
            continue
        described.update(zip(keys.split(', '), numbers, strict=True))
    assert described == defaults_of_example()


def test_the_program_has_the_same_configuration_keys_and_defaults():
    text = (SOURCE / 'src/service/config.c').read_text(encoding='utf-8')
    assert dict(re.findall(r'\{"(\w+)",\s*offsetof\([^)]*\),\s*(\d+),', text)) == defaults_of_example()


def test_the_manual_has_the_options_of_the_program():
    usage = subprocess.run([BUILD / 'virtaskd', '--help'], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r'--[a-z][a-z-]*', usage))
    assert options == set(re.findall(r'^(--[a-z-]+)', section(manual(), 'OPTIONS'), re.MULTILINE))


def test_the_manual_has_each_action():
    policy = (SOURCE / 'data/polkit/org.virtask1.policy').read_text(encoding='utf-8')
    actions = re.findall(r'<action id="([^"]+)"', policy)
    text = section(manual(), 'WHO MAY WHAT')
    assert all(f'*{action}*' in text for action in actions)


def test_the_readme_begins_with_the_two_commands():
    text = (SOURCE / 'README.md').read_text(encoding='utf-8')
    commands = re.findall(r'^    (\S.*)$', text, re.MULTILINE)
    assert [command.split()[0] for command in commands[:2]] == ['./demo', './check']


def settings_of(path):
    """The settings of an export of a machine in a table of C: their names, and what kind they are."""
    text = (SOURCE / path).read_text(encoding='utf-8').partition(' package_settings[]')[0]
    return re.findall(r'^ +\{"(\w+)", +(?:EXPORT_SETTING|OPTION)_(\w+),', text, re.MULTILINE)


def test_the_tool_has_the_settings_of_the_service():
    kinds = {'ENUM': 'WORD', 'STRINGS': 'TARGETS'}
    of_service = [(key, kinds.get(kind, kind)) for key, kind in settings_of('src/export/settings.c')]
    assert len(of_service) == 11
    assert settings_of('client/tool/export-setting.c') == of_service


def test_the_tool_has_the_words_of_the_service():
    def words(path):
        text = (SOURCE / path).read_text(encoding='utf-8')
        return re.findall(r'"((?:Export\w*Snapshot|Capture\w+State|BackupIntent\w)\w*)"', text.partition('group_intent_names')[0].partition('clang-format off')[0])

    assert len(words('src/export/settings.c')) == 9
    assert words('client/tool/export-setting.c') == words('src/export/settings.c')
    assert all(f'**{word}**' in (SOURCE / 'man/virtask.1.rst').read_text(encoding='utf-8') for word in words('src/export/settings.c'))


def test_the_manual_has_the_commands_and_options_of_the_tool():
    text = (SOURCE / 'man/virtask.1.rst').read_text(encoding='utf-8')
    table = (SOURCE / 'client/tool/verbs.c').read_text(encoding='utf-8')
    verbs = re.findall(r'^ +\{(?:NULL|"\w+"), +"([a-z-]+)"', table, re.MULTILINE)
    options = re.findall(r'^ +\{"([a-z-]+)", +\w+_argument', (SOURCE / 'client/tool/options.c').read_text(encoding='utf-8'), re.MULTILINE)
    assert len(verbs) > 40 and len(options) > 40
    assert [verb for verb in verbs if f'**{verb}**' not in text] == []
    assert [option for option in options if f'**--{option}**' not in text] == []
