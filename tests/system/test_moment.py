# SPDX-License-Identifier: LGPL-2.1-or-later
"""A snapshot of a collection is of one moment. Has the machine for itself."""

import time

import pytest
from harness.source import LONG
from spy import spied
from test_collections import Collection, assert_no_snapshots, assert_runs, do

pytestmark = pytest.mark.below('embed')


@pytest.fixture(scope='module')
def eight(house):
    return [spied(house, f'many{number}') for number in range(8)]


def test_eight_guests_at_one_moment(house, eight):
    guests = [guest for guest, _ in eight]
    collection = Collection(house, 'eight', guests)
    for attempt in range(10 if LONG else 3):
        begin = time.time()
        path, task = collection.take()
        stops = [spy.wait_event('STOP', begin) for _, spy in eight]
        spread = (max(stops) - min(stops)) * 1000
        own = int(collection.results(task)['SpreadUSec']) / 1000
        print(f'8 guests stopped within {spread:.1f} ms, the task says {own:.1f} ms, stopped for '
              f'{int(collection.results(task)["StoppedUSec"]) / 1000:.0f} ms')
        assert spread <= 50
        assert abs(own - spread) <= 20
        assert_runs(guests)
        if attempt == 0:
            assert do(house, path, 'Destroy')['ResultName'] == 'success'
            assert_no_snapshots(house, guests)
