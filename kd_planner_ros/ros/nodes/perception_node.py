"""The perception node: pictures in, every dense output of one perceiver out. Wiring only."""

from __future__ import annotations

from typing import Any

from kd_planner_ros.networks.planner import PERCEIVER, Model
from kd_planner_ros.ros.inference import blank_frame, load, work_of
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.nodes.model_node import ModelNode
from kd_planner_ros.ros.ports.perception_outputs import PerceptionOutputs
from kd_planner_ros.ros.specs.perception import NODE


class PerceptionNode(ModelNode):
    """Publishes each output once, under the stamp of its picture; silent where there is none."""

    verb = "perceiving"

    def __init__(self, **options: Any) -> None:
        super().__init__(NODE, **options)

    def load_model(self) -> Model:
        """The perceiver."""
        p = self.params
        return load(p.perceiver, PERCEIVER, p.device, p.engine, p.models_dir, p.threads)

    def open_outputs(self, model: Model) -> PerceptionOutputs:
        """A topic for each output that a blank frame leads to; names and kinds of outputs never change."""
        first = work_of(model)(blank_frame(model))
        model.reset()
        return PerceptionOutputs(self, self.adapter, first, self.params.overlay, self.health)

    def input_options(self) -> dict[str, Any]:
        """A perceiver can do without odometry."""
        return {**super().input_options(), "odometry": self.params.odometry}

    def _values(self) -> dict[str, Any]:
        return {"perceiver": self.params.perceiver, **super()._values()}


def main() -> None:
    """Run the perception node as a process."""
    leave(run(PerceptionNode))


if __name__ == "__main__":
    main()
