"""Records to the network's tensors and back; remembers the features of the last pictures, so that a frame costs one encoder pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.ego import Command, NavigationGoal
from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Control, Frame, Plan, Trajectory
from kd_planner_ros.networks.blocks.inputs import COMMANDS, command_index, navigation
from kd_planner_ros.networks.planner import Processor
from kd_planner_ros.networks.unified_driver.arc import arc, curvature
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_driver.model import GOAL
from kd_planner_ros.networks.unified_driver.scene import SceneReader
from kd_planner_ros.networks.unified_driver.speed import Speed, speed
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_steering.window import Window

TIMES_S = 0.25 * np.arange(1, 9)
"""Times of the plan's places: an arc of 2 s."""
TARGET_SCALE_M, FARTHEST_TARGET = 10.0, 5.0
"""The network sees target points in tens of metres, at most 50 m away along each axis."""
LEAST_MPS = 0.05
"""A plan to stand is an arc at this speed: its places still say where the wheels point."""
MOVES_MPS = 0.5
"""A car that is slower stands."""
RED_KEPT_NS = 1_000_000_000
"""For so long a red light is remembered that is not seen any more: a lamp of two pixels is missed now and then."""
CONTROLLER = "steering"
"""The controller that takes a plan's own steering (``driving/controllers.py``)."""


def navigation_tensor(target_base: np.ndarray, commands: np.ndarray) -> Tensor:
    """What the network is told of the route [B, 8]: target point [B, 2] of ``base_link`` in tens of metres, and the command [B],
    one-hot. VOID and unknown commands count as LANE_FOLLOW."""
    index = command_index(commands)
    told = np.zeros((len(index), GOAL), np.float32)
    told[:, :2] = np.clip(np.asarray(target_base) / TARGET_SCALE_M, -FARTHEST_TARGET, FARTHEST_TARGET)
    told[np.arange(len(index)), GOAL - COMMANDS + index] = 1.0
    return torch.from_numpy(told)


class UnifiedDriverProcessor(Processor[Plan]):
    """Encodes frames of the front camera and decodes plans.

    The steering is made of 16 pictures (``Window``). ``window`` among the plan's notes says how many of them are real.

    The speed is that of ``speed.py``, from depth, classes and motion of the same pass; the reason is the plan's ``mode``.
    """

    def __init__(self, config: UnifiedDriverConfig):
        self.config = config
        self.eyes = UnifiedEncoderProcessor(config)
        self._scene = SceneReader(config)
        self._window = Window(config)
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self.eyes.reset()
        self._window.reset()
        self._moved, self._red_ns = False, -RED_KEPT_NS

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See ``UnifiedEncoderProcessor.prepare``."""
        return self.eyes.prepare(image)

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's inputs. Only a single frame has frames before it: those that were decoded last.

        Raises:
            SensorError: as ``UnifiedEncoderProcessor.picture``; or the target point is not finite.
        """
        seen = self.eyes.encode(frames)
        return {**seen, **self._window.inputs([frame.stamp_ns for frame in frames]), "goal": self._told(frames)}

    def _told(self, frames: Sequence[Frame]) -> Tensor:
        if not self.config.route:
            return torch.zeros(len(frames), GOAL)
        _, target, commands = navigation(frames)
        return navigation_tensor(target, commands)

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan: the arc of the steering at the speed of the rule, and the steering itself as its control.

        Values that are not finite are passed on; the supervisor answers them with a safe stop.
        """
        pictures = self._window.remember(outputs["features_4"], frame.stamp_ns)
        if pictures == 1:
            self._moved, self._red_ns = False, frame.stamp_ns - RED_KEPT_NS
        seen = self.eyes.decode(outputs, frame)
        lock, wheel = self.config.full_lock_deg, float(outputs["steer"][0])
        wheel = float(np.clip(wheel, -lock, lock))
        bend = curvature(wheel, self.config.wheelbase_m)
        pace = self._pace(seen, frame, bend) if np.isfinite(wheel) else Speed(0.0, "blind", 0.0)
        points = arc(bend, max(pace.mps, LEAST_MPS), TIMES_S)
        goal = frame.goal if frame.goal is not None else NavigationGoal(points[-1], Command.LANE_FOLLOW)
        notes = {"window": float(pictures), "wheel_deg": wheel, "planned_mps": pace.mps}
        notes |= {"gap_m": pace.gap_m} if np.isfinite(pace.gap_m) else {}
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, TIMES_S), goal, control=Control(frame.stamp_ns, steer=wheel / lock),
                    notes=notes, follow=CONTROLLER, mode=pace.reason)

    def _pace(self, seen: Perception, frame: Frame, bend: float) -> Speed:
        """The speed of ``speed.py`` on the arc ``bend``; remembers whether the car has moved, and the last red light."""
        mps = frame.ego.speed_mps
        self._moved = self._moved or mps > MOVES_MPS
        waits = not self._moved or frame.stamp_ns - self._red_ns < RED_KEPT_NS
        found = speed(self._scene.read(seen, frame), bend, self.config.limit_mps, now_mps=mps, waits=waits)
        self._red_ns = frame.stamp_ns if found.red else self._red_ns
        return found


def build_processor(config: UnifiedDriverConfig) -> UnifiedDriverProcessor:
    """The processor for ``config``."""
    return UnifiedDriverProcessor(config)
