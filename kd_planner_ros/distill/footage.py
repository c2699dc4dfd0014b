"""Public data sets of pictures in place of recordings: which one, whether a network can be trained on it, and its samples."""

from __future__ import annotations

import reprlib
import sys
from pathlib import Path

from kd_planner_ros.bags.triplets import CityscapesTriplets, KittiTriplets, Triplets
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.foreign import read_yaml
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.distill.config import TrainConfig, stages_of
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.methods.registry import IMITATION
from kd_planner_ros.distill.parallel import Group
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.samples.footage import build_footage, require_pictures
from kd_planner_ros.samples.shards import Shard

NAMES = {"kitti": ("kitti", "split", "static"), "cityscapes": ("cityscapes", "split")}
"""What a file that names a data set may say."""


def find_footage(config: TrainConfig) -> Triplets | None:
    """The data set that the file in ``bags`` names; None where they are recordings. Paths are relative to the file: ``kitti: FOLDER`` with
    ``split: LIST`` and perhaps ``static: LIST``, or ``cityscapes: FOLDER`` and perhaps ``split: train``, ``val`` or ``test``.

    Raises:
        ConfigError: recordings or another file beside it, or it says something else.
        BagError: the data set is missing or has another layout.
    """
    files = [path for path in config.bags if Path(path).suffix in (".yaml", ".yml") and Path(path).is_file()]
    if not files:
        return None
    if len(config.bags) > 1:
        raise ConfigError("one file that names a data set, or recordings, under --bags", ", ".join(map(str, config.bags)),
                          "leave the others out")
    file, said = files[0], read_yaml(files[0])
    kind = next((one for one in NAMES if isinstance(said, dict) and one in said), None)
    if kind is None or set(said) - set(NAMES[kind]) or not all(isinstance(value, str) and value for value in said.values()):
        raise ConfigError(f"'kitti: FOLDER' with 'split: LIST' and perhaps 'static: LIST', or 'cityscapes: FOLDER' and perhaps 'split: "
                          f"train', in {file}", reprlib.repr(said), "see docs/guides/train_a_student.md")
    folder = file.parent / said[kind]
    if kind == "cityscapes":
        return CityscapesTriplets(folder, said.get("split", "train"))
    if "split" not in said:
        raise ConfigError(f"'split: LIST', a list of frames as published, beside 'kitti' in {file}", "none",
                          "give for example Zhou's train_files.txt, 'DRIVE NUMBER SIDE' a line")
    return KittiTriplets(folder, file.parent / said["split"], file.parent / said["static"] if "static" in said else None)


def require_footage(config: TrainConfig, found: Triplets) -> tuple[CameraSpec, dict[str, CameraSpec]]:
    """The camera of ``found``, once and by its id; refuse early what training would refuse.

    Raises:
        ConfigError: the network does not learn from pictures alone or does not fit the camera, or a method reads recordings.
        BagError: the first triplet cannot be read.
    """
    if methods := sorted({config.method, *(stage.method for stage in stages_of(config) if stage.method)} - {IMITATION}):
        raise ConfigError(f"method {IMITATION} with {found.name}, of which nothing but pictures is read", ", ".join(methods),
                          "leave --method out, or give recordings")
    network, training, options = find_network(config.network), find_training(config.network), config.options(config.network)
    camera = found.camera()
    own = network.config(training.config_fields(config.size, options, camera, {camera.id: camera}))
    require_pictures(training.build_task(network.build_processor(own), options))
    return camera, {camera.id: camera}


def footage_shards(config: TrainConfig, found: Triplets, learner: Learner, group: Group) -> list[Shard]:
    """The samples of ``found``; the leader builds them, and says what was left out."""
    camera, = learner.model_config.rig.cameras
    shards = group.leader_first(lambda: build_footage(found, config.cache, learner.task, camera, config.progress and group.leads))
    if group.leads:
        left = ", ".join(f"{count} {why}" for why, count in found.left_out.items() if count) or "none"
        labelled = sum(shard.facts["labelled"] for shard in shards)
        notes = dict.fromkeys(note for shard in shards for note in shard.facts["notes"])
        print("\n".join([f"{found.name}: {len(found)} triplets of pictures, {labelled} with labels of classes; left out: {left}", *notes]),
              file=sys.stderr)
    return shards
