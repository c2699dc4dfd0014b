"""What networks give back besides a trajectory: detected road users, map lines, dense pictures.

Frames and units are those of ``core/ego.py``: ``base_link`` at the stamp of the frame, metres, radians, m/s. A number
that a network does not give is NaN, never zero. The records travel as tables (``wire/tables.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from kd_planner_ros.core.errors import PlannerError

if TYPE_CHECKING:
    from kd_planner_ros.core.sensors import CameraSpec

DETECTION_DTYPE = np.dtype([
    ("id", "i8"), ("kind", "u1"), ("x", "f8"), ("y", "f8"), ("z", "f8"), ("yaw", "f8"), ("length", "f8"), ("width", "f8"),
    ("height", "f8"), ("vx", "f8"), ("vy", "f8"), ("probability", "f8"),
])
"""One row a road user that a network believes in: ``kind`` as ``core/scene.py`` ActorKind; centre of the footprint on the
ground and full dimensions in metres; heading in radians; velocity over ground along the axes of ``base_link`` in m/s. ``id``
is stable over frames where the network tracks, else ``NO_ID``. ``z``, ``height``, ``vx`` and ``vy`` are NaN where unknown."""
NO_ID = -1


class LineKind(IntEnum):
    """What a line of the map is."""

    DIVIDER = 0
    BOUNDARY = 1
    CROSSING = 2
    CENTRE = 3
    STOP = 4


@dataclass(frozen=True)
class Detections:
    """Road users that a network found at one instant.

    Args:
        rows: DETECTION_DTYPE [K].
        forecasts: float32 [K, M, T, 2], M possible futures of T positions each in ``base_link`` of that instant; NaN where
            there is none. None: the network does not forecast.
        forecast_scores: float32 [K, M], the probability of each future; None where the network does not tell.
        forecast_times_s: [T], seconds after the stamp, above 0 and increasing; given if and only if ``forecasts`` is.

    Raises:
        PlannerError: shapes or columns that do not fit together, or forecast times that are not finite, above 0 and increasing.
    """

    rows: np.ndarray
    forecasts: np.ndarray | None = None
    forecast_scores: np.ndarray | None = None
    forecast_times_s: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.rows)
        _require(self.rows.dtype == DETECTION_DTYPE and self.rows.ndim == 1, "rows of DETECTION_DTYPE [K] in Detections",
                 f"{self.rows.dtype} {list(self.rows.shape)}")
        if self.forecasts is None:
            _require(self.forecast_scores is None and self.forecast_times_s is None, "forecasts beside their scores and times",
                     "None")
            return
        shape = self.forecasts.shape
        _require(len(shape) == 4 and shape[0] == count and shape[3] == 2, f"forecasts [{count}, M, T, 2]", f"{list(shape)}")
        times = () if self.forecast_times_s is None else np.shape(self.forecast_times_s)
        _require(times == (shape[2],), f"forecast_times_s [{shape[2]}]", f"{list(times)}")
        values = np.asarray(self.forecast_times_s, float)
        _require(bool(np.isfinite(values).all() and (np.diff(values, prepend=0.0) > 0.0).all()),
                 "forecast_times_s that are finite, above 0 and increasing", f"{values.tolist()}")
        if self.forecast_scores is not None:
            scores = np.shape(self.forecast_scores)
            _require(scores == shape[:2], f"forecast_scores {list(shape[:2])}", f"{list(scores)}")

    def __len__(self) -> int:
        return len(self.rows)

    def likeliest(self, row: int) -> np.ndarray | None:
        """The likeliest future [T, 2] of road user ``row``, NaN where unknown; the first one where the network tells no probabilities, None
        where nothing is forecast."""
        if self.forecasts is None or not self.forecasts.shape[1]:
            return None
        mode = 0 if self.forecast_scores is None else int(np.argmax(np.nan_to_num(self.forecast_scores[row], nan=-1.0)))
        return np.asarray(self.forecasts[row, mode], float)


@dataclass(frozen=True)
class MapLines:
    """Lines of the map as a network saw them at one instant.

    Args:
        points: float32 [L, P, 2] in ``base_link``, in order along each line; NaN after the last point of a shorter line.
        kinds: uint8 [L], LineKind.
        scores: float32 [L] in [0, 1].

    Raises:
        PlannerError: shapes that do not fit together.
    """

    points: np.ndarray
    kinds: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.points)
        _require(len(shape) == 3 and shape[2] == 2, "points [L, P, 2] in MapLines", f"{list(shape)}")
        for name in ("kinds", "scores"):
            found = np.shape(getattr(self, name))
            _require(found == shape[:1], f"{name} [{shape[0]}] in MapLines", f"{list(found)}")

    def __len__(self) -> int:
        return len(self.points)


PER_CLASS = 1000
"""Id of a segment or an instance: (class + 1) * 1000 + its number within the class, from 0; 0 is none."""
DENSE_KINDS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "depth": (("f4",), 2), "classes": (("u1",), 2), "ids": (("i4",), 2), "mask": (("u1", "b1"), 2), "flow": (("f4",), 3),
    "probability": (("f4",), 2),
}
"""Kind of a dense output -> (element types, dimensions): depth [H, W] in metres, NaN unknown; classes [H, W] class ids, 255 unknown; ids
[H, W] of instances or panoptic segments (``PER_CLASS``), 0 none; mask [H, W]; flow [H, W, 3], where each
point was at the frame before minus where it is, in metres along the camera's axes now (x right, y down, z forward); probability [H, W] in
[0, 1]."""


@dataclass(frozen=True)
class InstanceMasks:
    """Instances of one picture whose masks may overlap, each with a class and a confidence.

    Args:
        masks: bool [M, H, W].
        of: int64 [N], the mask of each instance; two instances of different classes may share one.
        classes: int64 [N], class ids.
        scores: float64 [N] in [0, 1].

    Raises:
        PlannerError: shapes that do not fit together.
    """

    masks: np.ndarray
    of: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        _require(self.masks.dtype == bool and self.masks.ndim == 3, "masks bool [M, H, W] in InstanceMasks",
                 f"{self.masks.dtype} {list(self.masks.shape)}")
        for name in ("of", "classes", "scores"):
            found = np.shape(getattr(self, name))
            _require(found == (len(self),), f"{name} [{len(self)}] in InstanceMasks", f"{list(found)}")
        fits = not len(self) or (self.of.min() >= 0 and self.of.max() < len(self.masks))
        _require(bool(fits), f"masks 0 to {len(self.masks) - 1} in InstanceMasks", f"{list(np.unique(self.of))}")

    def __len__(self) -> int:
        return len(self.of)


@dataclass(frozen=True)
class DenseOutput:
    """One picture of answers, row 0 at the top.

    Args:
        kind: one of ``DENSE_KINDS``, which gives the element type and the shape of ``array``.
        labels: names of the classes in order of their ids, of classes and ids; empty for other kinds.
        meta: further facts by name: ``over_s`` of a flow (seconds since the frame before, nan: there is none) and ``part``
            (``independent``: what the points move by themselves, without what the camera's motion makes of it), ``segments`` of ids
            (``panoptic`` or ``instances``), ``of`` of a mask or a probability (tags joined by +, or ``motion``).
        scores: confidence in [0, 1] of each id, where the network tells it.
        raw: of depth, float32 [H, W], what the network says of every pixel that it sees, for an evaluation alone: in the sky too, which
            has no depth; in metres, or in a unit of its own where ``meta`` says ``raw``: ``unscaled``. None: the same as ``array``.
        masks: of instances, the same before each pixel was given to one of them, at the size of ``array``; made when it is called, for
            only an evaluation needs it. None: the network has none.

    Raises:
        PlannerError: an unknown kind, or an array of another type or shape.
    """

    kind: str
    array: np.ndarray
    labels: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[int, float] = field(default_factory=dict)
    masks: Callable[[], InstanceMasks] | None = None
    raw: np.ndarray | None = None

    def __post_init__(self) -> None:
        _require(self.kind in DENSE_KINDS, f"a dense output of kind {', '.join(DENSE_KINDS)}", repr(self.kind))
        types, dimensions = DENSE_KINDS[self.kind]
        shape = self.array.shape
        fits = self.array.dtype.str.lstrip("<|=>") in types and len(shape) == dimensions and (dimensions == 2 or shape[2] == 3)
        _require(fits, f"{' or '.join(types)} [H, W{', 3' if dimensions == 3 else ''}] for {self.kind}",
                 f"{self.array.dtype} {list(shape)}")

    @property
    def names(self) -> dict[int, str]:
        """The name of each class by its id: what the topic ``OUTPUT/labels`` and ``perceive.json`` say."""
        return dict(enumerate(self.labels))


TWIST = ("forward_mps", "left_mps", "yaw_rate_rps")
"""Names of a perception's numbers that are the camera's motion along the car's axes: m/s forward and to the left, rad/s to the left."""


@dataclass(frozen=True)
class Perception:
    """What a perception network gives back for one frame.

    Args:
        stamp_ns: stamp of the frame.
        camera: id of the camera whose picture the dense outputs lie over.
        outputs: dense output by name; several may have one kind.
        calibration: the camera at the size of the dense outputs; None where unknown.
        scalars: further numbers by name in SI units, for example ``steer`` (positive LEFT). The camera's motion since the frame before:
            ``forward_mps``, ``left_mps``, ``up_mps`` along its axes then, and its turn as axis times angle over time, ``roll_rate_rps``,
            ``pitch_rate_rps``, ``yaw_rate_rps`` about the same axes; NaN, or ``motion_ready`` 0, where it is not known.
        inference_ms: time from pixels to outputs.
        spent_ms: the same by step: ``encode``, each part of the network that ran, ``decode``.
        unknown: outputs and scalars of which nothing is known in this frame (NaN, no id), each with the reason.
    """

    stamp_ns: int
    camera: str
    outputs: Mapping[str, DenseOutput] = field(default_factory=dict)
    calibration: CameraSpec | None = None
    scalars: Mapping[str, float] = field(default_factory=dict)
    inference_ms: float = 0.0
    spent_ms: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


def vehicle_twist(seen: Perception) -> tuple[float, float, float] | None:
    """(forward m/s, left m/s, turn rate rad/s) of ``base_link`` from those of the camera, which stands away from it: a turn moves it. None
    where one of them is not known."""
    forward, left, turn = (seen.scalars.get(name, math.nan) for name in TWIST)
    if not all(map(math.isfinite, (forward, left, turn))):
        return None
    place = None if seen.calibration is None else seen.calibration.pose
    return (forward, left, turn) if place is None else (forward + turn * place.y, left - turn * place.x, turn)


def _require(holds: bool, expected: str, got: str) -> None:
    if not holds:
        raise PlannerError(expected, got, "correct the network's decode()")
