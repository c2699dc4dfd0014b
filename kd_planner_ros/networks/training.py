"""The contract of a network that can be trained. The trainer itself knows no network by name, and no waypoints.

A network's ``training.py`` offers:

* ``build_task(processor, options) -> LearningTask``;
* ``config_fields(size, options, camera, others)``: the fields of its config for a run's size, its own options and the
  recorded cameras (the main one, and all by id);
* optional ``TrainOptions``: a frozen dataclass of the network's own training options. Each field has a default and a ``help``
  text in its metadata; the command line offers it as ``--NETWORK.field-name``. ``"input": True`` in the metadata marks a field
  that shapes the network's input: commands that measure offer it too;
* optional ``STAGES``, a tuple of ``Stage`` (default: one stage that trains everything), and where others fit some ``TrainOptions``
  ``stages_for(options)``, which gives those of ``options``;
* optional ``OPTIMISER`` (an ``OptimiserDefaults``), ``BACKBONE`` (name of the module that pretrained weights belong to) with
  ``load_backbone(module, path)`` where those are not a ResNet's (it fills the module from a file or folder, or raises ConfigError);
* optional ``HOLDS``: other networks that are whole within this one, by name, each with the module that it is: a run may start from
  a model of them, and nothing of it may be missing;
* optional ``METHOD_DEFAULTS``: for a distillation method by name, the values that this network prefers for its options.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.samples import SampleMaker, Sequences

if TYPE_CHECKING:
    from torch import Tensor, nn

Score = tuple[float, float]
"""Sum of a figure over what is known, and how much that is."""


@dataclass(frozen=True)
class OptimiserDefaults:
    """The network's optimiser unless the recipe says otherwise: ``adam`` or ``adamw``, its weight decay, and the learning
    rate of the modules in ``slow`` as a share of the others'."""

    kind: str = "adam"
    weight_decay: float = 1e-7
    backbone_rate: float = 1.0
    slow: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoOptions:
    """Training options of a network that has none."""


@dataclass(frozen=True)
class Loss:
    """The loss of a batch: ``total`` is a scalar with a gradient, ``parts`` are the unweighted parts, detached, ``count`` is
    the number of samples that the means are over."""

    total: Tensor
    parts: Mapping[str, Tensor]
    count: int


@dataclass(frozen=True)
class Stage:
    """One stage of a training run.

    A prefix names a module and everything below it: ``decoder`` or ``decoder.head``; ``""`` names the whole network. The
    training-only modules of the task are named ``task``, so ``("decoder", "task")`` trains the decoder and them.

    Attributes:
        name: shown in progress, log and diagnostics.
        share: part of the run's steps, in (0, 1]; the shares of all stages sum to 1.
        trained: prefixes of the parameters that get a gradient. Everything else is frozen and in evaluation mode, running
            statistics of batch normalisation included.
        frozen_eval: prefixes that are frozen and in evaluation mode although ``trained`` covers them.
        untrained: prefixes that get no gradient and stay in training mode, for parts that no loss reaches.
        losses: weights of the parts of the task's loss in this stage; parts that are not named have weight 0. None: the task's
            own weights.
        rate: factor on the learning rate. The schedule runs once over each stage.
        ramps: part -> (weight at the stage's start, weight at its end), linear in between.
        method: name of the distillation method of this stage; None: the run's own.
        shuffled: each step draws single samples at random, each without a past, although the network reads sequences: for modules that
            remember nothing, for which the steps of a sequence are one sample many times. See ``LearningTask.useful``.
    """

    name: str = "train"
    share: float = 1.0
    trained: tuple[str, ...] = ("",)
    frozen_eval: tuple[str, ...] = ()
    untrained: tuple[str, ...] = ()
    losses: Mapping[str, float] | None = None
    rate: float = 1.0
    ramps: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    method: str | None = None
    shuffled: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0 or self.rate <= 0.0:
            raise ConfigError(f"share in (0, 1] and rate above 0 of stage '{self.name}'", f"share {self.share:g}, rate {self.rate:g}",
                              "correct the stage")

    def covers(self, name: str) -> bool:
        """Whether this stage leaves the parameter or module ``name`` in training mode."""
        return _named(name, self.trained) and not _named(name, self.frozen_eval)

    def trains(self, name: str) -> bool:
        """Whether the parameter ``name`` gets a gradient."""
        return self.covers(name) and not _named(name, self.untrained)

    def weights(self, own: Mapping[str, float], progress: float) -> dict[str, float]:
        """Weight of each part of the loss at ``progress`` in [0, 1] of the stage; ``own`` are the task's."""
        base = dict(own) if self.losses is None else {**dict.fromkeys(own, 0.0), **self.losses}
        share = min(max(progress, 0.0), 1.0)
        return base | {part: first + (last - first) * share for part, (first, last) in self.ramps.items()}

    def prefixes(self) -> Iterator[str]:
        """Every prefix that the stage names, but the empty one."""
        yield from (one for one in (*self.trained, *self.frozen_eval, *self.untrained) if one)


def _named(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(prefix in ("", name) or name.startswith(prefix + ".") for prefix in prefixes)


WHOLE = (Stage(),)
"""The stages of a network that names none."""


class LearningTask(SampleMaker):
    """How a network's samples become its inputs, targets, loss and figures. One object belongs to one run.

    A task of a recurrent network (``sampling`` is ``Sequences``) keeps its state of each slot of the batch itself:
    ``begin_step`` is called before ``inputs`` with the slots whose recording begins, ``end_step`` after the forward pass, and
    ``memory`` goes into every checkpoint, so that a resumed run is exact.
    """

    weights: Mapping[str, float] = {}
    """Every part of the loss with its weight; a stage or a method may change the weights."""
    reads: tuple[str, ...] = ()
    """What ``inputs`` reads of the rows beside the arrays, out of ``speed`` and ``target``: the trainer's options that hide the one and
    move the other are refused for a network that does not read it."""

    frozen: tuple[str, ...] = ()
    """Modules of the network whose answers the samples hold in place of what they read: no stage may train them, and a run begins with
    a model of the network that has them."""

    taught_by: Mapping[str, tuple[str, ...]] = {}
    """Modules of the network by prefix, each with the parts of the loss that alone teach it: a stage that trains the module and gives one
    of them weight 0 is refused."""

    @property
    def reads_features(self) -> bool:
        """Whether ``auxiliary_losses`` reads the maps that the network gives back with ``features=True``."""
        return False

    @abstractmethod
    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """The network's inputs by name.

        Args:
            rows: the samples' rows [B] (``samples/rows.py``).
            arrays: those of ``record``, [B, ...], on the device.
            hidden_speed: bool [B]; the inputs do not contain the speed of these samples.
        """

    @abstractmethod
    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """What the loss and the distillation method compare with, by name; ``arrays`` are the clean ones."""

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """The loss of a batch.

        Args:
            stage: the present stage; None in a validation.
            weights: weight of every part; None: the task's own.
        """

    @abstractmethod
    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """Validation figures of a batch beside the loss and its parts."""

    @abstractmethod
    def selection_score(self, figures: Mapping[str, float]) -> float:
        """One number of a validation's mean figures (``loss`` and its parts among them); the weights with the smallest are
        shipped."""

    # --- what only some networks need --------------------------------------------------------------------------------

    def modules(self, model: nn.Module) -> nn.Module | None:
        """Modules that are trained beside ``model`` and never shipped; made once, behind the model."""
        return None

    def use(self, model: nn.Module) -> None:
        """The loss asks the modules of ``model`` from now on, where it asks any: a validation judges a copy of the trained network, the
        EMA of its weights."""

    def auxiliary_losses(self, outputs: Mapping[str, Tensor], batch: Any) -> dict[str, tuple[float, Tensor]]:
        """(weight, loss) by name, added in training steps alone; ``batch`` is a ``Batch`` of ``samples/dataset.py``."""
        return {}

    def fit(self, samples: Any) -> Mapping[str, Tensor] | None:
        """Buffers of the model that are fitted to the training ``samples`` (``Samples`` of ``samples/dataset.py``) before the
        first step, by their names in the model: vocabularies, anchors. They are shipped inside the weights."""
        return None

    def useful(self, samples: Any, stage: Stage) -> np.ndarray | None:
        """Which of the training ``samples`` (as for ``fit``) teach ``stage`` something, bool [N]: a stage that draws single samples draws
        from those alone. None: all of them."""
        return None

    def from_base(self, points: np.ndarray) -> np.ndarray:
        """``points`` [..., 2] in ``base_link``, metres, in the frame of the network's waypoints."""
        return points

    def begin_stage(self, stage: Stage) -> None:
        """Stage ``stage`` of the run begins; called also where a run is resumed in it. Its ``method`` is the one that is used in it, the
        run's own included."""

    def begin_step(self, reset: np.ndarray) -> None:
        """A step begins; ``reset`` bool [B] says which slots begin another recording."""

    def end_step(self, outputs: Mapping[str, Tensor]) -> None:
        """The forward pass of the step is done."""

    def memory(self) -> Any:
        """The state of all slots, for a checkpoint: tensors, arrays of numpy and plain values; arrays come back as arrays."""
        return None

    def restore_memory(self, memory: Any) -> None:
        """Restore what ``memory`` gave; with None every slot begins anew."""


def is_recurrent(task: SampleMaker) -> bool:
    """Whether ``task`` reads its samples in sequences, so that the state of one step belongs to the next."""
    return isinstance(task.sampling, Sequences)
