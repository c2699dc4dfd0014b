"""What V2X-VLM is trained on: both views, the prompt, captions and the way that the car took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.captions import Caption, station_view
from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.captions import caption_of_boxes, caption_of_labels
from kd_planner_ros.networks.blocks.auxiliary import WithAuxiliaryHeads
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import LearningTask, Loss, OptimiserDefaults, Score, Stage
from kd_planner_ros.networks.v2x_vlm.answers import (
    PLAN,
    STATION,
    VEHICLE,
    Asked,
    answers,
    ask,
    caption_ids,
    decoder_inputs,
    plan_ids,
    words_of,
)
from kd_planner_ros.networks.v2x_vlm.config import HEADS, LISTS, MOST_STATIONS, OBJECTS, ROADSIDE
from kd_planner_ros.networks.v2x_vlm.florence import load_florence
from kd_planner_ros.networks.v2x_vlm.loss import WEIGHTS, Alignment, displacement_loss, errors, token_losses
from kd_planner_ros.networks.v2x_vlm.model import example_inputs
from kd_planner_ros.networks.v2x_vlm.processor import V2xVlmProcessor
from kd_planner_ros.networks.v2x_vlm.prompt import OBJECT_FIELDS, Told, is_heard, objects_told, place_at, prompt_ids, reported_signal
from kd_planner_ros.networks.v2x_vlm.words import END, PAD, ids_of

OPTIMISER = OptimiserDefaults("adamw", 0.01)
BACKBONE = "florence"
load_backbone = load_florence
_PLANNED = {name: weight for name, weight in WEIGHTS.items() if name != "caption"}
STAGES = (Stage("captions", 0.3, losses={"caption": 1.0, "align": 0.1}), Stage("plans and captions", 0.4, losses=WEIGHTS),
          Stage("plans", 0.3, losses=_PLANNED))
"""Captions of both views first: without them the pictures are hardly used, because the plan of the next instant follows from the words
and from its own first waypoints. A network of random weights needs that; one that begins as Florence-2 may begin with the second stage."""
BESIDE = "beside"
"""Array of the station's view."""
_CAPTION = {VEHICLE: "<CAPTION> veh", STATION: "<CAPTION> infra"}


@dataclass(frozen=True)
class TrainOptions:
    """V2X-VLM's own training options."""

    view_height: int = field(default=0, metadata={
        "help": "height of each view in pixels, a multiple of 32; 0: that of the size", "input": True, "low": 0})
    view_width: int = field(default=0, metadata={
        "help": "width of each view in pixels, a multiple of 32; 0: that of the size", "input": True, "low": 0})
    roadside: str = field(default="picture", metadata={
        "help": "what the network reads of the roadside: the nearest station's picture, object lists, or nothing",
        "choices": ROADSIDE})
    lists: str = field(default="words", metadata={
        "help": "with roadside objects: each road user becomes words of the prompt, or one token", "choices": LISTS})
    stations: int = field(default=1, metadata={
        "help": "with roadside objects: lists of so many stations are read, the nearest ones", "low": 1, "high": MOST_STATIONS})
    meets: bool = field(default=False, metadata={"help": "with roadside objects: tell of each road user where and when it gets in the way"})
    crop: bool = field(default=False, metadata={"help": "cut the station's picture to the ground that the car is about to cross"})
    head: str = field(default="tokens", metadata={
        "help": "tokens: waypoints are location tokens; displacement: a linear head gives the steps between them", "choices": HEADS})
    caption: bool = field(default=False, metadata={"help": "the network describes the front view first, and reads its own words"})
    tokenizer: str = field(default="", metadata={"help": "folder of a Florence-2 checkpoint with tokenizer.json, for the full sizes",
                                                 "site": True})
    captions: str = field(default="recorded", metadata={
        "help": "recorded: from /truth/captions; made: from instance labels and object lists, for recordings without that topic",
        "choices": ("recorded", "made")})
    caption_share: float = field(default=0.25, metadata={
        "help": "share of samples that are asked for a caption in stages that teach both captions and plans", "low": 0.0, "high": 1.0})
    v2x_dropout: float = field(default=0.3, metadata={"help": "share of samples in a training step whose station is hidden", "low": 0.0,
                                                      "high": 1.0})
    token_noise: float = field(default=0.5, metadata={
        "help": "share of location tokens that the decoder reads a little wrong in a training step", "low": 0.0, "high": 1.0})
    signal: bool = field(default=False, metadata={
        "help": "tell the network what the signal ahead shows, as stations report it; recordings need the truth about signals"})
    signal_dropout: float = field(default=0.3, metadata={"help": "share of samples in a training step whose signal is unknown, with signal",
                                                         "low": 0.0, "high": 1.0})
    align: bool = field(default=True, metadata={"help": "align pictures with captions, with heads that are not shipped"})
    states_weight: float = field(default=0.0, metadata={
        "help": "weight of the auxiliary loss on the planning states (light, vehicle, ...), with a head that is not shipped; 0: none",
        "low": 0.0})
    semantic_weight: float = field(default=0.0, metadata={
        "help": "weight of the auxiliary loss on a coarse semantic grid of the front view, with a head that is not shipped; it needs "
        "recordings with --labels semantic; 0: none", "low": 0.0})


class V2xVlmTask(WithAuxiliaryHeads, LearningTask):
    """A sample: the front view, the station's view, the prompt's numbers, both captions and the next 4.5 s."""

    grid = True
    reads = ("speed", "target")
    horizon_s = 4.5
    pictures = (MAIN, BESIDE)

    def __init__(self, processor: V2xVlmProcessor, options: TrainOptions = TrainOptions()):
        self.processor, self.options = processor, options
        config = processor.config
        self.cameras, self._made = (config.camera_id,), options.captions == "made"
        self.truth = (("objects",) if self._made else ("captions",)) + (("signals",) if config.signal else ())
        self.labels = {config.camera_id: ("instance",)} if self._made else {}
        wish = config.wish
        self.roadside = None if wish is None else replace(wish, objects=wish.objects or self._made)
        self.weights = WEIGHTS
        self._captions, self._places = options.caption_share, config.answer
        self.states_weight, self.semantic_weight = options.states_weight, options.semantic_weight
        self._alignment: Alignment | None = None
        self._model: list[Any] = []  # a list: a module as an attribute would look like a part of the task

    @property
    def key(self) -> Mapping[str, Any]:
        """The views, and where captions come from."""
        config = self.processor.config
        return {"size": [config.view_height, config.view_width], "roadside": config.roadside, "crop": config.crop,
                "captions": self.options.captions, **({"signal": True} if config.signal else {}),
                **({"stations": config.stations, "meets": config.meets} if config.stations > 1 or config.meets else {})}

    # --- samples -----------------------------------------------------------------------------------------------------

    def per_tick_targets(self, drive: Drive) -> Mapping[str, Any]:
        """Every caption of the drive, at each of its ticks."""
        return {} if self._made else {"captions": _Always(drive.captions or {})}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Views uint8 [h, w, 3]; ``present``: whether the station sent what the network reads; ``place`` [3] and ``objects`` [8, 5] of the
        prompt, NaN where there is none; ``veh`` and ``infra``, captions (``answers.caption_ids``); with ``signal`` what the signal ahead
        shows (int8, -1: unknown).

        Raises:
            SensorError: as ``V2xVlmProcessor.front``.
        """
        frame, processor = frames[0], self.processor
        station = frame.roadside[0] if frame.roadside and processor.config.roadside != "none" else None
        seen = processor.roadside(station, frame) if processor.config.roadside == "picture" else None
        objects, found = np.full((OBJECTS, OBJECT_FIELDS), np.nan, np.float32), objects_told(frame, processor.config)
        objects[:len(found)] = found
        own, beside = self._captions_at(frame, station if seen is not None else None, truth, tick)
        section = processor.section(station, frame) if station is not None and seen is not None else (0.0, 0.0, 1.0, 1.0)
        return {MAIN: processor.front(frame), BESIDE: processor.nothing if seen is None else seen,
                "present": np.array(is_heard(frame, processor.config)), "place": place_at(station, frame.ego.pose).astype(np.float32),
                "objects": objects, "veh": caption_ids(own), "infra": caption_ids(beside, section),
                **({"signal": reported_signal(frame, truth.signals)} if processor.config.signal else {})}

    def _captions_at(self, frame: Frame, station: RoadsideView | None, truth: Any,
                     tick: Mapping[str, Any]) -> tuple[Caption | None, Caption | None]:
        if self._made:
            beside = caption_of_boxes(station) if station is not None else None
            return caption_of_labels(self.cameras[0], truth.labels[self.cameras[0]], truth.actors), beside
        told = tick["captions"]
        other = told.get((station_view(station.station, station.camera.id), station.stamp_ns)) if station and station.camera else None
        return told.get((self.cameras[0], frame.stamp_ns)), other

    # --- a step ------------------------------------------------------------------------------------------------------

    def example_inputs(self) -> dict[str, Tensor]:
        """See ``WithAuxiliaryHeads``: a prompt with the beginning of an answer."""
        return example_inputs(self.processor.config) | {"answer": torch.full((1, 2), END)}

    def modules(self, model: nn.Module) -> nn.Module | None:
        """The alignment and the auxiliary heads; None where the options leave out both."""
        widths = self.processor.config.widths
        self._model[:] = [model]
        self._alignment = Alignment(widths.text.width, widths.align) if self.options.align else None
        beside = {name: one for name, one in (("alignment", self._alignment), ("heads", super().modules(model))) if one is not None}
        return nn.ModuleDict(beside) if beside else None

    def begin_stage(self, stage: Stage) -> None:
        """What share of samples is asked for captions follows from what the stage teaches."""
        weights = stage.weights(self.weights, 0.0)
        plans = weights["trajectory"] > 0.0 or weights["waypoints"] > 0.0
        self._captions = (self.options.caption_share if weights["caption"] > 0.0 else 0.0) if plans else 1.0

    def _asked(self, arrays: Mapping[str, Any]) -> Asked:
        told = (arrays["infra"] != PAD).any(1)  # of a list there is no caption
        return ask(arrays["present"], self._places, self._captions, self.options.v2x_dropout, told)

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """``image``, ``words``, ``users`` and the whole ``answer`` that the decoder reads; a hidden speed is unknown."""
        config, device = self.processor.config, arrays[MAIN].device
        names = ("present", "place", "objects", "veh", "infra", *(("signal",) if config.signal else ()))
        plain = {name: arrays[name].cpu().numpy() for name in names}
        asked = self._asked(plain)
        beside = None
        if config.roadside == "picture":
            nothing = torch.from_numpy(self.processor.nothing).to(device)
            beside = torch.where(torch.from_numpy(asked.view).to(device)[:, None, None, None], arrays[BESIDE], nothing)
        told = [self._told(row, {name: array[number] for name, array in plain.items()}, asked, number, bool(hidden_speed[number]))
                for number, row in enumerate(rows)]
        prompts = [prompt_ids(one, self.processor.locations) if task == PLAN else ids_of(_CAPTION[int(task)])
                   for one, task in zip(told, asked.task, strict=True)]
        right = self._right(asked, rows, plain)
        tokens, widths = self.processor.tokens, config.widths
        read = decoder_inputs(asked, right, config.head, self.options.token_noise, tokens.location, widths.bins)
        return {"image": self.processor.picture(arrays[MAIN], beside), "words": self.processor.words_tensor(prompts).to(device),
                "answer": read.to(device), "users": self.processor.users_tensor(told).to(device)}

    def _told(self, row: np.ndarray, own: Mapping[str, np.ndarray], asked: Asked, number: int, hidden: bool) -> Told:
        view = bool(asked.view[number])
        objects = own["objects"][np.isfinite(own["objects"][:, 0])] if view and int(asked.task[number]) == PLAN else own["objects"][:0]
        place = own["place"] if view else np.full(3, np.nan)
        veh = words_of(own["veh"]) if self.processor.config.caption else None
        return Told(np.nan if hidden else float(row["speed"]), int(row["command"]), np.asarray(row["target"], float), place, objects,
                    veh=veh, view=view, signal=int(own["signal"]) if "signal" in own and asked.phase[number] >= self.options.signal_dropout
                    else None, meets=self.processor.config.meets, spoken=self.processor.config.lists == "words")

    def _right(self, asked: Asked, rows: np.ndarray, plain: Mapping[str, np.ndarray]) -> Tensor:
        return answers(asked, (plain["veh"], plain["infra"]), rows["future"].astype(float), self.processor.locations,
                       self.processor.tokens, self.processor.config.head)

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """``right`` [B, N], ``task`` [B], ``future`` [B, 9, 2] in metres with ``known`` [B, 9], ``speed``, ``stamp``, ``told`` [B, 32]: the
        captions of what is shown, and ``clamped`` [B]: waypoints outside of the bins."""
        asked = self._asked(arrays)
        future = rows["future"].astype(np.float32)
        known = np.isfinite(future).all(-1)
        told = np.concatenate([arrays["veh"], np.where(asked.view[:, None], arrays["infra"], PAD)], axis=1).astype(np.int64)
        clamped = np.array([plan_ids(one, self.processor.locations)[1] for one in rows["future"].astype(float)])
        return {"right": self._right(asked, rows, arrays), "task": torch.from_numpy(asked.task), "known": torch.from_numpy(known),
                "future": torch.from_numpy(np.nan_to_num(future)), "speed": torch.from_numpy(rows["speed"].astype(np.float32)),
                "stamp": torch.from_numpy(rows["stamp"].astype(np.int64)), "told": torch.from_numpy(told),
                "clamped": torch.from_numpy(clamped)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """L = L_traj + 0.1 L_align, and L_caption; equations 9 to 12 of You et al. without the distillation, which is a method."""
        used = self.weights if weights is None else weights
        parts = token_losses(outputs["logits"], targets["right"], targets["task"])
        if not torch.is_grad_enabled():
            parts.pop("caption")  # a validation asks for plans alone
        if "drawn" in outputs:
            plans = (targets["task"] == PLAN)[:, None]
            parts["waypoints"] = displacement_loss(outputs["drawn"].float(), targets["future"], targets["known"] & plans)
        if self._alignment is not None and torch.is_grad_enabled() and used["align"]:
            told = self._model[0].told(self._words(targets["told"]))
            parts["align"] = self._alignment(outputs["seen"], told, targets["told"], targets["stamp"])
        total = torch.stack([used[name] * part for name, part in parts.items()]).sum()
        return Loss(total, {name: part.detach() for name, part in parts.items()}, len(targets["right"]))

    def _words(self, told: Tensor) -> Tensor:
        if self.processor.config.nano:
            return told
        rows = [self.processor.tokens.encode(one for one in row.tolist() if one != PAD) for row in told]
        longest = max(map(len, rows))
        return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows], device=told.device)

    # --- figures -----------------------------------------------------------------------------------------------------

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """``errors`` of the plans that the network decoded by itself, and the share of true waypoints ``outside`` of the bins."""
        return {**errors(outputs["points"], targets),
                "outside": (float(targets["clamped"].sum()), float(targets["known"].sum()))}

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """The mean error at 2.5, 3.5 and 4.5 s of plans that the network decoded by itself, metres."""
        return figures["l2_m"]


class _Always:
    """Gives one object at every tick."""

    def __init__(self, item: Any):
        self._item = item

    def __getitem__(self, tick: int) -> Any:
        return self._item


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, views, roadside, head, and the camera that the recordings were made with."""
    names = ("view_height", "view_width", "roadside", "lists", "stations", "meets", "crop", "head", "caption", "signal", "tokenizer")
    fields: dict[str, Any] = {"size": size, **{name: getattr(options, name) for name in names}}
    camera = others.get("front", camera)
    if camera is not None:
        fields |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    if camera is not None and camera.pose != Pose():  # where the recorder noted it
        fields |= {"camera_x_m": camera.pose.x, "camera_z_m": camera.pose.z}
    return fields


def build_task(processor: V2xVlmProcessor, options: TrainOptions = TrainOptions()) -> V2xVlmTask:
    """The task for ``processor``."""
    return V2xVlmTask(processor, options)
