"""Records to send on every channel, and what it means that one is read as it was sent."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kd_planner_ros.core.captions import Caption, SeenUser
from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.outputs import DETECTION_DTYPE, DenseOutput, Detections, MapLines
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import PHASE_DTYPE, SILENT_DTYPE, CoopState, ReportedObjects
from kd_planner_ros.wire.codec.motion import Fix, ImuSample, Mount
from kd_planner_ros.wire.codec.plans import Candidates, Fault, PlanHead
from kd_planner_ros.wire.codec.radio import SignatureNote
from kd_planner_ros.wire.tables import COLOURED_DTYPE

STAMP = 1_234_567_890_123
_rng = np.random.default_rng(7)


def filled(dtype, count):
    """Rows of ``dtype`` with random numbers in every column."""
    rows = np.zeros(count, dtype)
    for name in rows.dtype.names:
        kind = rows.dtype[name]
        values = _rng.normal(size=count) * 10 if kind.kind == "f" else _rng.integers(0, 120, count)
        rows[name] = values.astype(kind)
    return rows


def detections(count=3, modes=6, steps=12, scores=True):
    """Random road users with forecasts."""
    return Detections(filled(DETECTION_DTYPE, count), _rng.normal(size=(count, modes, steps, 2)).astype(np.float32),
                      _rng.random((count, modes)).astype(np.float32) if scores else None, 0.5 * np.arange(1.0, steps + 1))


def plan(**more):
    """A plan of six steps."""
    points = np.cumsum(_rng.normal(size=(6, 2)), axis=0)
    return Plan(STAMP, Trajectory(STAMP, points, 0.5 * np.arange(1.0, 7.0)), NavigationGoal(np.array([20.1, -3.2]), Command.LEFT),
                inference_ms=4.5, **more)


def _lines(count, points):
    return MapLines(_rng.normal(size=(count, points, 2)).astype(np.float32), np.arange(count, dtype=np.uint8) % 5,
                    _rng.random(count).astype(np.float32))


def _unknown_height(found):
    found.rows["height"] = np.nan
    return found


_ACTORS, _SIGNALS = filled(ACTOR_DTYPE, 3), filled(SIGNAL_DTYPE, 2)
_RGB = _rng.integers(0, 256, (6, 10, 3), np.uint8)
_FLAT = np.full((16, 24, 3), 90, np.uint8)
_IDS = _rng.integers(0, 29, (6, 10)).astype(np.uint8)
_METRES = (_rng.random((6, 10)) * 90).astype(np.float32)
_DENSE = {"depth": np.where(_METRES > 80, np.nan, _METRES), "classes": _IDS, "ids": _rng.integers(-5, 2**31 - 1, (6, 10)).astype(np.int32),
          "mask": _IDS > 9, "flow": _rng.normal(size=(6, 10, 3)).astype(np.float32), "probability": _METRES / 90}
_ROUTE = Route("route", "", _rng.normal(size=(9, 2)), _rng.uniform(-3, 3, 9), np.full(9, Command.LANE_FOLLOW, np.int8), np.zeros((2, 2)))
_FULL = plan(control=Control(STAMP, 0.31, -0.12, 0.0), notes={"p_red": 0.25, "turning": -1.5}, follow="safety", mode="COOP_FULL",
             candidates=_rng.normal(size=(3, 6, 2)), scores=np.array([0.5, 0.3, 0.2]), detections=detections(), lines=_lines(4, 20))

SAMPLES = {
    "clock": [None],
    "tf_static": [[Mount("ego_vehicle", "ego_vehicle/imu", Pose())]],
    "tf": [[Mount("map", "ego_vehicle", Pose(1.0, 2.0, 3.0, 0.3, -0.1, 0.05)), Mount("ego_vehicle", "ego_vehicle/lidar", Pose(z=2.5))], []],
    "odometry": [EgoState(STAMP, Pose(1.0, -2.0, 3.0, 0.7, -0.1, 0.05), 12.5, 0.2, lateral_mps=-0.3)],
    "speedometer": [-1.5],
    "imu": [ImuSample(Pose(yaw=0.7, pitch=-0.1, roll=0.05), np.array([0.5, 2.0, 9.81]), np.array([0.01, 0.02, 0.2]))],
    "gnss": [Fix(48.1, 11.5, 520.0)],
    "control": [Control(STAMP, 0.3, 0.25, 0.1, "limited"), Control(STAMP, 0.0, -1.0, 1.0)],
    "route": [_ROUTE],
    "waypoints": [_ROUTE],
    "station_objects": [_ACTORS, _ACTORS[:0]],
    "stations": [(Station("rsu", Pose(1.0, 2.0), (CameraSpec("c", Pose(1.0, 2.0, 7.0), 64, 36, 90.0, 0.1),), range_m=80.0),), ()],
    "captions": [(Caption("front", STAMP, "day", (SeenUser(ActorKind.CAR, 0, 99), SeenUser(ActorKind.PEDESTRIAN, 50, 7))),
                  Caption("north/camera", STAMP - 1, "night")), ()],
    "radio_picture": [b"\xff\xd8 a picture \xff\xd9"],
    "radio_objects": [_ACTORS.tobytes(), b""],
    "radio_phases": [filled(PHASE_DTYPE, 2).tobytes(), b""],
    "radio_signature": [SignatureNote("picture", "camera", STAMP, 2**63 - 1, bytes(range(72))), SignatureNote("objects", "", 0, 0, b"")],
    "v2x_stations": [(Station("rsu", Pose(1.0, 2.0)),), ()],
    "v2x_objects": [ReportedObjects(STAMP, _ACTORS, np.array([0.0, 0.25, 0.5]), np.array([0, 2, 0], np.int16), True),
                    ReportedObjects(STAMP), ReportedObjects(STAMP, listed=True)],
    "v2x_phases": [filled(PHASE_DTYPE, 2)],
    "v2x_silent": [filled(SILENT_DTYPE, 2)],
    "v2x_state": [(CoopState.EGO_ONLY, "no station with a key is in range")],
    "map_lines": [filled(MAP_LINE_DTYPE, 5)],
    "objects": [_ACTORS, _ACTORS[:0]],
    "traffic_lights": [_SIGNALS, _SIGNALS[:0]],
    "state": [{"junction": 1.0, "expert_steer": -0.25}, {}],
    "cloud": [_rng.normal(size=(50, 4)).astype(np.float32), np.zeros((0, 4), np.float32)],
    "camera_info": [CameraSpec("", Pose(), 900, 256, 100.0)],
    "image": [_RGB],
    "depth": [_METRES],
    "semantic": [_IDS],
    "instance": [_DENSE["ids"]],
    "class_ids": [_IDS],
    "compressed": [_FLAT],
    "plan": [_FULL, plan(), plan(detections=_unknown_height(detections(2, 1, 3, scores=False)), mode="x"),
             plan(candidates=_rng.normal(size=(2, 6, 2))), Fault(STAMP, "SensorError")],
    "candidates": [Candidates(_FULL.candidates, _FULL.scores), Candidates(_FULL.candidates[:1], None),
                   Candidates(np.zeros((0, 6, 2)), None)],
    "detections": [_FULL.detections, detections(2, 1, 1, scores=False), Detections(filled(DETECTION_DTYPE, 4)),
                   Detections(np.zeros(0, DETECTION_DTYPE))],
    "lines": [_FULL.lines, _lines(1, 1), _lines(0, 20)],
    "attention": [(_METRES / _METRES.sum()).astype(np.float32)],
    **{f"dense_{kind}": [DenseOutput(kind, array)] for kind, array in _DENSE.items()},
    "perception_twist": [(5.0, -0.25, 0.125)],
    "perception_points": [np.array([(1.0, 2.0, 3.0, 0.5), (np.nan, 0.0, -1.0, 0.0)], COLOURED_DTYPE)],
    "scalars": [{"steer": 0.1, "yaw_rate_rps": -0.02}],
}
"""Records by channel."""


def same(back, record):
    """Asserts that ``back`` is what reading ``record``'s message must give."""
    if isinstance(back, PlanHead) and isinstance(record, Plan):  # the parts are messages of their own
        for name in ("stamp_ns", "trajectory", "goal", "control", "inference_ms", "notes", "follow", "mode"):
            same(getattr(back.plan, name), getattr(record, name))
    elif record is None:
        assert back in (None, STAMP)
    elif isinstance(record, float) and isinstance(back, tuple):
        assert back == (None, record)  # a speed without a stamp
    elif dataclasses.is_dataclass(record):
        _same_record(back, record)
    elif isinstance(record, (tuple, list)):
        assert len(back) == len(record)
        for one, other in zip(back, record):
            same(one, other)
    elif isinstance(record, np.ndarray):
        _same_array(back, record)
    else:
        assert back == record


def _same_array(back, record):
    assert back.dtype == record.dtype and back.shape == record.shape
    columns = [record] if record.dtype.names is None else [record[name] for name in record.dtype.names]
    found = [back] if record.dtype.names is None else [back[name] for name in record.dtype.names]
    assert all(np.array_equal(one, other, equal_nan=other.dtype.kind == "f") for one, other in zip(found, columns))


def _same_record(back, record):
    if isinstance(record, Route):  # exact points; yaw by way of a quaternion in some messages, key points are the ends
        assert np.array_equal(back.points, record.points) and back.yaws == pytest.approx(record.yaws, abs=1e-12)
        assert np.array_equal(back.commands, record.commands) and back.commands.dtype == np.int8
        assert np.array_equal(back.key_points, record.points[[0, -1]])
    elif isinstance(record, Pose):
        assert dataclasses.astuple(back) == pytest.approx(dataclasses.astuple(record), abs=1e-9)
    elif isinstance(record, EgoState):
        same(back.pose, record.pose)
        numbers = [dataclasses.astuple(dataclasses.replace(one, pose=None))[2:] for one in (back, record)]
        assert back.stamp_ns == record.stamp_ns and numbers[0] == pytest.approx(numbers[1], abs=1e-9)
    else:
        for one in dataclasses.fields(record):
            same(getattr(back, one.name), getattr(record, one.name))
