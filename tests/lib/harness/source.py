# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things are, and how thorough the run is."""

import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[3]

# The build directory under test. ./check sets it for each of its builds.
BUILD = pathlib.Path(os.environ.get('VIRTASK_BUILD', SOURCE / 'build')).resolve()

# Where the Linux guest is made; ./check has one place for all of its builds.
LINUX = pathlib.Path(os.environ.get('VIRTASK_LINUX', BUILD / 'linux-guest')).resolve()

# With ./check --long the full counts: repetitions, random moments, sweeps.
LONG = os.environ.get('VIRTASK_LONG') == '1'

# All tests, but those with large tables with few of their rows: ./check has 20 minutes, and a sanitizer takes longer.
BRIEF = os.environ.get('VIRTASK_BRIEF') == '1'


def rows(all_of_them, usual, brief):
    """The rows of a table of tests that this run takes."""
    return all_of_them if LONG else brief if BRIEF else usual
