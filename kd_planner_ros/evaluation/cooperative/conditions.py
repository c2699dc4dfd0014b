"""What happens to roadside data on the way to the planner, and what sending them costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.evaluation.cooperative.config import CooperativeConfig
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.networks.planner import Planner
from kd_planner_ros.v2x.payloads import pack_rows

GREY = 127
"""Of 255."""


@dataclass
class Radio:
    """Changes the roadside views of frames as ``config`` says, and counts what was sent.

    The same seed and stamp give the same losses and the same noise, whatever the planner.

    Attributes:
        rate_hz: of the planner: how often a message is sent.
        raw, sent: bytes of each frame's messages together, uncompressed and as sent (JPEG, packed rows).
        lost: frames whose views were lost.
    """

    config: CooperativeConfig
    rate_hz: float
    objects: bool
    raw: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    lost: int = 0

    def carry(self, frame: Frame) -> Frame:
        """``frame`` as the planner gets it."""
        if not frame.roadside:
            return frame
        rng = np.random.default_rng([self.config.seed, frame.stamp_ns])
        lost = rng.random() < self.config.loss  # before the noise: whether a message is lost does not depend on the size of its picture
        sent = [None if self.objects or view.image is None else _scaled(view.image, self.config.scale) for view in frame.roadside]
        views = tuple(self._view(view, small, rng) for view, small in zip(frame.roadside, sent, strict=True))
        self._count(frame.roadside, sent)
        if lost:
            self.lost += 1
            return replace(frame, roadside=())
        return replace(frame, roadside=views)

    def _count(self, views: Sequence[RoadsideView], pictures: Sequence[np.ndarray | None]) -> None:
        sizes = [(small.size, int(compress(small).size)) for small in pictures if small is not None]
        if self.objects:
            sizes = [(view.objects.nbytes, len(pack_rows(view.objects))) for view in views if view.objects is not None]
        if sizes:
            self.raw.append(sum(raw for raw, _ in sizes))
            self.sent.append(sum(sent for _, sent in sizes))

    def _view(self, view: RoadsideView, small: np.ndarray | None, rng: np.random.Generator) -> RoadsideView:
        if small is None or view.image is None:
            return view
        image = resize_rgb(small, *view.image.shape[:2])
        if self.config.noise:
            image = np.clip(image + rng.normal(0.0, self.config.noise, image.shape), 0.0, 255.0).round().astype(np.uint8)
        return replace(view, image=image)

    @property
    def bytes_per_s(self) -> dict[str, float]:
        """Mean bytes a second, ``raw`` (s^2 W H C f) and as ``sent``; 0 where nothing is sent."""
        return {name: self.rate_hz * float(np.mean(sizes)) if sizes else 0.0 for name, sizes in (("raw", self.raw), ("sent", self.sent))}


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    return resize_rgb(image, *(max(1, round(side * scale)) for side in image.shape[:2]))


def garble(planner: Planner, share: float, seed: int) -> bool:
    """Let ``planner`` read its prompt with a share of random words from now on; whether it reads words at all."""
    processor: Any = getattr(planner, "processor", None)
    if not hasattr(processor, "garbled"):
        return False
    encode, rng = processor.encode, np.random.default_rng([seed, 0x74657874])

    def changed(frames: Any) -> Any:
        inputs = encode(frames)
        return {**inputs, "words": processor.garbled(inputs["words"], share, rng)}

    processor.encode = changed
    return True


def blanking(planner: Planner, blank: bool) -> Callable[[Frame], Frame]:
    """What a frame of ``planner`` has to pass so that every picture is blank, or none is. A processor with a pattern of its own for a
    missing view (``blank``) shows that itself, and keeps everything else; pictures for other planners are plain grey."""
    processor: Any = getattr(planner, "processor", None)
    if hasattr(processor, "blank"):
        processor.blank = blank
        return lambda frame: frame
    return _grey if blank else lambda frame: frame


def _grey(frame: Frame) -> Frame:
    images = {name: np.full_like(image, GREY) for name, image in frame.images.items()}
    views = tuple(view if view.image is None else replace(view, image=np.full_like(view.image, GREY)) for view in frame.roadside)
    return replace(frame, images=images, roadside=views)
