"""What recordings hold: cameras and labels, and whether a network can be trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_planner_ros.bags.cameras import TRAIN_REMEDY, recorded_names, require_calibration
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.bags.source import Source, find_sources
from kd_planner_ros.core.errors import BagError, KdPlannerError
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.distill.config import TrainConfig, stages_of
from kd_planner_ros.distill.methods.registry import find_method
from kd_planner_ros.networks.registry import can_be_trained, find_network, find_training, folders, is_weightless
from kd_planner_ros.networks.training import LearningTask
from kd_planner_ros.samples.make import first_sample
from kd_planner_ros.samples.shards import require_topics

CAMERA = "front"
"""The camera that a student of one camera looks through; recordings with a single camera may call it otherwise."""


Cameras = tuple[CameraSpec | None, dict[str, CameraSpec]]


def sources(config: TrainConfig) -> list[Source]:
    """The recordings of ``config``, with what it says about their topics.

    Raises:
        BagError: none, or a folder that is missing. ConfigError: a word of ``camera`` that cannot be read.
    """
    return find_sources(config.bags, config.role_name, config.camera)


def cameras(bag: Path | Source) -> Cameras:
    """The recording's main camera, and every camera that says its size, by id; poses are left at zero.

    Raises:
        BagError: a calibration of the main camera that cannot be. Other cameras are read where they are asked for.
    """
    with open_bag(bag) as recording:
        return _cameras(recording)


def _cameras(recording: Recording) -> Cameras:
    found: dict[str, CameraSpec] = {}
    main = recorded_names(recording, (CAMERA,))[0]
    for camera in recording.cameras:
        try:
            spec = recording.camera_spec(camera)
        except BagError:
            if camera == main:
                raise
            continue
        if spec is not None:
            found[camera] = spec
    return found.get(main), found


def require_sensors(config: TrainConfig) -> Cameras:
    """The first recording's ``cameras``; refuse early what training would refuse for what that recording holds.

    Raises:
        BagError: no recordings, a broken one, or the first one lacks topics that the network's task or a method reads.
        MapError: its map is not to be found, and the method draws it.
        ConfigError: its cameras do not fit the network.
    """
    network, training, bag = find_network(config.network), find_training(config.network), sources(config)[0]
    options = config.options(config.network)
    with open_bag(bag) as recording:
        require_topics(recording, _task(config.network, config.size, options))
        for name in dict.fromkeys((config.method, *(stage.method for stage in stages_of(config) if stage.method))):
            find_method(name).require_recording(recording, config.options(name), config.network)
        found = _cameras(recording)
    network.config(training.config_fields(config.size, options, *found))
    return found


def _task(name: str, size: str, options: Any) -> LearningTask:
    """The task of network ``name``; topics do not depend on the cameras' sizes."""
    network, training = find_network(name), find_training(name)
    return training.build_task(network.build_processor(network.config(training.config_fields(size, options, None, {}))), options)


def _require_trainable(recording: Recording, name: str) -> None:
    """Refuse what a training of network ``name`` with its default options refuses, as far as its first sample tells.

    Raises:
        KdPlannerError: as the training.
    """
    network, training = find_network(name), find_training(name)
    size, options = network.configurations[0].size, training.options()
    task = _task(name, size, options)
    require_topics(recording, task)
    for camera in recorded_names(recording, task.cameras):
        recording.camera_spec(camera)
    config = network.config(training.config_fields(size, options, *_cameras(recording)))
    require_calibration(recording, config.rig, TRAIN_REMEDY)
    processor = network.build_processor(config)
    for frame in first_sample(recording, training.build_task(processor, options)):
        processor.encode([frame])


def trainable(recording: Recording) -> dict[str, str]:
    """Why ``kd-planner train`` refuses ``recording``, by network with its default options: "" where it does not."""
    found = {}
    for name in folders():
        try:
            if is_weightless(name) or not can_be_trained(name):
                continue
            _require_trainable(recording, name)
            found[name] = ""
        except KdPlannerError as error:
            found[name] = str(error)
    return found
