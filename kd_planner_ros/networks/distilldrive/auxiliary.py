"""The auxiliary tasks of training: what the pyramid and the front view's token are asked beside the planner's own questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.dense import WEIGHTS as DENSE
from kd_planner_ros.networks.distilldrive.dense import DenseHead, dense_losses
from kd_planner_ros.networks.distilldrive.heat import WEIGHTS as HEAT
from kd_planner_ros.networks.distilldrive.heat import HeatHead, heat_losses
from kd_planner_ros.networks.distilldrive.lights import WEIGHT as LIGHT
from kd_planner_ros.networks.distilldrive.lights import LightHead, light_ahead, light_figures, light_loss
from kd_planner_ros.networks.distilldrive.options import TrainOptions
from kd_planner_ros.networks.training import Score


class AuxiliaryTasks:
    """``heat`` and ``dense`` on the pyramid's finest map, which a frozen perception does not give, and ``light`` on the front token.

    ``dense`` says whether cells are taught; ``weights`` are those of all losses, 0 where a task is off. No head is shipped, but for that
    of ``heat`` where proposals come from it: then it is the model's own.

    Raises:
        ConfigError: proposals come from a map that is not taught.
    """

    def __init__(self, config: DistillDriveConfig, options: TrainOptions):
        pyramid = not options.frozen_perception
        if config.proposals and pyramid and not options.heat:
            raise ConfigError("heat where proposals come from it", "--distilldrive.no-heat", "give --distilldrive.proposals 0 as well")
        self.heat = options.heat and pyramid
        self.dense = options.dense and options.road_users == "shown" and pyramid
        self.light = config.signals
        self.weights = {name: weight if on else 0.0 for on, own in ((self.heat, HEAT), (self.dense, DENSE), (self.light, LIGHT))
                        for name, weight in own.items()}
        self._config = config
        self._heads: dict[str, Any] = {}

    def build(self, model: Any) -> dict[str, nn.Module]:
        """Fresh heads for ``model``; those that are not its own are given back, by name."""
        width, proposals = self._config.spec.width, self._config.proposals
        self._heads = {}
        if self.heat:
            self._heads["heat"] = model.agents.kind.proposals.heat if proposals else HeatHead(width)
        if self.dense:
            self._heads["dense"] = DenseHead(width)
        if self.light:
            self._heads["light"] = LightHead(width)
        return {name: head for name, head in self._heads.items() if not (name == "heat" and proposals)}

    def losses(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], wanted: set[str], model: Any) -> dict[str, Tensor]:
        """The losses of the tasks that ``wanted`` names; see ``heat_losses``, ``dense_losses`` and ``light_loss``. ``model`` gave
        ``outputs``: its own map is asked."""
        parts: dict[str, Tensor] = {}
        if "heat" in self._heads and wanted & HEAT.keys() and "pyramid" in outputs:
            head = model.agents.kind.proposals.heat if self._config.proposals else self._heads["heat"]
            logits, depths = head(outputs["pyramid"])
            parts |= heat_losses(logits, depths, targets)
        if "dense" in self._heads and wanted & DENSE.keys() and "pyramid" in outputs:
            parts |= dense_losses(self._heads["dense"](outputs["pyramid"][:, 0]), targets)
        if "light" in self._heads and wanted & LIGHT.keys():
            parts["light"] = light_loss(self._heads["light"](outputs["front"]), light_ahead(targets))
        return parts

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """``light_figures``, where lights are asked for."""
        return light_figures(self._heads["light"](outputs["front"]), light_ahead(targets)) if "light" in self._heads else {}
