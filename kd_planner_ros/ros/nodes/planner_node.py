"""The planner node: sensor topics in, plans out. Wiring only."""

from __future__ import annotations

from typing import Any

from kd_planner_ros.networks.planner import PLANNER, Model
from kd_planner_ros.ros.inference import load
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.mounts import read_mounts
from kd_planner_ros.ros.nodes.model_node import ModelNode
from kd_planner_ros.ros.ports.caption_outputs import CaptionOutputs
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

    def input_options(self) -> dict[str, Any]:
        """Also the cameras' mountings."""
        return {**super().input_options(), "mounts": read_mounts(self.params.camera_mounts)}

    def open_outputs(self, model: Model) -> PlannerOutputs:
        """The plan's topics."""
        p, cameras = self.params, model.rig.cameras
        first = cameras[0].id if cameras else ""
        if not p.caption:
            return PlannerOutputs(self, self.adapter, first)
        from kd_planner_ros.runtime.captions import load_captioner  # torch, without which a planner without weights starts in a second

        name = model.name if p.planner == "auto" else p.planner
        return CaptionOutputs(self, self.adapter, first, load_captioner(name, p.models_dir or None))

    def _values(self) -> dict[str, Any]:
        return {"planner": self.params.planner, **super()._values()}


def main() -> None:
    """Run the planner node as a process."""
    leave(run(PlannerNode))


if __name__ == "__main__":
    main()
