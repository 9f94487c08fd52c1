# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where things are, and how thorough the run is."""

import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[3]

# The build directory under test. ./check sets it for each of its builds.
BUILD = pathlib.Path(os.environ.get('VIRTASK_BUILD', SOURCE / 'build')).resolve()

# With ./check --long the full counts: repetitions, random moments, sweeps.
LONG = os.environ.get('VIRTASK_LONG') == '1'
