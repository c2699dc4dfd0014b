"""What recordings hold, as a network to be trained on them is told or needs it."""

from __future__ import annotations

from pathlib import Path

from kd_planner_ros.bags.cameras import recorded_names
from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.bags.scenes import scenes
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.distill.bev_frames import map_of
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.distillation import no_states
from kd_planner_ros.distill.methods.build import truth_needed
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.training import find_lessons
from kd_planner_ros.samples.shards import require_topics
from kd_planner_ros.wire.topics import TRUTH_STATE

CAMERA = "front"
"""The camera that a student of one camera looks through; recordings with a single camera may call it otherwise."""


def cameras(bag: Path) -> tuple[CameraSpec | None, dict[str, CameraSpec]]:
    """The recording's main camera, and every camera that says its size, by id; poses are left at zero."""
    with open_bag(bag) as recording:
        found = {camera: recording.camera_spec(camera) for camera in recording.cameras}
        main = found.get(recorded_names(recording, (CAMERA,))[0])
    return main, {camera: spec for camera, spec in found.items() if spec is not None}


def require_sensors(config: TrainConfig) -> None:
    """Refuse early what training would refuse for what the first recording holds.

    Raises:
        BagError: no recordings, a broken one, or the first one lacks topics that the network or the method is taught from.
        MapError: its map is not to be found, and the method draws it.
        ConfigError: its cameras do not fit the network.
    """
    network, training, bag = find_network(config.network), find_lessons(config.network), find_bags(config.bags)[0]
    assumed = network.config(training.config_fields(config, None, {}))  # topics do not depend on the cameras' sizes
    with open_bag(bag) as recording:
        require_topics(recording, training.build_lessons(network.build_processor(assumed)))
        _require_truth(recording, config)
    network.config(training.config_fields(config, *cameras(bag)))


def _require_truth(recording: Recording, config: TrainConfig) -> None:
    needed = truth_needed(config)
    if "states" in needed and TRUTH_STATE not in recording.kinds:
        raise no_states(recording.path)
    if "bev" in needed:
        scenes(recording)
        map_of(recording, config.maps_dir)
