"""``kd-planner perceive`` and the strip of ``explain``: pictures, folders and recordings through a tiny perceiver of one convolution."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.fakes import CAMERA, FakePerceiver
from support.perception import install_network, save_tiny
from support.recordings import FOLDER

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.evaluation.perceive import strip
from kd_planner_ros.evaluation.perceive.files import clipped_share, write_outputs
from kd_planner_ros.evaluation.perceive.inputs import _names, open_shots
from kd_planner_ros.evaluation.perceive.recorded import put_perception
from kd_planner_ros.evaluation.perceive.run import PerceiveConfig, run, summary
from kd_planner_ros.evaluation.perceive.unseen import without_unseen
from kd_planner_ros.imaging.dense_strip import ORDER, UNKNOWN, strip_panels
from kd_planner_ros.imaging.fit_camera import fitted


@pytest.fixture
def models(tmp_path, monkeypatch):
    install_network(monkeypatch, tmp_path, "perceive_eye_package")
    return save_tiny(tmp_path / "models", "eye")


def save(path, pixels):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels).save(path)
    return path


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def perceive(models, out, *words):
    return main(["perceive", "--model", "eye", "--models-dir", str(models), "--out", str(out), *map(str, words)])


def test_a_picture_of_another_camera_is_seen_as_the_models_own():
    """A field of view of 90 degrees in 100 columns: a focal length of 50 px; the model's 100 px see the inner half."""
    own = CameraSpec("front", Pose(), 200, 100, 90.0)
    picture = np.zeros((50, 100, 3), np.uint8)
    picture[20:30, 45:55] = 200
    found, shown = fitted(picture, 90.0, own)
    assert found.shape == (100, 200, 3) and shown.all() and (found[41:59, 91:109] == 200).all() and found[:38].max() == 0
    narrow, shown = fitted(picture, 2.0 * np.degrees(np.arctan(0.5)), own)
    assert shown[:, 50:150].sum() == 50 * 100 and not shown[:, :49].any() and not shown[:24].any()
    assert fitted(found, 90.0, own)[0] is found


def test_a_picture_gives_files_that_say_what_was_seen(models, tmp_path, capsys):
    out = tmp_path / "out"
    assert perceive(models, out, "--input", save(tmp_path / "street.png", noise(60, 90)), "--fov", 60, "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads((out / "perceive.json").read_text()) and result["pictures"] == 1
    row = result["frames"][0]
    assert 0.2 < row["seen_share"] < 0.6 and row["scalars"] == {"steer": 0.25}
    assert set(row["files"]) == {"depth", "classes", "drivable", "overview"}
    assert result["labels"] == {"classes": {"0": "road", "1": "car", "2": "sky"}} and row["depth_clipped_share"] == 0.0
    assert set(result["formats"]) == {"depth", "classes", "drivable"} and "255: unknown" in result["formats"]["classes"]
    depth = np.array(Image.open(out / row["files"]["depth"]))
    assert depth.dtype == np.uint16 and depth.shape == (32, 64) and (depth[:, 0] == 0).all()
    classes = np.array(Image.open(out / row["files"]["classes"]))
    assert (classes[12:20, 28:36] < 3).all() and np.array_equal(depth > 0, classes < 2), "no depth where it is unknown or sky"
    assert (np.array(Image.open(out / row["files"]["classes"]))[:, 0] == 255).all()


def test_a_folder_is_a_sequence_and_what_is_no_picture_is_named(models, tmp_path, capsys):
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", noise(32, 64, number))
    save(tmp_path / "in" / "3.png", np.zeros((32, 64, 3), np.uint8))
    save(tmp_path / "in" / "deep.png", np.full((32, 64), 900, np.uint16))
    (tmp_path / "in" / "4.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "notes.txt").write_text("x")
    assert perceive(models, tmp_path / "out", "--input", tmp_path / "in", "--fov", 100, "--rate", 5, "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["stamp_s"] for row in result["frames"]] == [0.0, 0.2, 0.4]
    assert set(result["left_out"]) == {"4.jpg", "notes.txt", "deep.png"} and "8-bit" in result["left_out"]["deep.png"]
    assert "a picture with light" in result["refused"]["3"] and not (tmp_path / "out" / "outputs").exists()


def test_pictures_that_show_nothing_are_refused_one_by_one_and_counted(models, tmp_path, capsys):
    """Also where the model's camera sees more than the picture, so that its frame has a grey border."""
    pictures = {"black": np.zeros((40, 60, 3), np.uint8), "grey": np.full((40, 60, 3), 90, np.uint8), "tiny": noise(1, 1),
                "white": np.full((40, 60, 3), 255, np.uint8), "seen": noise(40, 60), "dim": noise(40, 60) // 4}
    for name, pixels in pictures.items():
        save(tmp_path / "in" / f"{name}.png", pixels)
    assert perceive(models, tmp_path / "out", "--input", tmp_path / "in", "--fov", 40) == 0
    result = json.loads((tmp_path / "out" / "perceive.json").read_text())
    assert {row["name"] for row in result["frames"]} == {"seen", "dim"} and result["pictures"] == 2
    assert {name: reason.split(" from ")[0] for name, reason in result["refused"].items()} == {
        "black": "expected a picture with light in it", "grey": "expected a picture with content",
        "tiny": "expected a picture of at least 32x32 pixels", "white": "expected a picture with content"}
    said = capsys.readouterr().out
    assert "4 left out or refused" in said and "\n4 refused, the first is black: expected a picture with light" in said


@pytest.mark.parametrize(("pixels", "words"), [(np.full((1, 1, 3), 70, np.uint8), "at least 32x32 pixels from camera 'front'; got 1x1"),
                                               (np.full((60, 90, 3), 70, np.uint8), "mean 70.0 and standard deviation 0.0")])
def test_a_single_picture_that_shows_nothing_is_refused_in_one_line(models, tmp_path, capsys, pixels, words):
    assert perceive(models, tmp_path / "out", "--input", save(tmp_path / "one.png", pixels), "--fov", 90) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


@pytest.mark.parametrize(("name", "words"), [("nowhere", "got nothing; correct --input"), ("street.png", "expected --fov for pictures")])
def test_what_cannot_be_used_is_refused(models, tmp_path, capsys, name, words):
    save(tmp_path / "street.png", noise(32, 64))
    assert perceive(models, tmp_path / "out", "--input", tmp_path / name) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content", "words"), [
    ("street.png", b"no picture", "expected a picture in"), ("street.txt", b"", "or a rosbag2 folder, or a .mcap or .db3 file, at"),
    ("folder", None, "expected pictures (.png, .jpg, .jpeg, .bmp, .ppm, .webp) or metadata.yaml or a .mcap or .db3 file")])
def test_an_input_without_a_picture_is_refused_before_the_model_is_loaded(tmp_path, capsys, monkeypatch, name, content, words):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_perceiver", lambda *rest: pytest.fail("the model was loaded"))
    (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
    assert main(["perceive", "--input", str(tmp_path / name), "--fov", "90", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_recording_gives_a_recording_and_a_strip(models, tmp_path, capsys):
    assert perceive(models, tmp_path / "out", "--input", FOLDER / "tcp", "--frames", 2) == 0
    with closing(BagFile(tmp_path / "out" / "outputs")) as bag:
        topics = [topic for topic, _, _ in bag.raw({f"/carla/ego_vehicle/perception/{name}" for name in (
            "depth", "classes", "drivable", "scalars", "classes/labels")})]
    assert {topic.rpartition("perception/")[2]: topics.count(topic) for topic in topics} == {
        "depth": 2, "classes": 2, "drivable": 2, "scalars": 2, "classes/labels": 1}
    words = ["--bag", str(FOLDER / "tcp"), "--model", "eye", "--models-dir", str(models), "--out", str(tmp_path / "strips")]
    assert main(["explain", *words, "--frame", "2"]) == 0
    strip = np.array(Image.open(tmp_path / "strips" / "strip_2.png"))
    assert strip.shape[1] == 3 * 256 and "strip_2.png" in capsys.readouterr().out  # input, classes, depth
    assert main(["explain", *words, "--frame", "999"]) == 2
    frames = len(list(open_shots(FOLDER / "tcp", 0.0, 10.0, (), CAMERA)))
    assert f"; got {frames} frames (0 to {frames - 1}), the last at " in capsys.readouterr().err


def test_explain_refuses_a_folder_that_cannot_be_made_before_the_model_is_loaded(models, capsys, monkeypatch):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_perceiver", lambda *rest, **more: pytest.fail("the model was loaded"))
    assert main(["explain", "--bag", str(FOLDER / "tcp"), "--model", "eye", "--models-dir", str(models), "--out", "/proc/x"]) == 2
    assert "expected to use /proc/x; got" in capsys.readouterr().err


def test_a_strip_hides_what_the_picture_does_not_show(tmp_path, monkeypatch):
    """The recording's camera sees less than the model's: at the border there is no picture, so no answer either."""
    rows = []
    monkeypatch.setattr(strip, "write_strip", lambda path, found: rows.extend(found))
    eye = FakePerceiver(SensorRig((replace(CAMERA, fov_deg=140.0),)))
    strip.write_strips(eye, FOLDER / "tcp", tmp_path, (1,), ())
    depth = dict(rows[0])["depth"]
    assert (depth[:, :3] == UNKNOWN).all() and not (depth[3:5, 7:9] == UNKNOWN).all(-1).any()


def test_a_recording_of_perceptions_has_the_egos_twist(tmp_path):
    """Of the vehicle, not of the camera 1.5 m behind its centre; nothing where it is not known."""
    numbers = {"forward_mps": 4.0, "left_mps": 0.25, "yaw_rate_rps": 0.5}
    with BagWriter(tmp_path / "seen", SensorRig((CAMERA,)), {}) as bag:
        for stamp, more in ((10**9, {}), (2 * 10**9, {"left_mps": float("nan")})):
            put_perception(bag, Perception(stamp, "front", {}, CAMERA, {**numbers, **more}), first=False)
    with closing(BagFile(tmp_path / "seen")) as bag:
        found = [bag.decode(topic, raw) for topic, _, raw in bag.raw({"/carla/ego_vehicle/perception/twist"})]
    assert len(found) == 1 and (found[0].twist.linear.x, found[0].twist.linear.y) == (4.0, 0.25 + 0.5 * 1.5)


def test_the_strip_has_the_order_of_the_figure_and_shows_what_is_unknown():
    depth = np.full((4, 8), np.nan, np.float32)
    depth[2:] = 5.0
    outputs = {"depth": DenseOutput("depth", depth), "moving": DenseOutput("mask", depth > 0),
               "panoptic": DenseOutput("ids", np.zeros((4, 8), np.int32)), "other": DenseOutput("probability", depth / 10)}
    panels = strip_panels(noise(8, 16), outputs)
    assert [caption for caption, _ in panels] == ["input", "panoptic", "depth", "other"]
    every = {name: DenseOutput("probability", depth / 10) for name in reversed(ORDER)}
    assert [caption for caption, _ in strip_panels(noise(8, 16), every)] == [
        "input", "panoptic", "instances", "classes", "depth", "motion", "independent flow", "flow"]
    assert (panels[2][1][:2] == UNKNOWN).all() and (panels[2][1][2:] != UNKNOWN).any() and panels[0][1].shape == (4, 8, 3)


def test_every_kind_has_a_file_that_can_be_read_back(tmp_path):
    grid = np.arange(32).reshape(4, 8)
    depth = grid.astype(np.float32) * 4.0
    depth[0, 0] = np.nan
    outputs = {"depth": DenseOutput("depth", depth), "classes": DenseOutput("classes", (grid % 3).astype(np.uint8)),
               "ids": DenseOutput("ids", (grid * 1000).astype(np.int32)), "mask": DenseOutput("mask", grid % 2 == 0),
               "flow": DenseOutput("flow", np.stack([depth] * 3, axis=2)), "chance": DenseOutput("probability", depth / 128)}
    names = write_outputs(tmp_path, "a", noise(4, 8), Perception(0, "front", outputs))
    read = {name: np.load(tmp_path / file) if file.endswith(".npy") else np.array(Image.open(tmp_path / file))
            for name, file in names.items()}
    assert read["depth"][0, :2].tolist() == [0, 4000] and read["depth"].max() == 65535
    assert clipped_share(Perception(0, "front", outputs)) == (depth > 65.535).sum() / 31 and clipped_share(Perception(0, "front")) == 0.0
    assert np.array_equal(read["classes"], grid % 3) and np.array_equal(read["ids"], grid * 1000)
    assert set(np.unique(read["mask"])) == {0, 255}
    assert np.array_equal(read["flow"], outputs["flow"].array, equal_nan=True)
    shown = np.ones((4, 8), bool)
    shown[:, 4:] = False
    hidden = without_unseen(Perception(0, "front", outputs), shown).outputs
    assert np.isnan(hidden["flow"].array[:, 4:]).all() and (hidden["classes"].array[:, 4:] == 255).all()
    assert not hidden["mask"].array[:, 4:].any()
    assert np.array_equal(hidden["ids"].array[:, :4], outputs["ids"].array[:, :4])


def test_the_console_line_counts_the_outputs_that_were_unknown():
    rows = [{"inference_ms": 2.0, "unknown": unknown, "depth_clipped_share": 0.0}
            for unknown in (*2 * [{"motion": "no frame within 0.25 s"}], {})]
    result = {"camera": "front", "model": "eye", "left_out": {}, "refused": {}}
    assert summary({**result, "pictures": 3, "frames": rows}).splitlines() == [
        "3 pictures of camera front by eye, 2.0 ms each (median)", "motion unknown in 2 of 3: no frame within 0.25 s"]
    assert summary({**result, "pictures": 1, "frames": rows[2:]}).startswith("1 picture of camera front")


def test_the_console_says_one_reason_once_and_what_the_depth_file_cannot_hold():
    why = {"motion": "not ready", "flow": "not ready", "steer": "no window"}
    rows = [{"inference_ms": 2.0, "unknown": why, "depth_clipped_share": share} for share in (0.5, 0.25, 0.0)]
    result = {"camera": "front", "model": "eye", "left_out": {}, "refused": {}, "pictures": 3, "frames": rows}
    assert summary(result).splitlines()[1:] == [
        "depth beyond 65.535 m, which the PNG holds as 65535, in 2 of 3: 38 % of their pixels with a depth (mean)",
        "flow, motion unknown in 3 of 3: not ready", "steer unknown in 3 of 3: no window"]


def test_pictures_of_one_stem_are_both_kept(models, tmp_path):
    for number, name in enumerate(("a.jpg", "a.png", "b.png")):
        save(tmp_path / "in" / name, noise(32, 64, number))
    assert perceive(models, tmp_path / "out", "--input", tmp_path / "in", "--fov", 100) == 0
    rows = json.loads((tmp_path / "out" / "perceive.json").read_text())["frames"]
    assert [row["name"] for row in rows] == ["a.jpg", "a.png", "b"] and rows[1]["files"]["depth"] == "a.png_depth.png"
    files = [name for row in rows for name in row["files"].values()]
    assert len(set(files)) == len(files) and all((tmp_path / "out" / name).is_file() for name in files)
    assert _names([Path("a.jpg"), Path("a.jpg.png"), Path("a.png")]) == ["a.jpg", "a.jpg.png", "a.png"]


def test_a_second_run_and_a_folder_that_cannot_be_made_are_refused_before_the_model_is_loaded(models, tmp_path, capsys, monkeypatch):
    words = ["--input", save(tmp_path / "street.png", noise(60, 90)), "--fov", 60]
    assert perceive(models, tmp_path / "out", *words) == 0
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_perceiver", lambda *rest: pytest.fail("the model was loaded"))
    capsys.readouterr()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    for out, said in ((tmp_path / "out", "got that of an earlier run of perceive; give another --out, or delete the folder"),
                      (tmp_path / "other", "got one with files, for example notes.txt; give another --out"),
                      (tmp_path / "street.png", "got a file; give another --out"), ("/proc/x", "expected to use /proc/x; got")):
        assert perceive(models, out, *words) == 2
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1


@pytest.mark.parametrize("option", [("--camera", "front=foo"), ("--role-name", "hero")])
def test_options_of_recordings_are_refused_with_pictures(models, tmp_path, capsys, option):
    assert perceive(models, tmp_path / "out", "--input", save(tmp_path / "a.png", noise(60, 90)), "--fov", 60, *option) == 2
    assert f"with a recording; got {option[0]} with pictures; leave it out" in capsys.readouterr().err


def test_a_networks_name_stands_for_its_model(models, tmp_path):
    config = PerceiveConfig(save(tmp_path / "a.png", noise(60, 90)), tmp_path / "out", "tiny_eye", 60.0, models_dir=models)
    assert run(config)["model"] == "eye"
