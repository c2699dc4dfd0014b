"""3D scene flow against the true motion, and the picture before, warped by it, against the picture.

Flow goes from a frame to the one before it, in metres along the axes of the camera now (``motion.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, ratio
from kd_planner_ros.evaluation.dense.motion import Motion, projected, rigid_flow, taken, unprojected

PARTS = ("static", "moving")


@dataclass(frozen=True)
class FoundMotion:
    """What a network says of the motion since the frame before.

    Attributes:
        flow: float32 [H, W, 3], NaN unknown.
        independent: ``flow`` is what points move by themselves; else complete.
        moves: probability of motion [H, W]; None: not told.
        depth: float32 [H, W], metres; None: not told.
        move: [4, 4] from the camera now to the camera before; None: not told.
    """

    flow: np.ndarray
    moves: np.ndarray | None = None
    depth: np.ndarray | None = None
    move: np.ndarray | None = None
    independent: bool = False


class FlowMeasure(Measure):
    """Mean end-point errors over ``static`` and ``moving`` pixels: of the flow in metres (``epe_m``) and after median scaling
    (``epe_scaled_m``), and of the places in the picture before that the final flow leads to, in pixels (``epe_px``).

    The final flow is the rigid flow of the network's own depth and camera motion where nothing moves, and the complete flow as far
    as the network says that a pixel moves; the complete flow alone where the network lacks one of these. An independent flow is
    added to the rigid flow, the true one where the network lacks its own. ``photometric`` is the mean
    absolute difference, in [0, 1], of the picture and the one before taken at these places, ``photometric_rigid`` the same by
    the network's rigid flow alone, ``final_over_rigid`` the ratio of both over moving pixels.
    """

    kind = "flow"

    def __init__(self, independent: bool = False):
        self.independent = independent

    def counts(self, found: FoundMotion | None, truth: Motion) -> Counts:
        """``found`` None: the network is not ready."""
        if found is None or not np.isfinite(found.flow[..., 0]).any():
            return {"not_ready": 1}
        used = truth.known & np.isfinite(found.flow[..., 0] + found.flow[..., 1] + found.flow[..., 2])
        if found.depth is not None:
            used &= found.depth > 0.0
        if not used.any():
            return {"frames": 1, "empty": 1, "unknown": int(truth.known.sum()), "no_truth": used.size - int(truth.known.sum())}
        said, flow, moving = found.flow[used], truth.flow[used], truth.moving[used]
        flow = flow - truth.rigid[used] if self.independent else flow
        final, rigid = _places(found, truth, used)
        errors = {"epe_m": _length(said - flow), "epe_px": _length(final - truth.places[used]), "photometric": _off(truth, used, final)}
        if found.depth is not None:
            scale = float(np.median(truth.now.depth[used]) / np.median(found.depth[used]))
            errors["epe_scaled_m"] = _length(said * np.float32(scale) - flow)
        if rigid is not None:
            errors["photometric_rigid"] = _off(truth, used, rigid)
        sums = {name: np.array([one[~moving].sum(dtype=float), one[moving].sum(dtype=float)]) for name, one in errors.items()}
        return {"frames": 1, "pixels": np.array([(~moving).sum(), moving.sum()]), "no_truth": used.size - int(truth.known.sum()),
                "unknown": int(truth.known.sum()) - len(said), **sums}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """As the class says, with ``frames``, ``pixels`` and ``left_out``."""
        pixels, nothing = sums.get("pixels", np.zeros(2, np.int64)), np.zeros(2)
        out: dict[str, Any] = {"frames": int(sums.get("frames", 0)), "pixels": dict(zip(PARTS, map(int, pixels), strict=True)),
                               "left_out": {name: int(sums.get(name, 0)) for name in ("not_ready", "no_truth", "unknown")}}
        for name in ("epe_m", "epe_scaled_m", "epe_px", "photometric", "photometric_rigid"):
            told = name in sums
            out[name] = {part: ratio(total, count) if told else None
                         for part, total, count in zip(PARTS, sums.get(name, nothing), pixels, strict=True)}
        return out | {"final_over_rigid": ratio(sums.get("photometric", nothing)[1], sums.get("photometric_rigid", nothing)[1])}

    def baselines(self) -> dict[str, Baseline]:
        """No flow at all; the true rigid flow: nothing moves but the camera; and the true flow, whose photometric errors nothing beats."""
        if self.independent:
            return {"zero": ZeroFlow(True), "truth": TrueFlow(independent=True)}
        return {"zero": ZeroFlow(), "rigid": TrueFlow(rigid=True), "truth": TrueFlow()}

    def where_told(self, guess: FoundMotion, found: FoundMotion | None) -> FoundMotion | None:
        """None where ``found`` is, NaN where its flow is."""
        if found is None:
            return None
        return replace(guess, flow=np.where(np.isfinite(found.flow[..., :1]), guess.flow, np.float32(np.nan)))


def _places(found: FoundMotion, truth: Motion, used: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(places [N, 2] in the picture before by the final flow, by the network's rigid flow; None where it gives none)."""
    intrinsics, said = truth.now.intrinsics, found.flow[used]
    points = truth.points[used] if found.depth is None else unprojected(found.depth, intrinsics)[used]
    if found.independent:
        known = found.depth is not None and found.move is not None
        rigid = rigid_flow(found.move, points) if known else truth.rigid[used]
        return projected(points + rigid + said, intrinsics), projected(points + rigid, intrinsics) if known else None
    if found.depth is None or found.move is None:
        return projected(points + said, intrinsics), None
    rigid = rigid_flow(found.move, points)
    share = np.float32(1.0) if found.moves is None else np.nan_to_num(found.moves[used], nan=1.0)[:, None].astype(np.float32)
    return projected(points + rigid + share * (said - rigid), intrinsics), projected(points + rigid, intrinsics)


def _length(off: np.ndarray) -> np.ndarray:
    """Lengths [N] of [N, C]; what is not finite counts as the longest of the others."""
    found = np.sqrt(np.einsum("nc,nc->n", off, off))
    bad = ~np.isfinite(found)
    if bad.any():
        found[bad] = found[~bad].max(initial=0.0)
    return found


def _off(truth: Motion, used: np.ndarray, places: np.ndarray) -> np.ndarray:
    return cv2.absdiff(taken(truth.before.rgb, places), truth.now.rgb[used]) @ np.full(3, 1.0 / (3.0 * 255.0), np.float32)


class ZeroFlow(Baseline):
    """No flow."""

    def __init__(self, independent: bool = False):
        self._independent = independent
        self.rule = "no point moves by itself" if independent else "no point moves, and the camera does not"

    def guess(self, truth: Motion) -> FoundMotion:
        """Zeros."""
        return FoundMotion(np.zeros((*truth.now.depth.shape, 3), np.float32), independent=self._independent)


class TrueFlow(Baseline):
    """The true motion of the camera and the true depth, with what else moves or without, or what else moves alone."""

    def __init__(self, rigid: bool = False, independent: bool = False):
        self._rigid, self._independent = rigid, independent
        self.rule = "the true flow of the static world everywhere" if rigid else "the true flow: what no flow can do better"

    def guess(self, truth: Motion) -> FoundMotion:
        """The true flow, 0 where it is not known."""
        flow = truth.rigid if self._rigid else truth.flow - truth.rigid if self._independent else truth.flow
        return FoundMotion(np.nan_to_num(flow), independent=self._independent)
