"""Dense evaluation from the recording to the figures: a perceiver that knows the answer, one that errs, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support import views
from support.bags import HEIGHT, RIG, WIDTH, shot, write_bag
from support.perception import install_network, save_tiny

from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.evaluation.dense import DenseConfig, score, table
from kd_planner_ros.imaging.palette import TAGS
from kd_planner_ros.networks.planner import Perceiver

NAMES = tuple(name for name, _ in TAGS)


class Knowing(Perceiver):
    """Reads the labels out of the picture, in which the tests' recordings hide them; depth times ``factor``."""

    name, rig, rate_hz = "knowing", RIG, 2.0

    def __init__(self, factor: float = 1.0, shape=(HEIGHT, WIDTH), camera: str = "front"):
        self.factor, self.shape, self.camera, self.resets, self.histories = factor, shape, camera, 0, []

    def reset(self) -> None:
        self.resets += 1

    def perceive(self, frame) -> Perception:
        rgb = frame.images["front"][: self.shape[0], : self.shape[1]]
        self.histories.append(tuple(one is not None for one in frame.history))
        depth = (rgb[..., 0].astype(np.float32) * 0.37 + 1.0) * np.float32(self.factor)
        return Perception(frame.stamp_ns, self.camera, {
            "far": DenseOutput("depth", depth), "what": DenseOutput("classes", rgb[..., 1] % 29, NAMES),
            "free": DenseOutput("mask", rgb[..., 2] > 9)})


@pytest.fixture
def bags(tmp_path):
    return [write_bag(tmp_path / "bags" / f"b{seed}", seed=seed, seconds=4.0) for seed in range(2)]


def test_who_knows_the_labels_makes_no_error(bags, tmp_path):
    perceiver, out = Knowing(), tmp_path / "out"
    result = score(perceiver, bags, DenseConfig(bags[0], "knowing", out, pictures=3), progress=False)
    assert (result["frames"], result["bags"], result["incomplete"], result["unlabelled"], perceiver.resets) == (16, 2, 0, 0, 2)
    far, what = result["outputs"]["far"], result["outputs"]["what"]
    assert far["metric"]["abs_rel"] == 0.0 and far["metric"]["delta_1"] == 1.0 and far["frames"] == 16
    assert far["pixels"] + far["left_out"]["beyond_max"] == 16 * HEIGHT * WIDTH and far["left_out"]["unknown"] == 0
    assert what["mean_iou"] == what["accuracy"] == 1.0 and set(what["iou"]) == set(NAMES) and what["pixels"] == 16 * HEIGHT * WIDTH
    assert result["not_scored"] == {"free": "no label of kind mask is recorded"}
    for one in (far, what):  # the second recording; the baseline saw the first alone
        assert one["second_half"]["frames"] == one["second_half"]["baseline"]["frames"] == 8
    assert 0.0 < far["second_half"]["baseline"]["metric"]["abs_rel"] and 0.0 < what["second_half"]["baseline"]["accuracy"] < 0.5
    assert json.loads((out / "dense.json").read_text()) == result
    assert (out / "dense.md").read_text().splitlines() == table(result)
    strip = Image.open(out / "strip.png")
    assert strip.size == (5 * 320, 3 * (160 + 16))
    pixels = np.asarray(strip)
    assert (pixels[16:176, 322:637] == pixels[16:176, 642:957]).all() and pixels[16:176, 320:640].std() > 5.0  # recorded = found


def test_one_recording_is_split_in_the_middle_of_its_time(bags):
    result = score(Knowing(0.5), bags[:1], DenseConfig(bags[0], "knowing"), progress=False)
    far = result["outputs"]["far"]
    assert far["second_half"]["frames"] == 4 and far["median_scaled"]["abs_rel"] == pytest.approx(0.0, abs=1e-7)
    assert far["metric"]["abs_rel"] == pytest.approx(0.5) and far["metric"]["delta_3"] == 0.0


def test_declared_history_reaches_the_perceiver(bags):
    class Remembering(Knowing):
        rig = SensorRig(RIG.cameras, history_s=(0.5,))

    perceiver = Remembering()
    score(perceiver, bags[:1], DenseConfig(bags[0], "knowing"), progress=False)
    assert perceiver.histories == [(False,), *[(True,)] * 7]


def test_several_cameras_are_judged_by_the_first_ones_labels(tmp_path, monkeypatch):
    write = BagWriter.write_camera
    monkeypatch.setattr(views, "shot", lambda stamp, rgb, labels: shot(stamp, rgb, True))
    monkeypatch.setattr(BagWriter, "write_camera", lambda bag, name, image: write(
        bag, name, image if name == "front" else replace(image, depth=None, semantic=None, instance=None)))
    views.write_views(tmp_path / "b")

    class Wide(Knowing):
        rig = SensorRig(tuple(CameraSpec(name, RIG.cameras[0].pose, views.WIDTH, views.HEIGHT, 100.0) for name in views.CAMERAS))

        def perceive(self, frame):
            assert set(frame.images) == {"front", "left", "right"}
            depth = frame.images["front"][..., 0].astype(np.float32) * 0.37 + 1.0
            return Perception(frame.stamp_ns, "front", {"far": DenseOutput("depth", depth)})

    result = score(Wide(), [tmp_path / "b"], DenseConfig(tmp_path / "b", "wide"), progress=False)
    assert result["outputs"]["far"]["frames"] == result["frames"] == 8 and result["unlabelled"] == 0
    assert result["outputs"]["far"]["metric"]["abs_rel"] == 0.0  # each frame beside its own labels


def test_what_cannot_be_judged_is_named(tmp_path, bags):
    bare = write_bag(tmp_path / "bare", labels=False, seconds=3.0)
    with pytest.raises(BagError, match="far: no depth labels of camera front; what: no semantic labels.*free: no label of kind mask"):
        score(Knowing(), [bare], DenseConfig(bare, "knowing"), progress=False)
    mixed = score(Knowing(), [bare, bags[0]], DenseConfig(bare, "knowing"), progress=False)
    assert mixed["unlabelled"] == 6 and mixed["outputs"]["far"]["frames"] == 8
    with pytest.raises(BagError, match="no depth labels of camera roof"):
        score(Knowing(camera="roof"), bags[:1], DenseConfig(bags[0], "knowing"), progress=False)
    with pytest.raises(ConfigError, match="output 'far' of the camera's aspect 64x32; got 20x32"):
        score(Knowing(shape=(HEIGHT, 20)), bags[:1], DenseConfig(bags[0], "knowing"), progress=False)


def test_a_trained_network_by_the_command(bags, tmp_path, monkeypatch, capsys):
    install_network(monkeypatch, tmp_path)
    models = save_tiny(tmp_path / "models", "eye")
    words = ["evaluate", "dense", "--model", "eye", "--bag", str(bags[0].parent), "--models-dir", str(models), "--out", str(tmp_path / "o")]
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr().out
    result = json.loads(shown.splitlines()[-1])
    assert result["model"] == "eye" and result["outputs"]["depth"]["frames"] == 16
    assert set(result["outputs"]["classes"]["iou"]) == {"road", "car", "sky"}
    assert result["outputs"]["classes"]["left_out"]["no_class"] > 0
    assert "| depth | abs_rel | " in shown and "median depth of the pixel row" in shown and "beyond max" in shown
    assert main([*words, "--max-depth-m", "0"]) == 2 and "--max-depth-m" in capsys.readouterr().err
    assert main(["evaluate", "dense", "--model", "constant_velocity", "--bag", str(bags[0])]) == 2
    assert "perceiver" in capsys.readouterr().err


def test_a_dense_benchmark_is_a_file_too(bags, tmp_path, monkeypatch, capsys):
    install_network(monkeypatch, tmp_path)
    models = save_tiny(tmp_path / "models", "eye")
    spec = tmp_path / "sight.yaml"
    spec.write_text("kind: dense\nmodels: [eye]\nsuites: {two: {bags: bags, options: {max_depth_m: 50}}}\n"
                    "figures: {outputs/depth/metric/abs_rel: {text: Abs Rel, short: rel}, outputs/classes/mean_iou: {text: mean IoU}}\n")
    words = ["benchmark", str(spec), "--recordings-dir", str(tmp_path), "--models-dir", str(models), "--out", str(tmp_path / "o"),
             "--latency-frames", "2", "--allow-leak", "--json"]
    assert main(words) == 0
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert row["frames"] == 16 and row["mean"]["outputs/depth/metric/abs_rel"] > 0.0 and row["latency_ms"] > 0.0
    assert row["parameters"] and "Abs Rel" in (tmp_path / "o" / "report.html").read_text()
