"""Records to V2X-VLM's tensors and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.networks.blocks.inputs import navigation, unfit_picture
from kd_planner_ros.networks.planner import Processor
from kd_planner_ros.networks.v2x_vlm.config import TIMES_S, V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.prompt import Told, is_heard, prompt_ids, told_of
from kd_planner_ros.networks.v2x_vlm.refine import refine
from kd_planner_ros.networks.v2x_vlm.users import user_features
from kd_planner_ros.networks.v2x_vlm.views import conflict_section, cut, missing_view, picture_tensor
from kd_planner_ros.networks.v2x_vlm.words import END, PAD, SPECIALS, UNKNOWN, locations_of, tokens_of

COOPERATIVE, OBJECTS_ALONE, ALONE = "coop_full", "coop_objects", "ego_only"
"""Modes of a plan: with the station's picture, with its object list, without either."""


class V2xVlmProcessor(Processor[Plan]):
    """Encodes frames and decodes plans, for node, trainer and evaluator alike.

    Attributes:
        blank: whether each view that came is shown as one that did not, and everything else stays as it is: what a comparison takes
            away to say what the pictures are worth.
    """

    def __init__(self, config: V2xVlmConfig):
        self.config, self.blank = config, False
        self.locations, self.tokens = locations_of(config), tokens_of(config)
        self.nothing = missing_view(config.view_height, config.view_width)

    def front(self, frame: Frame) -> np.ndarray:
        """The front view RGB uint8 [h, w, 3]: the whole picture, squashed to the view's shape.

        Raises:
            SensorError: the camera is missing, its picture is not RGB uint8, or has another shape than the camera's.
        """
        name, config = self.config.camera_id, self.config
        if name not in frame.images:
            raise SensorError(f"a picture from camera '{name}'", f"pictures from {sorted(frame.images) or 'no camera'}",
                              "mount or remap the camera")
        image = frame.images[name]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise SensorError(f"RGB uint8 [H, W, 3] from camera '{name}'", f"{image.dtype} {list(image.shape)}",
                              "check the camera's encoding")
        if image.shape[:2] != (config.camera_height, config.camera_width):
            size = config.camera_width, config.camera_height
            raise unfit_picture("v2x_vlm", name, f"a {size[0]}x{size[1]} picture", image, size)
        return self.nothing if self.blank else resize_rgb(image, config.view_height, config.view_width)

    def roadside(self, station: RoadsideView | None, frame: Frame) -> np.ndarray | None:
        """The station's view RGB uint8 [h, w, 3], cut to the conflict area where the config says so; None: no picture came."""
        config = self.config
        if station is None or station.image is None or station.camera is None:
            return None
        if self.blank:
            return self.nothing
        return cut(station.image, self._section(station, frame), station.camera, config.view_height, config.view_width)

    def section(self, station: RoadsideView, frame: Frame) -> tuple[float, float, float, float]:
        """Left, top, width and height of the part of the station's picture that ``roadside`` gives, as shares of the picture."""
        camera = station.camera
        found = self._section(station, frame)
        if found is None or camera is None:
            return 0.0, 0.0, 1.0, 1.0
        return found[0] / camera.width, found[1] / camera.height, found[2] / camera.width, found[3] / camera.height

    def _section(self, station: RoadsideView, frame: Frame) -> tuple[int, int, int, int] | None:
        config = self.config
        if not config.crop or station.camera is None:
            return None
        return conflict_section(station.camera, frame.ego.pose, frame.route_goal.target_point, config.view_width / config.view_height)

    def picture(self, front: np.ndarray | Tensor, roadside: np.ndarray | Tensor | None) -> Tensor:
        """The network's ``image`` of views uint8 [B, h, w, 3]: normalised as Florence-2's for the full sizes, [-1, 1] for nano."""
        return picture_tensor(front, roadside, pretrained=not self.config.nano)

    def words_tensor(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Ids [B, L] of the prompts in this package's words, padded; what is longer is cut."""
        rows = [self.tokens.encode(one)[:self.config.prompt] for one in prompts]
        return torch.tensor([[*row, *[PAD] * (self.config.prompt - len(row))] for row in rows])

    def users_tensor(self, told: Sequence[Told]) -> Tensor:
        """The network's ``users`` [B, M, F]; M is 0 where road users are words, or none are told."""
        config = self.config
        return torch.from_numpy(np.stack([user_features(one.objects, one.target, config.users, config.meets) for one in told]))

    def garbled(self, words: Tensor, share: float, rng: np.random.Generator) -> Tensor:
        """``words`` [B, L] with each that is neither padding nor a place replaced by a random one with the chance ``share``."""
        first = len(SPECIALS) if self.config.nano else UNKNOWN + 1
        other = torch.from_numpy(rng.integers(first, self.tokens.location, words.shape))
        chosen = torch.from_numpy(rng.random(words.shape) < share) & (words != PAD) & (words < self.tokens.location)
        return torch.where(chosen, other, words)

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's inputs; the answer is to be decoded.

        Raises:
            SensorError: as ``front``; or the ego state or the target point is not finite.
        """
        navigation(frames)
        config = self.config
        front = np.stack([self.front(frame) for frame in frames])
        beside = None
        if config.roadside == "picture":
            seen = [self.roadside(frame.roadside[0] if frame.roadside else None, frame) for frame in frames]
            beside = np.stack([self.nothing if one is None else one for one in seen])
        told = [told_of(frame, config) for frame in frames]
        words = self.words_tensor([prompt_ids(one, self.locations) for one in told])
        return {"image": self.picture(front, beside), "words": words, "answer": torch.full((len(frames), 1), END),
                "users": self.users_tensor(told)}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The refined trajectory; the network's own points are the second candidate, with a score below 0: they are shown and never
        followed. ``replaced`` among the notes says how many points were implausible, ``chance`` how sure the network is of the least sure
        point."""
        raw = outputs["points"][0].detach().float().cpu().numpy().astype(float)
        chance = outputs["chance"][0].detach().float().cpu().numpy()
        points, replaced = refine(raw, TIMES_S, frame.ego.speed_mps)
        notes = {"replaced": float(replaced), "chance": float(chance.min())}
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, TIMES_S), frame.route_goal, candidates=np.stack([points, raw]),
                    scores=np.array([1.0, -1.0]), notes=notes, mode=self._mode(frame))

    def _mode(self, frame: Frame) -> str:
        if not is_heard(frame, self.config):
            return ALONE
        return OBJECTS_ALONE if self.config.roadside == "objects" else COOPERATIVE


def build_processor(config: V2xVlmConfig) -> V2xVlmProcessor:
    """The processor for ``config``.

    Raises:
        ConfigError: a full size without Florence-2's tokenizer.
    """
    return V2xVlmProcessor(config)
