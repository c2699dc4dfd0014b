"""Dense evaluation from the recording to the figures: a perceiver that knows the answer, one that errs, and bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import views
from support.bags import HEIGHT, RIG, WIDTH, shot, write_bag
from support.networks import write_card
from support.perception import install_network, save_tiny

from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.evaluation.dense.run import Bags, DenseConfig, run, score, unique_names
from kd_planner_ros.evaluation.dense.table import recordings_table, table
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.imaging.palette import TAGS, THINGS
from kd_planner_ros.networks.planner import Perceiver

NAMES = tuple(name for name, _ in TAGS)
THING = np.array([name in THINGS for name in NAMES])


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


@pytest.mark.parametrize(("maps", "seen"), [(["Carla/Maps/Town01_Opt", "Town03"], ["Town01"]), (["Town03"], [])])
def test_figures_on_the_map_of_the_training_say_so(bags, tmp_path, monkeypatch, capsys, maps, seen):
    perceiver = Knowing()
    perceiver.card = read_card(write_card(tmp_path / "models" / "knowing", maps=maps))
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_perceiver", lambda *words: perceiver)
    assert main(["evaluate", "dense", "--bag", str(bags[0]), "--model", "knowing", "--out", str(tmp_path / "out"), "--json"]) == 0
    *shown, figures = capsys.readouterr().out.splitlines()
    assert json.loads(figures)["trained_on"] == seen
    for lines in (shown, (tmp_path / "out" / "dense.md").read_text().splitlines()):
        assert any(line.startswith("knowing was trained on Town01, as these recordings") for line in lines) == bool(seen)


def test_a_folder_that_cannot_be_made_is_refused_before_the_model_is_loaded(bags, monkeypatch, capsys):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_perceiver", lambda *words: pytest.fail("the model was loaded"))
    assert main(["evaluate", "dense", "--bag", str(bags[0]), "--model", "knowing", "--out", "/proc/x"]) == 2
    said = capsys.readouterr().err
    assert "expected to use /proc/x; got" in said and said.count("\n") == 1


def test_the_model_may_be_named_by_its_network(bags, monkeypatch):
    named = []
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_perceiver", lambda name, *words: named.append(name) or Knowing())
    run(DenseConfig("unified_encoder", bags[0]), progress=False)
    assert named == ["unified_nano"]


def test_who_knows_the_labels_makes_no_error(bags, tmp_path):
    perceiver, out = Knowing(), tmp_path / "out"
    result = score(perceiver, Bags(bags), DenseConfig("knowing", bags[0], out=out, pictures=3), progress=False)
    assert (result["frames"], result["bags"], result["incomplete"], result["unlabelled"], perceiver.resets) == (16, 2, 0, 0, 2)
    far, what = result["outputs"]["far"], result["outputs"]["what"]
    assert far["metric"]["abs_rel"] == 0.0 and far["metric"]["delta_1"] == 1.0 and far["frames"] == 16
    assert far["pixels"] + far["left_out"]["beyond_max"] == 16 * HEIGHT * WIDTH and far["left_out"]["unknown"] == 0
    assert what["mean_iou"] == what["accuracy"] == 1.0 and set(what["iou"]) == set(NAMES) and what["pixels"] == 16 * HEIGHT * WIDTH
    assert set(result["not_scored"]) == {"free"} and "nothing says what this mask means" in result["not_scored"]["free"]
    for one in (far, what):  # the second recording; the baseline saw the first alone
        assert [one["second_half"]["frames"]] * 2 == [trivial["frames"] for trivial in one["second_half"]["baselines"].values()] == [8, 8]
    trivial = far["second_half"]["baselines"]["row_median"], what["second_half"]["baselines"]["row_class"]
    assert 0.0 < trivial[0]["metric"]["abs_rel"] and 0.0 < trivial[1]["accuracy"] < 0.5
    assert {name: one["frames"] for name, one in result["recordings"].items()} == {"b0": 8, "b1": 8}
    assert result["recordings"]["b1"]["outputs"]["what"]["mean_iou"] == 1.0 and result["speed"]["frames_per_s"] > 0.0
    assert json.loads((out / "dense.json").read_text()) == result
    assert (out / "dense.md").read_text().splitlines() == [*table(result), "", *recordings_table(result)]
    strip = Image.open(out / "strip.png")
    assert strip.size == (5 * 256, 6 * (128 + 16))  # picture, depth, classes, drivable, lane markings; two rows a frame
    pixels = np.asarray(strip)
    assert (pixels[16:144, 256:] == pixels[160:288, 256:]).all() and pixels[16:144, 256:512].std() > 5.0  # recorded = found


def test_one_recording_is_split_in_the_middle_of_its_time(bags):
    result = score(Knowing(0.5), Bags(bags[:1]), DenseConfig("knowing", bags[0]), progress=False)
    far = result["outputs"]["far"]
    assert far["second_half"]["frames"] == 4 and far["median_scaled"]["abs_rel"] == pytest.approx(0.0, abs=1e-7)
    assert far["metric"]["abs_rel"] == pytest.approx(0.5) and far["metric"]["delta_3"] == 0.0


def test_declared_history_reaches_the_perceiver(bags):
    class Remembering(Knowing):
        rig = SensorRig(RIG.cameras, history_s=(0.5,))

    perceiver = Remembering()
    score(perceiver, Bags(bags[:1]), DenseConfig("knowing", bags[0]), progress=False)
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

    result = score(Wide(), Bags([tmp_path / "b"]), DenseConfig("wide", tmp_path / "b"), progress=False)
    assert result["outputs"]["far"]["frames"] == result["frames"] == 8 and result["unlabelled"] == 0
    assert result["outputs"]["far"]["metric"]["abs_rel"] == 0.0  # each frame beside its own labels


class Rounded(Knowing):
    """Also gives ids, masks, flow, the camera's motion as the odometry has it, and steering; a frame without one before is not ready."""

    name = "rounded"

    def __init__(self):
        super().__init__()
        self.before = None

    def reset(self):
        self.before = None

    def perceive(self, frame) -> Perception:
        rgb, ego = frame.images["front"], frame.ego
        tags = rgb[..., 1] % 29
        single = np.where(THING[tags], np.maximum(rgb[..., 2].astype(np.int32) - 5, 0), 0)
        ids = ((tags.astype(np.int32) + 1) * 1000 + single).astype(np.int32)
        over_s = math.nan if self.before is None else (frame.stamp_ns - self.before.stamp_ns) / 1e9
        self.before, last = frame, self.before
        forward, left = (math.nan, math.nan) if last is None else to_base(np.array([ego.pose.x, ego.pose.y]), last.ego.pose) / over_s
        turn = math.nan if last is None else (ego.pose.yaw - last.ego.pose.yaw) / over_s
        back = -1.5 * np.array([math.cos(turn * over_s) - 1.0, math.sin(turn * over_s)]) / -over_s  # the camera stands behind the origin
        scalars = {"forward_mps": forward - back[0], "left_mps": left - back[1], "yaw_rate_rps": turn, "steer": 0.1}
        flow = np.full((*tags.shape, 3), 0.0 if last is not None else np.nan, np.float32)
        return replace(super().perceive(frame), scalars=scalars, outputs={
            "what": DenseOutput("classes", tags, NAMES), "parts": DenseOutput("ids", ids),
            "drivable": DenseOutput("mask", np.isin(tags, (1, 24))),
            "members": DenseOutput("ids", np.where(THING[tags] & (single > 0), ids, 0).astype(np.int32), meta={"segments": "instances"}),
            "shift": DenseOutput("flow", flow, meta={"over_s": f"{over_s:.3f}"}),
            "moving": DenseOutput("probability", flow[..., 0])})


def test_every_kind_of_output_is_judged(tmp_path):
    bag = write_bag(tmp_path / "b", seconds=2.0, every=2, rate=0.2)
    result = score(Rounded(), Bags([bag]), DenseConfig("rounded", bag, out=tmp_path / "o"), progress=False)
    outputs = result["outputs"]
    assert set(outputs) == {"what", "parts", "drivable", "members", "what/lane_marking", "shift", "moving", "ego motion", "steering"}
    assert result["not_scored"] == {} and result["frames"] == 20
    assert outputs["parts"]["pq"] == outputs["members"]["ap"] == outputs["drivable"]["iou"] == outputs["what/lane_marking"]["iou"] == 1.0
    assert outputs["shift"]["frames"] == outputs["moving"]["frames"] == outputs["ego motion"]["frames"] == 19
    assert outputs["shift"]["epe_m"]["static"] > 0.01  # the car drives
    later = outputs["shift"]["second_half"]
    assert later["epe_m"] == later["baselines"]["zero"]["epe_m"] and later["baselines"]["truth"]["epe_m"]["static"] == 0.0
    assert outputs["ego motion"]["translation_m"] == pytest.approx(0.0, abs=1e-4) and outputs["ego motion"]["runs"] == 1
    assert outputs["ego motion"]["rotation_deg"] == pytest.approx(0.0, abs=1e-2)
    assert outputs["steering"]["mse"] == pytest.approx(0.0, abs=1e-6)  # the recorded driver steers 0.1
    assert {name for name, one in outputs.items() if one["left_out"]["frames_without_label"] == 1} == {"shift", "moving", "ego motion"}
    assert Image.open(tmp_path / "o" / "strip.png").size[0] == 256 * 8


def test_recordings_of_one_name_keep_their_notes_apart(tmp_path):
    """Two recordings called b, one without a route: each has its own line, and its own notes."""
    for town, leave_out in (("t1", "route"), ("t2", "route")):
        write_bag(tmp_path / town / "b", seconds=2.0, leave_out=leave_out)
    folders = [tmp_path / "t1" / "b", tmp_path / "t2" / "b"]
    result = score(Knowing(), Bags(folders), DenseConfig("knowing", tmp_path), progress=False)
    assert list(result["recordings"]) == ["t1/b", "t2/b"] and list(result["notes"]) == list(map(str, folders))
    assert unique_names([Path("a/x"), Path("a/y")]) == ["x", "y"]


def test_one_source_is_needed(tmp_path):
    for fields in ({}, {"bag": tmp_path, "kitti": tmp_path}, {"bag": tmp_path, "split": "val"}):
        with pytest.raises(ConfigError, match=r"--bag"):
            run(DenseConfig("eye", **fields))


def test_what_cannot_be_judged_is_named(tmp_path, bags):
    bare = write_bag(tmp_path / "bare", labels=False, seconds=3.0)
    with pytest.raises(BagError, match="far: no depth labels of camera front; what: no semantic labels.*free: nothing says"):
        score(Knowing(), Bags([bare]), DenseConfig("knowing", bare), progress=False)
    mixed = score(Knowing(), Bags([bare, bags[0]]), DenseConfig("knowing", bare), progress=False)
    assert mixed["unlabelled"] == 6 and mixed["outputs"]["far"]["frames"] == 8
    with pytest.raises(BagError, match="no depth labels of camera roof"):
        score(Knowing(camera="roof"), Bags(bags[:1]), DenseConfig("knowing", bags[0]), progress=False)
    with pytest.raises(ConfigError, match="output 'far' of the camera's aspect 64x32; got 20x32"):
        score(Knowing(shape=(HEIGHT, 20)), Bags(bags[:1]), DenseConfig("knowing", bags[0]), progress=False)


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
    assert "| depth | metric abs_rel | " in shown and "median depth of the pixel row" in shown and "beyond max" in shown
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
