"""Cooperative plans against recordings: what the radio does, both ways to collide, the figures, and the benchmark that is a file."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.bags import write_bag
from support.frames import frame
from support.networks import save_seeded

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.timeline import POSE_COLUMNS, Series, Timeline
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.evaluation.benchmark.recipe import read_paper, read_recipe
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.cooperative.collisions import boxes_touch, grid_touches
from kd_planner_ros.evaluation.cooperative.conditions import Radio, blanking, garble
from kd_planner_ros.evaluation.cooperative.config import BESIDE, CooperativeConfig
from kd_planner_ros.evaluation.cooperative.hidden import hidden_users, way_ahead
from kd_planner_ros.evaluation.cooperative.run import NAMES, _Found, _unrefined, _worth, held, run
from kd_planner_ros.evaluation.metrics import Recorded
from kd_planner_ros.networks.v2x_vlm.config import TIMES_S, V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.processor import build_processor
from kd_planner_ros.networks.v2x_vlm.words import FIRST_LOCATION, PAD

POLE = CameraSpec("camera", Pose(20.0, 8.0, 6.0, math.radians(-135.0), math.radians(20.0)), 96, 54, 90.0, 0.5)
STATION = Station("north", Pose(20.0, 8.0), (POLE,))
CONFIG = V2xVlmConfig(camera_width=64, camera_height=32, camera_x_m=-1.5, camera_z_m=2.0)


def view(seed=0):
    rows = np.zeros(2, ACTOR_DTYPE)
    rows["kind"], rows["length"], rows["width"] = ActorKind.CAR, 4.5, 1.9
    image = np.random.default_rng(seed).integers(0, 255, (54, 96, 3), np.uint8)
    return RoadsideView("north", POLE, image, rows, 0, 0.1, STATION.pose)


def shown(number=0):
    return replace(frame(CONFIG.rig, number), roadside=(view(),), stamp_ns=number)


def radio(objects=False, **changes):
    return Radio(CooperativeConfig(bag=".", **changes), 2.0, objects)


# --- the radio -----------------------------------------------------------------------------------------------------------

def test_what_is_sent_is_counted_at_the_planner_s_rate():
    plain, small, listed = radio(), radio(scale=0.5), radio(objects=True)
    for one in (plain, small, listed):
        one.carry(shown())
    assert plain.bytes_per_s["raw"] == 96 * 54 * 3 * 2 and small.bytes_per_s["raw"] == 48 * 27 * 3 * 2
    assert 0 < small.bytes_per_s["sent"] < plain.bytes_per_s["sent"] < plain.bytes_per_s["raw"]
    two = radio(objects=True)
    two.carry(replace(shown(), roadside=(view(), replace(view(1), station="south"))))
    assert two.bytes_per_s["raw"] == 2.0 * listed.bytes_per_s["raw"], "the lists of both stations are sent for each plan"
    assert listed.bytes_per_s["raw"] == 2 * ACTOR_DTYPE.itemsize * 2 and radio().bytes_per_s == {"raw": 0.0, "sent": 0.0}


def test_a_scaled_picture_has_its_size_back_and_noise_its_deviation():
    clean = shown().roadside[0].image
    assert (radio().carry(shown()).roadside[0].image == clean).all()
    small = radio(scale=0.1).carry(shown()).roadside[0].image
    assert small.shape == clean.shape and small.std() < clean.std()
    noisy = radio(noise=10.0).carry(shown()).roadside[0].image.astype(float)
    inside = (clean > 60) & (clean < 195)
    assert 8.0 < (noisy - clean)[inside].std() < 12.0 and noisy.min() >= 0.0 and noisy.max() <= 255.0


def test_losses_are_those_of_seed_and_stamp():
    one, other = radio(loss=0.3), radio(loss=0.3, noise=5.0)
    frames = [shown(number) for number in range(200)]
    lost = [not one.carry(each).roadside for each in frames]
    assert lost != [not radio(loss=0.3, seed=1).carry(each).roadside for each in frames]
    assert 40 < sum(lost) < 80 and one.lost == sum(lost)
    assert lost[:60] == [not other.carry(each).roadside for each in frames[:60]], "noise changes nothing in what is lost"
    assert not radio(loss=1.0).carry(frames[0]).roadside


def test_words_are_replaced_in_their_share_and_places_stay():
    processor = build_processor(CONFIG)
    words = processor.encode([shown()])["words"]
    rng = np.random.default_rng(0)
    found = processor.garbled(words.repeat(200, 1), 0.5, rng)
    plain = (words[0] != PAD) & (words[0] < FIRST_LOCATION)
    share = (found[:, plain] != words[0, plain]).float().mean()
    assert 0.42 < share < 0.5 and (found[:, ~plain] == words[0, ~plain]).all() and (found < FIRST_LOCATION)[:, plain].all()
    assert (processor.garbled(words, 0.0, rng) == words).all()
    assert not garble(type("Deaf", (), {"name": "deaf"})(), 0.1, 0)


def test_what_refinement_changes_is_measured_beside_the_plan():
    recorded, times = truth(np.zeros((0, 5))), TIMES_S
    own = np.stack([2.0 * times, np.full(9, 0.5)], axis=1)
    refined = Trajectory(0, np.stack([2.0 * times, np.zeros(9)], axis=1), times)
    plan = Plan(0, refined, None, candidates=np.stack([refined.points, own]), scores=np.array([1.0, -1.0]), notes={"replaced": 1.0})
    found = _Found()
    found.judge(refined, recorded, 0, raw=_unrefined(plan))
    found.judge(refined, recorded, 0, raw=_unrefined(replace(plan, notes={})))
    worth = _worth(found)
    assert worth["l2_m"]["4.5"] == pytest.approx(0.0, abs=1e-6)
    assert worth["unrefined"]["l2_m"]["4.5"] == pytest.approx(0.5) == worth["unrefined"]["l2_mean_m"], "of the one plan that says so"


# --- collisions ----------------------------------------------------------------------------------------------------------

def test_the_grid_does_not_turn_the_car_and_the_boxes_do():
    """A post 2.3 m to the left: inside a car that stands across, outside of one that does not turn."""
    post = np.array([[0.0, 2.3, 0.0, 0.2, 0.2]])
    assert boxes_touch(np.array([0.0, 0.0, math.pi / 2]), post) and not boxes_touch(np.zeros(3), post)
    assert not grid_touches(np.zeros(2), post)
    wall = np.array([[4.0, 0.0, 0.0, 2.0, 2.0]])  # from x = 3 on; the grid's car ends at 0.5 + 2.042 = 2.542
    assert not grid_touches(np.zeros(2), wall) and grid_touches(np.array([1.3, 0.0]), wall)
    assert not grid_touches(np.array([60.0, 0.0]), np.array([[60.0, 0.0, 0.0, 5.0, 5.0]]))  # beyond the grid


def truth(others):
    stamps = np.arange(0, 101, dtype=np.int64) * 50_000_000
    poses = np.stack([stamps / 1e9 * 2.0, np.zeros(101), np.zeros(101)], axis=1)
    return Recorded(stamps, poses, np.zeros(101), stamps, [others] * 101)


def straight(speed, left=0.0):
    times = 0.5 * np.arange(1, 10)
    return Trajectory(0, np.stack([speed * times, np.full(9, left)], axis=1), times)


def judged(plan, others):
    found = _Found()
    found.judge(plan, truth(np.array(others, float).reshape(-1, 5)), 0)
    return found.distances[0], found.boxes[0], found.grid[0]


def test_errors_and_collisions_are_those_at_the_time():
    """The car drives 2 m/s; a plan of 6 m/s is 10, 14 and 18 m ahead, and a wall from x = 20 to 22 is reached at 3.5 s alone."""
    far, boxes, grid = judged(straight(6.0), [[21.0, 0.0, 0.0, 2.0, 6.0]])
    np.testing.assert_allclose(far, [10.0, 14.0, 18.0])
    assert boxes.tolist() == grid.tolist() == [0.0, 1.0, 0.0]


def test_a_time_at_which_the_recorded_drive_collides_does_not_count():
    _, boxes, grid = judged(straight(2.0, left=20.0), [[7.0, 0.0, 0.0, 2.0, 2.0]])
    assert np.isnan(boxes[1]) and np.isnan(grid[1])
    assert judged(straight(2.0), [])[1].tolist() == [0.0, 0.0, 0.0]


def test_a_held_velocity_goes_straight_on():
    path = held(7, 2.0)
    assert path.stamp_ns == 7 and path.points.tolist() == [[5.0, 0.0], [7.0, 0.0], [9.0, 0.0]] and path.times_s.tolist() == [2.5, 3.5, 4.5]


# --- runs ----------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("v2x")
    for number in range(2):
        write_bag(folder / "v2x" / f"b{number}", rate=0.2 * (-1) ** number, seconds=7.0, seed=number, every=10, views=(view(number),),
                  stations=(STATION,))
    return folder


def test_the_figures_of_a_model_and_of_constant_velocity(bags, tmp_path):
    model = save_seeded(tmp_path / "talker", "v2x_vlm", CONFIG)
    found = run(CooperativeConfig(bag=bags / "v2x", planner=str(model), engine="torch", loss=0.5, text=0.1), progress=False)
    again = run(CooperativeConfig(bag=bags / "v2x", planner=str(model), engine="torch", loss=0.5, text=0.1), progress=False)
    assert {**found, "latency_ms": 0} == {**again, "latency_ms": 0}
    assert found["plans"] == 28 and set(found["modes"]) == {"coop_full", "ego_only"} and found["modes"]["ego_only"] == found["lost"] > 0
    assert found["valid"] == {"2.5": 18, "3.5": 14, "4.5": 10} and set(found["l2_m"]) == set(NAMES)
    assert found["bytes_per_s"]["raw"] == 96 * 54 * 3 * 2 and found["latency_ms"] > 0.0
    still = run(CooperativeConfig(bag=bags / "v2x"), progress=False)
    assert still["bytes_per_s"] == {"raw": 0.0, "sent": 0.0} and still["l2_mean_m"] is None  # it plans 2 s
    assert still["held_velocity"] == found["held_velocity"] and still["held_velocity"]["l2_m"]["4.5"] > 3.0
    garbled = run(CooperativeConfig(bag=bags / "v2x", text=0.1), progress=False)
    assert garbled["without_effect"] == ["text"] and not still["without_effect"] and not found["without_effect"]
    assert garbled["l2_m"] == still["l2_m"]
    deaf = run(CooperativeConfig(bag=bags / "v2x", scale=0.5, noise=5.0, loss=0.5), progress=False)
    assert deaf["without_effect"] == ["scale", "noise", "loss"] and deaf["deaf"] == 3 and deaf["l2_m"] == still["l2_m"]
    assert found["blank"] == found["without"] and found["blank"]["l2_m"] == dict.fromkeys(NAMES) == found["hidden"]["l2_m"]
    assert found["hidden"]["plans"] is None, "nobody asked"


def test_a_model_without_pictures_and_without_roadside_data_stands_beside_itself(bags, tmp_path):
    """A displacement head of seeded weights answers by other plans when something is taken away."""
    model = save_seeded(tmp_path / "talker", "v2x_vlm", replace(CONFIG, head="displacement"))
    config = CooperativeConfig(bag=bags / "v2x" / "b0", planner=str(model), engine="torch", beside=("blank", "without"), period_s=1.0)
    found = run(config, progress=False)
    alone = run(replace(config, beside=(), **BESIDE["blank"]), progress=False)
    assert found["blank"]["l2_m"] == alone["l2_m"] and found["lost"] == alone["lost"] == 0
    assert set(alone["modes"]) == {"coop_full"} == set(found["modes"])
    assert len({str(one["l2_m"]) for one in (found, found["blank"], found["without"])}) == 3
    assert found["valid"] == found["blank"]["valid"] == found["without"]["valid"]
    with pytest.raises(ConfigError, match="beside: conditions out of blank, without; got 'nothing'"):
        CooperativeConfig(bag=bags, beside=("nothing",))


def test_pictures_are_blanked_and_words_stay():
    processor, grey = build_processor(CONFIG), blanking(type("Eyes", (), {"name": "eyes"})(), True)(shown())
    assert all((image == 127).all() for image in (*grey.images.values(), grey.roadside[0].image)) and grey.roadside[0].objects is not None
    talker = type("Talker", (), {"name": "talker", "processor": processor})()
    plain = processor.encode([shown()])
    given = blanking(talker, True)(shown())
    assert given.images.keys() == shown().images.keys()
    blank = processor.encode([given])
    assert (blank["words"] == plain["words"]).all() and not (blank["image"] == plain["image"]).all()
    left, right = blank["image"].chunk(2, dim=3)
    assert (left == right).all() and (left == processor.encode([replace(shown(), roadside=())])["image"].chunk(2, dim=3)[1]).all()
    blanking(talker, False)
    assert (processor.encode([shown()])["image"] == plain["image"]).all()


# --- hidden hazards ------------------------------------------------------------------------------------------------------

MANY = 60
"""Rows before the hazard's own in the table of road users: the made-up instance pictures never show one of such a number."""


def crossing(tick, first=MANY, start=(25.0, -12.0), speed=3.0):
    """Filling rows far away, and behind them a car that drives at ``speed`` to the left, over x = 25 on the ego's way along the x axis."""
    rows = np.zeros(first + 1, ACTOR_DTYPE)
    rows["id"], rows["kind"], rows["length"], rows["width"], rows["height"] = np.arange(first + 1), ActorKind.CAR, 4.5, 1.9, 1.5
    rows["x"], rows["y"] = 900.0, 900.0
    rows["x"][-1], rows["y"][-1], rows["yaw"][-1], rows["vy"][-1] = start[0], start[1] + speed * 0.05 * tick, math.pi / 2, speed
    return rows


def following(tick):
    """The last car 12 m behind the ego, as fast as it is: it drives over the ego's way when the ego has left it."""
    rows = crossing(0)
    rows["x"][-1], rows["y"][-1], rows["yaw"][-1], rows["vx"][-1], rows["vy"][-1] = -12.0 + 5.0 * 0.05 * tick, 0.0, 0.0, 5.0, 0.0
    return rows


def listed(*ids):
    rows = np.zeros(len(ids), ACTOR_DTYPE)
    rows["id"], rows["kind"], rows["x"], rows["y"] = ids, ActorKind.CAR, 25.0, 0.0
    return replace(view(), objects=rows)


def judged_in(folder, reported=(MANY,), actors=crossing, **options):
    write_bag(folder, **{"rate": 0.0, "seconds": 7.0, "every": 4, "actors": actors, "views": (listed(*reported),), "stations": (STATION,),
                         **options})
    with open_bag(folder) as recording:
        return hidden_users(recording)


def test_a_hazard_that_the_list_alone_holds_is_hidden_until_it_is_in_the_way(tmp_path):
    """The ego drives 5 m/s along y = 0; the car comes from y = -12 at 3 m/s: it is within 2 m of that line from 3.33 s on.
    Until then it is about to be; afterwards it is there, and no longer one that nobody has met. The list is 0.1 s old, so that the first
    instant has none."""
    found = judged_in(tmp_path / "one")
    times = (found.stamps_ns - found.stamps_ns[0]) / 1e9
    assert found.why == "" and len(times) == 35
    np.testing.assert_array_equal(found.hidden, (times > 0.0) & (times < 10.0 / 3.0))
    assert found.at(int(found.stamps_ns[3]) + 20_000_000) is True and found.at(int(found.stamps_ns[3]) + 100_000_000) is None


def test_the_list_of_the_second_nearest_station_counts_and_that_of_a_third_does_not(tmp_path):
    far = [replace(STATION, id=name, pose=replace(STATION.pose, x=x)) for name, x in (("east", 80.0), ("edge", 110.0))]
    lists = zip((STATION, *far), ((), (MANY,), ()), strict=True)
    silent, *others = (replace(listed(*ids), station=one.id, foot=one.pose) for one, ids in lists)
    assert judged_in(tmp_path / "two", views=(silent, others[0]), stations=(STATION, far[0])).hidden.any()
    third = [silent, replace(others[1], station="east", foot=far[0].pose), replace(others[0], station="edge", foot=far[1].pose)]
    assert not judged_in(tmp_path / "three", views=tuple(third), stations=(STATION, *far)).hidden.any()


@pytest.mark.parametrize("options", [
    {"reported": (3,)}, {"reported": ()}, {"views": (), "stations": ()}, {"actors": lambda tick: crossing(tick, first=0), "reported": (0,)},
    {"actors": lambda tick: crossing(tick, speed=0.0)}, {"actors": lambda tick: crossing(tick, start=(25.0, -0.5), speed=0.0)},
    {"actors": lambda tick: crossing(tick, start=(200.0, -12.0))}, {"actors": following}], ids=[
        "others are reported", "nobody is reported", "no station", "the camera sees it", "it stands aside", "it is in the way", "far",
        "it follows the car"])
def test_others_are_no_hidden_hazards(tmp_path, options):
    found = judged_in(tmp_path / "one", **options)
    assert len(found.stamps_ns) == 35 and not found.hidden.any()


def test_a_recording_that_says_nothing_of_it_says_why(tmp_path):
    found = judged_in(tmp_path / "one", labels=False)
    assert "record with --labels all" in found.why and found.at(0) is None
    write_bag(tmp_path / "two", labels=False, views=(view(),), stations=(STATION,))
    result = run(CooperativeConfig(bag=tmp_path, hidden=True), progress=False)
    assert result["hidden"]["plans"] is None and any("instance labels" in one for notes in result["notes"].values() for one in notes)


def test_the_figures_of_hidden_hazards_are_those_of_their_plans(tmp_path):
    judged_in(tmp_path / "one", seconds=8.0, every=5)
    model = save_seeded(tmp_path / "talker", "v2x_vlm", replace(CONFIG, head="displacement"))
    config = CooperativeConfig(bag=tmp_path / "one", planner=str(model), engine="torch", hidden=True, beside=("without",))
    found = run(config, progress=False)
    assert found["plans"] == 16 and found["hidden"]["plans"] == found["without"]["hidden"]["plans"] == 6
    assert found["hidden"]["valid"] == {"2.5": 6, "3.5": 6, "4.5": 6} and found["hidden"]["l2_m"] != found["l2_m"]
    assert found["hidden"]["l2_mean_m"] != found["without"]["hidden"]["l2_mean_m"] and found["blank"]["hidden"]["plans"] is None
    assert found["held_velocity"]["hidden"]["l2_m"]["4.5"] < 0.1  # the ego goes straight on


def test_a_car_that_brakes_for_a_hazard_does_not_take_its_way_away():
    """From 10 m/s to a stand within 20 m: the way reaches as far as the speed would have brought it, and no further than it was driven."""
    stamps = np.arange(0, 201, dtype=np.int64) * 50_000_000
    times = stamps / 1e9
    x = np.where(times < 4.0, 10.0 * times - 1.25 * times**2, np.where(times < 6.0, 20.0, 20.0 + 5.0 * (times - 6.0)))
    ego = np.zeros((len(stamps), len(POSE_COLUMNS)))
    ego[:, 0], ego[:, POSE_COLUMNS.index("speed_mps")] = x, np.gradient(x, times)
    way = way_ahead(Drive(Timeline(Series(stamps, ego))), 0)
    assert way[0].tolist() == [0.0, 0.0] and 39.0 < way[-1, 0] <= 40.0  # 45 m at 10 m/s; the drive ends at 40
    assert way_ahead(Drive(Timeline(Series(stamps, ego))), 3_900_000_000)[-1, 0] == pytest.approx(x[168], abs=0.3)
    assert len(way_ahead(Drive(Timeline(Series(stamps, ego))), int(stamps[-1]))) == 2


def test_the_benchmark_is_a_file(bags, tmp_path, capsys):
    spec = find_spec("v2x")
    assert spec.kind == "cooperative" and len(spec.suites) == 13 and spec.models == ("v2x_vlm_nano",)
    paper, recipe = read_paper(spec), read_recipe(spec)
    assert paper.figures("v2x_vlm", "full", "tokens", "full")["l2_m/4.5"] == 1.42
    assert "grid_collision_mean_percent" not in paper.figures("v2x_vlm", "full", "tokens", "scale-0.5")
    assert paper.figures("v2x_vlm", "full", "tokens", "loss-10")["l2_mean_m"] == 2.06
    assert recipe["v2x_vlm_lists_tokens_1"].teacher == "v2x_vlm_lists_teacher" and {one.label for one in recipe.values()} < set(spec.labels)
    (tmp_path / "models").mkdir()
    words = ["benchmark", "v2x", "--suite", "loss-30", "--recordings-dir", str(bags), "--out", str(tmp_path / "out"), "--models",
             "constant_velocity", "--models-dir", str(tmp_path / "models"), "--latency-frames", "0", "--json"]
    assert cli.main(words) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    (row,) = result["rows"]
    assert row["plans"] == 28 and row["mean"]["l2_m/4.5"] is None and row["mean"]["held_velocity/l2_mean_m"] > 0.0
    assert (tmp_path / "out" / "table.md").is_file()
