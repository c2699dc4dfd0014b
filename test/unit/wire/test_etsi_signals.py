"""SPATEMs and MAPEMs made by hand, with the fields of etsi_its_spatem_ts_msgs and etsi_its_mapem_ts_msgs, against numbers worked out by
hand."""

import math
from datetime import datetime, timezone
from types import SimpleNamespace as N

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.wire.codec import etsi_signals as etsi

NOW_NS = round(datetime(2026, 11, 28, 12, 34, 20, tzinfo=timezone.utc).timestamp()) * etsi.NS
MOY = (datetime(2026, 11, 28, tzinfo=timezone.utc) - datetime(2026, 1, 1, tzinfo=timezone.utc)).days * 1440 + 12 * 60 + 34
INGRESS, EGRESS, BOTH = 0x80, 0x40, 0xC0


def v(value):
    return N(value=value)


def node(east_cm, north_cm, choice=1):
    return N(delta=N(**{"choice": choice, f"node_xy{choice + 1}": N(x=v(east_cm), y=v(north_cm))}))


def lane(number=1, nodes=((500, -300), (0, -1000)), groups=(4,), direction=INGRESS, choice=0, kinds=(1, 5)):
    """A lane; ``nodes`` in cm, each from the one before; ``kinds``: choice of each node; a group None: a connection without one."""
    points = [node(*at, choice=kind) for at, kind in zip(nodes, kinds, strict=True)]
    connections = [N(signal_group_is_present=group is not None, signal_group=v(group or 0)) for group in groups]
    return N(lane_id=v(number), lane_attributes=N(directional_use=N(value=[direction], bits_unused=6)),
             node_list=N(choice=choice, nodes=N(array=points)), connects_to_is_present=bool(groups), connects_to=N(array=connections))


def mapem(*lanes, intersection=77, present=True):
    def one(number, found):
        return N(id=N(id=v(number)), lane_set=N(array=list(found)))

    return N(map=N(intersections_is_present=present, intersections=N(array=[one(5, [lane(9)]), one(intersection, lanes)])))


def movement(group, *events):
    """``events``: (state, mark of its least end; None: no timing)."""
    made = [N(event_state=v(state), timing_is_present=mark is not None, timing=N(min_end_time=v(mark or 0))) for state, mark in events]
    return N(signal_group=v(group), state_time_speed=N(array=made))


def spatem(*movements, intersection=77, moy=MOY, ms=20_500):
    state = N(id=N(id=v(intersection)), moy_is_present=moy is not None, moy=v(moy or 0), time_stamp_is_present=ms is not None,
              time_stamp=v(ms or 0), states=N(array=list(movements)))
    return N(spat=N(intersections=N(array=[N(id=N(id=v(5)), states=N(array=[])), state])))


LINES = {1: etsi.StopLine(10.0, 20.0, 0.5, (4,)), 2: etsi.StopLine(11.0, 21.0, 0.6, (4, 6))}


def read(*movements, lines=LINES, now_ns=NOW_NS, **more):
    return etsi.phases_of(spatem(*movements, **more), 77, lines, now_ns)


def test_a_stop_line_is_where_the_lane_ends_and_faces_the_intersection():
    found = etsi.lanes_of(mapem(lane()), 77, Pose(100.0, 200.0))
    line = found.lines[1]
    assert (line.x, line.y) == pytest.approx((105.0, 197.0)) and line.groups == (4,) and not found.notes
    assert line.yaw == pytest.approx(math.pi / 2), "the second node lies 10 m south of the first: traffic drives north"


def test_a_map_that_is_turned_against_east():
    line = etsi.lanes_of(mapem(lane()), 77, Pose(100.0, 200.0, yaw=math.pi / 2)).lines[1]
    assert (line.x, line.y) == pytest.approx((103.0, 205.0)) and abs(line.yaw) == pytest.approx(math.pi)


def test_lanes_that_cannot_be_placed_are_counted_and_others_are_none_of_ours():
    found = etsi.lanes_of(mapem(lane(1, direction=EGRESS), lane(2, direction=BOTH), lane(3, groups=()), lane(4, groups=(None,)),
                                lane(5, choice=1), lane(6, groups=(6, 4, 4))), 77, Pose())
    assert sorted(found.lines) == [2, 6] and found.lines[6].groups == (4, 6)
    assert found.notes == {etsi.NO_GROUP: 2, etsi.COMPUTED: 1}
    degrees = lane(7)
    degrees.node_list.nodes.array[1] = N(delta=N(choice=6, node_lat_lon=N(lat=v(0), lon=v(0))))
    assert etsi.lanes_of(mapem(degrees), 77, Pose()).notes == {etsi.LAT_LON: 1}
    assert etsi.lanes_of(mapem(lane(), intersection=78), 77, Pose()) is None
    assert etsi.lanes_of(mapem(lane(), present=False), 77, Pose()) is None


@pytest.mark.parametrize(("event", "state"), [
    (0, LightState.OFF), (1, LightState.OFF), (2, LightState.OFF), (3, LightState.RED), (4, LightState.RED), (5, LightState.GREEN),
    (6, LightState.GREEN), (7, LightState.YELLOW), (8, LightState.YELLOW), (9, LightState.OFF), (77, LightState.OFF)])
def test_each_state_of_a_movement(event, state):
    row, = read(movement(4, (event, None), (5, None)), lines={1: LINES[1]}).rows
    assert row["state"] == state and np.isnan(row["min_end_s"]), "the first event is the present one"
    assert (row["signal"], row["stop_x"], row["stop_y"]) == (77 * 256 + 1, 10.0, 20.0) and row["yaw"] == pytest.approx(0.5)


def test_the_time_is_the_minute_of_this_year():
    found = read(movement(4, (3, None)))
    assert found.stamp_ns == NOW_NS + etsi.NS // 2 and etsi.NO_TIME not in found.notes
    new_year = round(datetime(2027, 1, 1, 0, 0, 1, tzinfo=timezone.utc).timestamp()) * etsi.NS
    last = read(movement(4, (3, None)), moy=365 * 1440 - 1, ms=59_000, now_ns=new_year)
    assert last.stamp_ns == new_year - 2 * etsi.NS, "a message of the last minute of the year before"
    for lacking in ({"moy": None}, {"ms": None}, {"ms": 65_535}, {"moy": 527_040}):
        found = read(movement(4, (3, None)), **lacking)
        assert found.stamp_ns == NOW_NS and found.notes[etsi.NO_TIME] == 1


@pytest.mark.parametrize(("mark", "left_s"), [
    (34 * 600 + 255, 5.0), (34 * 600 + 100, 0.0), (36_000, math.nan), (36_001, math.nan), (50, 1_544.5), (33 * 600, 0.0)])
def test_marks_are_tenths_of_a_second_of_the_hour(mark, left_s):
    """At 34 minutes and 20.5 s: 25.5 s lies ahead, 10 s has passed, and 5 s is that of the next hour."""
    row, = read(movement(4, (3, mark)), lines={1: LINES[1]}).rows
    assert float(row["min_end_s"]) == pytest.approx(left_s, nan_ok=True)


def test_a_lane_of_several_groups_has_the_freest_state_and_one_without_is_left_out():
    found = read(movement(4, (3, 34 * 600 + 300)), movement(6, (5, None)))
    assert found.rows["state"].tolist() == [LightState.RED, LightState.GREEN] and found.notes[etsi.SEVERAL] == 1
    found = read(movement(9, (3, None)), movement(6, (3, None)), movement(4))
    assert found.rows["signal"].tolist() == [77 * 256 + 2] and found.notes[etsi.NO_STATE] == 1
    assert read(movement(4, (3, None)), intersection=78) is None
    assert len(read(movement(4, (3, None)), lines={}).rows) == 0


@pytest.mark.parametrize(("others", "state", "lacking"), [
    ((), LightState.OFF, 1), (((6, (1, None)),), LightState.OFF, 0), (((6, (2, 34 * 600 + 300)),), LightState.OFF, 0),
    (((6, (9, None)),), LightState.OFF, 0), (((6,),), LightState.OFF, 1), (((6, (3, None)),), LightState.RED, 0),
    (((6, (7, None)),), LightState.YELLOW, 0), (((6, (5, None)),), LightState.GREEN, 0)], ids=str)
def test_a_lane_of_several_groups_is_red_only_where_all_are(others, state, lacking):
    found = read(movement(4, (3, 34 * 600 + 300)), *(movement(*one) for one in others))
    assert found.rows["state"].tolist() == [LightState.RED, state] and found.notes[etsi.SOME_STATE] == lacking
    assert np.isnan(found.rows["min_end_s"][1]) or state == LightState.RED
    green = read(movement(6, (5, None)))
    assert green.rows["state"].tolist() == [LightState.GREEN], "a car on the other group's movement is not stopped either"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 36_001), st.integers(0, 527_040), st.integers(0, 65_535), st.integers(0, 255))
def test_whatever_a_message_says_its_rows_are_sane(mark, moy, ms, state):
    found = read(movement(4, (state, mark)), moy=moy, ms=ms)
    assert set(found.rows["state"].tolist()) <= set(LightState) and len(found.rows) == 2
    ends = found.rows["min_end_s"]
    assert (np.isnan(ends) | ((ends >= 0.0) & (ends <= 1_800.0))).all()
