"""The radio of a closed-loop drive: delays, losses, clocks and attacks, with stations that see what the test says."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.fakes import straight_route
from support.plans import straight
from support.towns import actor, scene
from support.v2x import seen, station

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.scene import ActorKind, LightState
from kd_planner_ros.core.sensors import LidarSpec, RoadsideWish, SensorRig
from kd_planner_ros.core.v2x import PHASE_DTYPE, SILENT_DTYPE, ReportedObjects, RoadsideView, SignalPhases, SilentStations
from kd_planner_ros.driving.supervisor import Reason
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.evaluation.one_route import PlannerSide
from kd_planner_ros.evaluation.v2x_attacks import ATTACKS, FLOOD, GHOST_ID
from kd_planner_ros.evaluation.v2x_link import Heard, RadioLink, summed
from kd_planner_ros.evaluation.v2x_setup import radio_settings, require_radio
from kd_planner_ros.networks.registry import build_weightless
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.world.sensor_data import SensorData

WALKER = (0.5, 0.6, 1.75)
TICK_NS = 50_000_000


def run(ticks=120, wish=None, attack="none", lidar=None, clouds=None, signals=False, cap_unheard=False, **settings):
    """(all that the car heard, the link) of so many ticks in which one station sees a walker."""
    mast, heard = station(x=10.0), []
    now = {}

    def broadcast(asked, pictures):
        rows = actor(ActorKind.PEDESTRIAN, 20.0, 6.0, WALKER, seed=3)
        image = seen(now["ns"] // TICK_NS) if pictures else None
        return [RoadsideView(mast.id, mast.cameras[0], image, rows, now["ns"], 0.0, mast.pose)]

    link = RadioLink([mast], broadcast, ChannelSettings(**settings), attack, wish, lidar, signals, cap_unheard)
    for tick in range(ticks):
        now["ns"] = tick * TICK_NS
        heard.append(link.step(scene(stamp_ns=now["ns"]), clouds or {}))
    return heard, link


def test_objects_arrive_with_their_age_by_the_cars_clock():
    heard, link = run(latency_ms=200.0)
    last = heard[-1].reported
    assert last.rows["id"].tolist() == [3] and last.stamp_ns == 119 * TICK_NS and 0.2 <= last.ages_s[0] <= 0.3
    assert link.facts()["refused"] == {} and not heard[-1].views


@pytest.mark.parametrize("latency_ms, used", [(0.0, True), (100.0, True), (300.0, True), (600.0, False), (1000.0, False)])
def test_what_is_older_than_half_a_second_is_not_used(latency_ms, used):
    heard, link = run(latency_ms=latency_ms)
    assert bool(len(heard[-1].reported.rows)) == used and ("stale" in link.facts()["refused"]) != used


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5, 1.0])
def test_what_is_lost_is_missing_and_nothing_else_changes(loss):
    """Lists of 10 Hz over 6 s: whatever comes is what was sent, and the more is lost the less often the car knows anything."""
    heard, link = run(loss=loss, seed=4)
    facts = link.facts()
    assert facts["channel"].get("lost", 0) == pytest.approx(60 * loss, abs=12) and facts["refused"] == {}
    assert facts["accepted"] == 60 - facts["channel"].get("lost", 0)
    assert {number for one in heard for number in one.reported.rows["id"].tolist()} <= {3}
    assert all((one.reported.ages_s <= 0.5).all() for one in heard)
    knows = sum(bool(len(one.reported.rows)) for one in heard)
    assert (knows == 0) == (loss == 1.0) and (loss > 0.1 or knows > 60)


@pytest.mark.parametrize("jitter_ms", [20.0, 80.0, 400.0])
def test_jitter_makes_messages_late_or_reordered_and_never_too_old_ones_used(jitter_ms):
    heard, link = run(jitter_ms=jitter_ms, seed=4)
    facts = link.facts()
    assert set(facts["refused"]) <= {reasons.REORDERED, reasons.STALE, reasons.CLOCK_OFFSET}
    assert facts["accepted"] + sum(facts["refused"].values()) == facts["channel"]["arrived"]
    refused = sum(facts["refused"].values())
    assert refused <= 3 if jitter_ms == 20.0 else refused > 1
    assert all((one.reported.ages_s <= 0.5).all() for one in heard)
    assert jitter_ms == 400.0 or any(len(one.reported.rows) for one in heard)


def test_the_planner_gets_pictures_at_five_hertz_and_lists():
    heard, link = run(wish=RoadsideWish(objects=True), latency_ms=100.0)
    pictures = {view.stamp_ns for one in heard for view in one.views if view.image is not None}
    assert 15 <= len(pictures) <= 30 and np.diff(sorted(pictures)).min() == 4 * TICK_NS
    picture, rows = heard[112].views
    assert picture.image.shape == (72, 128, 3) and picture.objects is None and picture.foot == rows.foot
    assert rows.objects["id"].tolist() == [3] and rows.image is None and rows.stamp_ns + round(rows.age_s * 1e9) == 112 * TICK_NS
    assert all(view.objects is None for view in run(wish=RoadsideWish())[0][112].views)


def test_the_planner_gets_each_stations_own_list():
    """Two stations that see one walker: for the supervisor it is one, and each list has it."""
    masts, rows = [station("a", x=10.0), station("b", x=15.0)], actor(ActorKind.PEDESTRIAN, 20.0, 6.0, WALKER, seed=3)
    link = RadioLink(masts, lambda asked, pictures: [RoadsideView(one.id, one.cameras[0], None, rows, 0, 0.0, one.pose) for one in masts],
                     ChannelSettings(), wish=RoadsideWish(views=2, objects=True))
    heard = [link.step(scene(stamp_ns=tick * TICK_NS)) for tick in range(60)][-1]
    assert len(heard.reported.rows) == 1
    assert sorted((one.station, one.objects["id"].tolist()) for one in heard.views) == [("a", [3]), ("b", [3])]


def test_a_clock_that_is_off_is_not_trusted_and_a_slow_one_is_none_before_zero():
    assert not len(run(clock_offset_ms=-60_000.0)[0][-1].reported.rows)
    heard, link = run(clock_offset_ms=250.0)
    assert not len(heard[-1].reported.rows) and "early" in link.facts()["refused"]


@pytest.mark.parametrize("cap_unheard", [False, True])
def test_a_station_of_which_nothing_comes_is_silent_only_where_that_is_asked_for(cap_unheard):
    for given in ({"loss": 1.0}, {"attack": "forged"}):
        heard, _ = run(40, cap_unheard=cap_unheard, **given)
        assert [len(one.silent.rows) for one in heard] == [0] * 20 + [int(cap_unheard)] * 20 and heard[-1].silent.stamp_ns == 39 * TICK_NS
    assert not any(len(one.silent.rows) for one in run(40, cap_unheard=cap_unheard)[0])


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_runs_and_only_honest_messages_count(attack):
    heard, link = run(attack=attack)
    ids = {number for one in heard for number in one.reported.rows["id"].tolist()}
    ghosts = {number for number in ids if number >= GHOST_ID}
    assert ids - ghosts == ({3} if attack in ("none", "ghosts", "flood") else set())
    assert (len(ghosts) > 2) == (attack == "ghosts")
    refused = link.facts()["refused"]
    assert set(refused) == {"fleeting"} if attack == "ghosts" else bool(refused) == (attack != "none")


def test_a_flood_that_nobody_signed_changes_nothing_that_the_car_hears():
    (quiet, _), (heard, link) = run(40), run(40, attack="flood")
    assert [one.reported.rows.tobytes() for one in heard] == [one.reported.rows.tobytes() for one in quiet]
    assert link.facts()["refused"] == {reasons.FORGED: 40 * FLOOD}


def test_the_cars_lidar_tells_ghosts_from_road_users():
    """The station's walker stands in the open in front of a car whose LiDAR sees nothing but ground there."""
    ground = np.array([[x, y, -2.0, 0.5] for x in np.arange(-30.0, 31.0) for y in np.arange(-30.0, 31.0)], np.float32)
    lidar = LidarSpec("roof", Pose(z=2.0))
    walker = np.array([[20.0, 6.0, -1.0, 0.5]], np.float32)
    (heard, link), (seen, other), (blind, third) = (
        run(40, lidar=lidar, clouds=clouds) for clouds in ({"roof": ground}, {"roof": np.concatenate([ground, walker])}, {"nose": ground}))
    assert not len(heard[-1].reported.rows) and link.facts()["refused"] == {reasons.GHOST: 20}
    assert len(seen[-1].reported.rows) == len(blind[-1].reported.rows) == 1 and other.facts()["refused"] == third.facts()["refused"] == {}


def test_stations_send_signal_phases_where_they_are_asked_to():
    quiet, first = run(60, loss=0.3, seed=2)
    heard, link = run(60, loss=0.3, seed=2, signals=True)
    assert all(one.phases is None for one in quiet)
    last = heard[-1].phases
    assert last.stamp_ns == 59 * TICK_NS and last.rows["state"].tolist() == [LightState.RED]
    assert last.rows["yaw"].tolist() == pytest.approx([0.0], abs=1e-6), "it faces the traffic, which drives east"
    assert [one.reported.rows.tobytes() for one in heard] == [one.reported.rows.tobytes() for one in quiet], "lists have the same fate"
    assert link.facts()["channel"]["sent"] == first.facts()["channel"]["sent"] + 15


def test_a_car_hands_its_clouds_to_the_link_and_what_it_hears_to_the_supervisor():
    rows, cloud, handed = np.zeros(1, PHASE_DTYPE), np.zeros((3, 4), np.float32), []
    rows["state"], rows["stop_x"] = LightState.RED, 7.0

    class Link:
        def step(self, scene, clouds=None):
            handed.append(clouds)
            return Heard(ReportedObjects(scene.stamp_ns), (), SignalPhases(scene.stamp_ns, rows))

    side = PlannerSide(build_weightless("constant_velocity"), straight_route(), link=Link())
    now = replace(scene(), ego=EgoState(0, Pose(), 4.0))
    assert side.looks(0)
    control, plan = side.step(now, SensorData(0, clouds={"roof": cloud}))
    assert handed == [{"roof": cloud}] and plan is not None and control.reason == Reason.RED_SIGNAL and control.brake > 0.2
    side.step(replace(now, stamp_ns=TICK_NS, ego=EgoState(TICK_NS, Pose(0.2), 4.0)), None)
    assert handed[1] is None, "no sensor was read"


def test_the_supervisor_caps_the_speed_at_the_crossing_of_a_silent_station():
    silent = np.array([(0, 20.0, 5.0, np.inf)], SILENT_DTYPE)
    link = SimpleNamespace(step=lambda scene, clouds=None: Heard(ReportedObjects(scene.stamp_ns), (), None,
                                                                 SilentStations(scene.stamp_ns, silent)))
    for supervised in (True, False):
        planner = build_weightless("constant_velocity")
        planner.plan = lambda frame: straight(14.0)
        side = PlannerSide(planner, straight_route(), link=link, supervised=supervised)
        assert side.looks(0)
        control, _ = side.step(replace(scene(), ego=EgoState(0, Pose(), 14.0)), SensorData(0))
        assert (control.reason == Reason.HIDDEN_OBJECT) == supervised and (not supervised or control.brake > 0.1)


def test_a_supervisor_that_does_not_hear_the_stations_drives_as_without_them():
    red = np.zeros(1, PHASE_DTYPE)
    red["state"], red["stop_x"] = LightState.RED, 7.0
    rows = actor(ActorKind.PEDESTRIAN, 8.0, 0.0, WALKER, seed=3)
    link = SimpleNamespace(step=lambda scene, clouds=None: Heard(ReportedObjects(
        scene.stamp_ns, rows, np.zeros(1), np.zeros(1, np.int16), True), (), SignalPhases(scene.stamp_ns, red)))
    controls = []
    for given in ({"link": link, "supervised": False}, {}, {"link": link}):
        side = PlannerSide(build_weightless("constant_velocity"), straight_route(), **given)
        assert side.looks(0)
        controls.append(side.step(replace(scene(), ego=EgoState(0, Pose(), 4.0)), SensorData(0))[0])
    assert controls[0] == controls[1] != controls[2]


@pytest.mark.parametrize("wanted", [False, True])
def test_a_planner_gets_the_phases_that_it_wants(wanted):
    rows, given = np.zeros(1, PHASE_DTYPE), []
    planner = build_weightless("constant_velocity")
    plan = planner.plan
    planner.rig, planner.plan = SensorRig(phases=wanted), lambda frame: given.append(frame.phases) or plan(frame)
    link = SimpleNamespace(step=lambda scene, clouds=None: Heard(ReportedObjects(scene.stamp_ns), (), SignalPhases(scene.stamp_ns, rows)))
    side = PlannerSide(planner, straight_route(), link=link)
    assert side.looks(0)
    side.step(replace(scene(), ego=EgoState(0, Pose(), 4.0)), SensorData(0))
    assert len(given) == 1 and (given[0] is rows if wanted else given[0] is None)


def test_loss_follows_from_the_seed_and_facts_add_up(tmp_path):
    one, two, other = (run(loss=0.5, seed=seed)[1] for seed in (1, 1, 2))
    assert one.facts() == two.facts() != other.facts()
    total = summed([one.facts(), other.facts()])
    assert total["accepted"] == one.facts()["accepted"] + other.facts()["accepted"] and total["states"]["EGO_ONLY"] > 0
    one.close(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing was refused"


@pytest.mark.parametrize("changes, stations, named", [
    ({"v2x_loss": 0.1}, 3, "--v2x on beside --v2x-loss"), ({"v2x": "off", "v2x_attack": "ghosts"}, 3, "--v2x-attack"),
    ({"v2x_supervisor": False}, 3, "--v2x on beside --no-v2x-supervisor"),
    ({"v2x": "on"}, 0, "roadside stations"), ({"v2x": "on", "planner": "expert"}, 3, "expert")])
def test_settings_that_nothing_would_follow_are_refused(changes, stations, named):
    with pytest.raises(ConfigError, match=named):
        require_radio(ClosedLoopConfig(**{"planner": "p", "out": "o", **changes}), SimpleNamespace(stations=("a",) * stations))


def test_every_channel_option_reaches_the_channel():
    others = ("v2x_attack", "v2x_cap_unheard", "v2x_signals", "v2x_supervisor")
    names = [one.name for one in fields(ClosedLoopConfig) if one.name.startswith("v2x_") and one.name not in others]
    assert {name.removeprefix("v2x_") for name in names} == {one.name for one in fields(ChannelSettings)} - {"seed"}
    config = ClosedLoopConfig("p", "o", v2x="on", **{name: 0.5 for name in names if name != "v2x_burst"}, v2x_burst=2.5)
    require_radio(config, SimpleNamespace(stations=("a",)))
    made = radio_settings(config, 9)
    assert made.seed == 9 and made.burst == 2.5
    assert all(getattr(made, name.removeprefix("v2x_")) == 0.5 for name in names if name != "v2x_burst")
