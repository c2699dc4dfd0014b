"""What a model plans, sees or looks at, for any frame of a recording.

Of a student trained with PlanKD: waypoint attention over the bird's-eye scene (Figure 3 of the paper), and Grad-CAM of the planning
states over the camera picture (Figure 4). Of another planner: its plan, candidates and scene; of a perceiver: its outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.reader import Recording, Sample, open_bag
from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP, Source, read_cameras
from kd_planner_ros.core.card import ModelCard, read_card
from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.folders import make_folder
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.records import Frame
from kd_planner_ros.distill.methods.plankd.attention import measurement
from kd_planner_ros.distill.methods.plankd.bev_frames import bev_frames
from kd_planner_ros.distill.methods.plankd.safety import proximity
from kd_planner_ros.evaluation import explain_pictures
from kd_planner_ros.evaluation.explain_cam import ALL, state_maps
from kd_planner_ros.evaluation.explain_state import TrainedParts, load_parts
from kd_planner_ros.evaluation.explain_wanted import Wanted
from kd_planner_ros.geometry.frames import base_to_planner
from kd_planner_ros.imaging.bev_scene import BevView
from kd_planner_ros.networks.blocks.inputs import IMAGENET_MEAN, IMAGENET_STD, command_index
from kd_planner_ros.networks.describe import describe
from kd_planner_ros.networks.planner import PERCEIVER
from kd_planner_ros.networks.registry import find_network, folders, is_weightless, role_of
from kd_planner_ros.runtime.find import find_model
from kd_planner_ros.runtime.store import load_model


@dataclass(frozen=True)
class ExplainConfig:
    """What to draw. Each field is an option of ``kd-planner explain``."""

    bag: Path = field(metadata={"help": "recording to take the frames from"})
    model: str = field(metadata={
        "help": "a model trained with PlanKD, a planner with candidates, or a perceiver: a folder of models/, or a path to one"})
    out: Path = field(metadata={"help": "folder to write the pictures and explain.json to"})
    frame: tuple[int, ...] = field(default=(), metadata={"help": "frames to draw, counted from 0 (default: the first)"})
    stamp: tuple[float, ...] = field(default=(), metadata={"help": "stamps of the frames to draw, seconds, in place of --frame"})
    teacher: str = field(default="", metadata={
        "help": "a planner whose plan and candidates are drawn beside those of a planner with candidates, e.g. its teacher"})
    run_dir: Path | None = field(default=None, metadata={
        "help": "folder of the training run that holds attention and bottleneck (default: runs/train/MODEL)"})
    models_dir: Path | None = field(default=None, metadata={"help": "where models lie (default: the installed models)"})
    maps_dir: Path | None = field(default=None, metadata={
        "help": "folder with the recording's map, where the recorded path does not exist (default: ../shared/maps)"})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})
    states: tuple[str, ...] = field(default=(), metadata={
        "help": "planning states to draw separately, besides the map of all states (default: the states that are set)"})


@dataclass(frozen=True)
class _Subject:
    """The model that is explained and the parts that were trained with it."""

    model: Any
    processor: Any
    card: ModelCard
    parts: TrainedParts


def run(config: ExplainConfig) -> dict[str, Any]:
    """Write ``attention_N.png``, ``gradcam_N.png`` a frame, of another planner ``plan_N.png``, of a perceiver ``strip_N.png``, and
    ``explain.json``; gives back what that file holds.

    Raises:
        BagError: the recording is broken, lacks a topic, or has no such frame.
        ConfigError: no PlanKD run for the model, an unknown state, a teacher beside a model whose plans are not drawn.
        PlannerError, CardError, MapError, TrainingError: from the model, the map and the checkpoint. OSError: OUT cannot be made.
    """
    if unknown := sorted(set(config.states) - set(STATE_NAMES)):
        raise ConfigError(f"--states out of {', '.join(STATE_NAMES)}", ", ".join(unknown), "correct them")
    network = read_card(find_model(config.model, config.models_dir)).network
    sees, looks = role_of(network) == PERCEIVER, network in _explained()
    if config.teacher and (sees or looks):
        raise ConfigError("--teacher beside a planner whose plans are drawn", f"a {network}", "leave --teacher out")
    make_folder(config.out)
    if sees or not looks:
        return _strips(config) if sees else _plans(config)
    subject = _subject(config)
    found = []
    with open_bag(Source(config.bag, config.role_name or "", read_cameras(config.camera))) as recording:
        for number, sample in _frames(recording, config, subject.processor.config):
            found.append(_explain(number, sample, recording, subject, config))
        notes = list(recording.notes)
    result = {"model": subject.card.name, "weights_sha256": subject.card.weights_sha256, "bag": Path(config.bag).name,
              "frames": found, **({"notes": notes} if notes else {})}
    write_text(Path(config.out) / "explain.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def _strips(config: ExplainConfig) -> dict[str, Any]:
    from kd_planner_ros.evaluation.perceive.strip import write_strips
    from kd_planner_ros.runtime.load import load_perceiver

    perceiver = load_perceiver(config.model, models_dir=config.models_dir)
    found = write_strips(perceiver, config.bag, config.out, config.frame, config.stamp, config.camera, config.role_name or "")
    result = {"model": perceiver.name, "bag": Path(config.bag).name, "frames": found}
    write_text(Path(config.out) / "explain.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def _plans(config: ExplainConfig) -> dict[str, Any]:
    from kd_planner_ros.evaluation.explain_plans import write_plans
    from kd_planner_ros.runtime.load import load_planner

    planner = load_planner(config.model, engine="torch", models_dir=config.models_dir)
    teacher = load_planner(config.teacher, engine="torch", models_dir=config.models_dir) if config.teacher else None
    source = Source(config.bag, config.role_name or "", read_cameras(config.camera))
    found = write_plans(planner, teacher, source, Path(config.out), config.frame, config.stamp)
    result = {"model": planner.name, "bag": Path(config.bag).name, "frames": found, **({"teacher": teacher.name} if teacher else {})}
    write_text(Path(config.out) / "explain.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def _subject(config: ExplainConfig) -> _Subject:
    folder = find_model(config.model, config.models_dir)
    model, settings, card = load_model(folder)
    parts = load_parts(config.run_dir or Path("runs/train") / card.name, card)
    return _Subject(model.float().eval(), find_network(card.network).build_processor(settings), card, parts)


def _explained() -> list[str]:
    """The networks with waypoints and feature maps, which PlanKD can distil."""
    found = {name: describe(name) for name in folders() if not is_weightless(name)}
    return [name for name, one in found.items() if one.pictures and one.taught_waypoints is not None]


def _frames(recording: Recording, config: ExplainConfig, settings: Any) -> Iterator[tuple[int, Sample]]:
    """The wanted frames with their numbers.

    Raises:
        BagError: one of them is not in the recording.
    """
    cameras = tuple(spec.id for spec in settings.rig.cameras)
    wanted = Wanted(config.frame, config.stamp)
    for number, sample in enumerate(samples_for(recording, cameras, tuple(spec.id for spec in settings.rig.lidars), settings.rig)):
        if wanted.meets(number, sample.frame.stamp_ns):
            yield number, sample
        if not wanted.left:
            return
    wanted.require_met(recording.path)


def _explain(number: int, sample: Sample, recording: Recording, subject: _Subject,
             config: ExplainConfig) -> dict[str, Any]:
    frame, title = sample.frame, f"{Path(config.bag).name}, frame {number}, {sample.frame.stamp_ns / 1e9:.2f} s"
    facts: dict[str, Any] = {"frame": number, "stamp_s": frame.stamp_ns / 1e9}
    if subject.parts.attention is not None:
        facts |= _attend(frame, recording, subject, config, Path(config.out) / f"attention_{number}.png", title)
    if subject.parts.bottleneck is not None:
        facts |= _read_states(sample, subject, config, Path(config.out) / f"gradcam_{number}.png", title)
    return facts


def _attend(frame: Frame, recording: Recording, subject: _Subject, config: ExplainConfig, path: Path,
            title: str) -> dict[str, Any]:
    recipe = subject.card.training.get("recipe", {})
    view = BevView(recipe.get("bev_px_per_m", BevView().px_per_m))
    scenes, obstacles = bev_frames(recording, np.array([frame.stamp_ns]), maps_dir=config.maps_dir, view=view,
                                   least_mps=recipe.get("obstacle_mps", 0.0))
    waypoints = describe(subject.card.network).taught_waypoints(recording, frame, subject.processor)
    known = np.isfinite(waypoints).all(1)
    if not known.any():
        raise BagError(f"the car's positions after the frame in {recording.path}",
                       f"nothing after {frame.stamp_ns / 1e9:g} s", "give an earlier frame")
    others = obstacles[0][(obstacles[0] != 0.0).any(1)]
    places = torch.from_numpy(np.where(known[:, None], waypoints, 0.0).astype(np.float32))[None]
    psi = proximity(places, torch.from_numpy(base_to_planner(others).astype(np.float32))[None])[0].numpy()
    bev = torch.from_numpy(scenes.transpose(0, 3, 1, 2).copy())
    hot = torch.nn.functional.one_hot(torch.tensor(command_index(np.array([frame.route_goal.command]))), 6)
    weights = subject.parts.attention(bev, measurement(hot, torch.tensor([frame.ego.speed_mps])), places,
                                      torch.from_numpy(known)[None])[0].numpy()
    explain_pictures.draw_attention(path, scenes[0], waypoints[known], weights[known], psi[known], others, view,
                                    f"{title}, {Command(frame.route_goal.command).name.lower()}")
    return {"attention": weights.tolist(), "proximity": psi.tolist(), "attention_png": path.name,
            "waypoints": [[None if np.isnan(v) else float(v) for v in point] for point in waypoints]}


def _read_states(sample: Sample, subject: _Subject, config: ExplainConfig, path: Path, title: str) -> dict[str, Any]:
    wanted = {name: int(sample.truth.states.get(name, -1)) for name in STATE_NAMES}
    inputs = subject.processor.encode([sample.frame])
    found = state_maps(subject.model, inputs, subject.parts.bottleneck, wanted)
    names = config.states or tuple(name for name in STATE_NAMES if found.classes[name] > 0)
    captions = {name: f"Grad-CAM: {name.replace('_', ' ')} = {found.classes[name]} (p {found.chances[name]:.2f})"
                for name in names} | {ALL: "Grad-CAM: all planning states"}
    explain_pictures.draw_states(path, [_picture(inputs[view]) for view in describe(subject.card.network).pictures], found.energy,
                                 {name: found.maps[name] for name in (ALL, *names)}, captions, title)
    states = {name: {"class": found.classes[name], "recorded": wanted[name] >= 0, "chance": found.chances[name]}
              for name in STATE_NAMES}
    return {"states": states, "gradcam_png": path.name}


def _picture(image: torch.Tensor) -> np.ndarray:
    """RGB uint8 [H, W, 3] of a normalised input [1, 3, H, W]."""
    pixels = image[0].permute(1, 2, 0).numpy() * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)
    return np.clip(np.round(pixels * 255.0), 0, 255).astype(np.uint8)
