"""Recordings of version 651a085 are read to the last bit as that version read them."""

import json

import pytest
from support.recordings import CAMERAS, CLOUDS, FOLDER, LABELS, read_facts, stored_facts

from kd_planner_ros.bags.reader import open_bag


@pytest.mark.parametrize("name", ["tcp", "views"])
def test_every_topic_is_read_as_it_was(name):
    with open_bag(FOLDER / name) as recording:
        found = read_facts(recording, list(recording.samples(CAMERAS[name], CLOUDS[name], LABELS[name])))
    found, wanted = json.loads(json.dumps(found)), stored_facts(name)
    assert len(wanted["stamps"]) == 17 and set(found) == set(wanted)
    assert [key for key in wanted if found[key] != wanted[key]] == []
