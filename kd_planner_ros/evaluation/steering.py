"""Steering from the features of encoders, cross-tested over folds of time: the paper's Table IV with the trivial predictors beside."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP, find_sources
from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.evaluation.run_folder import lock_settings
from kd_planner_ros.evaluation.seen_maps import mark, marks, recorded_parts, sentence
from kd_planner_ros.evaluation.steering_folds import Fold, folds, time_blocks
from kd_planner_ros.networks.unified_encoder.config import READINGS
from kd_planner_ros.networks.unified_encoder.steering import WINDOW
from kd_planner_ros.runtime.facts import cards_of

if TYPE_CHECKING:
    from torch import nn

    from kd_planner_ros.evaluation.steering_probe import Windows
    from kd_planner_ros.samples.dataset import Samples

NETWORK, DRIVER = "unified_encoder", "unified_driver"
RANDOM, TUNED = "random", "fine-tuned"
MEAN, LAST = "mean of the training part", "true steering one picture before"
SHARED = ("size", "input_height", "input_width", "camera_width", "camera_height", "camera_fov_deg", "camera_id")
"""Facts of the config in which the encoders must agree: they see the same pictures."""


@dataclass(frozen=True)
class SteeringConfig:
    """What to compare. Each field is an option of ``kd-planner evaluate steering``."""

    bag: Path = field(metadata={"help": "a rosbag2 folder with the driver's control, or a folder of them"})
    out: Path = field(metadata={"help": "folder for steering.json, steering.md and one file a fold; the same command goes on there"})
    models: tuple[str, ...] = field(metadata={
        "help": "unified encoders: folders of models/ or paths to them. Each one's encoder stays frozen; the first one is fine-tuned too"})
    folds: int = field(default=10, metadata={"help": "parts that are tested in turn", "low": 2, "high": 100})
    block_s: float = field(default=60.0, metadata={"help": "length of the blocks of time that folds are made of, seconds", "above": 3.0})
    random: bool = field(default=True, metadata={"help": "compare with an encoder of the first model's shape with random weights"})
    tuned_folds: int = field(default=3, metadata={"help": "so many of the folds fine-tune the first model's encoder; 0: none", "low": 0})
    reading: str = field(default="probe", metadata={"help": "steering head: probe or pooling", "choices": READINGS})
    width: int = field(default=256, metadata={"help": "width of the probe's tokens, a multiple of 4", "low": 4, "high": 4096})
    rounds: int = field(default=20, metadata={"help": "most rounds of a training; the table says how many folds stopped before", "low": 1})
    steps: int = field(default=0, metadata={"help": "steps of a round; 0: one pass over every --stride-th sample", "low": 0})
    patience: int = field(default=4, metadata={"help": "rounds without a better error on held training blocks that end it", "low": 1})
    batch: int = field(default=32, metadata={"help": "windows of a step", "low": 1})
    stride: int = field(default=4, metadata={"help": "a round reads every so many-th window", "low": 1})
    lr: float = field(default=1e-4, metadata={"help": "learning rate of the head", "above": 0.0})
    encoder_lr: float = field(default=1e-5, metadata={"help": "learning rate of a fine-tuned encoder", "above": 0.0})
    precision: str = field(default="auto", metadata={
        "help": "of a fine-tuned encoder; auto: bf16 where the processor has it natively, else fp32", "choices": ("auto", "fp32", "bf16")})
    seed: int = field(default=0, metadata={"help": "seed of heads, order and random encoder", "low": 0})
    cache: Path = field(default=Path("recordings/cache"), metadata={"help": "where features and pictures of recordings are kept"})
    device: str = field(default="cpu", metadata={"help": "where the networks run: cpu, cuda, cuda:1 ..."})
    models_dir: Path | None = field(default=None, metadata={"help": "folder of models (default: the shipped ones)"})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})


def run(config: SteeringConfig, progress: bool = True) -> dict[str, Any]:
    """Train and test a head for every encoder and fold that OUT lacks, and give the table's figures.

    ``encoders`` holds by name the ``train_mse`` and ``test_mse`` of each fold, unweighted, in square degrees of the front wheels,
    with mean and sample deviation; ``baselines`` those of the trivial predictors; ``pairs`` the differences of test errors of
    two encoders over the folds that both have. ``left_out`` counts samples without a whole window. ``trained_on`` names by encoder
    those of the recordings' maps that it was trained on (``seen_maps.trained_on``); the fine-tuned one is the first encoder.

    Raises:
        BagError: no recording, one that lacks the camera or the control, or too little for the folds.
        CardError: a model that is no unified encoder, or encoders that see different pictures.
        ConfigError: an option out of range, or OUT holds another comparison.
    """
    import torch

    from kd_planner_ros.runtime.engines import require_engine

    check_fields(config)
    require_engine("torch", config.device)
    _require_fit(config)
    models = _models(config)
    sources = find_sources([config.bag], config.role_name, config.camera)
    torch.manual_seed(config.seed)
    cells, facts = _Cells(config, models, sources, progress), dict[str, Any]()
    lock_settings(config.out / "settings.json", cells.settings, "comparison of steering")
    for name in models:
        facts = cells.measure(name, range(config.folds))
    facts = cells.measure(TUNED, range(min(config.tuned_folds, config.folds))) or facts
    found = {**facts, **_summary(cells.found), "seed": config.seed, "unit": "square degrees of the front wheels",
             "trained_on": _trained_on(config, sources)}
    write_text(config.out / "steering.json", json.dumps(found, indent=1))
    write_text(config.out / "steering.md", "\n".join(table(found)) + "\n")
    return found


def _require_fit(config: SteeringConfig) -> None:
    if not config.models:
        raise ConfigError("--models with at least one unified encoder", "none", "name one; 'kd-planner models list' shows them")
    if config.width % 4:
        raise ConfigError("--width a multiple of 4", str(config.width), "correct --width")
    if wrong := [name for name in map(_title, config.models) if name in (RANDOM, TUNED)]:
        raise ConfigError(f"models of other names than {RANDOM} and {TUNED}, which are rows of the table", wrong[0], "rename its folder")


def _trained_on(config: SteeringConfig, sources: Sequence[Any]) -> dict[str, list[str]]:
    cards = cards_of({_title(name): name for name in config.models}, str(config.models_dir or ""))
    found = marks(cards, recorded_parts(sources, str(config.bag)))
    first = found.get(_title(config.models[0]))
    return {**found, TUNED: first} if first and config.tuned_folds else found


def _title(name: str) -> str:
    return Path(name).name


def _models(config: SteeringConfig) -> dict[str, tuple[nn.Module, Any]]:
    """(unified encoder, its config) by the name of its row."""
    import torch

    from kd_planner_ros.networks.registry import find_network
    from kd_planner_ros.runtime.find import find_model
    from kd_planner_ros.runtime.store import load_model

    found: dict[str, tuple[nn.Module, Any]] = {}
    for name in config.models:
        model, own, card = load_model(find_model(name, config.models_dir))
        if card.network != NETWORK:
            raise CardError(f"a model of network {NETWORK}", f"'{name}', a {card.network}", "name unified encoders")
        first = next(iter(found.values()))[1] if found else own
        if differ := [one for one in SHARED if getattr(own, one) != getattr(first, one)]:
            raise CardError(f"'{differ[0]}' {getattr(first, differ[0])!r} of every encoder", f"{getattr(own, differ[0])!r} of '{name}'",
                            "compare encoders of one size, input and camera")
        found[_title(name)] = model, own
    if config.random:
        _, own = next(iter(found.values()))
        torch.manual_seed(config.seed)
        found[RANDOM] = find_network(NETWORK).build_model(own), own
    return found


class _Cells:
    """One file a fold of each encoder; what is there is not trained again."""

    def __init__(self, config: SteeringConfig, models: Mapping[str, tuple[nn.Module, Any]], sources: Sequence[Any], progress: bool):
        self.config, self._models, self._sources, self._progress = config, models, sources, progress
        self.found: dict[str, dict[int, dict[str, float]]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """What makes this comparison itself."""
        from kd_planner_ros.samples.shards import content_hash

        left_out = ("out", "cache", "device", "models_dir", "models", "bag", "tuned_folds")
        facts = {name: value for name, value in asdict(self.config).items() if name not in left_out}
        weights = {name: _digest(model) for name, (model, _) in self._models.items()}
        contents = sorted(content_hash(getattr(one, "path", one)) for one in self._sources)
        return json.loads(json.dumps({**facts, "weights": weights, "recordings": contents}))

    def measure(self, name: str, numbers: range) -> dict[str, Any]:
        """Train and test the folds ``numbers`` of encoder ``name``; facts of the samples, empty where there is no fold."""
        if not numbers:
            return {}
        tuned = name == TUNED
        model, own = next(iter(self._models.values())) if tuned else self._models[name]
        samples, windows = self._windows(model, own, tuned)
        blocks = time_blocks(samples, self.config.block_s, WINDOW)
        known = [one[np.isfinite(windows.degrees[one])] for one in blocks.samples]
        kept = [number for number, one in enumerate(known) if len(one)]
        parts = folds(type(blocks)([known[one] for one in kept], [blocks.names[one] for one in kept], blocks.left_out), self.config.folds)
        for number in numbers:
            path = self.config.out / "folds" / f"{name}_{number}.json"
            if not path.is_file():
                path.parent.mkdir(exist_ok=True)
                write_text(path, json.dumps(self._cell(model, own, windows, parts[number], tuned, number), indent=1))
            self.found.setdefault(name, {})[number] = _read_cell(path)
            if self._progress:
                print(f"{name}, fold {number + 1}: {self.found[name][number]['test_mse']:.3f}", file=sys.stderr)
        for baseline in (MEAN, LAST):
            self.found.setdefault(baseline, {number: _trivial(baseline, windows.degrees, part) for number, part in enumerate(parts)})
        unknown = sum(map(len, blocks.samples)) - sum(map(len, known))
        return {"samples": len(samples), "blocks": len(kept), "left_out": {
            "second copy of a recording": blocks.repeated, "window not whole": blocks.left_out, "steering unknown": unknown}}

    def _windows(self, model: nn.Module, own: Any, tuned: bool) -> tuple[Samples, Windows]:
        """The recordings' samples: features of the encoder of ``model``, or pictures for one that is ``tuned``."""
        from torch import nn

        from kd_planner_ros.evaluation.steering_probe import PictureTask, Windows, array_of
        from kd_planner_ros.networks.registry import find_network
        from kd_planner_ros.networks.unified_driver.training import UnifiedDriverTask
        from kd_planner_ros.samples.arrays import allow_open_files
        from kd_planner_ros.samples.dataset import Samples
        from kd_planner_ros.samples.report import lines
        from kd_planner_ros.samples.shards import build_shards

        allow_open_files()
        driver = find_network(DRIVER).config({**asdict(own), "route": False})
        task = (PictureTask if tuned else UnifiedDriverTask)(find_network(DRIVER).build_processor(driver))
        task.modules(nn.ModuleDict({"perception": model.to(self.config.device)}))
        shards = build_shards(self._sources, self.config.cache, task, self._progress, driver.rig)
        if self._progress and not self.found:
            print("\n".join(lines(shards)), file=sys.stderr)
        samples = Samples(shards)
        return samples, Windows(samples, array_of(task), driver.full_lock_deg, self.config.device)

    def _cell(self, model: nn.Module, own: Any, windows: Windows, part: Fold, tuned: bool, number: int) -> dict[str, float]:
        import torch

        from kd_planner_ros.evaluation.steering_probe import Probe, Settings, fit, square_error
        from kd_planner_ros.networks.unified_encoder.model import feature_shapes

        config = self.config
        settings = Settings(config.lr, config.encoder_lr, config.batch, config.rounds, config.steps, config.stride, config.patience,
                            config.seed)
        torch.manual_seed(config.seed * 1000 + number)  # every encoder's head begins alike
        encoder = copy.deepcopy(model.get_submodule("encoder")) if tuned else None
        probe = Probe(feature_shapes(own)[-1], config.reading, config.width, encoder, config.precision).to(config.device)
        fitted = fit(probe, windows, part.train, part.stop, settings)
        errors = {f"{one}_mse": square_error(probe, windows, index, config.batch)
                  for one, index in (("train", part.train[::config.stride]), ("test", part.test))}
        return {**errors, **asdict(fitted), "train_samples": len(part.train), "test_samples": len(part.test)}


def _read_cell(path: Path) -> dict[str, float]:
    """The figures of a fold that was measured.

    Raises:
        ConfigError: the file is broken.
    """
    with reading(ConfigError, f"the figures of a fold in {path}", "delete the file; the same command measures the fold again"):
        found = json.loads(path.read_text())
        if not all(math.isfinite(found[name]) for name in ("train_mse", "test_mse")):
            raise ValueError("an error that is no number")
    return found


def _digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _trivial(name: str, degrees: np.ndarray, part: Fold) -> dict[str, float]:
    """Errors of a predictor without pictures over a fold."""
    found = {}
    for one, index in (("train", part.train), ("test", part.test)):
        guess = degrees[index - 1] if name == LAST else degrees[part.train].mean()
        found[f"{one}_mse"] = float(np.nanmean(np.square(guess - degrees[index])))
    return found


def _summary(found: Mapping[str, Mapping[int, Mapping[str, float]]]) -> dict[str, Any]:
    """Rows of encoders and baselines, and pairs of encoders over the folds that both have."""
    encoders = [name for name in found if name not in (MEAN, LAST)]
    rows = {name: {"folds": [{"fold": number, **cell} for number, cell in cells.items()],
                   **{kind: _spread([cell[kind] for cell in cells.values()]) for kind in ("train_mse", "test_mse")}}
            for name, cells in found.items()}
    pairs = []
    for place, one in enumerate(encoders):
        for other in encoders[place + 1:]:
            both = sorted(set(found[one]) & set(found[other]))
            differences = [found[other][number]["test_mse"] - found[one][number]["test_mse"] for number in both]
            pairs.append({"first": one, "second": other, "folds": len(both), **_spread(differences),
                          "first_better": sum(gap > 0.0 for gap in differences)})
    return {"encoders": {name: rows[name] for name in encoders}, "baselines": {name: rows[name] for name in (MEAN, LAST)}, "pairs": pairs}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def table(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines of Markdown: one row an encoder and a baseline, then one row a pair of encoders, then a sentence of each encoder
    that was trained on a map of the recordings. Of a fold that did not stop early the error might fall further with more --rounds."""
    seen = result["trained_on"]
    lines = [f"Steering error in {result['unit']}: mean and sample deviation over folds.", "",
             "| encoder | folds | stopped early | train | test |", "|---|---|---|---|---|"]
    for name, row in (*result["encoders"].items(), *result["baselines"].items()):
        train, test = (f"{row[kind]['mean']:.3f} ± {row[kind]['std']:.3f}" for kind in ("train_mse", "test_mse"))
        stopped = str(sum(cell["stopped"] for cell in row["folds"])) if all("stopped" in cell for cell in row["folds"]) else "-"
        lines.append(f"| {mark(name, seen)} | {len(row['folds'])} | {stopped} | {train} | {test} |")
    lines += ["", "| pair | folds | test error of the second less the first | first one better in |", "|---|---|---|---|"]
    return lines + [f"| {pair['first']}, {pair['second']} | {pair['folds']} | {pair['mean']:.3f} ± {pair['std']:.3f} | "
                    f"{pair['first_better']} |" for pair in result["pairs"]] + [
        line for name, towns in seen.items() if name != TUNED for line in ("", sentence(name, towns))]
