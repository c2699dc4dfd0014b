"""``explain``: attention and Grad-CAM of any frame of a recording, from a checkpoint of a PlanKD run."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from support.bags import HEIGHT, RIG, WIDTH, write_bag
from torch import Tensor, nn

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.planning_states import STATE_CLASSES, STATE_NAMES
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.methods.plankd.attention import WaypointAttention
from kd_planner_ros.distill.methods.plankd.bottleneck import InformationBottleneck
from kd_planner_ros.evaluation import explain, explain_pictures
from kd_planner_ros.evaluation.explain import ExplainConfig
from kd_planner_ros.evaluation.explain_cam import ALL, state_maps
from kd_planner_ros.evaluation.explain_state import load_parts
from kd_planner_ros.imaging.bev_scene import BevView
from kd_planner_ros.networks.describe import describe
from kd_planner_ros.networks.planner import Planner
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.store import save_model

FIELDS = {"size": "3.1m", "input_height": HEIGHT, "input_width": WIDTH, "camera_height": HEIGHT, "camera_width": WIDTH}
CELLS = (HEIGHT // 8) * (WIDTH // 8)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A recording, a small student and the checkpoint of its run, all with fresh weights."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    home = tmp_path_factory.mktemp("explain")
    write_bag(home / "bag", rate=0.2, town="default")
    network = find_network("tcp")
    config = network.config(FIELDS)
    save_model(home / "models" / "small", "tcp", config, network.build_model(config).state_dict(),
               {"recipe": {"bev_detail": "auto"}, "switches": {"bev_detail": "quarter"}}, {})
    checkpoint.save(home / "run", {"step": 4, "learner": {"distiller": {"modules": _modules()}, "optimiser": {}}})
    return home


def _modules() -> dict[str, Tensor]:
    parts = {"attention": WaypointAttention("quarter"), "bottleneck": InformationBottleneck(CELLS)}
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}


def config_of(work, **changes) -> ExplainConfig:
    fields = {"bag": work / "bag", "model": "small", "out": work / "out", "frame": (2,), "run_dir": work / "run",
              "models_dir": work / "models"}
    return ExplainConfig(**{**fields, **changes})


def test_pictures_and_numbers_of_two_frames(work):
    result = explain.run(config_of(work, frame=(2,), stamp=(3.0,)))
    assert json.loads((work / "out" / "explain.json").read_text()) == result
    assert [one["frame"] for one in result["frames"]] == [2, 4]  # 2 FPS from 1.0 s on
    for one in result["frames"]:
        assert sum(one["attention"]) == pytest.approx(1.0, abs=1e-5) and len(one["attention"]) == 4
        assert all(value > 0.0 for value in one["proximity"])  # a car stands 10 m ahead
        assert one["waypoints"][0][1] < -2.0 and one["waypoints"][3][1] < one["waypoints"][0][1]  # ahead is y < 0
        assert set(one["states"]) == set(STATE_NAMES) and one["states"]["light"]["recorded"]
        for key in ("attention_png", "gradcam_png"):
            picture = cv2.imread(str(work / "out" / one[key]))
            assert picture.shape[0] > 150 and picture.std() > 10


def test_the_same_frame_gives_the_same_bytes(work):
    files = ("attention_2.png", "gradcam_2.png", "explain.json")
    explain.run(config_of(work, out=work / "a"))
    explain.run(config_of(work, out=work / "b"))
    assert [(work / "a" / name).read_bytes() for name in files] == [(work / "b" / name).read_bytes() for name in files]


def test_the_only_camera_may_have_another_name(work, tmp_path):
    write_bag(tmp_path / "bag", rate=0.2, town="default", camera="rgb_front")
    explain.run(config_of(work, out=tmp_path / "own"))
    explain.run(config_of(work, bag=tmp_path / "bag", out=tmp_path / "other"))
    own, other = ((tmp_path / name / "gradcam_2.png").read_bytes() for name in ("own", "other"))
    assert own == other


def test_waypoints_are_where_the_car_went(work):
    with open_bag(work / "bag") as recording:
        sample = next(recording.samples())
        processor = find_network("tcp").build_processor(find_network("tcp").config(FIELDS))
        points = describe("tcp").taught_waypoints(recording, sample.frame, processor)
        assert points[:, 1] == pytest.approx([-2.5, -5.0, -7.4, -9.7], abs=0.15)  # 5 m/s, turning left
        assert (np.diff(points[:, 0]) < 0.0).all()
        path = describe("interfuser").taught_waypoints(recording, sample.frame, None)
        assert path.shape == (10, 2) and (np.diff(path[:, 1]) < 0.0).all()


@pytest.mark.parametrize("changes, error, words", [
    ({"frame": (99,)}, BagError, "frame 99.*--frame"), ({"stamp": (77.5,), "frame": ()}, BagError, "77.5 s"),
    ({"run_dir": None}, ConfigError, "--run-dir"), ({"states": ("weather",)}, ConfigError, "weather"),
    ({"frame": (15,)}, BagError, "the car.s positions after the frame"),
])
def test_what_cannot_be_drawn_is_named(work, changes, error, words, monkeypatch):
    monkeypatch.chdir(work)
    with pytest.raises(error, match=words):
        explain.run(config_of(work, **changes))


def test_a_run_without_plankds_modules_is_refused(work, tmp_path):
    checkpoint.save(tmp_path, {"learner": {"model": {"backbone.weight": torch.zeros(3)}}})
    with pytest.raises(ConfigError, match="without attention or bottleneck"):
        load_parts(tmp_path, read_card(work / "models" / "small"))


def test_an_ablation_shows_what_it_has(work, tmp_path):
    only = {name: value for name, value in _modules().items() if name.startswith("bottleneck.")}
    checkpoint.save(tmp_path / "run", {"learner": {"distiller": {"modules": only}}})
    (one,) = explain.run(config_of(work, run_dir=tmp_path / "run", out=tmp_path / "out"))["frames"]
    assert "attention" not in one and (tmp_path / "out" / one["gradcam_png"]).is_file()


def test_the_run_of_other_weights_is_refused(work, tmp_path):
    checkpoint.save(tmp_path / "run", {"best": {"sha256": "0" * 64}, "learner": {"distiller": {"modules": _modules()}}})
    with pytest.raises(ConfigError, match="run that trained 'small'.*trained weights 000000000000; give --run-dir"):
        explain.run(config_of(work, run_dir=tmp_path / "run", out=tmp_path / "out"))


class _Stage(nn.Module):
    """A network whose distilled map is its picture, twice."""

    def forward(self, image: Tensor, features: bool) -> dict[str, Tensor]:
        return {"stage2": image.repeat(1, 2, 1, 1)}


def test_the_map_lies_where_the_state_is_read_from():
    """A bottleneck that reads 'pedestrian' from one cell only: the map is that cell."""
    rows, columns, cell = 4, 6, 9
    bottleneck = InformationBottleneck(rows * columns)
    for parameter in bottleneck.parameters():
        parameter.data.zero_()
    bottleneck.encoder[0].weight.data[0, cell] = 1.0
    for layer in (*bottleneck.encoder[1:], *(bottleneck.decoder[index] for index in (0, 2))):
        layer.weight.data[0, 0] = 1.0
    first = sum(STATE_CLASSES[:STATE_NAMES.index("pedestrian")])
    bottleneck.decoder[4].weight.data[first + 1, 0] = 1.0
    bottleneck.requires_grad_(False)
    found = state_maps(_Stage(), {"image": torch.ones(1, 1, rows, columns)}, bottleneck, {"pedestrian": 1})
    expected = np.zeros((rows, columns))
    expected.flat[cell] = 1.0
    assert (found.maps["pedestrian"][0] == expected).all() and (found.maps[ALL][0] == expected).all()
    assert not found.maps["vehicle"][0].any() and found.classes["pedestrian"] == 1
    assert found.chances["pedestrian"] == pytest.approx(1 / (1 + np.exp(-1.0))) and found.energy[0].max() == 1.0


def test_a_network_of_three_views_has_a_map_each():
    class Views(nn.Module):
        def forward(self, image: Tensor, features: bool) -> dict[str, Tensor]:
            return {f"{view}_stage2": image * size for size, view in enumerate(("left", "front", "right"), start=1)}

    found = state_maps(Views(), {"image": torch.rand(1, 2, 4, 6)}, InformationBottleneck(3 * 4 * 6), {})
    assert [one.shape for one in found.maps[ALL]] == [(4, 6)] * 3 and len(found.energy) == 3


def test_the_heaviest_waypoint_is_red_and_ahead_is_up(tmp_path, monkeypatch):
    shown = {}

    def keep(path, draw, size):
        from matplotlib.figure import Figure

        figure = Figure(figsize=size)
        draw(figure)
        shown["picture"] = np.asarray(figure.axes[0].get_images()[0].get_array())

    monkeypatch.setattr(explain_pictures, "_save", keep)
    scene = np.zeros((180, 180, 3), np.uint8)
    explain_pictures.draw_attention(tmp_path / "x.png", scene, np.array([[2.0, -5.0], [2.0, -12.0]]),
                                    np.array([0.1, 0.9]), np.zeros(2), np.zeros((0, 2)), BevView(), "t")
    picture, scale = shown["picture"].astype(int), explain_pictures.SCENE_PX / 180
    far, near = (picture[round((90 - 5 * y) * scale), round((90 + 5 * 2) * scale)] for y in (12, 5))
    assert far[0] > 180 and far[1] < 60 and near[1] > 150  # red, and nearly white; 2 m to the right is right


# --- plans -----------------------------------------------------------------------------------------------------------

class _Candidates(Planner):
    """Three candidates; the best one changes with every frame since the last reset."""

    rig, rate_hz = RIG, 2.0

    def __init__(self, name):
        self.name, self._planned = name, 0

    def reset(self) -> None:
        self._planned = 0

    def plan(self, frame) -> Plan:
        self._planned += 1
        times = 0.5 * np.arange(1, 5)
        ways = np.stack([np.stack([4.0 * times, aside * times], axis=1) for aside in (-1.0, 0.0, 1.0)])
        scores = np.where(np.arange(3) == self._planned % 3, 0.8, 0.1)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, ways[scores.argmax()], times), frame.goal, candidates=ways, scores=scores,
                    mode="straight")


@pytest.fixture
def planners(work, monkeypatch):
    """A finished DistillDrive's card beside the small student; loading gives a planner with candidates."""
    network = find_network("distilldrive_teacher")
    if not (work / "models" / "many").exists():
        config = network.config({"agent_input": "history"})
        save_model(work / "models" / "many", "distilldrive_teacher", config, network.build_model(config).state_dict())
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda name, *words, **more: _Candidates(name))


def test_plans_are_drawn_with_the_teachers_beside(work, planners):
    result = explain.run(config_of(work, model="many", teacher="wise", out=work / "plans", frame=(1, 4)))
    assert json.loads((work / "plans" / "explain.json").read_text()) == result and result["teacher"] == "wise"
    assert [(one["frame"], one["chosen"], one["teacher"]["chosen"]) for one in result["frames"]] == [(1, 2, 2), (4, 2, 2)], \
        "the frames before were planned, by both"
    both = cv2.imread(str(work / "plans" / "plan_4.png"))
    explain.run(config_of(work, model="many", out=work / "alone", frame=(4,)))
    alone = cv2.imread(str(work / "alone" / "plan_4.png"))
    assert both.shape[0] == alone.shape[0] > 640 and both.shape[1] > alone.shape[1] + 400 and alone.std() > 10


def test_a_teacher_stands_beside_plans_alone(work, planners):
    with pytest.raises(ConfigError, match="leave --teacher out"):
        explain.run(config_of(work, teacher="many"))
    with pytest.raises(BagError, match="frame 999"):
        explain.run(config_of(work, model="many", frame=(999,)))
