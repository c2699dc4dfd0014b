"""Joints of roads that netconvert lays backwards, on a straight road of 200 m with such a joint in its middle."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.world.drive_path import DrivePath
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.net_mend import mended
from kd_planner_ros.world.routes import RouteSpec, plan_route
from kd_planner_ros.world.town import town_file

JOINT_M = 100.0


def write_net(path, back_m: float):
    """in -> :J (the joint) -> mid -> :K -> out; the joint leads ``back_m`` back to where ``mid`` and ``:K`` begin."""
    start = JOINT_M - back_m
    lines = {"in_0": [0, JOINT_M], ":J_0_0": [JOINT_M, start], "mid_0": [start, start + 0.2],
             ":K_0_0": [start + 0.2, 98.0, 106.0, 112.0], "out_0": [112.0, 200.0]}
    ends = {"in": "A J", "mid": "J K", "out": "K B"}
    edges = []
    for lane, xs in lines.items():
        edge = lane[:-2]
        kind = 'function="internal"' if edge[0] == ":" else 'from="{}" to="{}"'.format(*ends[edge].split())
        shape = " ".join(f"{x:.2f},0.10" for x in xs)
        length = abs(xs[-1] - xs[0])
        edges.append(f'<edge id="{edge}" {kind}><lane id="{lane}" index="0" speed="13.89" length="{length:.2f}" '
                     f'shape="{shape}"/></edge>')
    nodes = [f'<junction id="{name}" type="priority" x="{x}" y="0" incLanes="{into}" intLanes="{inner}" '
             f'shape="{x},-2 {x + 1},2 {x},2"/>' for name, x, into, inner in
             (("A", 0, "", ""), ("J", 100, "in_0", ":J_0_0"), ("K", 110, "mid_0", ":K_0_0"), ("B", 200, "out_0", ""))]
    links = [f'<connection from="{a}" to="{b}" fromLane="0" toLane="0" {via} dir="s" state="M"/>' for a, b, via in
             (("in", "mid", 'via=":J_0_0"'), (":J_0", "mid", ""), ("mid", "out", 'via=":K_0_0"'), (":K_0", "out", ""))]
    path.write_text('<net version="1.20"><location netOffset="0.00,0.00" convBoundary="0,0,200,4" '
                    f'origBoundary="0,0,200,4" projParameter="!"/>{"".join(edges + nodes + links)}</net>')
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("back_m", [0.5, 7.6])
def test_a_route_over_a_joint_that_runs_back_only_goes_forward(tmp_path, back_m):
    road = load_map(str(write_net(tmp_path / "joint.net.xml", back_m)))
    route = plan_route(road, RouteSpec("r", "joint", np.array([[5.0, 0.0, 0.0], [190.0, 0.0, 0.0]])))
    assert (np.diff(route.points[:, 0]) > 0.9).all() and np.abs(route.yaws).max() < 0.05
    assert route.length_m == pytest.approx(185.0, abs=0.5)
    assert DrivePath(road, route).limit_mps[:-1].min() > 6.0  # no bend to slow down for


def test_mended_lanes_still_join_and_keep_their_order(tmp_path):
    road = load_map(str(write_net(tmp_path / "joint.net.xml", 7.6)))
    order = ["in_0", ":J_0_0", "mid_0", ":K_0_0", "out_0"]
    for before, after in zip(order, order[1:]):
        assert road.lanes[before].successors == (after,)
        np.testing.assert_allclose(road.lanes[before].centre[-1], road.lanes[after].centre[0], atol=0.02)
    lengths = LaneGraph(road).lengths
    assert sum(lengths.values()) == pytest.approx(200.0, abs=0.1) and min(lengths.values()) > 0.1


def test_a_lane_that_turns_off_right_behind_the_joint_stays_as_it_is(tmp_path):
    path = write_net(tmp_path / "joint.net.xml", 7.6)
    path.write_text(path.read_text().replace("92.60,0.10 98.00,0.10 106.00,0.10 112.00,0.10",
                                             "92.60,0.10 95.00,1.00 96.00,20.00"))
    assert len(load_map(str(path)).lanes[":K_0_0"].centre) == 3


@pytest.mark.parametrize("back_m", [0.0, 0.1, -3.0])
def test_a_network_without_such_joints_is_read_as_it_is(tmp_path, back_m):
    path = write_net(tmp_path / "plain.net.xml", back_m)
    assert mended(path) == path and load_map(str(path)).net_file == str(path)
    assert not (tmp_path / "cache").exists()


def test_the_mended_file_is_made_once_and_alike(tmp_path):
    path = write_net(tmp_path / "joint.net.xml", 7.6)
    first = mended(path)
    assert first != path and load_map(str(path)).net_file == str(first)
    content = first.read_bytes()
    first.unlink()
    assert mended(path).read_bytes() == content


def test_crossings_are_not_joints():
    file = town_file(3)  # has crossings between pavements that run the other way
    assert mended(file) == file
