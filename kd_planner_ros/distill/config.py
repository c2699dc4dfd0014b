"""The settings of a training run, each with its help text: the command line is made from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.networks.training import find_lessons

RESUMABLE = ("epochs", "max_minutes", "checkpoint_minutes", "validate_minutes", "threads", "models_dir", "runs_dir",
             "cache", "device", "compile", "fresh", "progress", "allow_leak", "bags", "workers", "maps_dir")
"""Fields that may differ when a run is resumed; all others belong to the recipe."""

EVALUATION_MAPS = ("Town05",)
"""Never trained on, nor are teachers and starts."""
MODELS_NAMED = ("init", "warm_start", "backbone_weights", "teacher")
"""Fields that hold a model's folder or file; cards have its name alone, for a card holds no paths of a machine."""

METHODS = ("imitation", "plankd", "at", "reviewkd", "dpk")
LATER_FIELDS = ("front_px", "optimiser", "backbone_rate", "warm_start", "backbone_weights", "train_share", "head_start", "target_stretch",
                "waypoint_scale", "bev_px_per_m", "obstacle_mps")
"""Fields that a recipe names only where they are not the default: checkpoints from before they existed go on."""
PLANKD_FIELDS = ("use_entropy", "safe_attention", "use_bottleneck", "weighting", "feature_weight", "ranking_weight",
                 "entropy_weight", "attention_pull", "teacher_waypoints", "rank_loss", "latent_noise", "freeze_bottleneck", "bev_detail",
                 "head_start", "waypoint_scale", "bev_px_per_m", "obstacle_mps")
"""Fields that only method plankd reads."""


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, for how long, and where to put it."""

    bags: tuple[Path, ...] = field(metadata={"help": "recordings, or folders with recordings in any depth"})
    name: str = _field("tcp_student", "name of the model; its weights and card go to <models-dir>/<name>/")
    network: str = _field("tcp", "which network to train: a folder of networks/ that has a loss.py")
    size: str = _field("3.1m", "size of the network, as 'kd-planner models params' lists them")
    input_height: int = _field(256, "height of the network's input in pixels (tcp)")
    input_width: int = _field(900, "width of the network's input in pixels (tcp)")
    front_px: int = _field(224, "side of the square front view in pixels (interfuser); the other views and the LiDAR histogram "
                           "follow: 128 needs a third of the time")
    epochs: float = _field(30.0, "length of the run in passes over the balanced samples; the schedule ends there", above=0.0)
    max_minutes: float = _field(0.0, "end the schedule after this many minutes of training if that comes first; 0: never", low=0.0)
    batch: int = _field(24, "samples a step, over all processes", low=1)
    lr: float = _field(1e-4, "peak learning rate; TCP's, 1.6e-4 at a batch of 16 is InterFuser's", above=0.0)
    schedule: str = _field("onecycle", "onecycle: up to lr in the first 5 %%, then cosine to lr/100; cosine: without the "
                           "rise; constant", choices=("onecycle", "cosine", "constant"))
    optimiser: str = _field("network", "network: TCP's is adam, InterFuser's adamw with a slower camera backbone",
                            choices=("network", "adam", "adamw"))
    backbone_rate: float = _field(-1.0, "learning rate of the camera backbone as a share of the others'; negative: the network's "
                                  "(InterFuser 0.4)")
    weight_decay: float = _field(-1.0, "weight decay; negative: the network's (TCP 1e-7, InterFuser 0.05)")
    clip: float = _field(10.0, "largest norm of the gradient; 0: no limit", low=0.0)
    ema: float = _field(0.0, "decay of the running mean of weights that is validated and shipped, e.g. 0.999; 0: none", low=0.0, below=1.0)
    init: Path | None = _field(None, "model to start from, by name or folder: its weights must fit the network; none: fresh weights")
    warm_start: Path | None = _field(None, "model of another size to start from, by name or folder: tensors of the same name and shape are "
                                     "taken over, residual blocks that it lacks begin as the identity, the rest is fresh; of "
                                     "another network the camera backbone alone")
    backbone_weights: Path | None = _field(None, "local file with ImageNet weights of the camera backbone, .safetensors or .pth "
                                           "with torchvision's names (timm's for ResNet-D); nothing is fetched")
    speed_dropout: float = _field(0.0, "share of samples whose speed input is hidden (zero): a student that reads 'standing' "
                                  "as 'keep standing' never starts again", low=0.0, below=1.0)
    target_stretch: float = _field(0.0, "share of samples with a target point nearer than 8 m whose target point is moved out to 8 to 30 m: "
                                   "a student that reads 'near' as 'red light' never starts again", low=0.0, high=1.0)
    start_weight: float = _field(2.0, "how often a frame in which the car stands but is about to move is drawn in one epoch", low=0.0)
    hazard_weight: float = _field(1.0, "how often a frame in which the moving car must brake or a walker is in its way is drawn "
                                  "in one epoch", low=0.0)
    states_weight: float = _field(0.0, "weight of the auxiliary loss that names the planning states (light, junction, "
                                  "vehicle, ...) with a head that is not shipped; 0: none", low=0.0)
    semantic_weight: float = _field(0.0, "weight of the auxiliary loss that draws a coarse semantic grid with a head that is "
                                    "not shipped; needs recordings with --labels semantic; 0: none", low=0.0)
    method: str = _field("imitation", "how to train: imitation of the expert alone, or with a teacher: plankd, at, reviewkd, dpk",
                         choices=METHODS)
    teacher: str = _field("", "teacher's name in <models-dir>, or its folder; needed by every method but imitation")
    teacher_cache: bool = _field(True, "keep the teacher's answers on disk: it then sees the clean picture, not the augmented one "
                                 "that the student sees, and costs no time after the first run")
    use_entropy: bool = _field(True, "plankd: the entropy loss on the waypoint attention", flag="entropy")
    safe_attention: bool = _field(True, "plankd: weight waypoints by the safety-aware attention; without it as the network's own "
                                  "loss does")
    use_bottleneck: bool = _field(True, "plankd: compare features behind the information bottleneck; without it the whole map",
                                  flag="bottleneck")
    weighting: str = _field("attention", "plankd: weights of the waypoints; decay and equal look at nothing",
                            choices=("attention", "decay", "equal"))
    feature_weight: float = _field(-1.0, "plankd: alpha_z; negative: the paper's for the network (TCP 0.5, InterFuser 0.1)")
    ranking_weight: float = _field(-1.0, "plankd: alpha_r; negative: the paper's (0.1)")
    entropy_weight: float = _field(-1.0, "plankd: alpha_e; negative: the paper's (TCP 0.05, InterFuser 0.005)")
    attention_pull: float = _field(-1.0, "plankd: share of the waypoint loss's gradient that reaches the attention; 1: as the "
                                   "repository; negative: its balance with the ranking kept (TCP 0.02, InterFuser 1)")
    teacher_waypoints: float = _field(0.0, "plankd: weight of imitating the teacher's waypoints too (equation 9's L_w; the paper "
                                      "leaves it out)", low=0.0)
    rank_loss: str = _field("margin", "plankd: margin: as the repository (margin 0.1, mean over pairs); paper: equation 7",
                            choices=("margin", "paper"))
    waypoint_scale: str = _field("auto", "plankd: the weighted waypoint loss is a sum, or the mean over waypoints as in the repository; "
                                 "auto: sum for TCP, mean for InterFuser", choices=("auto", "sum", "mean"))
    latent_noise: str = _field("shared", "plankd: noise of teacher's and student's latent; independent: as the repository; none: "
                               "compare the means", choices=("shared", "independent", "none"))
    freeze_bottleneck: bool = _field(True, "plankd: the feature loss trains the student only; without it the bottleneck's encoder "
                                     "too, as the repository")
    bev_detail: str = _field("auto", "plankd: detail of the bird's-eye encoder: full is the paper's, half takes a third of its "
                             "time, eighth a fortieth; auto: the finest that costs at most 22 %% of the student",
                             choices=("auto", "full", "half", "quarter", "sixth", "eighth"))
    bev_px_per_m: float = _field(5.0, "plankd: pixels a metre of the bird's-eye scene; the repository's 4 do not fit its coordinates",
                                 low=1.0, high=20.0)
    obstacle_mps: float = _field(0.0, "plankd: road users slower than this are no obstacles of the safety kernel; the paper's are the "
                                 "moving ones (0.1)", low=0.0, high=50.0)
    head_start: int = _field(0, "plankd: steps in which the bottleneck learns from the teacher alone before the student's first, for "
                             "runs too short for it to learn beside the student", low=0)
    maps_dir: Path | None = _field(None, "plankd: where to look for road networks that recordings only name")
    augment: bool = _field(True, "photometric augmentation")
    seed: int = _field(2020, "seed of weights, order, augmentation and dropout", low=0, high=2**31 - 1)
    validation_share: float = _field(0.1, "share of routes held out for validation", low=0.0, below=1.0)
    train_share: float = _field(1.0, "share of the other routes that is trained on, for experiments with little data", above=0.0, high=1.0)
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
    fresh: bool = _field(False, "start anew although there is a checkpoint (it is overwritten)")
    allow_leak: bool = _field(False, "allow recordings of Town05, the evaluation map")
    progress: bool = _field(True, "show progress")

    def __post_init__(self):
        check_fields(self)
        if not self.name or Path(self.name).name != self.name:
            raise ConfigError("--name with the name of a folder", repr(self.name), "give a name without slashes")
        starts = [name for name in ("init", "warm_start", "backbone_weights") if getattr(self, name)]
        if len(starts) > 1:
            raise ConfigError("one start at most", ", ".join("--" + name.replace("_", "-") for name in starts), "leave one")
        if self.head_start and (self.method != "plankd" or not self.use_bottleneck):
            raise ConfigError("--head-start with --method plankd and its bottleneck", f"--method {self.method}" + (
                "" if self.use_bottleneck else " --no-bottleneck"), "leave --head-start out: nothing else learns without the student")
        if self.method != "imitation" and not self.teacher:
            raise ConfigError(f"--teacher with --method {self.method}", "none", "give the name of a model, or its folder")

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that shapes the weights, as JSON values; the card holds it."""
        recipe = {k: v for k, v in asdict(self).items() if k not in (*RESUMABLE, "name")}
        unused = PLANKD_FIELDS if self.method != "plankd" else ()
        if self.method == "imitation":
            unused = ("method", "teacher", "teacher_cache", *PLANKD_FIELDS)
        recipe |= {name: Path(recipe[name] or "").name or self.__dataclass_fields__[name].default
                   for name in MODELS_NAMED if name in recipe}
        if self.weight_decay < 0.0:
            recipe["weight_decay"] = find_lessons(self.network).OPTIMISER.weight_decay
        later = [name for name in LATER_FIELDS if getattr(self, name) == self.__dataclass_fields__[name].default]
        return {k: v for k, v in recipe.items() if k not in (*unused, *later)}

    @property
    def length(self) -> dict[str, float]:
        """How long the run is to be: no part of ``recipe``, for a run may be resumed for longer."""
        return {"epochs": self.epochs, "max_minutes": self.max_minutes}

    @property
    def command(self) -> str:
        """The command line with the options that differ from their defaults, without this machine's folders."""
        words = ["kd-planner train --bags ..."]
        for known in fields(self):
            value = getattr(self, known.name)
            if value == known.default or known.name == "bags" or (
                    known.name in RESUMABLE and known.name not in ("epochs", "max_minutes")):
                continue
            name = "--" + known.metadata.get("flag", known.name).replace("_", "-")
            value = Path(value).name if known.name in MODELS_NAMED and value else value
            words.append(f"{'--no-' + name[2:] if value is False else name}" if isinstance(value, bool) else f"{name} {value}")
        return " ".join(words)


@dataclass(frozen=True)
class TrainReport:
    """What came of it. ``validation`` holds the loss, its parts, the figures of the network's lessons (TCP: l2_m, l2_2s_m,
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


def choices(name: str) -> tuple[str, ...]:
    """The values that field ``name`` of TrainConfig may have."""
    return TrainConfig.__dataclass_fields__[name].metadata["choices"]


def plain(recipe: dict[str, Any]) -> dict[str, Any]:
    """``recipe`` as it comes back from a card's JSON."""
    return json.loads(json.dumps(recipe, default=str))
