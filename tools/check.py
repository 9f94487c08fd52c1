#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The body of ./check: a table of steps, run one after the other, and the sum of what they found.

Each build and each demo counts as one test; of a test run each test counts. Whatever should be there and is not - a build, a
directory of tests, a report - is a failure. Everything that a step prints goes to a log in the build directory, and from there to
the screen if the step fails.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

SOURCE = pathlib.Path(__file__).resolve().parents[1]
USER = 'nobody'  # the ordinary user, when root runs us
LOG_LINES = 200
FAILED = 'failed: '
DEMO_FAILED = 'This did not hold: '

BUILDS = {
    'gcc': (['-Dbuildtype=release', '-Db_ndebug=false'], {'CC': 'gcc'}),
    'clang': (['-Dbuildtype=debugoptimized'], {'CC': 'clang'}),
    'address': (['-Dbuildtype=debugoptimized', '-Db_sanitize=address,undefined'], {'CC': 'gcc'}),
    'thread': (['-Dbuildtype=debugoptimized', '-Db_sanitize=thread'], {'CC': 'gcc'}),
}
# Tests from outside: the step, and its files.
OUTSIDE = {
    'contract': ['contract/test_*.py'],
    'moment': ['system/test_moment.py'],
    'snapshots': ['system/test_snapshot*.py'],
    'system': ['system/test_beside.py', 'system/test_in*.py', 'system/test_[otu]*.py'],
    'exports': ['system/test_bundle*.py', 'system/test_export*.py', 'system/test_hard*.py', 'system/test_import*.py'],
    'groups': ['system/test_[acgpr]*.py'],
    'bus': ['bus/test_*.py'],
    'auth': ['auth/test_*.py'],
}
# What takes a sanitizer too long for 20 minutes: only with the full counts.
SLOW = ('test_interruptions.py', 'test_snapshots_interruptions.py', 'test_snapshots_scale.py', 'test_power_cut.py',
        'test_application_consistency.py', 'test_guest.py', 'test_export_interruptions.py', 'test_export_power_cut.py', 'test_export_settings.py',
        'test_import_interruptions.py', 'test_export_paths.py', 'test_export_races.py', 'test_package_interruptions.py', 'test_package_tool.py', 'test_undo_power_cut.py',
        'test_hard_disk_faults.py', 'test_hard_disk_copies.py')
# Before anything runs beside them.
ALONE = ('moment', 'moment-address')
# Mostly wait for QEMU, so other steps run beside them, the longest first; but the full counts have the machine for themselves.
LANES = 2  # of such, beside what runs otherwise
BESIDE = ('snapshots', 'snapshots-address', 'groups', 'exports', 'exports-address', 'system-address', 'auth-address', 'groups-address',
          'bus-address')

SANITIZERS = {
    # The last one: GCC up to 13 takes some blocks of thread-local data for ones of glibc 2.19, reads their size from what is before them, and dies in its
    # search for leaks (github.com/Mudlet/Mudlet, pull request 9930).
    'ASAN_OPTIONS': 'detect_leaks=1:detect_stack_use_after_return=1:intercept_tls_get_addr=0',
    'LSAN_OPTIONS': f'suppressions={SOURCE}/tests/lib/leaks.supp:print_suppressions=0',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    'TSAN_OPTIONS': f'suppressions={SOURCE}/tests/lib/threads.supp:halt_on_error=1:second_deadlock_stack=1',
}


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self):
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


class Check:
    def __init__(self, build, long):
        self.build = build
        self.long = long
        self.logs = build / 'logs'
        self.logs.mkdir(parents=True, exist_ok=True)
        self.log = None

    def run(self, arguments, *, environment=None, timeout=None, **keywords):
        """Runs a program with its output in the log of the step; answers its exit status."""
        timeout = timeout or (6 * 3600 if self.long else 1200)
        arguments = [str(argument) for argument in arguments]
        self.log.write(f'$ {" ".join(arguments)}\n')
        self.log.flush()
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
                              env={**os.environ, **SANITIZERS, **(environment or {})}, **keywords) as process:
            try:
                return process.wait(timeout)
            except BaseException as error:
                # Its process group and not only itself: tests have children. They are told first, to end their own.
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                self.log.write(f'It took longer than {timeout} seconds.\n')
                return 1

    def counted(self, status):
        return Count(passed=1) if status == 0 else Count(failed=1)

    def reported(self, status, report):
        """What a JUnit report says; a bad exit status without a failed test is a failure as well."""
        count = Count()
        if report.exists():
            for case in ElementTree.parse(report).iter('testcase'):
                failures = case.findall('failure') + case.findall('error')
                if failures:
                    cause = (failures[0].get('message') or '').partition('\n')[0]
                    self.log.write(f"{FAILED}{case.get('classname')} {case.get('name')}: {cause}\n")
                    count.failed += 1
                elif case.find('skipped') is not None:
                    self.log.write(f"skipped: {case.get('classname')} {case.get('name')}\n")
                    count.skipped += 1
                else:
                    count.passed += 1
        if (status != 0 and not count.failed) or not count.passed + count.failed + count.skipped:
            count.failed += 1
        return count

    # --- The steps ---

    def compile(self, name):
        """Builds anew what has changed; a warning is an error."""
        directory = self.build / name
        options, environment = BUILDS[name]
        setup = ['meson', 'setup', '-Dwerror=true', *options, directory, SOURCE]
        if (directory / 'build.ninja').exists():
            setup.insert(2, '--reconfigure')
        status = self.run(setup, environment=environment)
        return self.counted(status or self.run(['ninja', '-C', directory]))

    def unit(self, name, suites=()):
        directory = self.build / name
        report = directory / 'meson-logs/testlog.junit.xml'
        report.unlink(missing_ok=True)
        status = self.run(['meson', 'test', '-C', directory, '--no-rebuild', '--print-errorlogs',
                           '--timeout-multiplier', '100' if self.long else '4', *(f'--suite={suite}' for suite in suites)],
                          environment={'VIRTASK_LONG': '1'} if self.long else None)
        return self.reported(status, report)

    def outside(self, name, step):
        """Tests that speak D-Bus from outside."""
        brief = name == 'address' and not self.long
        files = [path for pattern in OUTSIDE[step] for path in sorted((SOURCE / 'tests').glob(pattern))
                 if not brief or path.name not in SLOW]
        report = self.logs / f'{name}-{step}.xml'
        report.unlink(missing_ok=True)
        status = self.run(['/usr/bin/python3', '-m', 'pytest', '-ra', *(['-s'] if self.long else []), f'--junitxml={report}',
                           *files],
                          environment={'VIRTASK_BUILD': str(self.build / name), 'VIRTASK_LINUX': str(self.build / 'linux-guest'),
                                       'VIRTASK_LONG': str(int(self.long)),
                                       'VIRTASK_BRIEF': str(int(brief))})
        return self.reported(status, report)

    def install(self):
        """What a package would hold."""
        destination = pathlib.Path(tempfile.mkdtemp(prefix='virtask-install-', dir='/var/tmp'))
        try:
            build = destination / 'build'
            status = self.run(['meson', 'setup', '--prefix=/usr', '-Dbuildtype=plain', build, SOURCE])
            status = status or self.run(['meson', 'install', '-C', build, '--destdir', destination / 'root'])
            for path in ('bin/virtask', 'libexec/virtaskd', 'libexec/virtask-bundle', 'lib/systemd/system/virtaskd.service', 'lib/tmpfiles.d/virtask.conf',
                         'share/dbus-1/interfaces/org.virtask1.Task.xml', 'share/dbus-1/system.d/org.virtask1.conf',
                         'share/dbus-1/system-services/org.virtask1.service', 'share/polkit-1/actions/org.virtask1.policy',
                         'share/man/man1/virtask.1', 'share/man/man5/org.virtask1.5', 'share/man/man8/virtaskd.8',
                         'share/bash-completion/completions/virtask'):
                if not (destination / 'root/usr' / path).exists():
                    self.log.write(f'/usr/{path} is not installed.\n')
                    status = 1
            return self.counted(status)
        finally:
            shutil.rmtree(destination)

    def not_source(self, directory, names):
        """Of a directory of the source tree: what a clone would not have."""
        paths = {name: pathlib.Path(directory, name) for name in names}
        return [name for name, path in paths.items()
                if name == '.git' or path == self.build or (path / 'build.ninja').exists()]

    def demo_as_user(self):
        """On a copy, as a clone of another user: ours may lie where he can't look."""
        if os.geteuid() != 0:
            return self.counted(self.run([SOURCE / 'demo']))
        home = pathlib.Path(tempfile.mkdtemp(prefix='virtask-demo-', dir='/var/tmp'))
        try:
            user = pwd.getpwnam(USER)
            clone = home / 'virtask'
            shutil.copytree(SOURCE, clone, symlinks=True, ignore=self.not_source)
            for path in [home, *home.rglob('*')]:
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
            return self.counted(self.run([clone / 'demo'], user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                                         environment={'HOME': str(home)}, cwd=clone))
        finally:
            shutil.rmtree(home)

    def demo_as_root(self):
        if os.geteuid() == 0:
            return self.counted(self.run([SOURCE / 'demo']))
        if self.run(['sudo', '-n', 'true']) if shutil.which('sudo') else 1:
            return Count(skipped=1)
        return self.counted(self.run(['sudo', '-n', SOURCE / 'demo']))

    def steps(self):
        """Name (what --only takes), and what to do. The order is that in which a mistake is found soonest."""
        outside = {f'{step}{suffix}': lambda build=build, step=step: self.outside(build, step)
                   for build, suffix in (('gcc', ''), ('address', '-address')) for step in OUTSIDE}
        first = ALONE + BESIDE
        return [
            *((f'build-{name}', lambda name=name: self.compile(name)) for name in BUILDS),
            ('unit', lambda: self.unit('gcc')),
            ('unit-clang', lambda: self.unit('clang')),
            ('unit-address', lambda: self.unit('address')),
            ('unit-thread', lambda: self.unit('thread', ['jobs', 'backend'])),
            *sorted(outside.items(), key=lambda row: first.index(row[0]) if row[0] in first else len(first)),
            ('install', self.install),
            ('demo-user', self.demo_as_user),
            ('demo-root', self.demo_as_root),
        ]

    def findings(self, path):
        """What the tests say of random moments (their seeds, and how many met an operation in the middle), and of what they count and measure."""
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            if match := re.search(r'[a-z][^:]*: (seed \d+|\d+ of \d+ in the middle)$|\d+ cells$|\d+ guests stopped within .*', line):
                yield match.group().rpartition('::')[2]

    def step(self, name, action):
        begin = time.monotonic()
        path = self.logs / f'{name}.log'
        with open(path, 'w', encoding='utf-8', errors='replace') as self.log:
            try:
                count = action()
            except Exception as error:  # a broken step must not hide the others
                self.log.write(f'{type(error).__name__}: {error}\n')
                count = Count(failed=1)
        word = 'FAILED' if count.failed else 'ok'
        text = [f'{word:8}{name:20}{time.monotonic() - begin:7.1f} s   {count}']
        if self.long:
            text += [f'    {line}' for line in self.findings(path)]
        if count.failed:
            lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
            names = [line for line in lines if line.startswith((FAILED, DEMO_FAILED))]  # first: who shows this may cut it
            text += [f'    {line}' for line in [*names, *lines[-LOG_LINES:], f'-- {path}']]
        print('\n'.join(text), flush=True)
        return count


def main():
    parser = argparse.ArgumentParser(prog='./check', description='Builds virtask in four ways and runs all tests.')
    parser.add_argument('--long', action='store_true', help='the same tests with the full counts; takes hours')
    parser.add_argument('--only', action='append', metavar='STEP', help='only this step; can be given several times')
    parser.add_argument('--list', action='store_true', help='list the steps')
    parser.add_argument('--build-directory', type=pathlib.Path, default=SOURCE / 'build-check', help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    check = Check(arguments.build_directory, arguments.long)
    steps = dict(check.steps())
    if arguments.list:
        print(*steps, sep='\n')
        return 0
    if unknown := set(arguments.only or ()) - set(steps):
        parser.error(f'no such step: {", ".join(sorted(unknown))}; --list names them')

    chosen = [name for name in steps if not arguments.only or name in arguments.only]
    total = Count()
    with concurrent.futures.ThreadPoolExecutor(LANES) as executor:
        beside = {}
        for name in chosen:
            if name in BESIDE and not arguments.long:
                other = Check(arguments.build_directory, arguments.long)
                beside[name] = executor.submit(other.step, name, dict(other.steps())[name])
            else:
                total += check.step(name, steps[name])
        # What nobody has begun by now needs not wait for the others.
        for name, step in beside.items():
            if step.cancel():
                total += check.step(name, steps[name])
        total = sum((step.result() for step in beside.values() if not step.cancelled()), total)
    print(total)
    return 1 if total.failed else 0


if __name__ == '__main__':
    sys.exit(main())
