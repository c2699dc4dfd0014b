"""Cooperative plans against recordings: the figures of V2X planning on one set of conditions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.source import find_sources
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.evaluation.cooperative.collisions import boxes_touch, grid_touches
from kd_planner_ros.evaluation.cooperative.conditions import Radio, blanking, garble
from kd_planner_ros.evaluation.cooperative.config import BESIDE, CooperativeConfig
from kd_planner_ros.evaluation.cooperative.hidden import HiddenUsers, hidden_users
from kd_planner_ros.evaluation.metrics import SAME_TIME_NS, Recorded, planned_poses, positions_at
from kd_planner_ros.geometry.frames import to_base

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording
    from kd_planner_ros.bags.source import Source
    from kd_planner_ros.networks.planner import Planner

HORIZONS_S = (2.5, 3.5, 4.5)
NAMES = tuple(f"{horizon:g}" for horizon in HORIZONS_S)


@dataclass
class _Found:
    """What was found of every plan: distances in metres, also of the network's points before they were refined (NaN where they are not
    known), collisions (1, 0, NaN where they do not count) [3] each, times in ms, and whether the roadside alone knew of somebody who was
    about to get in the way (None: not known)."""

    distances: list[np.ndarray] = field(default_factory=list)
    unrefined: list[np.ndarray] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    grid: list[np.ndarray] = field(default_factory=list)
    hidden: list[bool | None] = field(default_factory=list)
    spent_ms: list[float] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    incomplete: int = 0

    def judge(self, plan: Trajectory, truth: Recorded, row: int, hidden: bool | None = None, raw: Trajectory | None = None) -> None:
        """Add what ``plan``, made at ``row`` of ``truth``, is worth; ``raw``: before it was refined."""
        pose = truth.poses[row]
        wanted = planned_poses(plan, pose, HORIZONS_S)
        stamps = int(plan.stamp_ns) + np.round(np.array(HORIZONS_S) * 1e9).astype(np.int64)
        driven = positions_at(truth, stamps)
        self.distances.append(np.linalg.norm(wanted[:, :2] - driven, axis=1))
        before = wanted if raw is None else planned_poses(raw, pose, HORIZONS_S)
        self.unrefined.append(np.linalg.norm(before[:, :2] - driven, axis=1) if raw is not None else np.full(len(HORIZONS_S), np.nan))
        here = Pose(float(pose[0]), float(pose[1]), yaw=float(pose[2]))
        touches = np.array([_touches(one, int(stamp), truth, here) for one, stamp in zip(wanted, stamps, strict=True)])
        self.boxes.append(touches[:, 0])
        self.grid.append(touches[:, 1])
        self.hidden.append(hidden)


def run(config: CooperativeConfig, progress: bool = True) -> dict[str, Any]:
    """The figures of ``config.planner`` over all recordings in ``config.bag``.

    Returns:
        ``l2_m`` at 2.5, 3.5 and 4.5 s, and their ``l2_mean_m``: means over the plans whose true position is known then (``valid``);
        ``collision_percent`` (boxes with headings) and ``grid_collision_percent`` (UniV2X's) with ``..._mean_percent``: shares of the
        plans at whose time the road users are known and at which the recorded drive itself touches none; ``hidden``: the same over those
        ``plans`` at which the roadside alone knew of somebody in the way (``hidden.py``), where ``config.hidden`` asks for it (``plans``
        None: nothing says at which they are); ``unrefined``: errors of the network's own points, where the planner keeps them;
        ``held_velocity``: all of these of keeping speed and heading instead of each plan; ``blank`` and ``without``: of the planner
        with both pictures blanked, and without roadside data, as far as ``config.beside`` asks for them, else None.
        ``bytes_per_s`` raw and sent; ``latency_ms``: median of one plan, from pixels to waypoints, words and decoding included;
        ``plans``, ``lost``, ``modes``, ``incomplete``, ``bags``, ``without_effect``: conditions of ``config`` that change nothing for
        this planner. A figure without a single plan behind it is None.

    Raises:
        BagError: no recording, a broken one, or no instant with every sensor. PlannerError, CardError: from the planner.
    """
    from kd_planner_ros.runtime.load import load_planner

    folders = find_sources([config.bag], config.role_name, config.camera)
    planner = load_planner(config.planner, config.device, config.engine)
    deaf = _without_effect(planner, config)
    seen: dict[Path, HiddenUsers] = {}
    notes: dict[str, list[str]] = {}
    found, still, radio = _over(folders, planner, config, seen, notes, progress)
    worth = _worth(found)
    beside = {name: _worth(_over(folders, planner, replace(config, **changes), seen, notes, progress)[0])
              if name in config.beside else _unknown(worth) for name, changes in BESIDE.items()}
    return {"planner": planner.name, "bags": len(folders), **_figures(found), **worth, "held_velocity": _worth(still), **beside,
            "bytes_per_s": radio.bytes_per_s, "lost": radio.lost, "without_effect": deaf, "deaf": len(deaf),
            **({"notes": notes} if notes else {})}


def _without_effect(planner: Planner, config: CooperativeConfig) -> list[str]:
    """Conditions of ``config`` that change nothing for ``planner``; those that it reads in words are set up."""
    wish = planner.rig.roadside
    deaf = ["text"] if config.text and not garble(planner, config.text, config.seed) else []
    if wish is None or wish.objects:
        deaf += [name for name, asked in (("scale", config.scale != 1.0), ("noise", config.noise > 0.0)) if asked]
    return deaf + (["loss"] if wish is None and config.loss else [])


def _over(folders: Sequence[Source], planner: Planner, config: CooperativeConfig, seen: dict[Path, HiddenUsers],
          notes: dict[str, list[str]], progress: bool) -> tuple[_Found, _Found, Radio]:
    """What was found of the plans in all of ``folders``, and of kept velocity; ``seen`` and ``notes`` are filled by recording."""
    from tqdm import tqdm

    from kd_planner_ros.bags.reader import open_bag

    wish = planner.rig.roadside
    radio, show = Radio(config, planner.rate_hz, wish is not None and wish.objects), blanking(planner, config.blank)
    found, still = _Found(), _Found()
    for folder in tqdm(folders, unit="bag", desc=config.planner, disable=not progress, dynamic_ncols=True):
        with open_bag(folder) as recording:
            if recording.path not in seen:
                seen[recording.path] = hidden_users(recording) if config.hidden else HiddenUsers()
            _measure(recording, planner, lambda frame: show(radio.carry(frame)), found, still, config.period_s, seen[recording.path])
            said = [*recording.notes, *filter(None, [seen[recording.path].why])]
            notes |= {str(recording.path): said} if said else {}
    if not found.distances:
        raise BagError(f"an instant in {config.bag} at which every sensor of '{planner.name}' and odometry gave something",
                       f"none; {found.incomplete} instants are incomplete", "look at it with 'kd-planner bags check'")
    return found, still, radio


def _measure(recording: Recording, planner: Planner, given: Callable[[Frame], Frame], found: _Found, still: _Found, period_s: float,
             hidden: HiddenUsers) -> None:
    from kd_planner_ros.bags.cameras import samples_for
    from kd_planner_ros.evaluation.open_loop import recorded

    cameras = tuple(spec.id for spec in planner.rig.cameras) or recording.cameras[:1]
    planner.reset()
    plans: list[Plan] = []
    speeds: list[float] = []
    actors: list[tuple[int, np.ndarray]] = []
    lost, due = recording.incomplete, -10**18
    for sample in samples_for(recording, cameras, tuple(spec.id for spec in planner.rig.lidars), planner.rig):
        frame = sample.frame
        if sample.truth.actors is not None:
            actors.append((frame.stamp_ns, sample.truth.actors))
        if frame.stamp_ns < due:
            continue
        due = frame.stamp_ns + round(period_s * 1e9) - SAME_TIME_NS // 2
        began = time.perf_counter()
        plans.append(planner.plan(given(frame)))
        speeds.append(frame.ego.speed_mps)
        found.spent_ms.append(plans[-1].inference_ms or 1e3 * (time.perf_counter() - began))
        found.modes[plans[-1].mode] += 1
    truth = recorded(recording, actors)
    for plan, speed_mps in zip(plans, speeds, strict=True):
        row = truth.row(int(plan.stamp_ns))
        if row is None:
            found.incomplete += 1
            continue
        known = hidden.at(int(plan.stamp_ns))
        found.judge(plan.trajectory, truth, row, known, _unrefined(plan))
        still.judge(held(plan.stamp_ns, speed_mps), truth, row, known)
    found.incomplete += recording.incomplete - lost


def _unrefined(plan: Plan) -> Trajectory | None:
    """The network's own points of a plan that was refined (its notes say how many points were replaced): the last candidate."""
    if plan.candidates is None or "replaced" not in plan.notes:
        return None
    return replace(plan.trajectory, points=plan.candidates[-1])


def held(stamp_ns: int, speed_mps: float) -> Trajectory:
    """The path of a car that keeps its speed and its heading."""
    times = np.array(HORIZONS_S)
    return Trajectory(stamp_ns, np.stack([speed_mps * times, np.zeros(len(times))], axis=1), times)


def _touches(wanted: np.ndarray, stamp_ns: int, truth: Recorded, here: Pose) -> tuple[float, float]:
    """Whether the plan touches a road user at ``stamp_ns``, by boxes and by the grid; NaN where it does not count."""
    driven = truth.row(stamp_ns)
    nearest = int(np.abs(truth.actor_stamps_ns - stamp_ns).argmin()) if len(truth.actors) else -1
    if driven is None or nearest < 0 or abs(int(truth.actor_stamps_ns[nearest]) - stamp_ns) > SAME_TIME_NS or not np.isfinite(wanted).all():
        return np.nan, np.nan
    others = np.asarray(truth.actors[nearest], float).reshape(-1, 5)
    local = others.copy()
    local[:, :2], local[:, 2] = to_base(others[:, :2], here), others[:, 2] - here.yaw
    own, point = truth.poses[driven], to_base(wanted[:2], here)
    by_box = np.nan if boxes_touch(own, others) else float(boxes_touch(wanted, others))
    by_grid = np.nan if grid_touches(to_base(own[:2], here), local) else float(grid_touches(point, local))
    return by_box, by_grid


def _figures(found: _Found) -> dict[str, Any]:
    return {"plans": len(found.distances), "latency_ms": float(np.median(found.spent_ms)), "modes": dict(sorted(found.modes.items())),
            "incomplete": found.incomplete}


def _worth(found: _Found) -> dict[str, Any]:
    """Errors and collisions, with the number of plans behind each, over all plans and over the ``hidden`` ones."""
    chosen = np.array([one is True for one in found.hidden], bool)
    known = any(one is not None for one in found.hidden)
    raw = _means(np.array(found.unrefined).reshape(-1, len(HORIZONS_S)))
    return {**_means_of(found, slice(None)), "unrefined": {"l2_m": raw, "l2_mean_m": _mean(raw)},
            "hidden": {"plans": int(chosen.sum()) if known else None, **_means_of(found, chosen)}}


def _means_of(found: _Found, rows: np.ndarray | slice) -> dict[str, Any]:
    distances, boxes, grid = (np.array(one).reshape(-1, len(HORIZONS_S))[rows] for one in (found.distances, found.boxes, found.grid))
    l2, touched, gridded = _means(distances), _means(100.0 * boxes), _means(100.0 * grid)
    return {"valid": _counts(distances), "l2_m": l2, "l2_mean_m": _mean(l2),
            "counted": _counts(boxes), "collision_percent": touched, "collision_mean_percent": _mean(touched),
            "grid_counted": _counts(grid), "grid_collision_percent": gridded, "grid_collision_mean_percent": _mean(gridded)}


def _unknown(figures: dict[str, Any]) -> dict[str, Any]:
    """The names of ``figures``, each without a value."""
    return {name: _unknown(one) if isinstance(one, dict) else None for name, one in figures.items()}


def _counts(values: np.ndarray) -> dict[str, int]:
    """How many of ``values`` [plans, 3] are known at each horizon."""
    return dict(zip(NAMES, np.isfinite(values).sum(0).tolist(), strict=True))


def _means(values: np.ndarray) -> dict[str, float | None]:
    """The mean at each horizon of ``values`` [plans, 3] over what is known."""
    known = [column[np.isfinite(column)] for column in values.T]
    return {name: float(one.mean()) if len(one) else None for name, one in zip(NAMES, known, strict=True)}


def _mean(values: dict[str, float | None]) -> float | None:
    """The mean over horizons; None where one of them is not known."""
    known = [value for value in values.values() if value is not None]
    return sum(known) / len(known) if len(known) == len(NAMES) else None
