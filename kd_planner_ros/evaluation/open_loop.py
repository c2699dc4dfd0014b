"""Open-loop evaluation: the planner's plans at the recorded car's positions versus the recorded drive. Reads recordings without ROS."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.roadside import require_hearer
from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP, find_sources
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.records import Plan
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.driving.supervisor import WISHES
from kd_planner_ros.evaluation import detected, nuscenes
from kd_planner_ros.evaluation.car import car_of
from kd_planner_ros.evaluation.horizons import read_horizons
from kd_planner_ros.evaluation.metrics import HORIZONS_S, Recorded, score_plans
from kd_planner_ros.evaluation.recorded_drives import by_drive, feeding, samples_of
from kd_planner_ros.evaluation.seen_maps import known_parts, marks, part_of
from kd_planner_ros.runtime.facts import cards_of
from kd_planner_ros.v2x.channel_settings import RecordedRadio, recorded_radio

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording, Sample
    from kd_planner_ros.networks.planner import Planner


@dataclass(frozen=True)
class OpenLoopConfig(RecordedRadio):
    """What to compare. Each field is an option of ``kd-planner evaluate open-loop``."""

    bag: Path = field(metadata={
        "help": "a rosbag2 folder, or a folder of them; several recordings of one drive with different sensors count as one drive"})
    planner: str = field(default="constant_velocity", metadata={
        "help": "a folder of models/, a path to one, constant_velocity, or auto (the best shipped model)"})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})
    horizons: tuple[float, ...] = field(default=HORIZONS_S, metadata={
        "help": "times after the plan's stamp at which it is scored, seconds, increasing: 0.5,1,2 ...", "parse": read_horizons,
        "metavar": "S,S,..."})


def run(config: OpenLoopConfig, progress: bool = True) -> dict[str, Any]:
    """The figures of ``metrics.score_plans`` over all drives in ``config.bag``: of several recordings of one drive with different sensors
    the first counts that has the planner's. ``bags`` says how many recordings count and ``same_drive`` how many do not, ``refused`` (plans
    that the supervisor would not drive) and ``incomplete`` (instants without every sensor) are counts too, and beside them are ``nuscenes``
    (``nuscenes.figures``) and ``detected`` (``detected.figures``, of planners with a perception of their own); ``radio`` what became of the
    messages of roadside stations, where a simulated radio brought them; ``notes`` says by recording what is odd or was left out, where
    something was; ``trained_on`` names those of the recordings' maps that the planner was trained on (``seen_maps.trained_on``).

    Raises:
        BagError: no recording, a broken one, a drive without a recording of what the planner needs, or no instant with every sensor.
        PlannerError, SensorError, CardError: from the planner.
    """
    from tqdm import tqdm

    from kd_planner_ros.bags.reader import open_bag
    from kd_planner_ros.runtime.load import load_planner

    check_fields(config)
    horizons, radio = _require_horizons(config.horizons), recorded_radio(config)
    sources = find_sources([config.bag], config.role_name, config.camera, radio)
    drives = by_drive(sources)  # a wrong recording is refused before the bar begins
    planner = load_planner(config.planner, config.device, config.engine)
    require_hearer(radio, planner.rig, planner.name)
    parts, notes, heard, shown = [], {}, Counter(), []
    for own in tqdm(drives, unit="drive", desc=config.planner, disable=not progress, dynamic_ncols=True):
        with open_bag(feeding(planner, own)) as recording:
            parts.append(_score_one(recording, planner, horizons))
            shown.append(part_of(recording))
            heard += recording.radio
            notes |= {str(recording.path): recording.notes} if recording.notes else {}
    steps, seen = [part.pop("nuscenes") for part in parts], [part.pop("detected") for part in parts]
    merged = merge(parts)
    if not merged["plans"]:
        raise BagError(f"an instant in {config.bag} at which every sensor of '{planner.name}' and odometry gave something",
                       f"none; {merged['incomplete']} instants are incomplete", "look at it with 'kd-planner bags check'")
    leaks = marks(cards_of({planner.name: config.planner}), known_parts(shown, str(config.bag)))
    return {"planner": planner.name, "bags": len(drives), "same_drive": len(sources) - len(drives),
            "trained_on": leaks.get(planner.name, []), **merged,
            "nuscenes": nuscenes.figures(steps), "detected": detected.figures(seen),
            **({"radio": dict(sorted(heard.items()))} if radio is not None else {}), **({"notes": notes} if notes else {})}


def _require_horizons(horizons: Sequence[float]) -> tuple[float, ...]:
    """``horizons`` as they are.

    Raises:
        ConfigError: none, one that is not above 0, or two that do not increase.
    """
    found = tuple(float(one) for one in horizons)
    if not found or not all(before < one < math.inf for before, one in zip((0.0, *found[:-1]), found, strict=True)):
        raise ConfigError("--horizons of increasing seconds above 0", ", ".join(f"{one:g}" for one in found) or "none",
                          "correct them, e.g. --horizons 0.5,1,2")
    return found


def plan_along(planner: Planner, recording: Recording, samples: Iterable[Sample]) -> tuple[
        list[Plan], list[float | None], list[tuple[int, np.ndarray]]]:
    """Plans, the steering each led to (None where the supervisor refused), and the actor tables with their stamps.

    The controller is ticked along the recorded ego states at their own rate, with the newest plan held in between, as
    it is in the car: its PIDs are made for that.
    """
    from kd_planner_ros.driving.driver import Pilot

    pilot, timeline, row = Pilot(car=car_of(recording.custom_data)), recording.timeline, 0
    planner.reset()
    plans, steers, actors = [], [], []
    for sample in samples:
        frame = sample.frame
        while row < len(timeline.ego.stamps) and timeline.ego.stamps[row] < frame.ego.stamp_ns:
            pilot.step(timeline.ego_state(row))
            row += 1
        plan = planner.plan(frame)
        pilot.take(plan)
        control = pilot.step(frame.ego)
        row += 1
        plans.append(plan)
        steers.append(control.steer if control.reason in WISHES else None)
        if sample.truth.actors is not None:
            actors.append((frame.stamp_ns, sample.truth.actors))
    return plans, steers, actors


def recorded(recording: Recording, actors: list[tuple[int, np.ndarray]]) -> Recorded:
    """The recording's own drive as the metrics want it. Its steering is the expert's wish, which knows no disturbance,
    where that was recorded, else what was executed."""
    from kd_planner_ros.core.timeline import POSE_COLUMNS

    timeline = recording.timeline
    columns = [POSE_COLUMNS.index(name) for name in ("x", "y", "yaw")]
    boxes = [np.stack([table[name] for name in ("x", "y", "yaw", "length", "width")], axis=1).astype(float)
             for _, table in actors]
    stamps = timeline.ego.stamps
    wish, executed = timeline.states("expert_steer", stamps), timeline.control.take(stamps)[:, 1]
    return Recorded(stamps, timeline.ego.values[:, columns], np.where(np.isfinite(wish), wish, executed),
                    np.array([stamp for stamp, _ in actors], np.int64), boxes, [table["kind"] for _, table in actors],
                    car_of(recording.custom_data))


def merge(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures over several recordings: means weighted by the number of plans behind each, counts added."""
    counts = {key: sum(part[key] for part in parts) for key in ("plans", "unmatched", "refused", "incomplete")}
    counted = {name: np.array([part["counted"][name] for part in parts]).sum(0).tolist() for name in parts[0]["counted"]}

    def mean(pairs: list[tuple[float | None, int]]) -> float | None:
        known = [(value, weight) for value, weight in pairs if value is not None and weight]
        return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None

    l2 = {name: mean([(part["l2_m"][name], part["counted"][name][0]) for part in parts]) for name in counted}
    hits = {name: mean([(part["collision_rate"][name], part["counted"][name][1]) for part in parts]) for name in counted}
    known = [value for value in l2.values() if value is not None]
    return {**counts, "counted": counted, "l2_m": l2, "l2_mean_m": sum(known) / len(known) if known else None,
            "collision_rate": hits, "steered": sum(part["steered"] for part in parts),
            "steer_mae": mean([(part["steer_mae"], part["steered"]) for part in parts]),
            "min_ade_m": mean([(part["min_ade_m"], part["min_ade_plans"]) for part in parts]),
            "min_ade_plans": sum(part["min_ade_plans"] for part in parts)}


def _score_one(recording: Recording, planner: Planner, horizons: tuple[float, ...] = HORIZONS_S) -> dict[str, Any]:
    plans, steers, actors = plan_along(planner, recording, samples_of(planner, recording))
    return {**score_along(recording, plans, steers, actors, planner.rig, horizons), "incomplete": recording.incomplete}


def score_along(recording: Recording, plans: Sequence[Plan], steers: Sequence[float | None], actors: list[tuple[int, np.ndarray]],
                rig: SensorRig, horizons: tuple[float, ...] = HORIZONS_S) -> dict[str, Any]:
    """The figures of ``plans`` of one recording, and ``refused``; ``nuscenes`` and ``detected`` hold what those figures are made from.

    Args:
        steers: the steering that each plan led to, None where it was refused.
        actors: actor tables by stamp; road users are detected, and touched, where a plan's own stamp has one.
        rig: the planner's sensors, which say what it could see.
    """
    trajectories, truth = [plan.trajectory for plan in plans], recorded(recording, actors)
    score = score_plans(trajectories, steers, truth, horizons, [plan.candidates for plan in plans])
    return {**score, "refused": sum(steer is None for steer in steers), "nuscenes": nuscenes.steps_of(trajectories, truth),
            "detected": detected.detected_in(recording, plans, dict(actors), _poses(truth, plans), rig)}


def _poses(truth: Recorded, plans: Sequence[Plan]) -> dict[int, Pose]:
    """The car's pose at the stamp of each plan that was recorded."""
    rows = {int(plan.stamp_ns): truth.row(int(plan.stamp_ns)) for plan in plans}
    return {stamp: Pose(*truth.poses[row, :2], yaw=float(truth.poses[row, 2])) for stamp, row in rows.items() if row is not None}
