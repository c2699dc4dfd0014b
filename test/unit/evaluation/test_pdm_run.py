"""``evaluate pdms`` from recordings to the table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support import pdm, roads
from support.bags import RIG, SPEED, TICK_NS, write_bag
from support.networks import write_card

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.stamps import Times
from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import BagError, ConfigError, SensorError
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, LightState, SceneState
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.pdm import drives as drives_module
from kd_planner_ros.evaluation.pdm.blocks import TOTALS, Blocks
from kd_planner_ros.evaluation.pdm.config import CONSTANT_SPEED, PdmsConfig, read_horizons, require_horizons
from kd_planner_ros.evaluation.pdm.drives import DriveScenes
from kd_planner_ros.evaluation.pdm.measure import judge_drivers, score_plans
from kd_planner_ros.evaluation.pdm.recorded import RecordedScenes, _way_m, _with_pictures, read_scenes
from kd_planner_ros.evaluation.pdm.run import _together, _why_not, run
from kd_planner_ros.evaluation.pdm.summary import PARTS, tables
from kd_planner_ros.networks.planner import Planner

MAP = "hand.net.xml"
FIRST_NS = 1_000_000_000


def far(tick: int) -> np.ndarray:
    """A car at 4 m/s, 40 m ahead of where the recording begins."""
    return roads.actor(40.0 + 4.0 * 0.05 * tick, speed=4.0)


def straight(path, **options):
    """The recorded car drives east on ``roads.street()`` at 5 m/s for 8 s; object lists, signals and pictures twice a second."""
    return write_bag(path, **({"rate": 0.0, "actors": far, "labels": False} | options))


@pytest.fixture(autouse=True)
def street(monkeypatch):
    outline = np.array([[50.0, -4.0], [70.0, -4.0], [70.0, 4.0], [50.0, 4.0]])
    monkeypatch.setattr(drives_module, "load_map", lambda spec: roads.street(junctions={"j": outline}))


class _Ahead(Planner):
    """Goes on at ``share`` of the recorded speed, for 2 s."""

    name, rig, rate_hz = "ahead", RIG, 2.0
    share = 1.0

    def reset(self) -> None:
        pass

    def plan(self, frame) -> Plan:
        times = np.array([0.5, 1.0, 1.5, 2.0])
        points = np.stack([self.share * SPEED * times, np.zeros(4)], axis=1)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, times), frame.goal)


class _Half(_Ahead):
    share = 0.5


class _Late(_Ahead):
    def plan(self, frame) -> Plan:
        plan, scale = super().plan(frame), np.nan if frame.stamp_ns < 2.6e9 else 1.0
        return replace(plan, trajectory=replace(plan.trajectory, points=plan.trajectory.points * scale))


class _TwoCameras(_Ahead):
    rig = SensorRig(cameras=(RIG.cameras[0], replace(RIG.cameras[0], id="left")))


class _Picky(_Ahead):
    """Refuses the pictures of the drive's first recording, as of another aspect ratio than its own."""

    begun = 0

    def reset(self) -> None:
        self.begun += 1

    def plan(self, frame) -> Plan:
        if self.begun == 1:
            raise SensorError("pictures of 4 to 3", "64x32", "give others")
        return super().plan(frame)


def load(monkeypatch, kind):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda *words, **more: kind())


def config(place, **options) -> PdmsConfig:
    return PdmsConfig(**({"bag": (place,), "planners": ("constant_velocity", "expert"), "map": MAP, "horizons": (2.0,),
                          "resamples": 100} | options))


# --- scenes ----------------------------------------------------------------------------------------------------------

def test_a_scene_holds_what_was_recorded(tmp_path):
    with open_bag(straight(tmp_path / "b")) as recording:
        found = read_scenes(recording, roads.street(), 20, 1.0)
    seconds = [(stamp - FIRST_NS) / 1e9 for stamp in found.scenes]
    assert seconds == [2.0, 3.0, 4.0, 5.0], "1.5 s of history, 2 s of future; the last object list is at 7.5 s"
    assert found.left_out == {"no history or future in the recording": 4}
    scene = next(iter(found.scenes.values()))
    assert found.befores == {stamp: stamp - 500_000_000 for stamp in found.scenes} and scene.before_steps == 5
    assert scene.start.pose == pytest.approx((10.0, 0.0, 0.0)) and scene.start.speed_mps == 5.0 and scene.steps == 20
    assert scene.start.acceleration_mps2 == 0.5 and scene.before.pose[0] == pytest.approx(7.5)
    np.testing.assert_allclose(scene.driver[:, 0], 10.0 + 0.5 * np.arange(21), atol=1e-6)
    np.testing.assert_allclose(scene.driver_before[:, 0], 7.5 + 0.5 * np.arange(21), atol=1e-6)
    np.testing.assert_allclose(scene.others.boxes[:, 0, 0], 48.0 + 0.4 * np.arange(21), atol=1e-4)
    assert scene.others.speeds == pytest.approx(np.full((21, 1), 4.0)) and not scene.others.static.any()
    assert len(scene.history.speeds) == 15 and scene.street.on_route.all()
    assert len(scene.street.centres) == 1, "36 m around x = 10: the lane to x = 50 alone"
    assert scene.route[0, 0] <= 0.0 and scene.route[-1, 0] >= 30.0


def test_a_scene_reaches_as_far_as_a_car_gets_or_the_driver_got():
    """From a stand at 2.4 m/s2, the bound of C, a car is 77 m away after 8 s."""
    still = np.zeros((81, 2))
    assert _way_m(0.0, still, 8.0) > 2.4 * 8.0**2 / 2.0
    assert _way_m(5.0, still, 2.0) == _way_m(5.0, still[:2] + (0.0, 3.0), 2.0) == 16.0
    assert _way_m(5.0, np.array([[0.0, 0.0], [0.0, 40.0]]), 2.0) == 40.0


@pytest.mark.parametrize(("reach", "beyond"), [(15.0, 1.0), (17.0, 0.0)])
def test_who_leaves_what_a_scene_holds_is_marked(reach, beyond):
    drive = DriveScenes("d", [], RecordedScenes({10**9: replace(pdm.scene(), reach_m=reach)}, {10**9: 5 * 10**8}))
    ahead = pdm.plan([(4, 0), (8, 0), (12, 0), (16, 0)])
    found = score_plans(judge_drivers([drive], 20), {"d": {10**9: ahead, 5 * 10**8: ahead}}, extend=False)
    assert found["d", 10**9]["beyond"] == beyond


def test_scenes_begin_where_pictures_are(tmp_path):
    """A station's data bring object lists between the pictures, which come at 0, 1.0 ... s here."""
    with open_bag(straight(tmp_path / "b", every=20)) as recording:
        found = read_scenes(recording, roads.street(), 20, 1.5)
    assert not found.scenes, "instants at 0, 2, 3, 5 and 6 s; EC wants plans half a second apart"
    assert found.left_out == {"no history or future in the recording": 2, "no picture half a second earlier": 3}
    lists = np.arange(0, 8_000_000_000, 250_000_000) + FIRST_NS

    class Recorded:
        cameras = ("front",)

        def image_topic(self, camera):
            return camera

        def placed_times(self, topic):
            return Times(lists[::4], lists[::4])

    assert ((_with_pictures(lists, Recorded()) - FIRST_NS) / 1e9).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_who_comes_later_is_absent_before(tmp_path):
    def appearing(tick):
        return far(tick)[:int(tick >= 60)]

    with open_bag(straight(tmp_path / "b", actors=appearing)) as recording:
        scene = read_scenes(recording, roads.street(), 20, 1.0).scenes[FIRST_NS + 2_000_000_000]
    known = np.isfinite(scene.others.boxes[:, 0, 0])
    assert not known[:9].any() and known[10:].all()


def test_disturbed_scenes_are_left_out_and_counted(tmp_path):
    with open_bag(straight(tmp_path / "b", disturbed=(130, 135))) as recording:
        found = read_scenes(recording, roads.street(), 20, 1.0)
        every = read_scenes(recording, roads.street(), 20, 1.0, disturbed=True)
    assert [(stamp - FIRST_NS) // 10**9 for stamp in found.scenes] == [2, 3, 4] and found.left_out["driver disturbed"] == 1
    assert len(every.scenes) == 4


def test_what_a_recording_lacks_is_named(tmp_path):
    with open_bag(straight(tmp_path / "a", leave_out="route")) as recording, pytest.raises(BagError, match="route"):
        read_scenes(recording, roads.street(), 20, 1.0)
    with pytest.raises(BagError, match="name the map with --map"):
        run(config(straight(tmp_path / "b", spec=""), map=""), progress=False)
    with pytest.raises(BagError, match="no history or future"):
        run(config(straight(tmp_path / "c", seconds=3.0)), progress=False)


def test_a_folder_that_cannot_be_made_is_refused_before_the_recordings_are_read(tmp_path, monkeypatch):
    write_bag(tmp_path / "b", seconds=4.0)
    monkeypatch.setattr("kd_planner_ros.evaluation.pdm.run.read_drives", lambda *rest: pytest.fail("recordings were read"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        run(config(tmp_path / "b", out=tmp_path / "file" / "out"), progress=False)


def test_two_recordings_of_one_drive_count_once_and_must_agree(tmp_path, monkeypatch):
    load(monkeypatch, _Ahead)
    straight(tmp_path / "two" / "a")
    straight(tmp_path / "two" / "b", camera="left")
    result = run(config(tmp_path / "two"), progress=False)
    assert (result["drives"], result["recordings"], result["scenes"]) == (1, 2, 4)
    other = write_bag(tmp_path / "other", rate=0.2, seed=0, labels=False)
    with pytest.raises(BagError, match="one by one"):
        run(config(tmp_path, bag=(tmp_path / "two" / "a", other)), progress=False)


# --- scores ----------------------------------------------------------------------------------------------------------

def test_the_driver_scores_one_and_half_his_way_less(tmp_path, monkeypatch):
    load(monkeypatch, _Half)
    result = run(config(straight(tmp_path / "b")), progress=False)
    rows = result["horizons"]["2"]["planners"]
    assert rows["expert"]["PDMS"]["mean"] == pytest.approx(1.0, abs=0.01) and rows["expert"]["parts"]["EP"] == pytest.approx(1.0, abs=0.01)
    slow = rows["constant_velocity"]
    assert 0.5 < slow["parts"]["EP"] < 0.85, "it slows from 5 to 2.5 m/s: 5 of 10 m, and what braking takes"
    assert slow["parts"]["NC"] == slow["parts"]["DAC"] == slow["parts"]["TLC"] == 1.0
    assert rows["expert"]["over_baseline"]["PDMS"]["mean"] == pytest.approx(rows["expert"]["PDMS"]["mean"] - slow["PDMS"]["mean"])
    assert "over_baseline" not in slow and slow["PDMS"]["low"] <= slow["PDMS"]["mean"] <= slow["PDMS"]["high"]


def test_a_standing_car_in_the_way_zeroes_who_drives_on(tmp_path, monkeypatch):
    load(monkeypatch, _Ahead)
    place = straight(tmp_path / "b", actors=lambda tick: roads.actor(30.0))
    rows = run(config(place), progress=False)["horizons"]["2"]["planners"]
    assert rows["constant_velocity"]["PDMS"]["mean"] < 0.6 and rows["constant_velocity"]["parts"]["NC"] < 1.0
    assert rows["constant_velocity"]["EPDMS"]["mean"] > rows["constant_velocity"]["EPDMS_unfiltered"]["mean"], "so did the driver"


@pytest.mark.parametrize(("yaw", "score"), [(np.pi, 0.0), (0.0, 1.0)])
def test_a_recorded_red_light_is_that_of_the_traffic_that_it_faces(tmp_path, monkeypatch, yaw, score):
    """A stop line at x = 30: the driver crosses it at 6 s less the 0.5 s of his bumper. A head that faces west, yaw pi, is for who drives
    east."""
    def lit(ego):
        signals = np.zeros(1, SIGNAL_DTYPE)
        signals["state"], signals["yaw"] = LightState.RED, yaw
        signals["stop_x0"], signals["stop_x1"], signals["stop_y0"], signals["stop_y1"] = 30.0, 30.0, -1.75, 1.75
        return SceneState(ego.stamp_ns, ego, np.zeros(0, ACTOR_DTYPE), signals)

    monkeypatch.setattr("support.bags.scene", lit)
    place = straight(tmp_path / "b", actors=None)
    row = run(config(place, planners=("expert",)), progress=False)["horizons"]["2"]["planners"]["expert"]
    assert row["parts"]["TLC"] == pytest.approx(0.5 if score == 0.0 else 1.0), "of the scenes at 2, 3, 4 and 5 s the last two"
    assert row["EPDMS"]["mean"] > row["EPDMS_unfiltered"]["mean"] or score == 1.0


def test_longer_horizons_need_longer_plans(tmp_path, monkeypatch):
    load(monkeypatch, _Ahead)
    place = straight(tmp_path / "b", seconds=12.0)
    plain = run(config(place, horizons=(2.0, 3.0)), progress=False)["horizons"]
    assert set(plain["2"]["planners"]) == {"constant_velocity", "expert"} and set(plain["3"]["planners"]) == {"expert"}
    assert plain["3"]["not_scored"] == {"constant_velocity": "its plans end earlier"}
    more = run(config(place, horizons=(2.0, 3.0), extend=CONSTANT_SPEED), progress=False)
    assert set(more["horizons"]["3"]["planners"]) == {"expert", "constant_velocity + constant-speed"}
    assert more["horizons"]["2"] == plain["2"], "plans that reach so far are as they are"
    assert "constant_velocity + constant-speed" in "\n".join(tables(more))


def test_the_reason_is_the_plans_own():
    whole, times = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]), np.array([1.0, 2.0, 3.0])
    plans = {"short": Trajectory(0, whole[:2], times[:2]), "broken": Trajectory(0, whole * np.nan, times),
             "whole": Trajectory(0, whole, times)}
    reasons = {"short": "its plans end earlier", "broken": "its plans are not finite",
               "whole": "in no scene are there its plan and the one before"}
    assert {name: _why_not({"drive": {0: plan}}, 30) for name, plan in plans.items()} == reasons
    assert _why_not({"drive": {0: plans["short"], 1: plans["broken"]}}, 30) == reasons["short"]


def test_who_was_recorded_in_few_scenes_does_not_take_them_from_the_others():
    scenes = [("d", number) for number in range(10)]
    rows = {"whole": {key: {} for key in scenes}, "most": {key: {} for key in scenes[1:]}, "few": {key: {} for key in scenes[:4]}}
    shown, common, why = _together(rows, scenes)
    assert (set(shown), common) == ({"whole", "most"}, scenes[1:]) and why == {"few": "it has plans in 4 of 10 scenes"}
    halves = {"one": {key: {} for key in scenes[:5]}, "two": {key: {} for key in scenes[5:]}}
    shown, common, why = _together(halves | {"all": rows["whole"]}, scenes)
    assert not common and why == {name: "it has plans in 5 of 10 scenes, and in none have all" for name in ("one", "two")}
    assert _together({}, scenes) == ({}, [], {})


def test_the_table_says_who_has_plans_in_more_scenes(tmp_path, monkeypatch):
    load(monkeypatch, _Late)
    result = run(config(straight(tmp_path / "b")), progress=False)
    assert result["horizons"]["2"]["with_plans"] == {"constant_velocity": 3, "expert": 4}
    assert "Scenes with plans of its own: expert 4." in tables(result) and result["horizons"]["2"]["scenes"] == 3


def test_the_same_seed_gives_the_same_scenes_and_intervals(tmp_path, monkeypatch):
    load(monkeypatch, _Half)
    place = straight(tmp_path / "b", seconds=12.0)
    first, again = (run(config(place, scenes=3, seed=5), progress=False) for _ in range(2))
    assert first == again and first["scenes"] == 3


# --- files and refusals ----------------------------------------------------------------------------------------------

def test_a_second_run_takes_the_plans_that_are_there(tmp_path, monkeypatch):
    load(monkeypatch, _Half)
    place, out = straight(tmp_path / "b"), tmp_path / "out"
    first = run(config(place, out=out), progress=False)

    def refuse(*words, **more):
        raise AssertionError("planned again")

    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", refuse)
    assert run(config(place, out=out), progress=False) == first == json.loads((out / "pdms.json").read_text())
    rows = [json.loads(line) for line in (out / "scenes.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 4 and {row["planner"] for row in rows} == {"constant_velocity", "expert"}
    assert (out / "pdms.md").read_text().startswith("Over 2 s, 4 scenes")
    monkeypatch.setattr("kd_planner_ros.evaluation.pdm.run.source_hash", lambda network: "of other code")
    with pytest.raises(AssertionError, match="planned again"):
        run(config(place, out=out), progress=False)
    with pytest.raises(ConfigError, match="another --out"):
        run(config(place, out=out, every_s=2.0), progress=False)


def test_a_recording_that_came_later_is_planned_too(tmp_path, monkeypatch):
    load(monkeypatch, _Ahead)
    bags, out = tmp_path / "bags", tmp_path / "out"
    straight(bags / "a", seed=1)
    straight(bags / "b", seed=2, leave_out="camera")
    first = run(config(bags, out=out), progress=False)
    assert first["without_plan"] == {"constant_velocity": 4} and first["horizons"]["2"]["with_plans"]["constant_velocity"] == 4
    straight(bags / "c", seed=2)
    again = run(config(bags, out=out), progress=False)
    assert again["without_plan"] == {"constant_velocity": 0} and again["horizons"]["2"]["with_plans"]["constant_velocity"] == 8
    assert (again["drives"], again["recordings"]) == (2, 3)


def test_the_next_recording_is_tried_where_a_picture_does_not_fit(tmp_path, monkeypatch):
    load(monkeypatch, _Picky)
    for name in ("a", "b"):
        straight(tmp_path / "two" / name)
    assert run(config(tmp_path / "two"), progress=False)["without_plan"] == {"constant_velocity": 0}
    with pytest.raises(BagError, match="pictures of 4 to 3"):
        run(config(tmp_path / "two" / "a"), progress=False)


def test_a_planner_whose_sensors_were_not_recorded(tmp_path, monkeypatch):
    load(monkeypatch, _TwoCameras)
    place = straight(tmp_path / "b")
    with pytest.raises(BagError, match="'constant_velocity' out of --planners"):
        run(config(place), progress=False)
    monkeypatch.setattr("kd_planner_ros.evaluation.pdm.run.models_of", lambda *words: [])
    result = run(config(place, planners=()), progress=False)
    assert set(result["no_sensors"]) == {"constant_velocity"} and set(result["horizons"]["2"]["planners"]) == {"expert"}


def test_a_row_of_a_model_that_was_trained_on_the_scored_map_is_marked(tmp_path, monkeypatch):
    load(monkeypatch, _Half)
    for name, town in (("leaked", "Carla/Maps/Town01_Opt"), ("held", "Town03")):
        write_card(tmp_path / "models" / name, maps=[town])
    result = run(config(straight(tmp_path / "b"), planners=("leaked", "held", "expert"), models_dir=tmp_path / "models"), progress=False)
    assert result["trained_on"] == {"leaked": ["Town01"]}
    lines = tables(result)
    assert [line.split("|")[1] for line in lines if line.startswith("| ")] == [" planner ", " leaked (map seen) ", " held ", " expert "]
    assert lines[-1].startswith("leaked was trained on Town01, as these recordings")


def test_trainings_that_differ_in_the_seed_are_pooled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda place, *words: (_Half if "base" in place else _Ahead)())
    names = [f"{label}_{seed}" for label in ("base", "full") for seed in (0, 1)]
    for name in names:
        write_card(tmp_path / "models" / name, int(name[-1]), {"batch": len(name) + ord(name[0])})
    words = ["evaluate", "pdms", "--bag", str(straight(tmp_path / "b")), "--planners", *names, "--baseline", "base_0",
             "--map", MAP, "--horizons", "2", "--resamples", "100", "--models-dir", str(tmp_path / "models"), "--json"]
    assert cli.main(words) == 0
    *lines, figures = capsys.readouterr().out.splitlines()
    one = json.loads(figures)["horizons"]["2"]
    found, alone = one["labels"], one["planners"]
    assert found["baseline"] == "base" and found["rows"]["full"]["models"] == {"0": "full_0", "1": "full_1"}
    gain = found["rows"]["full"]["over_baseline"]["PDMS"]
    assert gain["mean"] == pytest.approx(alone["full_1"]["over_baseline"]["PDMS"]["mean"]) and gain["low"] > 0.0 and gain["std"] == 0.0
    assert any(line.startswith("| full | 0, 1 | ") for line in lines)


@pytest.mark.parametrize("horizons", [(), (2.0, 2.0), (3.0, 2.0), (0.5,), (9.0,), (2.05,), (float("nan"),)])
def test_horizons_that_make_no_sense(horizons):
    with pytest.raises(ConfigError, match="--horizons"):
        require_horizons(horizons)


def test_horizons_are_read_from_a_text():
    assert read_horizons("2,3.5") == (2.0, 3.5) and require_horizons((2.0, 3.5)) == {2.0: 20, 3.5: 35}
    with pytest.raises(ConfigError, match="--horizons"):
        read_horizons("2;3")


def test_planners_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="different names"):
        run(config(straight(tmp_path / "b"), planners=("a/x", "b/x")), progress=False)


def test_the_command_prints_the_table(tmp_path, monkeypatch, capsys):
    load(monkeypatch, _Half)
    words = ["evaluate", "pdms", "--bag", str(straight(tmp_path / "b")), "--planners", "constant_velocity", "expert", "--map", MAP,
             "--horizons", "2", "--resamples", "100", "--json"]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["scenes"] == 4
    assert any(line.startswith("| expert | ") for line in lines)
    assert "4 scenes of 1 drives; left out: 4 no history or future in the recording" in lines
    assert any(line.startswith("4 scenes over 2 s are few: ") and "At least 500 scenes" in line for line in lines)


def test_few_scenes_are_told_with_the_widest_interval():
    def over(scenes: int, **widths: float) -> list[str]:
        total = {name: {"mean": 0.5, "low": 0.5 - width / 2.0, "high": 0.5 + width / 2.0} for name, width in widths.items()}
        rows = {name: {**dict.fromkeys(TOTALS, one), "parts": dict.fromkeys(PARTS, 1.0)} for name, one in total.items()}
        return tables({"horizons": {"2": {"scenes": scenes, "blocks": 7, "planners": rows, "not_scored": {}, "with_plans": {}}}})

    told = over(499, expert=0.02, student=0.123)[-1]
    assert told.startswith("499 scenes over 2 s are few: an interval of PDMS is 12.3 points wide") and "(7)" in told and "--every-s" in told
    assert over(500, expert=0.02)[-1].startswith("| expert |") and "few" not in "".join(over(0))


# --- intervals -------------------------------------------------------------------------------------------------------

KEYS = [("a", round(second * 1e9)) for second in range(40)]


def test_an_interval_of_what_never_changes_is_a_point():
    assert Blocks(KEYS, 10.0, 200, 0).mean([0.25] * 40) == pytest.approx({"mean": 0.25, "low": 0.25, "high": 0.25})


def test_an_interval_is_that_of_drawn_blocks():
    """Four blocks of ten, two with 0 and two with 1: a draw of 4 has a mean of 0, 1/4, 1/2, 3/4 or 1; the outer ones have 1/16 each."""
    found = Blocks(KEYS, 10.0, 4000, 0).mean([0.0] * 20 + [1.0] * 20)
    assert found == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert Blocks(KEYS, 10.0, 50, 3).draws.sum(axis=1).tolist() == [4] * 50


def test_stamps_are_grouped_in_the_recordings_time():
    assert Blocks([("a", FIRST_NS + 3 * TICK_NS), ("b", FIRST_NS)], 10.0, 50, 0).draws.shape == (50, 2), "two drives, two blocks"
