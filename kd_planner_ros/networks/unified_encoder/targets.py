"""Exact targets of every decoder from a recording's labels: where pixels move between two frames, and what is seen where."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.frames import matrix_of
from kd_planner_ros.networks.unified_encoder.config import VOID
from kd_planner_ros.networks.unified_encoder.geometry import points

OBJECTS = 32
"""Places in the table of motions: 0 is the static world, the others are the road users with the most pixels."""
UNTOLD = 255
"""Place of a pixel whose motion is unknown."""
FARTHEST_M = 80.0
"""Flow is taught up to this depth: beyond it a turn alone moves points by metres."""
MOVING_M = 0.05
"""A pixel moves when its object does by more than this between the frames."""


def _body(row: Any) -> np.ndarray:
    return matrix_of(Pose(float(row["x"]), float(row["y"]), float(row["z"]), float(row["yaw"])))


class Earlier:
    """The road users one step before each tick of a drive: ``[r]`` is ACTOR_DTYPE [N] before tick r."""

    def __init__(self, drive: Drive, step_ns: int):
        self._drive, self._step_ns = drive, step_ns

    def __getitem__(self, tick: int) -> np.ndarray | None:
        tracks = self._drive.tracks
        return None if tracks is None else tracks.at(int(self._drive.stamps_ns[tick]) - self._step_ns)


def motions(target: np.ndarray, source: np.ndarray, now: np.ndarray, before: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Where points go, float32 [OBJECTS, 4, 4]: from the target's camera to the source's. Place 0 is the static world; place
    k + 1 is the road user in row ``rows[k]`` of ``now``, NaN where ``before`` lacks it.

    Args:
        target, source: cameras in ``map`` [4, 4] at the two instants.
        now, before: ACTOR_DTYPE tables at the two instants.
    """
    out = np.full((OBJECTS, 4, 4), np.nan, np.float32)
    into = np.linalg.inv(source)
    out[0] = into @ target
    earlier = {int(row["id"]): row for row in before}
    for place, row in enumerate(rows[:OBJECTS - 1], 1):
        known = earlier.get(int(now[row]["id"]))
        if known is not None:
            out[place] = into @ _body(known) @ np.linalg.inv(_body(now[row])) @ target
    return out


def places(instances: np.ndarray, actors: int) -> tuple[np.ndarray, np.ndarray]:
    """(place of each pixel uint8 [H, W] in the table of motions, rows of the road users at places 1, 2, ...).

    Args:
        instances: int32 [H, W], 0 and below for the static world, else 1 + row of the road user.
        actors: number of rows.
    """
    ids, counts = np.unique(instances[(instances > 0) & (instances <= actors)], return_counts=True)
    kept = ids[np.argsort(-counts, kind="stable")][:OBJECTS - 1]
    table = np.full(max(int(instances.max()), 0) + 1, UNTOLD, np.uint8)
    table[0] = 0
    table[kept] = np.arange(1, len(kept) + 1)
    return table[np.maximum(instances, 0)], kept - 1


def untold(shape: tuple[int, int], classes: np.ndarray | None = None, single: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The labels of a picture of ``shape`` [H, W] of which nothing is known but perhaps ``classes`` (ids uint8 [H, W]) and the numbers of
    road users ``single`` (int32 [H, W], 0 elsewhere): depth and motions are NaN."""
    known, objects = np.full(shape, VOID, np.uint8), np.full(shape, UNTOLD, np.uint8)
    if classes is not None and single is not None:
        numbers, inverse = np.unique(single, return_inverse=True)
        order = np.cumsum(numbers > 0) * (numbers > 0)  # 0 for the static world, then 1, 2, ...
        known, objects = classes, np.where(order < OBJECTS, order, UNTOLD)[inverse].reshape(shape).astype(np.uint8)
    return {"depth": np.full(shape, np.nan, np.float16), "classes": known, "objects": objects,
            "moves": np.full((OBJECTS, 4, 4), np.nan, np.float32)}


def dense_motion(depth: Tensor, objects: Tensor, moves: Tensor, intrinsics: Tensor) -> dict[str, Tensor]:
    """What the motion of the table means for each pixel.

    Args:
        depth: metres [B, H, W].
        objects: places [B, H, W], long.
        moves: [B, OBJECTS, 4, 4].
        intrinsics: [B, 3, 3].

    Returns:
        ``flow`` [B, 3, H, W] in metres, ``flow_known`` bool [B, H, W], ``moving`` bool [B, H, W] and ``moving_known``.
    """
    where = points(depth, intrinsics)
    batch = torch.arange(len(depth), device=depth.device)[:, None, None]
    own = moves[batch, objects.clamp(max=OBJECTS - 1)][..., :3, :]
    flow = (torch.einsum("bhwij,bjhw->bihw", own[..., :3], where) + own[..., 3].permute(0, 3, 1, 2)) - where
    rigid = torch.einsum("bij,bjhw->bihw", moves[:, 0, :3, :3], where) + moves[:, 0, :3, 3, None, None] - where
    told = (objects != UNTOLD) & flow.isfinite().all(1)
    flow, off = flow.nan_to_num(), (flow - rigid).nan_to_num().norm(dim=1)
    return {"flow": flow, "flow_known": told & (depth <= FARTHEST_M), "moving": told & (off > MOVING_M) & (objects > 0),
            "moving_known": told}


def segments(classes: Tensor, objects: Tensor, task: str, things: np.ndarray) -> tuple[Tensor, Tensor]:
    """(masks float [n, H, W], classes long [n]) that the segmentation of one picture is taught for ``task``.

    ``semantic``: one mask a class. ``instance``: one a road user. ``panoptic``: one a road user, and one a class elsewhere.

    Args:
        classes: class ids [H, W], long, ``VOID`` unknown.
        objects: places [H, W], long.
        things: bool [K].
    """
    thing = torch.from_numpy(np.append(things, np.zeros(VOID + 1 - len(things), bool))).to(classes.device)[classes]
    single = thing & (objects > 0) & (objects != UNTOLD) if task != "semantic" else torch.zeros_like(thing)
    masks, kinds = [], []
    for place in objects[single].unique().tolist():
        mask = single & (objects == place)
        masks.append(mask)
        kinds.append(int(classes[mask].mode().values))
    rest = (classes != VOID) & ~single & (objects != UNTOLD if task != "semantic" else True)
    if task != "instance":
        for kind in classes[rest].unique().tolist():
            masks.append(rest & (classes == kind))
            kinds.append(kind)
    if not masks:
        return classes.new_zeros((0, *classes.shape), dtype=torch.float32), classes.new_zeros(0)
    return torch.stack(masks).float(), torch.tensor(kinds, device=classes.device)
