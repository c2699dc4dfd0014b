"""The perception node: pictures in, every dense output of one perceiver out. Wiring only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.planner import PERCEIVER, Model
from kd_planner_ros.ros.inference import blank_frame, load, work_of
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.nodes.model_node import ModelNode
from kd_planner_ros.ros.ports.perception_outputs import PerceptionOutputs, Wish
from kd_planner_ros.ros.ports.rate_dividers import RateDividers
from kd_planner_ros.ros.specs.perception import NODE


class PerceptionNode(ModelNode):
    """Publishes each output once, under the stamp of its picture; silent where there is none."""

    verb = "perceiving"

    def __init__(self, **options: Any) -> None:
        self._dividers: RateDividers | None = None
        super().__init__(NODE, **options)

    def load_model(self) -> Model:
        """The perceiver."""
        p = self.params
        if p.model and p.perceiver not in ("auto", p.model):
            raise ConfigError("one of the parameters model and perceiver, or both alike", f"{p.model!r} and {p.perceiver!r}",
                              "leave one out")
        return load(p.model or p.perceiver, PERCEIVER, p.device, p.engine, p.models_dir, p.threads)

    def open_outputs(self, model: Model) -> PerceptionOutputs:
        """A topic for each output that a blank frame leads to; names and kinds of outputs never change."""
        p = self.params
        first = work_of(model)(blank_frame(model))
        model.reset()
        return PerceptionOutputs(self, self.adapter, first, Wish(p.overlay, p.colormap, p.points, p.points_stride, p.strips_dir,
                                                                      p.strips_every_s), self.health)

    def open_work(self, model: Any) -> Callable[[Frame], Perception]:
        """Those parts that are due."""
        self._dividers = RateDividers(self, model, self.health)
        return self._dividers.perceive

    def give_back(self) -> None:
        """The parameters of the model's parts too."""
        super().give_back()
        dividers, self._dividers = self._dividers, None
        if dividers is not None:
            dividers.close()

    def input_options(self) -> dict[str, Any]:
        """A perceiver can do without odometry."""
        return {**super().input_options(), "odometry": self.params.odometry}

    def _values(self) -> dict[str, Any]:
        dividers, outputs = self._dividers, self._outputs
        return {"perceiver": self.params.model or self.params.perceiver, **super()._values(),
                **({} if dividers is None else dividers.values()), **({} if outputs is None else outputs.values())}


def main() -> None:
    """Run the perception node as a process."""
    leave(run(PerceptionNode))


if __name__ == "__main__":
    main()
