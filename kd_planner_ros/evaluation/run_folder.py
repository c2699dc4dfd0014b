"""The folder of one drive: what ``ros/graph/drive.py`` and ``closed_loop`` write and ``report`` reads.

==================  ====================================================================================
``run.json``        who drove where: planner, route, weather, seed, the camera of the pictures (``RunInfo``)
``telemetry.csv``   one row a tick, columns ``TELEMETRY_COLUMNS``; ``map`` frame, SI, steer positive left
``plans.jsonl``     one object a plan, keys in ``run_plans.py``; points and goal in ``base_link`` at ``stamp_s``
``events.jsonl``    one object an infraction: ``stamp_s``, ``kind``, ``x``, ``y``, ``text``; ``map`` frame
``lanes.json``      the roads near the route, for the map: ``[[width_m, [[x, y], ..]], ..]``; may be absent
``frames/``         pictures of the first camera, ``<stamp in ms, 8 digits>.jpg``
``perception/``     strips of what a perceiver saw beside the planner, ``<stamp in ms, 8 digits>.png``; may be absent
``v2x.jsonl``       what the V2X gateway let through, by ``v2x/log.py``; ``roadside/`` holds its pictures; may be absent
``v2x_rejected.jsonl`` the newest messages that the gateway refused, by ``v2x/evidence.py``; may be absent
``statistics.json`` the leaderboard's statistics of this route, by ``evaluation/score.py``
``card.json``       the planner's card when the report was written; absent without weights
==================  ====================================================================================

Rows are written as they happen, so a drive that is killed leaves a folder that can still be read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kd_planner_ros.core.card import CARD
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_bytes, write_text, writing
from kd_planner_ros.core.folders import RUN, require_free
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.run_plans import plan_to_json, rounded
from kd_planner_ros.v2x import evidence
from kd_planner_ros.v2x import log as v2x_log

FORMAT = 1
TELEMETRY_COLUMNS = ("stamp_s", "x", "y", "yaw", "speed_mps", "throttle", "brake", "steer", "target_speed_mps",
                     "reason")


@dataclass(frozen=True)
class RunInfo:
    """Who drove where. ``camera`` took the pictures (None: no pictures); ``card`` is the model card as a dict, empty where
    the report is to read the card by the planner's name (``facts["model"]``: its folder, if it is not a shipped model);
    ``facts`` are further lines for the report (engine, device, vehicles ...)."""

    planner: str
    route: Route
    weather: Weather
    seed: int
    camera: CameraSpec | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def lock_settings(path: Path, facts: Mapping[str, Any], kind: str, legacy: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Write ``facts`` to ``path``, or check that the file there agrees with them: a stopped run goes on in its folder.
    ``legacy`` gives the values of facts that older versions did not write.

    Raises:
        ConfigError: the folder holds another run of ``kind`` (a word for the sentence), or other files.
    """
    if not path.exists():
        require_free(path.parent, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        try:
            before = {**legacy, **json.loads(path.read_text())}
        except (ValueError, TypeError):
            before = {}
        if other := [key for key in facts if before.get(key) != facts[key]]:
            raise ConfigError(f"the {kind} that {path.parent} was begun with ({other[0]} {before.get(other[0])!r})",
                              f"{other[0]} {facts[other[0]]!r}", "give another --out, or delete the folder")
        return
    write_text(path, json.dumps(dict(facts), indent=1, sort_keys=True) + "\n")


_MADE_LATER = ("lanes.json", "statistics.json", "drive.json", "drive.webp", "report.html", CARD, v2x_log.FILE_NAME, evidence.FILE_NAME)
_PICTURES = (("frames", "*.jpg"), ("perception", "*.png"), (v2x_log.PICTURES, "*.jpg"))


class RunWriter:
    """Writes one run folder; a context manager.

    Args:
        folder: is made; files of an earlier run in it are replaced, others are never touched.
        frame_period_s: pictures closer together than this are left out (simulated seconds).
        road: where given, the lanes near the route are kept for the report's map.
    """

    def __init__(self, folder: Path, info: RunInfo, frame_period_s: float = 0.2, road: RoadMap | None = None):
        self.folder, self._period_ns, self._last_frame_ns = Path(folder), round(frame_period_s * 1e9), None
        (self.folder / "frames").mkdir(parents=True, exist_ok=True)
        olds = [*(path for name, kind in _PICTURES for path in (self.folder / name).glob(kind)),
                *(self.folder / name for name in _MADE_LATER)]
        if not (self.folder / RUN).exists() and (foreign := [old for old in olds if old.exists()]):
            raise ConfigError(f"a run's own files in {self.folder}", f"no {RUN}, but {foreign[0].relative_to(self.folder)}",
                              "give another folder (--out, run_dir)")
        for old in olds:
            old.unlink(missing_ok=True)
        write_text(self.folder / RUN, _info_to_json(info))
        if road is not None:
            write_text(self.folder / "lanes.json", json.dumps(_lanes_near(road, info.route)) + "\n")
        self._telemetry = (self.folder / "telemetry.csv").open("w", buffering=1, newline="")
        self._rows = csv.writer(self._telemetry, lineterminator="\n")
        with writing(self.folder / "telemetry.csv"):
            self._rows.writerow(TELEMETRY_COLUMNS)
        self._plans = (self.folder / "plans.jsonl").open("w", buffering=1)
        self._events = (self.folder / "events.jsonl").open("w", buffering=1)

    def tick(self, ego: EgoState, control: Control, target_speed_mps: float | None = None) -> None:
        """One telemetry row: the car's state and the control it was given in it."""
        pose = ego.pose
        target = "" if target_speed_mps is None else f"{target_speed_mps:.4f}"
        row = [f"{ego.stamp_ns / 1e9:.3f}", f"{pose.x:.4f}", f"{pose.y:.4f}", f"{pose.yaw:.5f}", f"{ego.speed_mps:.4f}",
               f"{control.throttle:.4f}", f"{control.brake:.4f}", f"{control.steer:.4f}", target, control.reason]
        with writing(self.folder / "telemetry.csv"):
            self._rows.writerow(row)

    def plan(self, plan: Plan) -> None:
        """One line with everything that the plan holds but its controller's name and the network's own control."""
        with writing(self.folder / "plans.jsonl"):
            self._plans.write(json.dumps(plan_to_json(plan)) + "\n")

    def event(self, stamp_ns: int, kind: str, x: float, y: float, text: str = "") -> None:
        """One infraction at (x, y) metres in ``map``; ``kind`` as in the leaderboard's infraction table."""
        line = json.dumps({"stamp_s": round(stamp_ns / 1e9, 3), "kind": kind, "x": round(float(x), 3), "y": round(float(y), 3),
                           "text": text})
        with writing(self.folder / "events.jsonl"):
            self._events.write(line + "\n")

    def frame(self, stamp_ns: int, rgb: np.ndarray) -> bool:
        """Keep the picture ``rgb`` uint8 [H, W, 3] unless the last kept one is too recent; True if it was kept."""
        if self._last_frame_ns is not None and stamp_ns - self._last_frame_ns < self._period_ns:
            return False
        from PIL import Image  # only runs with pictures pay for it

        self._last_frame_ns = stamp_ns
        packed = io.BytesIO()
        Image.fromarray(rgb).save(packed, "JPEG", quality=88)
        write_bytes(self.folder / "frames" / f"{stamp_ns // 1_000_000:08d}.jpg", packed.getvalue())
        return True

    def finish(self, statistics: Mapping[str, Any]) -> None:
        """Write the final statistics and close the folder."""
        write_text(self.folder / "statistics.json", json.dumps(statistics, indent=2, sort_keys=True) + "\n")
        self.close()

    def close(self) -> None:
        """Close the files; safe to call twice."""
        for file in (self._telemetry, self._plans, self._events):
            file.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Run:
    """A run folder in memory. ``telemetry`` maps a column to float64 [N] (``reason``: list of str; an empty target
    speed is NaN); ``plans`` and ``events`` are the files' objects; ``lanes`` holds (width, points [N, 2]) pairs;
    ``frames`` maps a stamp in ms to a picture's path, ``strips`` to that of a perceiver's outputs; ``radio`` holds the lines of the V2X
    gateway's log, none where there was no gateway; ``statistics`` is None while the drive has not ended."""

    folder: Path
    info: RunInfo
    telemetry: dict[str, Any]
    plans: list[dict[str, Any]]
    events: list[dict[str, Any]]
    lanes: list[tuple[float, np.ndarray]]
    frames: dict[int, Path]
    statistics: dict[str, Any] | None
    strips: dict[int, Path] = field(default_factory=dict)
    radio: list[dict[str, Any]] = field(default_factory=list)


def read_run(folder: Path) -> Run:
    """The run in ``folder``; a last line cut short by a killed drive is left out.

    Raises:
        ConfigError: no run.json, or one that is broken or of a format this code does not know.
    """
    folder = Path(folder)
    info = _info_from_json(folder / RUN)
    with reading(ConfigError, f"the files of a run in {folder}", "drive again"):
        frames, strips = ({int(path.stem): path for path in sorted((folder / name).glob(kind))} for name, kind in _PICTURES[:2])
        lanes = [(float(width), np.asarray(points, float)) for width, points in _read_json(folder / "lanes.json") or ()]
        return Run(folder, info, _read_telemetry(folder / "telemetry.csv"), _read_lines(folder / "plans.jsonl"),
                   _read_lines(folder / "events.jsonl"), lanes, frames, _read_json(folder / "statistics.json"), strips,
                   _read_lines(folder / v2x_log.FILE_NAME))


def _lanes_near(road: RoadMap, route: Route, margin_m: float = 60.0) -> list:
    low, high = route.points.min(0) - margin_m, route.points.max(0) + margin_m
    near = [lane for lane in road.lanes.values()
            if lane.kind == "driving" and ((lane.centre >= low) & (lane.centre <= high)).all(axis=1).any()]
    return [[round(float(lane.width), 2), np.round(np.asarray(lane.centre, float), 2).tolist()] for lane in near]


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def _info_to_json(info: RunInfo) -> str:
    route = {"name": info.route.name, "town": info.route.town, "points": rounded(info.route.points),
             "yaws": rounded(info.route.yaws), "commands": np.asarray(info.route.commands, int).tolist(),
             "key_points": rounded(info.route.key_points)}
    return json.dumps({
        "format": FORMAT, "planner": info.planner, "route": route, "weather": asdict(info.weather),
        "seed": int(info.seed), "camera": asdict(info.camera) if info.camera else None,
        "card": dict(info.card), "facts": dict(info.facts)}, indent=1, sort_keys=True) + "\n"


def _info_from_json(path: Path) -> RunInfo:
    if not path.is_file():
        raise ConfigError(f"a run folder at {path.parent}", f"no {RUN} in it",
                          "give the folder that 'kd-planner drive' or 'evaluate closed-loop' wrote")
    with reading(ConfigError, f"run facts in {path}", "drive again"):
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ConfigError(f"run format {FORMAT} in {path}", repr(data["format"]), "drive again with this version")
        route = data["route"]
        points = {key: np.asarray(route[key], float).reshape(-1, 2) for key in ("points", "key_points")}
        camera = data["camera"] and CameraSpec(**{**data["camera"], "pose": Pose(**data["camera"]["pose"])})
        return RunInfo(data["planner"],
                       Route(route["name"], route["town"], points["points"], np.asarray(route["yaws"], float),
                             np.asarray(route["commands"], np.int8), points["key_points"]),
                       Weather(**data["weather"]), data["seed"], camera, data["card"], data["facts"])


def _read_telemetry(path: Path) -> dict[str, Any]:
    rows = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == len(TELEMETRY_COLUMNS)][1:]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(TELEMETRY_COLUMNS)
    table: dict[str, Any] = {name: np.array([float(cell) if cell else np.nan for cell in column])
                             for name, column in zip(TELEMETRY_COLUMNS[:-1], columns, strict=False)}
    table["reason"] = list(columns[-1])
    return table


def _read_lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # the line a killed process was writing
            continue
    return found
