"""Maps: the generated towns, what is read from a SUMO network, and bad map names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.geometry.boxes import polygon_contains
from kd_planner_ros.geometry.polyline import resample
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.town import town_file

XODR = """<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4" name="t"/>
<road name="" length="120.0" id="1" junction="-1"><link/>
<planView><geometry s="0.0" x="0.0" y="0.0" hdg="0.0" length="120.0"><line/></geometry></planView>
<lanes><laneSection s="0.0"><center><lane id="0" type="none" level="false"/></center>
<right><lane id="-1" type="driving" level="false"><width sOffset="0.0" a="3.5" b="0.0" c="0.0" d="0.0"/></lane></right>
</laneSection></lanes></road></OpenDRIVE>"""


@pytest.fixture(scope="module")
def town():
    return load_map("default")


def test_default_town_has_everything_a_drive_needs(town):
    kinds = {lane.kind for lane in town.lanes.values()}
    assert {"driving", "sidewalk", "crossing"} <= kinds
    assert len(town.signals) >= 12 and len(town.stops) >= 1
    size = np.diff(town.bounds, axis=0)[0]
    assert (size > 300).all() and (size < 600).all()
    turns = {lane.turn for lane in town.lanes.values() if lane.junction and lane.kind == "driving"}
    assert turns == {"l", "r", "s"}


def test_successors_join_end_to_start(town):
    gaps = [np.linalg.norm(lane.centre[-1] - town.lanes[after].centre[0])
            for lane in town.lanes.values() if lane.kind == "driving" for after in lane.successors]
    assert max(gaps) < 0.3


def test_signals_hang_ahead_of_their_stop_line_and_face_it(town):
    for site in town.signals:
        lane = town.lanes[site.lane]
        ahead = lane.centre[-1] - lane.centre[-2]
        ahead = ahead / np.linalg.norm(ahead)
        reach = site.position[:2] - lane.centre[-1]
        assert 11.9 <= reach @ ahead <= 28.1
        assert np.cos(site.yaw) * ahead[0] + np.sin(site.yaw) * ahead[1] < -0.99
        assert np.linalg.norm(site.stop_line[1] - site.stop_line[0]) == pytest.approx(lane.width, abs=0.01)


def test_stop_signs_stand_right_of_their_lane(town):
    for site in town.stops:
        along = town.lanes[site.lane].centre[-1] - town.lanes[site.lane].centre[-2]
        beside = site.position - town.lanes[site.lane].centre[-1]
        assert along[0] * beside[1] - along[1] * beside[0] < 0.0


def test_inner_lanes_lie_in_their_junction(town):
    for lane in town.lanes.values():
        if lane.kind == "driving" and lane.junction:
            inside = polygon_contains(town.junctions[lane.junction], resample(lane.centre, 0.5))
            assert inside.sum() >= len(inside) - 4  # a pavement's corner may cut off the very end


def test_paint_between_and_beside_lanes(town):
    for lane in town.lanes.values():
        if lane.kind == "driving" and not lane.junction:
            neighbours = {other.index for other in town.lanes.values()
                          if other.edge == lane.edge and other.kind == "driving"}
            assert (lane.left_border == "broken") == (lane.index + 1 in neighbours)
            assert (lane.right_border == "broken") == (lane.index - 1 in neighbours)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_every_town_can_be_driven_through(seed):
    graph = LaneGraph(load_map(f"generated:{seed}"))
    streets = sorted({lane.edge for lane in graph.lanes.values() if not lane.junction})
    reached, front = set(), [next(name for name, lane in graph.lanes.items() if lane.edge == streets[0])]
    while front:
        name = front.pop()
        if name not in reached:
            reached.add(name)
            front += [*graph.successors[name], *(other for _, other in graph.beside[name])]
    assert {graph.lanes[name].edge for name in reached} >= set(streets)


def test_same_seed_gives_the_same_bytes(tmp_path, monkeypatch):
    files = []
    for folder in ("a", "b"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
        lines = town_file(3).read_text().splitlines()
        files.append([line for line in lines if line.lstrip().startswith(("<lane", "<junction", "<tlLogic", "<phase"))])
    assert files[0] == files[1] and len(files[0]) > 200


def test_opendrive_goes_through_netconvert(tmp_path):
    path = tmp_path / "one.xodr"
    path.write_text(XODR)
    road = load_map(str(path))
    lane = next(lane for lane in road.lanes.values() if lane.kind == "driving")
    assert np.linalg.norm(lane.centre[-1] - lane.centre[0]) == pytest.approx(120.0, abs=1.0)


@pytest.mark.parametrize("spec", ["missing.net.xml", "missing.xodr", "generated:x", "generated:-1", "Town05", ""])
def test_bad_map_names_are_refused_in_one_line(spec):
    with pytest.raises(MapError) as caught:
        load_map(spec)
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)


@pytest.mark.parametrize("name, text", [("a.net.xml", "no xml"), ("b.net.xml", "<net/>"), ("c.xodr", "no xml"),
                                        ("d.net.xml", "<net><edge id='e'><lane id='e_0'/></edge></net>")])
def test_broken_maps_are_refused(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(MapError) as caught:
        load_map(str(path))
    assert "\n" not in str(caught.value)
