"""What the network is told in words: a fixed order of slots. Every slot is filled from numbers and enumerations of this package; text
that came from outside has no way in.

    <TRAJ> veh CAPTION . infra CAPTION . ego X Y HEADING speed S command C goal X Y signal W
        [object KIND X Y SPEED HEADING [METRES TIME] ...] plan

The ego's place is that in the station's frame, in steps of 3 m and 3.6 degrees: it says where in the station's picture the car is.
METRES and TIME, in the steps of ``meeting.py``, say where and when the road user gets in the car's way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.captions import KIND_WORDS
from kd_planner_ros.core.ego import Command, Pose
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.scene import ACTOR_DTYPE, LightState
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.driving.signals import signal_ahead
from kd_planner_ros.geometry.frames import to_base, wrap_angle
from kd_planner_ros.networks.v2x_vlm.config import CAPTION_WORDS, OBJECTS, V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.meeting import STEP_M, STEP_S, meetings, most_urgent_first
from kd_planner_ros.networks.v2x_vlm.words import FIRST_LOCATION, PAD, Locations, ids_of, number_id, word_id
from kd_planner_ros.v2x.objects import merge
from kd_planner_ros.v2x.station import phases_near

PLACE_M, PLACE_RANGE_M, SPEED_STEP_MPS = 3.0, 150.0, 0.25
NUMBERS_A_TURN = 100
OBJECT_FIELDS = 5
"""Kind, x, y, speed, heading: metres in ``base_link``, metres a second, radians relative to the car."""
OBJECT_RANGE_M, SAME_M = 60.0, 2.0
"""How far away road users are told, and how near to each other those of two stations are one."""
_NUMBERS = ("x", "y", "vx", "vy", "yaw")
"""What a row must hold as finite numbers; of lists that came without a gateway nobody else has looked at that."""
_COMMANDS: dict[int, str] = {Command.LEFT: "left", Command.RIGHT: "right", Command.STRAIGHT: "straight",
                             Command.CHANGE_LANE_LEFT: "lane left", Command.CHANGE_LANE_RIGHT: "lane right"}
_SIGNALS: dict[int | None, str] = {LightState.RED: "red", LightState.YELLOW: "yellow", LightState.GREEN: "green"}


@dataclass(frozen=True)
class Told:
    """What the prompt of one sample is made of.

    Attributes:
        speed_mps: NaN: unknown.
        command: of ``core/ego.py``.
        target: the route's target point [2], ``base_link``.
        place: x, y in metres and heading in radians [3] of the car in the nearest station's frame; NaN without a station.
        objects: [M, 5] of the stations' lists (``station_objects``).
        veh, infra: captions, ids of words without an end; None: nobody describes the view.
        view: whether a station sent what the network reads.
        free: whether the places of the front view's caption are left free for the network's own words.
        signal: what the signal ahead shows; None: not known.
        meets: whether each of ``objects`` is told with where and when it gets in the car's way.
        spoken: whether ``objects`` are words of the prompt.
    """

    speed_mps: float
    command: int
    target: np.ndarray
    place: np.ndarray
    objects: np.ndarray
    veh: Sequence[int] | None = None
    infra: Sequence[int] | None = None
    view: bool = False
    free: bool = False
    signal: int | None = None
    meets: bool = False
    spoken: bool = True


def prompt_ids(told: Told, locations: Locations) -> list[int]:
    """The prompt in ids of this package's words. Each caption takes CAPTION_WORDS places, that of the front view behind the second word."""
    veh = [] if told.free else list(told.veh) if told.veh is not None else ids_of("<NO_CAPTION>")
    infra = list(told.infra) if told.infra is not None else ids_of("<NO_CAPTION>")
    ids = [*ids_of("<TRAJ> veh"), *_places(veh), word_id("infra"), *_places(infra if told.view else ids_of("<NO_V2X>"))]
    x, y, heading = (float(one) for one in told.place)
    ids += [word_id("ego"), number_id((x + PLACE_RANGE_M) / PLACE_M), number_id((y + PLACE_RANGE_M) / PLACE_M), _turn(heading)]
    ids += [word_id("speed"), number_id(told.speed_mps / SPEED_STEP_MPS)]
    ids += [word_id("command"), *ids_of(_COMMANDS.get(told.command, "follow"))]
    ids += [word_id("goal"), *_location(told.target, locations), word_id("signal"), word_id(_SIGNALS.get(told.signal, "unknown"))]
    return [*ids, *(_objects(told, locations) if told.spoken else []), word_id("plan")]


def _objects(told: Told, locations: Locations) -> list[int]:
    met = meetings(told.objects, told.target) if told.meets else np.empty((len(told.objects), 0))
    ids: list[int] = []
    for one in most_urgent_first(met) if told.meets else range(len(met)):
        (kind, ahead, left, speed, turn), where = told.objects[one], met[one]
        ids += [word_id("object"), word_id(KIND_WORDS[int(kind)]), *_location(np.array([ahead, left]), locations),
                number_id(speed / SPEED_STEP_MPS), _turn(turn)]
        ids += [number_id(value / step) for value, step in zip(where, (STEP_M, STEP_S), strict=False)]
    return ids


def _places(caption: list[int]) -> list[int]:
    """``caption`` in as many places as the longest one takes: the slots behind it always begin at the same place."""
    return [*caption, *[PAD] * (CAPTION_WORDS - len(caption))][:CAPTION_WORDS]


def _turn(angle_rad: float) -> int:
    if not math.isfinite(angle_rad):
        return word_id("unknown")
    return number_id(round((angle_rad % math.tau) / math.tau * NUMBERS_A_TURN) % NUMBERS_A_TURN)


def _location(point: np.ndarray, locations: Locations) -> list[int]:
    bins, _ = locations.bins(np.asarray(point, float))
    return [FIRST_LOCATION + int(one) for one in bins]


def place_at(station: RoadsideView | None, ego: Pose) -> np.ndarray:
    """x, y in metres and heading in radians [3] of the car in the frame of the station: its foot, its camera's direction. NaN where it
    is unknown."""
    origin = None if station is None else station.foot or (station.camera.pose if station.camera else None)
    if station is None or origin is None:
        return np.full(3, np.nan)
    yaw = station.camera.pose.yaw if station.camera is not None else origin.yaw
    x, y = to_base(np.array([ego.x, ego.y]), Pose(origin.x, origin.y, yaw=yaw))
    return np.array([x, y, float(wrap_angle(ego.yaw - yaw))])


def station_objects(views: Sequence[RoadsideView], ego: Pose, target: np.ndarray | None = None) -> np.ndarray:
    """The road users [M, 5] of the stations' lists, at most ``OBJECTS``, rolled forward to the frame's stamp at their speed, one row for
    each whom two stations report: the nearest ones; with a ``target`` (the route's target point [2], ``base_link``) first those that get
    in the car's way, by when they do."""
    lists = [(view, view.objects) for view in views if view.objects is not None]
    rows = np.concatenate([np.zeros(0, ACTOR_DTYPE), *(objects for _, objects in lists)])
    lengths = [len(objects) for _, objects in lists]
    age_s = np.repeat(np.array([view.list_age_s for view, _ in lists], float), lengths)
    source = np.repeat(np.arange(len(lists)), lengths)
    sound = np.isin(rows["kind"], list(KIND_WORDS)) & np.isfinite(np.stack([rows[name] for name in _NUMBERS], -1)).all(-1)
    rows, age_s, source = rows[sound], age_s[sound], source[sound]
    kept = merge(rows, age_s, source, SAME_M)
    rows, age_s = rows[kept], age_s[kept]
    now = np.stack([rows["x"] + rows["vx"] * age_s, rows["y"] + rows["vy"] * age_s], axis=-1).astype(float)
    places = to_base(now, ego).reshape(-1, 2)
    speed = np.hypot(rows["vx"], rows["vy"]).astype(float)
    found = np.stack([rows["kind"].astype(float), places[:, 0], places[:, 1], speed, rows["yaw"].astype(float) - ego.yaw], axis=-1)
    away = np.hypot(places[:, 0], places[:, 1])
    found = found[np.argsort(away, kind="stable")[:int((away <= OBJECT_RANGE_M).sum())]]
    return (found if target is None else found[most_urgent_first(meetings(found, target))])[:OBJECTS]


def objects_told(frame: Frame, config: V2xVlmConfig) -> np.ndarray:
    """The road users [M, 5] that the prompt of ``frame`` names: none where the network reads no lists."""
    if config.roadside != "objects":
        return np.zeros((0, OBJECT_FIELDS))
    return station_objects(frame.roadside, frame.ego.pose, np.asarray(frame.route_goal.target_point, float) if config.meets else None)


def is_heard(frame: Frame, config: V2xVlmConfig) -> bool:
    """Whether a station sent what the network reads of it."""
    if config.roadside == "objects":
        return any(view.objects is not None for view in frame.roadside)
    nearest = frame.roadside[0] if config.roadside == "picture" and frame.roadside else None
    return nearest is not None and nearest.image is not None and nearest.camera is not None


def reported_signal(frame: Frame, signals: np.ndarray | None) -> np.ndarray:
    """What the signal ahead shows by the truth ``signals`` (SIGNAL_DTYPE [S]), as far as the nearest station would report it
    (``LightState``, int8); -1 where it reports none."""
    foot = frame.roadside[0].foot if frame.roadside else None
    if signals is None or foot is None:
        return np.array(-1, np.int8)
    state = signal_ahead(phases_near(signals, Station(frame.roadside[0].station, foot)), frame.ego)
    return np.array(-1 if state is None else int(state), np.int8)


def told_of(frame: Frame, config: V2xVlmConfig) -> Told:
    """What the prompt of ``frame`` is made of, at run time: nobody has described the views."""
    station = frame.roadside[0] if frame.roadside else None
    goal, ego = frame.route_goal, frame.ego
    signal = signal_ahead(frame.phases, ego) if frame.phases is not None else None
    return Told(ego.speed_mps, int(goal.command), np.asarray(goal.target_point, float), place_at(station, ego.pose),
                objects_told(frame, config), view=is_heard(frame, config), free=config.caption, signal=signal, meets=config.meets,
                spoken=config.lists == "words")
