"""The unified encoder learns from the pictures of KITTI and Cityscapes in their true layouts."""

import json

import numpy as np
import pytest
import torch
from support.datasets import DRIVE, noise, write_kitti, write_png
from support.training import but, training

from kd_planner_ros.bags.triplets import CityscapesTriplets, KittiTriplets
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.footage import find_footage, footage_shards, require_footage
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.unified_encoder.config import VOID
from kd_planner_ros.networks.unified_encoder.targets import UNTOLD

OTHER = DRIVE.replace("0002", "0009")
CITY = "aachen_000000"


def told(config, text):
    """``config`` with a file beside the data that says ``text`` in place of recordings."""
    path = config.cache.parent / f"{text.split(':')[0].strip()}.yaml"
    path.write_text(text)
    return but(config, bags=(path,))


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    return training(bags=(), name="seer", network="unified_encoder", size="tiny", supervision="self", input_height=32, input_width=128,
                    batch=2, epochs=3.0, validation_share=0.4, models_dir=tmp_path / "models", runs_dir=tmp_path / "runs", seed=1,
                    cache=tmp_path / "cache", progress=False, threads=1, device="cpu", precision="fp32", validate_minutes=0)


@pytest.fixture
def kitti(config, tmp_path):
    """Two drives; the car stands in one listed frame, and one has no picture behind it."""
    folder = tmp_path / "kitti"
    for drive in (DRIVE, OTHER):
        write_kitti(folder, frames=range(7), scans=(), drive=drive)
    lines = [f"{drive} {number} l" for drive in (DRIVE, OTHER) for number in range(1, 6)] + [f"{DRIVE} 6 l"]
    (tmp_path / "train_files.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "static.txt").write_text(f"2011_09_26 {DRIVE.split('/')[1]} 0000000003\n")
    return told(config, "kitti: kitti\nsplit: train_files.txt\nstatic: static.txt\n")


@pytest.fixture
def cityscapes(config, tmp_path):
    """A snippet of seven pictures of 64x64 whose fourth has labels; the optical axis lies below the middle of what is kept."""
    folder = tmp_path / "cityscapes"
    for number in range(16, 23):
        write_png(folder / "leftImg8bit_sequence" / "train" / "aachen" / f"{CITY}_{number:06d}_leftImg8bit.png", noise(64, 64, number))
    ids = np.full((64, 64), 23, np.uint8)
    ids[30:], ids[34:40, 20:30] = 7, 26
    members = np.where(ids == 26, 26_003, ids.astype(np.uint16)).astype(np.uint16)
    for kind, array in (("labelIds", ids), ("instanceIds", members)):
        write_png(folder / "gtFine" / "train" / "aachen" / f"{CITY}_000019_gtFine_{kind}.png", array)
    path = folder / "camera" / "train" / "aachen" / f"{CITY}_000019_camera.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 70.0, "fy": 70.0, "u0": 31.5, "v0": 31.5}}))
    return but(told(config, "cityscapes: cityscapes\n"), input_height=32, input_width=64)


def samples(config):
    found = find_footage(config)
    learner = Learner(config, join("cpu"), *require_footage(config, found))
    return found, learner, footage_shards(config, found, learner, join("cpu"))


def test_kitti_trains_every_stage_and_holds_out_whole_drives(kitti, capsys):
    report = train(kitti)
    assert (report.train_samples, report.validation_samples) in ((4, 5), (5, 4)) and report.finished
    card = read_card(kitti.models_dir / "seer")
    assert (card.config["camera_width"], card.config["camera_height"], card.config["metric"]) == (124, 37, False)
    assert card.training["data"]["maps"] == ["KITTI"] and card.training["command"].startswith("kd-planner train --bags ... ")
    said = capsys.readouterr().err
    assert "KITTI: 9 triplets of pictures, 0 with labels of classes; left out: 1 the car stands, 1 picture or neighbour missing" in said
    assert np.isfinite(report.validation["loss"]) and report.validation["depth_known"] == 0.0
    assert train(kitti).steps == report.steps, "the same command goes on"


def test_samples_hold_pictures_and_nothing_that_is_not_known(kitti):
    found, learner, shards = samples(kitti)
    assert isinstance(found, KittiTriplets) and [len(one.rows) for one in shards] == [4, 5]
    first = shards[0]
    assert first.images.shape == (4, 32, 128, 3) and (first.fields["before"][1] == first.images[0]).all()
    assert (first.images[1] == first.fields["after"][0]).all() and np.isnan(first.rows["speed"]).all()
    assert np.isnan(first.fields["depth"]).all() and (first.fields["classes"] == VOID).all() and np.isnan(first.fields["moves"]).all()
    again = samples(kitti)[2]
    assert [one.folder for one in again] == [one.folder for one in shards]
    picture = kitti.bags[0].parent / "kitti" / DRIVE / "image_02" / "data" / "0000000002.png"
    write_png(picture, np.zeros((37, 124, 3), np.uint8))
    assert samples(kitti)[2][0].folder != first.folder, "other files are other samples"


def test_labels_of_cityscapes_teach_the_segmentation_alone(cityscapes):
    found, learner, (shard,) = samples(cityscapes)
    assert isinstance(found, CityscapesTriplets) and len(shard.rows) == 3
    model = learner.model_config
    assert (model.camera_width, model.camera_height) == (64, 32), "the section about the optical axis"
    labelled = [bool((one != VOID).any()) for one in shard.fields["classes"]]
    assert labelled == [False, True, False] and shard.facts["labelled"] == 1
    assert "were fitted to the network's camera (64x32" in shard.facts["notes"][0]
    objects, classes = shard.fields["objects"][1], shard.fields["classes"][1]
    car = [names.split("+")[0] for names in model.classes].index("Car")
    assert (objects[classes == car] == 1).all() and set(np.unique(objects)) == {0, 1}
    assert (shard.fields["objects"][0] == UNTOLD).all()
    learner.begin_stage(0)
    task, parts = learner.task, {}
    for name, rows in (("labelled", [1, 1]), ("mixed", [0, 1]), ("none", [0, 2])):
        arrays = {key: np.stack([shard.array(key, row) for row in rows]) for key in ("images", *shard.fields)}
        inputs = task.inputs(shard.rows[rows], {key: torch.from_numpy(one) for key, one in arrays.items()}, np.zeros(2, bool))
        with torch.no_grad():
            parts[name] = task.loss(learner.model(**inputs), task.targets(shard.rows[rows], arrays), inputs).parts
    assert parts["none"]["class"] == 0.0 and parts["none"]["mask"] == 0.0
    assert parts["mixed"]["class"] > 0.0 and parts["labelled"]["class"] > 0.0
    assert all(torch.isfinite(value) for one in parts.values() for value in one.values())


def test_what_does_not_fit_together_is_refused(kitti, cityscapes):
    def refused(config, words):
        with pytest.raises(ConfigError, match=words) as caught:
            train(config)
        assert "\n" not in str(caught.value)

    refused(but(kitti, bags=(*kitti.bags, *cityscapes.bags)), "one file that names a data set, or recordings, under --bags")
    refused(told(kitti, "kitti: kitti\n"), "'split: LIST', a list of frames as published, beside 'kitti' in")
    for text in ("split: val\n", "cityscapes: cityscapes\nstatic: static.txt\n", "kitti: 3\nsplit: train_files.txt\n", "- kitti\n",
                 "kitti: ''"):
        refused(told(kitti, text), "'kitti: FOLDER' with 'split: LIST' and perhaps")
    shown = cityscapes.bags[0].parent / "cityscapes" / "leftImg8bit_sequence"
    (shown / "val").symlink_to(shown / "train")
    refused(told(cityscapes, "cityscapes: cityscapes\nsplit: val\n"), "of the part 'train' of their data set's split; got 1 of 'val'")
    kitti = told(kitti, "kitti: kitti\nsplit: train_files.txt\n")
    refused(but(kitti, supervision="truth"), "a network that learns from pictures alone; got UnifiedEncoderTask")
    refused(but(kitti, input_width=64), "at least 32 rows high at a width of 64")
    refused(but(kitti, method="at", teacher="nobody"), "method imitation with KITTI, of which nothing but pictures is read; got at")
