"""What a replay's plans are judged against is what an evaluation of the recording without the graph has."""

from __future__ import annotations

from dataclasses import replace

from support.bags import write_bag

from kd_planner_ros.bags.drive import drive_of
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.ros.graph.replay_score import _actors

ONCE = BagWriter.write_scene


def twice(self, scene):
    """Two recorders' object lists of one stamp, which do not agree; the signals once more too."""
    ONCE(self, scene)
    later = scene.actors.copy()
    later["x"] += 7.0
    ONCE(self, replace(scene, actors=later))


def test_of_two_object_lists_with_one_stamp_the_first_counts_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(BagWriter, "write_scene", twice)
    with open_bag(write_bag(tmp_path / "b", seconds=2.0, labels=False)) as recording:
        samples = list(recording.samples())
        tables = {one.frame.stamp_ns: one.truth.actors for one in samples}
        assert len(list(recording.records("objects"))) == 2 * len(tables) == 8
        replayed = dict(_actors(recording, sorted(tables)))
        tracks = drive_of(recording).tracks
        assert replayed.keys() == tables.keys() == set(tracks.stamps_ns.tolist())
        for (stamp, seen), first in zip(sorted(tables.items()), tracks.starts.tolist(), strict=False):
            assert replayed[stamp]["x"].tolist() == seen["x"].tolist() == tracks.rows["x"][first:first + len(seen)].tolist()
