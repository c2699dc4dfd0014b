"""The scene of a frame to the teacher's tensors, and its answers to a Plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.networks.distilldrive.config import COMMANDS
from kd_planner_ros.networks.distilldrive.decode import Scene, command_of, make_plan, softmax
from kd_planner_ros.networks.distilldrive.memory import Entry, Memory, recalled, targets_of, with_ego
from kd_planner_ros.networks.distilldrive.scene import Caps, padded, scene_arrays
from kd_planner_ros.networks.distilldrive_teacher.config import DistillDriveTeacherConfig
from kd_planner_ros.networks.distilldrive_teacher.model import MEMORY, empty_memory
from kd_planner_ros.networks.planner import Processor


def caps_of(config: DistillDriveTeacherConfig) -> Caps:
    """The sizes of the teacher's arrays."""
    return Caps(config.own.agents, config.own.lines, config.spec.line_points, config.past_steps, config.agent_steps)


def reordered(entry: Entry | None, ids: np.ndarray) -> Entry | None:
    """``entry`` with its road users in the order of ``ids`` [A]; those that it does not know have no past there."""
    if entry is None:
        return None
    known = (entry.ids[None] == ids[:, None]) & (ids[:, None] >= 0)
    row, there = torch.from_numpy(known.argmax(1)), torch.from_numpy(known.any(1))
    state = dict(entry.state)
    for name in ("agent_queue", "agent_queue_boxes", "agent_queue_kept"):
        chosen = state[name][:, row.to(state[name].device)]
        state[name] = chosen * there.view(1, -1, *[1] * (chosen.ndim - 2)).to(chosen)
    return Entry(entry.stamp_ns, entry.pose, state, ids)


class DistillDriveTeacherProcessor(Processor[Plan]):
    """Encodes the scene of a frame (``Frame.scene``). A scene that says nothing of the future is planned on by a teacher of history
    alone; one that needs the future refuses it."""

    def __init__(self, config: DistillDriveTeacherConfig):
        self.config = config
        self._memory, self._nothing = Memory(config), empty_memory(config)
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._memory.reset()
        self._given: tuple[int, dict[str, np.ndarray], bool] | None = None

    def arrays(self, frame: Frame) -> dict[str, np.ndarray]:
        """The scene of ``frame`` as arrays (``scene.py``).

        Raises:
            SensorError: it has none, or one without the future that this teacher reads.
        """
        config, scene = self.config, frame.scene
        if scene is None:
            raise SensorError("a frame with the scene itself: road users, signals and map lines", "sensors alone",
                              "use the teacher with 'kd-planner train' and 'kd-planner evaluate', or drive a student")
        if config.agent_input != "history" and not scene.has_future:
            raise SensorError(f"the future of road users, for agent_input '{config.agent_input}'", "a scene without it",
                              "train a teacher with --distilldrive_teacher.agent-input history to drive with")
        return scene_arrays(scene, frame.ego.pose, frame.stamp_ns, config, caps_of(config))

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's inputs.

        Raises:
            SensorError: as ``arrays``.
        """
        made = [self.arrays(frame) for frame in frames]
        stacked = {name: np.stack([one[name] for one in made]) for name in made[0]}
        entries: list[Entry | None] = [None] * len(frames)
        if len(frames) == 1:
            entries = [reordered(self._memory.before(frames[0].stamp_ns), made[0]["ids"].astype(np.int64))]
            self._given = frames[0].stamp_ns, made[0], entries[0] is not None
        poses = [(frame.ego.pose.x, frame.ego.pose.y, frame.ego.pose.yaw) for frame in frames]
        past = with_ego(recalled(entries, [frame.stamp_ns for frame in frames], poses, self._nothing),
                        np.array([frame.ego.speed_mps for frame in frames]), targets_of(frames), self.config)
        return {**{name: torch.from_numpy(one) for name, one in padded(stacked).items()}, **past}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan; the road users are those of the scene, with the teacher's forecasts."""
        config, given = self.config, self._given
        made = given[1] if given is not None and given[0] == frame.stamp_ns else self.arrays(frame)
        found = {name: outputs[name][0].detach().float().cpu().numpy() for name in
                 ("offsets", "scores", "status", "agent_offsets", "agent_scores")}
        self._remember(outputs, frame, made["ids"].astype(np.int64))
        there, shown = made["kinds"] >= 0, made["line_kinds"] >= 0
        boxes = made["boxes"][there]
        scene = Scene(boxes, made["kinds"][there].astype(int), np.ones(len(boxes)), made["ids"][there].astype(np.int64),
                      boxes[:, None, None, :2] + found["agent_offsets"][there].cumsum(2),
                      softmax(found["agent_scores"][there].astype(float)),
                      made["lines"][shown], made["line_kinds"][shown].astype(int), np.ones(int(shown.sum())))
        command, told = command_of(frame)
        if not told:
            report("no command from the route: straight on is taken")
        return make_plan(found["offsets"], found["scores"], found["status"], scene, frame, config, 0.5 if config.rescore else None,
                         {"memory": float(given is not None and given[2])}, COMMANDS[command] + ("" if told else " (no command)"))

    def _remember(self, outputs: Mapping[str, Tensor], frame: Frame, ids: np.ndarray) -> None:
        pose, self._given = frame.ego.pose, None
        state = {name: outputs[f"next_{name}"][:1].detach().float().cpu() for name in MEMORY}
        if all(bool(one.isfinite().all()) for one in state.values()):
            self._memory.put(Entry(frame.stamp_ns, (pose.x, pose.y, pose.yaw), state, ids))


def build_processor(config: DistillDriveTeacherConfig) -> DistillDriveTeacherProcessor:
    """The processor for ``config``."""
    return DistillDriveTeacherProcessor(config)
