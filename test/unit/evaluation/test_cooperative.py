"""Cooperative plans against recordings: what the radio does, both ways to collide, the figures, and the benchmark that is a file."""

import json
import math

import numpy as np
import pytest
from support.bags import write_bag
from support.frames import frame
from support.networks import save_seeded

from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Pose, Trajectory
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.evaluation.benchmark.recipe import read_paper, read_recipe
from kd_planner_ros.evaluation.benchmark.spec import find_spec
from kd_planner_ros.evaluation.cooperative.collisions import boxes_touch, grid_touches
from kd_planner_ros.evaluation.cooperative.conditions import Radio, garble
from kd_planner_ros.evaluation.cooperative.config import CooperativeConfig
from kd_planner_ros.evaluation.cooperative.run import NAMES, _Found, held, run
from kd_planner_ros.evaluation.metrics import Recorded
from kd_planner_ros.networks.v2x_vlm.config import V2xVlmConfig
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
    from dataclasses import replace
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
    with pytest.raises(ConfigError, match="reads words"):
        garble(type("Deaf", (), {"name": "deaf"})(), 0.1, 0)


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
    with pytest.raises(ConfigError, match="reads words"):
        run(CooperativeConfig(bag=bags / "v2x", text=0.1), progress=False)


def test_the_benchmark_is_a_file(bags, tmp_path, capsys):
    spec = find_spec("v2x")
    assert spec.kind == "cooperative" and len(spec.suites) == 12 and not spec.models
    paper, recipe = read_paper(spec), read_recipe(spec)
    assert paper.figures("v2x_vlm", "full", "v2x_vlm", "full")["l2_m/4.5"] == 1.42
    assert "grid_collision_mean_percent" not in paper.figures("v2x_vlm", "full", "v2x_vlm", "scale-0.5")
    assert paper.figures("v2x_vlm", "full", "v2x_vlm", "loss-10")["l2_mean_m"] == 2.06
    assert recipe["v2x_vlm_nano"].teacher == "v2x_vlm_teacher" and {one.label for one in recipe.values()} < set(spec.labels)
    (tmp_path / "models").mkdir()
    words = ["benchmark", "v2x", "--suite", "loss-30", "--recordings-dir", str(bags), "--out", str(tmp_path / "out"), "--models",
             "constant_velocity", "--models-dir", str(tmp_path / "models"), "--latency-frames", "0", "--json"]
    assert cli.main(words) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    (row,) = result["rows"]
    assert row["plans"] == 28 and row["mean"]["l2_m/4.5"] is None and row["mean"]["held_velocity/l2_mean_m"] > 0.0
    assert (tmp_path / "out" / "table.md").is_file()
