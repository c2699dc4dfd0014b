"""The planner node: sensor topics in, plans out. Wiring only."""

from __future__ import annotations

from typing import Any

from kd_planner_ros.networks.planner import PLANNER, Model
from kd_planner_ros.ros.inference import load
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.nodes.model_node import ModelNode
from kd_planner_ros.ros.ports.planner_outputs import PlannerOutputs
from kd_planner_ros.ros.specs.planner import NODE


class PlannerNode(ModelNode):
    """Publishes each plan once, under the stamp of its pictures; says so where there is none."""

    verb = "planning"

    def __init__(self, **options: Any) -> None:
        super().__init__(NODE, **options)

    def load_model(self) -> Model:
        """The planner."""
        p = self.params
        return load(p.planner, PLANNER, p.device, p.engine, p.models_dir, p.threads)

    def open_outputs(self, model: Model) -> PlannerOutputs:
        """The plan's topics."""
        cameras = model.rig.cameras
        return PlannerOutputs(self, self.adapter, cameras[0].id if cameras else "")

    def _values(self) -> dict[str, Any]:
        return {"planner": self.params.planner, **super()._values()}


def main() -> None:
    """Run the planner node as a process."""
    leave(run(PlannerNode))


if __name__ == "__main__":
    main()
