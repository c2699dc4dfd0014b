"""What a network declares about its training samples. ``samples/`` makes them from recordings and knows no network by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import RoadsideWish
from kd_planner_ros.imaging.photometric import augment

MAIN = "images"
"""Name of the array that holds a sample's main picture, uint8 [H, W, 3]."""
TRUTH_TABLES = ("objects", "signals", "tracks", "lines", "captions")
"""What ``SampleMaker.truth`` may name: boxes and signals of the instant, the road users over the whole drive, the map's lines, captions."""
LABELS = ("depth", "semantic", "instance")


@dataclass(frozen=True)
class Random:
    """Each step draws single samples, balanced by what the car does."""


@dataclass(frozen=True)
class Sequences:
    """Each slot of the batch walks through recordings in order, one sample a step.

    Attributes:
        length: a slot begins anew after at most so many samples; 0: only where a recording ends or has a gap.
        period_s: from one sample of a sequence to the next; the samples between belong to sequences of their own. 0: every sample is the
            next one. With a longer period a slot sees other scenes sooner.
    """

    length: int = 0
    period_s: float = 0.0

    def __post_init__(self) -> None:
        if self.length < 0 or not self.period_s >= 0.0:
            raise ConfigError("a length and a period of sequences of at least 0", f"{self.length} and {self.period_s}",
                              "correct the network's 'sampling'")


class SampleMaker(ABC):
    """What one sample of a network's training data holds.

    Attributes:
        cameras: ids of the cameras a sample needs; the first one triggers. None: the pictures of the recording's first camera say when a
            sample is taken, whatever its name, and nothing is read of them.
        clouds: ids of the LiDARs a sample needs.
        truth: of ``TRUTH_TABLES``; a recording that lacks one is refused.
        labels: camera to the labels of its picture, of ``LABELS``; a recording that lacks one is refused. They are in
            ``truth.labels`` of ``record``.
        offsets_ns: instants of the frames of a sample relative to its own, 0 among them, increasing; instants without one
            of their neighbours give no sample.
        horizon_s, step_s: how far ``future`` and ``actions`` of a sample's row reach, and in which steps, seconds. Samples
            nearer than the horizon to the end of a drive or to a collision are left out; a horizon of 0 asks for neither.
        needs_route: whether a recording without a route is refused; without one a row's target point is NaN.
        needs_control: whether a recording is refused that holds neither the executed control nor the expert's wish, from which a
            row's ``actions`` are; without either they are NaN.
        scene: whether ``frame.scene`` is to hold the scene itself; it is None at instants without an object list.
        roadside: what ``frame.roadside`` is to hold; None: nothing. A missing view is a normal case.
        sampling: how batches are drawn.
        pictures: the arrays that ``augment`` changes.
        past: (array, number of samples before) pairs: a batch holds such an array of a sample together with those of so many samples
            before it, [B, number + 1, ...], oldest first. Where the recording begins, or a sample in between was left out, the
            first one after that stands for the missing ones.
        grid: whether the main picture shows the whole first camera, scaled, so that a coarse semantic grid of it is kept
            beside it where that camera's semantic labels were recorded.
        format: raise when the meaning of an array changes.
        from_pictures: whether ``record_pictures`` makes samples too, of data sets that have pictures and perhaps class labels.
        own_shards: whether the class is part of the shards' key, so that no other network with equal declarations and an equal
            ``key`` reads them. False keeps the names of shards from before networks declared their samples.
    """

    cameras: tuple[str, ...]
    clouds: tuple[str, ...] = ()
    truth: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = {}
    offsets_ns: tuple[int, ...] = (0,)
    horizon_s = 2.0
    step_s = 0.5
    needs_route = True
    needs_control = False
    scene = False
    roadside: RoadsideWish | None = None
    sampling: Random | Sequences = Random()
    pictures: tuple[str, ...] = (MAIN,)
    past: tuple[tuple[str, int], ...] = ()
    grid = False
    format = 1
    from_pictures = False
    own_shards = True

    @property
    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """What the arrays depend on beside the recording and the declarations, as JSON values."""

    @property
    def steps(self) -> int:
        """Number of steps up to the horizon."""
        return round(self.horizon_s / self.step_s)

    def begin(self) -> None:
        """Forget earlier frames: the next one is of another recording."""

    def per_tick_targets(self, drive: Drive) -> Mapping[str, Any]:
        """Arrays [M, ...] by name that belong to the M ticks of ``drive``; ``record`` gets its tick's row of each. Any
        object that gives row r as ``[r]`` may stand in place of an array, for rows that are too large to keep for every tick."""
        return {}

    @abstractmethod
    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """The arrays of one sample, always of the same names, shapes and types, ``MAIN`` among them; None to refuse the sample.

        Called once for each instant, in time order, also for instants that are left out later.

        Args:
            frames: the frames at ``offsets_ns``, in that order.
            truth: a ``Truth`` of ``bags/instants.py`` for the sample's own instant.
            tick: this instant's rows of ``per_tick_targets``.

        Raises:
            SensorError: a sensor gives something unfit.
        """

    def record_pictures(self, frames: tuple[Frame, ...], tags: np.ndarray | None, single: np.ndarray | None) -> dict[str, np.ndarray]:
        """The arrays of one sample of which nothing is known but its pictures and perhaps labels of its own one, where ``from_pictures``;
        names, shapes and types are those of ``record``.

        Args:
            frames: as for ``record``, from a picture before to one behind; nothing is known of the ego.
            tags: CARLA's tags uint8 [H, W] of the first camera's picture, 255 unknown; None: no labels.
            single: numbers of road users int32 [H, W], 0 elsewhere; None likewise.

        Raises:
            SensorError: as ``record``.
        """
        raise NotImplementedError

    def augment(self, arrays: Mapping[str, np.ndarray], probability: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The arrays [B, ...] that the student sees changed, as copies; ``arrays`` themselves stay clean.

        By default the ``pictures``, one after the other, each with a draw of its own (``imaging/photometric.py``). For one
        draw for several pictures use ``augment_alike`` there.

        Args:
            probability: of each operation, in [0, 1].
        """
        return {name: augment(arrays[name].copy(), probability, rng) for name in self.pictures}


def require_valid(maker: SampleMaker) -> None:
    """Check the declarations of ``maker``.

    Raises:
        ConfigError: one of them makes no sense; the message names it.
    """
    name = type(maker).__name__
    offsets, remedy = maker.offsets_ns, f"correct {name}"
    if 0 not in offsets or list(offsets) != sorted(set(offsets)):
        raise ConfigError(f"increasing offsets_ns with 0 among them in {name}", str(offsets), remedy)
    if maker.step_s <= 0.0 or maker.horizon_s < 0.0 or abs(maker.steps * maker.step_s - maker.horizon_s) > 1e-6:
        raise ConfigError(f"a horizon_s of whole steps of step_s in {name}", f"{maker.horizon_s:g} and {maker.step_s:g}", remedy)
    if unknown := [one for one in maker.truth if one not in TRUTH_TABLES]:
        raise ConfigError(f"truth of {', '.join(TRUTH_TABLES)} in {name}", unknown[0], remedy)
    wrong = [f"{kind} of {camera}" for camera, kinds in maker.labels.items() for kind in kinds
             if camera not in maker.cameras or kind not in LABELS]
    if wrong:
        raise ConfigError(f"labels of {', '.join(LABELS)} of the cameras {', '.join(maker.cameras)} in {name}", wrong[0], remedy)
