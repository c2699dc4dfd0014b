"""The trainer node: recordings in, a model folder out; progress, pause and resume by lifecycle. Wiring only."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Header, String

from kd_planner_ros.distill.train import train
from kd_planner_ros.ros.diagnostics import ERROR, OK, WARN, Health
from kd_planner_ros.ros.lifecycle import BAD_INPUT, FAILURE, SUCCESS, autostart, leave, run
from kd_planner_ros.ros.managed import ManagedNode
from kd_planner_ros.ros.qos import LATCHED, STATE, advertise
from kd_planner_ros.ros.together import share_out, train_along
from kd_planner_ros.ros.train_params import declare_training
from kd_planner_ros.ros.training import Training

SPIN_S = 0.2
STOP_S = 30.0
"""Longest wait for the present step and its checkpoint at the end; a step takes seconds on a small machine."""
LAST_WORDS_S = 0.5


class TrainerNode(ManagedNode):
    """Activate starts or resumes the run, deactivate pauses it behind a checkpoint, shutdown ends it behind one.

    Publishes ``~/progress`` (Float32, 0 to 1), ``~/metrics`` (JointState: loss, its parts and the newest validation
    scores by name) and, when the run is finished, ``~/model`` (String: the model's folder).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("trainer", **options)
        self.config = declare_training(self)
        self.autostart = bool(self.declare_parameter("autostart", False).value)
        self.leave_when_done = bool(self.declare_parameter("leave_when_done", True).value)
        self.training = Training(self.config)
        self.health = Health(self, self._values)
        self._progress = advertise(self, Float32, "~/progress", LATCHED)
        self._metrics = advertise(self, JointState, "~/metrics", STATE)
        self._model = advertise(self, String, "~/model", LATCHED)
        self._shown: tuple[Any, ...] = ()
        self.health.set("state", WARN, "unconfigured")
        self.create_timer(SPIN_S, self._look, clock=self.health.clock)

    def on_configure(self, state: Any) -> Any:
        """Nothing is read before the run starts: reading recordings takes minutes, a transition must not. After a cleanup the
        next run goes on behind the last checkpoint."""
        if self.training.stopped and self.training.state != "finished":
            if not self.training.stop(0.0):
                self.health.set("state", ERROR, "the last run still writes its checkpoint: configure again in a moment")
                return FAILURE
            self.training = Training(self.config)
        self.health.set("state", WARN, "inactive")
        return SUCCESS

    def on_activate(self, state: Any) -> Any:
        """Start or resume."""
        if self.training.over:
            self.health.set("state", ERROR if self.training.error else OK, self._sentence())
            return FAILURE
        self.training.start()
        return super().on_activate(state)

    def stand_down(self) -> None:
        """Pause; the checkpoint is written after the present step."""
        self.training.pause()

    def give_back(self) -> None:
        """End behind a checkpoint."""
        if not self.training.stopped:
            self.training.stop(STOP_S)

    def run(self, executor: Any, stop: Any) -> int:
        """Spin until the run is over or Ctrl-C comes; 2 where training failed."""
        if self.autostart and not autostart(self):
            print(f"trainer: {self.health.worst[1]}", file=sys.stderr)
            return BAD_INPUT
        while not stop.requested and not (self.training.over and self.leave_when_done):
            executor.spin_once(timeout_sec=SPIN_S)
        if not self.training.over:
            self.get_logger().info("saving a checkpoint")
            self.training.stop(STOP_S)
        self._look()
        time.sleep(LAST_WORDS_S)
        if self.training.error:
            print(f"kd_planner_ros: error: {self.training.error}", file=sys.stderr)
        return BAD_INPUT if self.training.error else 0

    def _look(self) -> None:
        """Publish what is new since the last look."""
        run, now = self.training, self.get_clock().now().to_msg()
        facts = (run.state, run.step, len(run.scores), run.stage)
        if facts == self._shown or run.state == "idle":
            return
        if run.state != (self._shown or ("",))[0]:
            self.health.set("state", ERROR if run.state == "failed" else OK, self._sentence())
        self._shown = facts
        self._progress.publish(Float32(data=float(run.progress)))
        values = {**run.values, **run.scores}
        self._metrics.publish(JointState(header=Header(stamp=now), name=list(values),
                                         position=[float(value) for value in values.values()]))
        if run.report is not None and run.report.finished:
            self._model.publish(String(data=run.report.model))

    def _sentence(self) -> str:
        run = self.training
        if run.state == "failed":
            return run.error
        stage = f", stage {run.stage} ({run.stage_of})" if run.stage else ""
        return f"{run.state}: step {run.step} of {run.total}{stage}, {self.config.name}" if run.total else run.state

    def _values(self) -> dict[str, Any]:
        run = self.training
        return {"name": self.config.name, "step": run.step, "of steps": run.total, "progress": round(run.progress, 4),
                "stage": f"{run.stage} ({run.stage_of})" if run.stage else "none yet", "share of the stage": run.share,
                **dict(zip(("selection score", "best selection score", "best step"), run.selection or (), strict=False)),
                "checkpoint": run.checkpoint or "none yet",
                **{name: round(value, 5) for name, value in {**run.values, **run.scores}.items()}}


def main() -> None:
    """Run the trainer node as a process. Under torchrun the first process is the node, the others only train with it."""
    share_out(sys.argv)
    if int(os.environ.get("RANK", "0")) == 0:
        leave(run(TrainerNode))
    leave(train_along(declare_training, train))


if __name__ == "__main__":
    main()
