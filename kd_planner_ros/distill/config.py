"""The settings of a training run, each with its help text: the command line, the trainer node and recipes are made from them.

``TrainConfig`` holds the trainer's own settings. Options of the network and of the distillation method stand in ``sections`` under
their names: ``{"tcp": {"input_height": 64}, "plankd": {"rank_loss": "paper"}}``.
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields, option_of, require_types
from kd_planner_ros.distill.methods.registry import IMITATION, find_method
from kd_planner_ros.distill.names import require_name, require_section
from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.networks.training import Stage

RESUMABLE = ("epochs", "max_minutes", "checkpoint_minutes", "validate_minutes", "validate_samples", "threads", "models_dir", "runs_dir",
             "cache", "device", "compile", "fresh", "progress", "allow_leak", "bags")
"""Fields that may differ when a run is resumed; all others belong to the recipe."""

EVALUATION_MAPS = ("Town05", "generated:201", "generated:202")
"""Maps that no model, teacher or start may be trained on."""
STARTS = ("init", "warm_start", "backbone_weights")
"""Fields that hold a model's folder or file; cards have its name alone, for a card holds no paths of a machine."""


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, for how long, and where to put it."""

    bags: tuple[Path, ...] = field(metadata={"help": "recordings, or folders with recordings in any depth; or one YAML file that names "
                                              "a data set of pictures (docs/guides/train_a_student.md)"})
    name: str = _field("", "name of the model; its weights and card go to <models-dir>/<name>/ (default: <network>_student)")
    network: str = _field("tcp", "network to train: a folder of networks/ with a training.py, or a network of another Python package")
    size: str = _field("3.1m", "size of the network, as 'kd-planner models params' lists them")
    epochs: float = _field(30.0, "length of the run in passes over the balanced samples; the schedule ends there", above=0.0)
    max_minutes: float = _field(0.0, "end the schedule after this many minutes of training if that comes first; 0: never", low=0.0)
    batch: int = _field(24, "samples a step, over all processes", low=1)
    lr: float = _field(1e-4, "peak learning rate", above=0.0)
    schedule: str = _field("onecycle", "onecycle: up to lr in the first 5 %%, then cosine to lr/100; cosine: without the "
                           "rise; hold: up to lr in the first 1 %%, cosine to lr/100 in the last quarter, so that a run can be "
                           "made longer until then; constant", choices=("onecycle", "cosine", "hold", "constant"))
    optimiser: str = _field("network", "network: the network's own",
                            choices=("network", "adam", "adamw"))
    backbone_rate: float = _field(-1.0, "learning rate of the camera backbone as a share of the others'; negative: the network's")
    weight_decay: float = _field(-1.0, "weight decay; negative: the network's")
    clip: float = _field(10.0, "largest norm of the gradient; 0: no limit", low=0.0)
    ema: float = _field(0.0, "decay of the exponential moving average (EMA) of the weights, which is validated and shipped; 0: none",
                        low=0.0, below=1.0)
    init: Path | None = _field(None, "model to start from, by name (of --models-dir, else a shipped one) or folder; its weights must fit "
                               "the network (default: fresh weights)")
    warm_start: Path | None = _field(None, "model of another size to start from, named as for --init: tensors of equal name and shape "
                                     "are copied, additional residual blocks start as the identity, other weights are fresh; from a model "
                                     "of another network only the camera backbone is copied")
    backbone_weights: Path | None = _field(None, "local file with ImageNet weights of the camera backbone, .safetensors or .pth "
                                           "with torchvision's names (timm's for ResNet-D); for v2x_vlm the folder of a Florence-2 "
                                           "checkpoint; nothing is fetched")
    speed_dropout: float = _field(0.0, "share of samples whose speed input is set to zero; helps students that stay standing because "
                                  "a speed of zero predicts a speed of zero", low=0.0, below=1.0)
    target_stretch: float = _field(0.0, "share of samples with a target point nearer than 8 m whose target point is moved out to 8 to "
                                   "30 m; helps students that mistake a near target point for a red light", low=0.0, high=1.0)
    start_weight: float = _field(2.0, "how often an epoch contains each frame in which the standing car is about to move", low=0.0)
    hazard_weight: float = _field(1.0, "how often an epoch contains each frame in which the moving car must brake or a walker is "
                                  "in its way", low=0.0)
    method: str = _field("imitation", "distillation method: imitation (of the expert, without a teacher), plankd, at, reviewkd, dpk, "
                         "feature_imitation, instance_imitation, logits, scene_motion, or a method of another Python package")
    teacher: str = _field("", "the teacher by name (of --models-dir, else a shipped one) or folder; several are separated by commas; "
                          "every method but imitation needs one")
    teacher_cache: bool = _field(True, "keep the teacher's outputs on disk: the teacher then sees the clean picture instead of the "
                                 "student's augmented one, and costs no time after the first run")
    augment: bool = _field(True, "augmentation of the pictures")
    seed: int = _field(2020, "seed of weights, order, augmentation and dropout", low=0, high=2**31 - 1)
    validation_share: float = _field(0.1, "share of routes held out for validation", low=0.0, below=1.0)
    train_share: float = _field(1.0, "share of the remaining routes to train on, for experiments with little data", above=0.0, high=1.0)
    device: str = _field("auto", "auto, cpu, cuda or cuda:N")
    precision: str = _field("auto", "auto: bf16 where the processor has it natively, else fp32",
                            choices=("auto", "fp32", "bf16"))
    compile: bool = _field(False, "compile the network with torch.compile")
    threads: int = _field(0, "CPU threads for training; 0: one for each core", low=0)
    checkpoint_minutes: float = _field(5.0, "minutes between checkpoints", low=0.0)
    validate_minutes: float = _field(10.0, "minutes between validations, besides the one at the end of each epoch; 0: none", low=0.0)
    models_dir: Path | None = _field(None, "where models live (default: the installed models folder)")
    runs_dir: Path = _field(Path("runs/train"), "where checkpoints and logs go, in a folder named after the model")
    cache: Path = _field(Path("recordings/cache"), "where the samples made from recordings are kept")
    fresh: bool = _field(False, "start anew and overwrite an existing checkpoint")
    role_name: str = _field("", ROLE_HELP)
    camera: tuple[str, ...] = _field((), CAMERA_HELP, metavar="NAME=RECORDED")
    allow_leak: bool = _field(False, f"allow recordings of the evaluation maps: {', '.join(EVALUATION_MAPS)}")
    progress: bool = _field(True, "show progress")

    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, metadata={"cli": False})
    """Options of the network and of the method, by their names."""
    validate_samples: int = _field(0, "at most this many held-out samples in a validation, evenly spaced over the held-out routes; 0: "
                                   "all. A recurrent network reads all of them", low=0, cli=False)
    """For recipes alone: the command line has enough options."""
    stages: tuple[Mapping[str, Any], ...] = field(default=(), metadata={"cli": False})
    """Stages instead of the network's own: fields of ``Stage`` each."""
    start_without: tuple[str, ...] = field(default=(), metadata={"cli": False})
    """Modules of the network that begin anew though the start has them: their weights by the seed, and what is fitted to samples."""

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "name", self.name or f"{self.network}_student")
        require_name(self.name)
        require_section(self.network, "network", OWN_OPTIONS)
        for method in (self.method, *self._stage_methods()):
            require_section(method, "method", OWN_OPTIONS)
        starts = [name for name in STARTS if getattr(self, name)]
        if len(starts) > 1:
            raise ConfigError("at most one of the options that choose the start weights",
                              ", ".join("--" + name.replace("_", "-") for name in starts), "keep one of them")
        if unused := sorted(set(self.sections) - {self.network, self.method, *self._stage_methods()}):
            raise ConfigError(f"options of network '{self.network}' and method '{self.method}'", ", ".join(
                f"--{section}.{name.replace('_', '-')}" for section in unused for name in self.sections[section]) or unused[0],
                "leave them out, or choose the network or method that they belong to")
        for section, kind in self.option_types().items():
            check_fields(options_of(kind, self.sections.get(section, {}), section), section)
        stages_of(self)
        if self.method != IMITATION and not self.teacher and (wanted := find_method(self.method).accepts(self.network, ())):
            raise ConfigError(f"--teacher with --method {self.method}: {wanted}", "none", "give the name of a model, or its folder")

    def _stage_methods(self) -> list[str]:
        if not self.stages:
            return [stage.method for stage in find_training(self.network).stages if stage.method]
        return [one["method"] for one in self.stages if isinstance(one, Mapping) and isinstance(one.get("method") or None, str)]

    def option_types(self) -> dict[str, type]:
        """The dataclass of each section that this run reads: the network's, the method's, those of its stages' methods."""
        return {self.network: find_training(self.network).options,
                **{name: find_method(name).options for name in (self.method, *self._stage_methods())}}

    def options(self, section: str) -> Any:
        """The options of the network or method ``section``, settled."""
        return options_of(self.option_types()[section], self.sections.get(section, {}), section)

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers' names or folders."""
        return tuple(part.strip() for part in self.teacher.split(",") if part.strip())

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that shapes the weights, as JSON values; the card holds it. Sections are nested."""
        recipe = {k: v for k, v in asdict(self).items() if k not in (*RESUMABLE, "name", "sections", "stages")}
        recipe = {name: value for name, value in recipe.items() if value or name not in ("role_name", "camera", "start_without")}
        recipe |= {name: Path(recipe[name] or "").name or self.__dataclass_fields__[name].default for name in STARTS}
        recipe["teacher"] = ",".join(Path(one).name for one in self.teachers)
        if {self.method, *self._stage_methods()} == {IMITATION}:
            recipe = {k: v for k, v in recipe.items() if k not in ("method", "teacher", "teacher_cache")}
        if self.weight_decay < 0.0:
            recipe["weight_decay"] = find_training(self.network).optimiser.weight_decay
        for section in self.option_types():
            options = self.options(section)
            shaping = {one.name: getattr(options, one.name) for one in fields(options) if not one.metadata.get("site")}
            recipe |= {section: shaping} if shaping else {}
        return recipe | ({"stages": [dict(one) for one in self.stages]} if self.stages else {})

    @property
    def length(self) -> dict[str, float]:
        """The planned length of the run. It is no part of ``recipe``, because a resumed run may be longer."""
        return {"epochs": self.epochs, "max_minutes": self.max_minutes}

    @property
    def command(self) -> str:
        """The command line with the options that differ from their defaults, without this machine's folders."""
        words = ["kd-planner train --bags ..."] + (["--recipe ..."] if self.stages or self.start_without else [])
        for known in fields(self):
            value = getattr(self, known.name)
            if value == known.default or known.name in ("bags", "sections", "stages", "start_without") or (
                    known.name in RESUMABLE and known.name not in ("epochs", "max_minutes")):
                continue
            value = Path(value).name if known.name in STARTS and value else value
            words.append(_words(known, self.recipe.get("teacher", value) if known.name == "teacher" else value))
        for section in self.option_types():
            options = self.options(section)
            words += [_words(one, getattr(options, one.name), section) for one in fields(options)
                      if getattr(options, one.name) != one.default and not one.metadata.get("site")]
        return " ".join(words)


OWN_OPTIONS = tuple(one.name for one in fields(TrainConfig))
"""Names of the trainer's own options; no section of options can be called so."""


def _words(known: dataclasses.Field, value: Any, section: str = "") -> str:
    option = option_of(known, section)
    if isinstance(value, bool):
        return option if value else no_option(option)
    return f"{option} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def no_option(option: str) -> str:
    """The option that switches a flag off: ``--no-x``, ``--plankd.no-x``."""
    section, dot, name = option[2:].rpartition(".")
    return f"--{section}{dot}no-{name}"


def options_of(kind: type, given: Mapping[str, Any], section: str) -> Any:
    """``kind``, the options of ``section``, with the values ``given``.

    Raises:
        ConfigError: an unknown name, or a value that the options refuse.
    """
    known = {one.name for one in fields(kind)}
    if unknown := sorted(set(given) - known):
        raise ConfigError(f"options of '{section}' out of {', '.join(sorted(known)) or 'none'}", ", ".join(unknown), "correct the name")
    return kind(**given)


def stages_of(config: TrainConfig) -> tuple[Stage, ...]:
    """The stages of the run that ``config`` describes: its own, else the network's.

    Raises:
        ConfigError: an unknown or unfit field, two stages of one name, or shares that do not sum to 1.
    """
    stages = tuple(_stages(config.stages)) or find_training(config.network).stages_of(config.options(config.network))
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise ConfigError("stages of different names", ", ".join(names), "rename one")
    if abs(sum(stage.share for stage in stages) - 1.0) > 1e-6:
        raise ConfigError("shares of all stages that sum to 1", f"{sum(stage.share for stage in stages):g} ({', '.join(names)})",
                          "correct 'share'")
    return stages


def _stages(given: tuple[Mapping[str, Any], ...]) -> Iterator[Stage]:
    known = {one.name for one in fields(Stage)}
    for one in given:
        if not isinstance(one, Mapping) or not set(one) <= known:
            raise ConfigError(f"a stage with fields out of {', '.join(sorted(known))}",
                              ", ".join(sorted(set(one) - known)) if isinstance(one, Mapping) else repr(one), "correct 'stages'")
        try:
            values = {**one, **_stage_values(one)}
            require_types(Stage, values, f"stage {reprlib.repr(one.get('name', ''))}")
            yield Stage(**values)
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(f"values that fit stage '{one.get('name', '')}'", str(error), "correct 'stages'") from None


def _stage_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a stage that are lists and mappings in YAML; a single prefix may stand for a list of one."""
    found: dict[str, Any] = {}
    for name in ("trained", "frozen_eval", "untrained"):
        value = given.get(name, ())
        if not isinstance(value, str) and not (isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)):
            raise TypeError(f"a list of names of modules for '{name}', got {value!r}")
        found |= {name: (value,) if isinstance(value, str) else tuple(value)} if name in given else {}
    if given.get("losses") is not None:
        found["losses"] = {part: float(weight) for part, weight in given["losses"].items()}
    found["ramps"] = {part: (float(first), float(last)) for part, (first, last) in (given.get("ramps") or {}).items()}
    if not isinstance(given.get("method") or "", str):
        raise TypeError(f"the name of a method, got {given['method']!r}")
    return found


@dataclass(frozen=True)
class TrainReport:
    """The outcome of a run. ``validation`` holds the loss, its parts, the figures of the network's task (TCP: l2_m, l2_2s_m,
    steer_mae, acceleration_mae; InterFuser: path_m, map_recall, map_false, junction_right ...) and samples."""

    model: str
    steps: int
    epochs: float
    samples_read: int
    minutes: float
    samples_per_s: float
    train_samples: int
    validation_samples: int
    best_step: int
    finished: bool
    validation: dict[str, float]


def plain(recipe: dict[str, Any]) -> dict[str, Any]:
    """``recipe`` as it comes back from a card's JSON."""
    return json.loads(json.dumps(recipe, default=str))
