"""AP of road users and map lines, and forecasts, against answers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import roads
from support.bags import RIG, write_bag

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, LineKind, MapLines
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.core.road import MAP_LINE_DTYPE, SignalSite
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation import detected, detected_lines, detected_users, open_loop
from kd_planner_ros.evaluation.detected_users import TrueUsers, average_precision
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.networks.planner import Planner
from kd_planner_ros.world.map_lines import map_lines
from kd_planner_ros.world.sites import _stop_line

CAR, WALKER = int(ActorKind.CAR), int(ActorKind.PEDESTRIAN)


def users(*rows, forecasts=None, times=None) -> Detections:
    """Rows (x, y, kind, probability)."""
    table = np.zeros(len(rows), DETECTION_DTYPE)
    for name, column in zip(("x", "y", "kind", "probability"), zip(*rows, strict=True), strict=True):
        table[name] = column
    return Detections(table, forecasts, None, times)


def truth(*rows, futures=None) -> TrueUsers:
    """Rows (x, y, kind)."""
    table = np.array(rows, float).reshape(-1, 3)
    return TrueUsers(table[:, :2], table[:, 2].astype(int), np.zeros((len(table), 0, 2)) if futures is None else futures)


def test_a_match_is_by_the_distance_of_centres():
    found = detected_users.match(users((10, 1.5, CAR, 0.9), (30, 0.3, CAR, 0.8), (30, 0, WALKER, 0.7)), truth((10, 0, CAR), (30, 0, CAR)))
    assert found.hits.tolist() == [[False, False, True, True], [True] * 4, [False] * 4], "0.5, 1, 2 and 4 m; kinds do not mix"


def test_the_surest_takes_the_nearest_and_nobody_takes_it_again():
    found = detected_users.match(users((10, 0.1, CAR, 0.5), (10, 0.4, CAR, 0.9)), truth((10, 0, CAR)))
    assert found.hits.tolist() == [[False] * 4, [True] * 4]
    found = detected_users.match(users((10, 0, CAR, 0.9), (10, 0, CAR, 0.8)), truth((10, 0.2, CAR), (10, 0.4, CAR)))
    assert found.hits.all()


@pytest.mark.parametrize(("scores", "hits", "true", "ap"), [
    ([0.9], [1], 1, 1.0), ([0.9, 0.8], [1, 1], 2, 1.0), ([], [], 3, 0.0), ([0.9], [0], 1, 0.0),
    ([0.9], [1], 2, 40 / 90),        # precision 1 to a recall of 0.5: 40 of the 90 recalls above 0.1
    ([0.9, 0.8], [0, 1], 1, 0.2),    # precision rises to 0.5 r: the sum of 0.005 k - 0.1 over k = 21 ... 100 is 16.2, over 90 * 0.9
    ([0.8, 0.9], [1, 0], 1, 0.2)])
def test_ap_of_nuscenes(scores, hits, true, ap):
    assert average_precision(np.array(scores, float), np.array(hits, bool), true) == pytest.approx(ap)


def test_kinds_that_are_there_count_and_nothing_else():
    match = detected_users.match(users((10, 0, CAR, 0.9), (5, 5, int(ActorKind.BUS), 0.9)), truth((10, 0, CAR), (20, 0, WALKER)))
    found = detected_users.figures([match, match])
    assert found["ap_by_kind"] == pytest.approx({"pedestrian": 0.0, "car": 1.0}) and found["map"] == pytest.approx(0.5)
    assert (found["found"], found["true"], found["instants"]) == (4, 4, 2)


def test_forecasts_of_matches():
    """Two cars, two futures each of two steps. The first: off by (3, 3) and by (1, 2), so minADE 1.5 and minFDE 2. The second: off by
    (0, 5) and by (4, 2.5), so 2.5 by the first future and 2.5 by the second. A third car has no partner."""
    futures = np.array([[(11, 0), (12, 0)], [(21, 0), (22, 0)]], float)
    made = np.array([[[(11, 3), (12, 3)], [(11, 1), (12, 2)]], [[(21, 0), (22, 5)], [(21, 4), (22, 2.5)]], np.zeros((2, 2, 2))], np.float32)
    found = users((10, 0, CAR, 0.9), (20, 1.9, CAR, 0.8), (40, 0, CAR, 0.7), forecasts=made, times=np.array([0.5, 1.0]))
    match = detected_users.match(found, truth((10, 0, CAR), (20, 0, CAR), futures=futures))
    np.testing.assert_allclose(match.errors, [(1.5, 2.0), (2.5, 2.5)])
    ahead = detected_users.figures([match])["forecasts"]
    assert ahead == pytest.approx({"matched": 2, "min_ade_m": 2.0, "min_fde_m": 2.25, "miss_rate": 0.5})


def test_a_future_that_ends_early_counts_as_far_as_it_is_known():
    futures = np.array([[(11, 0), (np.nan, np.nan)]])
    made = np.array([[[(11, 1), (50, 50)]]], np.float32)
    match = detected_users.match(users((10, 0, CAR, 0.9), forecasts=made, times=np.array([0.5, 1.0])), truth((10, 0, CAR), futures=futures))
    assert match.errors[0, 0] == 1.0 and np.isnan(match.errors[0, 1])
    ahead = detected_users.figures([match])["forecasts"]
    assert ahead["min_ade_m"] == 1.0 and ahead["min_fde_m"] is None and ahead["miss_rate"] is None


def lines(*rows) -> MapLines:
    """Rows (points, kind, score)."""
    longest = max((len(points) for points, _, _ in rows), default=2)
    points = np.full((len(rows), longest, 2), np.nan, np.float32)
    for index, (line, _, _) in enumerate(rows):
        points[index, :len(line)] = line
    return MapLines(points, np.array([kind for _, kind, _ in rows], np.uint8), np.array([score for _, _, score in rows], np.float32))


def along(y: float, first: float = 2.0, last: float = 28.0) -> list:
    return [(first, y), (last, y)]


def test_the_chamfer_distance_of_parallel_lines_is_their_distance():
    one, other = (detected_lines._even(np.array(along(y))) for y in (0.0, 0.7))
    assert detected_lines.chamfer(one, other) == pytest.approx(0.7) == pytest.approx(detected_lines.chamfer(one, other[::-1]))
    half = detected_lines._even(np.array(along(0.0, 2.0, 15.0)))
    assert detected_lines.chamfer(one, half) == pytest.approx(13.0 / 4.0 / 2.0, rel=0.04), "one half is 6.5 m away in the mean"


def test_ap_of_lines():
    """Two dividers are there: the surest is 0.7 m beside one, the next is nowhere, the last is on the other. At 0.5 m one of two is
    right at the third place: precision 1/3 to a recall of 1/2. At 1.0 and 1.5 m: 1 to 1/2 and 2/3 to 1."""
    found = lines((along(0.7), LineKind.DIVIDER, 0.9), (along(9.0), LineKind.DIVIDER, 0.8), (along(5.0), LineKind.DIVIDER, 0.7))
    there = lines((along(0.0), LineKind.DIVIDER, 1.0), (along(5.0), LineKind.DIVIDER, 1.0))
    match = detected_lines.match(found, there)
    assert match.hits.tolist() == [[False, True, True], [False] * 3, [True] * 3]
    ap = (1 / 6 + 2 * (1 / 2 + 1 / 3)) / 3
    found = detected_lines.figures([match])
    assert found["map"] == found["ap_by_kind"]["divider"] == pytest.approx(ap) and (found["found"], found["true"]) == (3, 2)


def test_centre_lines_count_where_the_planner_gives_some():
    there = lines((along(0.0), LineKind.CENTRE, 1.0), (along(3.0), LineKind.BOUNDARY, 1.0))
    silent = detected_lines.figures([detected_lines.match(lines((along(3.0), LineKind.BOUNDARY, 0.9)), there)])
    assert silent["ap_by_kind"] == {"boundary": 1.0} and silent["true"] == 1
    asked = detected_lines.figures([detected_lines.match(lines((along(3.0), LineKind.CENTRE, 0.9)), there)])
    assert asked["ap_by_kind"] == {"boundary": 0.0, "centre": 0.0}


@pytest.mark.parametrize(("line", "counts"), [
    ([(20.0, -1.5), (20.0, 1.5)], True), ([(20.0, 1.5), (20.0, -1.5)], False),  # the car's lane ahead, and the oncoming one
    ([(21.5, 5.0), (18.5, 5.0)], False), ([(18.5, -5.0), (21.5, -5.0)], False),  # those who cross from the right and from the left
    ([(20.5, -1.5), (19.5, 1.5)], True)])
def test_stop_lines_are_those_of_the_cars_own_direction(line, counts):
    there = lines((line, LineKind.STOP, 1.0), (along(3.0), LineKind.BOUNDARY, 1.0))
    kept = detected_lines.for_the_car(there)
    assert kept.kinds.tolist() == [int(LineKind.STOP)] * counts + [int(LineKind.BOUNDARY)]


def test_the_maps_stop_lines_go_from_right_to_left():
    """As ``for_the_car`` reads them: those of lanes to the east and to the west, each seen by who drives on the lane."""
    street = roads.street(roads.lane("back", roads.line([150, 4], [0, 4])))
    sites = [SignalSite(row, name, np.zeros(3), 0.0, _stop_line(lane), (), "j") for row, (name, lane) in enumerate(street.lanes.items())]
    rows = map_lines(replace(street, signals=tuple(sites)), np.array([[0.0, 0.0], [150.0, 0.0]]))
    for lane, line in zip(street.lanes.values(), rows[rows["kind"] == LineKind.STOP].reshape(-1, 2), strict=True):
        ahead = lane.centre[-1] - lane.centre[-2]
        pose = Pose(*lane.centre[-2], yaw=math.atan2(ahead[1], ahead[0]))
        seen = to_base(np.stack([line["x"], line["y"]], axis=1), pose)
        assert len(detected_lines.for_the_car(lines((seen, LineKind.STOP, 1.0)))) == 1
        assert len(detected_lines.for_the_car(lines((-seen, LineKind.STOP, 1.0)))) == 0


def test_stop_lines_count_where_the_planner_gives_some():
    there = lines(([(20.0, -1.5), (20.0, 1.5)], LineKind.STOP, 1.0), (along(3.0), LineKind.BOUNDARY, 1.0))
    silent = detected_lines.figures([detected_lines.match(lines((along(3.0), LineKind.BOUNDARY, 0.9)), there)])
    assert silent["map"] == 1.0 and silent["true"] == 1, "a planner that is not taught to look for them"
    asked = detected_lines.figures([detected_lines.match(there, there)])
    assert asked["ap_by_kind"] == {"boundary": 1.0, "stop": 1.0}


def test_no_lines_and_nobody_at_all():
    nothing = lines()
    assert detected_lines.figures([detected_lines.match(nothing, nothing)])["map"] is None
    nobody = Detections(np.zeros(0, DETECTION_DTYPE))
    assert detected_users.figures([detected_users.match(nobody, truth())])["map"] is None
    assert detected_users.figures([detected_users.match(nobody, truth((1, 0, CAR)))])["map"] == 0.0
    assert detected.table(detected.figures([detected.Detected()])) == []


def test_what_no_camera_sees_does_not_count():
    """The camera stands 1.5 m behind the origin and sees 50 degrees to each side."""
    places = np.array([(10.0, 0.0), (-3.0, 0.0), (5.0, 7.7), (5.0, 7.8)])
    assert detected.in_view(places, RIG).tolist() == [True, False, True, False]
    back = replace(RIG.cameras[0], id="back", pose=Pose(yaw=math.pi))
    assert detected.in_view(places, SensorRig((*RIG.cameras, back))).tolist() == [True, True, True, False]
    assert detected.in_view(places, SensorRig()).all()


def test_lines_are_cut_where_they_stop_to_count():
    cut = detected.cut_lines(lines((along(1.0, -20.0, 60.0), LineKind.DIVIDER, 0.9), (along(20.0), LineKind.DIVIDER, 0.8)), RIG)
    assert len(cut) == 1 and cut.scores.tolist() == pytest.approx([0.9])
    known = cut.points[0][np.isfinite(cut.points[0]).all(axis=1)]
    assert known[0, 0] == pytest.approx(-0.66, abs=0.5) and known[-1, 0] == pytest.approx(30.0, abs=0.5)


@given(scores=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12, unique=True), seed=st.integers(0, 99))
def test_ap_lies_in_0_to_1_and_depends_on_the_order_alone(scores, seed):
    hits = np.random.default_rng(seed).random(len(scores)) < 0.5
    values = np.array(scores)
    for measure in (average_precision, detected_lines.area):
        found = measure(values, hits, len(scores))
        assert 0.0 <= found <= 1.0 + 1e-12 and measure(values / 2.0, hits, len(scores)) == found
        assert measure(values, np.ones(len(scores), bool), len(scores)) == pytest.approx(1.0)


class _Knows(Planner):
    """Knows the car that ``write_bag`` puts 10 m ahead on a straight drive, the divider beside the lane and, where it looks for such, the
    stop line."""

    name, rig, rate_hz = "knows", RIG, 2.0
    looks_for_stops = False

    def reset(self) -> None:
        pass

    def plan(self, frame: Frame) -> Plan:
        times = np.array([0.5, 1.0])
        place = to_base(np.array([frame.ego.pose.x + 10.0, 2.0]), frame.ego.pose)
        future = place + np.stack([5.0 * times, np.zeros(2)], axis=1)
        made = np.array([[future, future + 7.0]], np.float32)
        seen = users((*place, CAR, 0.9), forecasts=made, times=times)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, future, times), frame.goal, detections=seen,
                    lines=lines((along(1.75, -1.0, 40.0), LineKind.DIVIDER, 0.8), (self.stops(frame), LineKind.STOP, 0.7)))

    def stops(self, frame: Frame) -> list:
        return [(30.0 - frame.ego.pose.x, -1.75), (30.0 - frame.ego.pose.x, 1.75)] if self.looks_for_stops else along(99.0)


def test_from_the_recording_to_the_figures(tmp_path, monkeypatch):
    """The map has the stop line of the oncoming traffic too, which is not the car's."""
    rows = np.zeros(6, MAP_LINE_DTYPE)
    rows["line"], rows["kind"] = (0, 0, 1, 1, 2, 2), (LineKind.DIVIDER,) * 2 + (LineKind.STOP,) * 4
    rows["x"], rows["y"] = (-50.0, 120.0, 30.0, 30.0, 30.0, 30.0), (1.75, 1.75, -1.75, 1.75, 5.25, 1.75)
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda *words: _Knows())
    write_bag(tmp_path / "b", rate=0.0, lines=rows, labels=False)
    found = open_loop.run(open_loop.OpenLoopConfig(tmp_path), progress=False)["detected"]
    assert found["users"]["map"] == pytest.approx(1.0) and found["users"]["true"] == 16 == found["users"]["found"]
    assert found["users"]["forecasts"]["min_ade_m"] == pytest.approx(0.0, abs=1e-3) and found["users"]["forecasts"]["matched"] == 15
    assert found["lines"] == {"map": pytest.approx(1.0), "ap_by_kind": {"divider": pytest.approx(1.0)}, "found": 16, "true": 16,
                              "instants": 16}
    assert detected.table(found)[0] == "road users: mAP 1.000 (car 1.000); 16 found, 16 there"
    monkeypatch.setattr(_Knows, "looks_for_stops", True)
    found = open_loop.run(open_loop.OpenLoopConfig(tmp_path), progress=False)["detected"]["lines"]
    assert found["ap_by_kind"] == pytest.approx({"divider": 1.0, "stop": 1.0}) and found["found"] == found["true"] > 20
