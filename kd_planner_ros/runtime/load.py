"""A planner or a perceiver by its name: the one door for node, evaluator and notebook."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from kd_planner_ros import __version__
from kd_planner_ros.core.card import CARD_VERSION, ModelCard, read_card
from kd_planner_ros.core.errors import CardError, PlannerError
from kd_planner_ros.networks.parts import NetworkPart, Part, Schedule
from kd_planner_ros.networks.planner import PERCEIVER, PLANNER, Model, Perceiver, Planner, require_model
from kd_planner_ros.networks.registry import Network, build_weightless, find_network, is_weightless
from kd_planner_ros.runtime import engines
from kd_planner_ros.runtime.facts import resolve_model
from kd_planner_ros.runtime.find import find_model
from kd_planner_ros.runtime.kept_parts import KeptParts, convert_apart, read_kept, source_hash
from kd_planner_ros.runtime.network_model import compare, warm_up
from kd_planner_ros.runtime.parts import PartsEngine
from kd_planner_ros.runtime.perceiver import NetworkPerceiver
from kd_planner_ros.runtime.planner import NetworkPlanner
from kd_planner_ros.runtime.store import load_model, read_weights


def load_model_runner(name: str, role: str | None = None, device: str = "cpu", engine: str = "auto",
                      models_dir: str | Path | None = None, keep: bool = True, threads: int = 0, spare: bool = False) -> Model:
    """The model ``name`` as a Planner or a Perceiver, checked, warmed up and ready.

    Args:
        name: a folder of ``models_dir``, a path to such a folder, a model without weights (constant_velocity), or auto: the best
            shipped model of its role.
        role: planner or perceiver where only that will do; auto means a planner where it is None.
        device: cpu, cuda or cuda:N.
        engine: auto, torch, openvino or onnxruntime.
        models_dir: where models lie; the shipped ones when None.
        keep: whether a converted graph is kept in the user's cache for the next time.
        threads: processor threads that this process computes with from now on; 0: as many as now.
        spare: whether a perceiver is converted, where that is to do and is kept, in a process of its own: this one needs less memory.

    Raises:
        PlannerError: nothing of that name, in which case the message lists what there is, or a model of another role.
        CardError: card, weights and code do not fit, or the engine's results are wrong.
        ConfigError: an engine or a device that is not there, or an engine that cannot run this network.
    """
    engines.require_engine(engine, device)
    if name == "auto":
        name = resolve_model(name, str(models_dir or ""), role or PLANNER)[0]
    if is_weightless(name):
        return require_model(build_weightless(name), role)
    folder = find_model(name, models_dir)
    facts = read_card(folder)
    network = find_network(facts.network)
    if role and network.role != role:
        raise PlannerError(f"a {role}", f"'{name}', a {network.role}", f"name a {role}")
    chosen = engines.require_engine(engine, device, network, getattr(network.config(facts.config), "torch_only", ""))
    if threads:
        torch.set_num_threads(threads)
    if network.role == PERCEIVER and network.build_parts is not None:
        return require_model(_in_parts(chosen, network, device, folder, keep, spare), role)
    model, config, card = load_model(folder)
    processor = network.build_processor(config)
    runner = _ready_engine(chosen, model, network, config, device, card, folder, keep)
    made = NetworkPerceiver if network.role == PERCEIVER else NetworkPlanner
    return require_model(made(card.name, config, processor, runner, card), role)


def load_planner(name: str, device: str = "cpu", engine: str = "auto", models_dir: str | Path | None = None,
                 keep: bool = True, threads: int = 0) -> Planner:
    """The planner ``name``; arguments and errors are those of ``load_model_runner``."""
    return load_model_runner(name, PLANNER, device, engine, models_dir, keep, threads)


def load_perceiver(name: str, device: str = "cpu", engine: str = "auto", models_dir: str | Path | None = None,
                   keep: bool = True, threads: int = 0) -> Perceiver:
    """The perceiver ``name``; arguments and errors are those of ``load_model_runner``."""
    return load_model_runner(name, PERCEIVER, device, engine, models_dir, keep, threads)


def _ready_engine(chosen: str, model: torch.nn.Module, network: Network, config: Any, device: str, card: ModelCard,
                  folder: Path, keep: bool) -> engines.Engine:
    """Engine ``chosen`` with ``model`` on ``device``, warmed up and compared with torch."""
    example = network.example_inputs(config)
    cache = _cache_path(card, network) if keep else None
    runner = _build_engine(chosen, model, network, example, device, cache)
    try:
        warm_up(runner, model if device == "cpu" else load_model(folder)[0], example, card.name)
    except CardError:
        if not getattr(runner, "from_cache", False):
            raise
        runner = engines.OpenVinoEngine(model, network, example, cache, anew=True)  # a stale graph must never decide
        warm_up(runner, model, example, card.name)
    return runner


def _in_parts(chosen: str, network: Network, device: str, folder: Path, keep: bool, spare: bool) -> NetworkPerceiver:
    """The perceiver in ``folder`` with an engine for each of its parts."""
    card = read_card(folder)
    path = _cache_path(card, network, "parts") if keep and chosen == "openvino" else None
    if spare and path is not None and not path.is_file():
        convert_apart(folder)
    kept = read_kept(path) if path is not None else None
    if kept is not None:
        read_weights(folder, card)  # broken weights are refused, whatever is kept
        try:
            return _from_kept(kept, network, card)
        except CardError:
            del kept  # a graph is missing or wrong: convert again
    model, config, card = load_model(folder)
    parts = {part.name: part for part in _build_parts(network, model, config)}
    others = parts.values() if device == "cpu" else _build_parts(network, load_model(folder)[0], config)
    originals = {part.name: part.module.eval() for part in others}
    made = KeptParts.of(parts)
    Schedule(made.parts)  # refuses parts that cannot run in their order
    del model, others  # each part's weights are now held by ``parts`` and ``originals`` alone

    def build(name: str, inputs: Mapping[str, torch.Tensor]) -> engines.Engine:
        return _ready_part(chosen, parts.pop(name), network, inputs, device, originals.pop(name), card, keep, made)

    engine = PartsEngine(made.takes, network.outputs, network.example_inputs(config), build)
    if path is not None:
        made.write(path)
    return NetworkPerceiver(card.name, config, network.build_processor(config), engine, card, made.parts)


def _build_parts(network: Network, model: torch.nn.Module, config: Any) -> Sequence[NetworkPart]:
    assert network.build_parts is not None
    return network.build_parts(model, config)


def _from_kept(kept: KeptParts, network: Network, card: ModelCard) -> NetworkPerceiver:
    """The perceiver out of its converted graphs, each compared with what torch made of the same inputs.

    Raises:
        CardError: a graph is missing, or gives something else.
    """
    config = network.config(card.config)
    parts = {part.name: part for part in kept.parts}

    def build(name: str, inputs: Mapping[str, torch.Tensor]) -> engines.Engine:
        own = replace(network, inputs=kept.takes[name], outputs=kept.gives[name])
        given, wanted = kept.inputs.pop(name), kept.outputs.pop(name)  # each is let go before the next graph is compiled
        runner = _engine_of("openvino", parts[name])(None, own, given, _cache_path(card, own, name))
        compare(runner, lambda _: wanted, given, f"{name} of {card.name}")
        return runner

    engine = PartsEngine(kept.takes, network.outputs, network.example_inputs(config), build)
    return NetworkPerceiver(card.name, config, network.build_processor(config), engine, card, kept.parts)


def _ready_part(chosen: str, part: NetworkPart, network: Network, inputs: Mapping[str, torch.Tensor], device: str,
                original: torch.nn.Module, card: ModelCard, keep: bool, made: KeptParts) -> engines.Engine:
    """Engine ``chosen`` with ``part``, compared with torch on equal inputs: a difference in one part says nothing of the next."""
    network = replace(network, inputs=part.inputs, outputs=part.outputs)
    cache = _cache_path(card, network, part.name) if keep else None
    kind = _engine_of(chosen, part)
    runner = engines.TorchEngine(part.module, network, device, stay=True) if kind is None else kind(part.module, network, inputs, cache)

    def reference(given: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        found = original(*(given[name] for name in part.inputs))
        if keep and chosen == "openvino":
            made.add(part.name, given, found)
        return found

    try:
        compare(runner, reference, inputs, f"{part.name} of {card.name}")
    except CardError:
        if not getattr(runner, "from_cache", False):
            raise
        runner = kind(part.module, network, inputs, cache, anew=True)
        compare(runner, reference, inputs, f"{part.name} of {card.name}")
    return runner


def _engine_of(chosen: str, part: Part) -> Callable[..., engines.Engine] | None:
    """What makes the engine of ``part``; None where torch is ``chosen``, which holds its weights."""
    if chosen == "torch":
        return None
    if part.traced:
        return engines.TracedEngine
    if chosen == "openvino":
        return partial(engines.OpenVinoEngine, fixed=True)
    return lambda model, network, example, cache: engines.OnnxRuntimeEngine(model, network, example)


def _build_engine(chosen: str, model, network: Network, example: dict, device: str, cache: Path | None) -> engines.Engine:
    if chosen == "openvino":
        return engines.OpenVinoEngine(model, network, example, cache)
    if chosen == "onnxruntime":
        return engines.OnnxRuntimeEngine(model, network, example)
    return engines.TorchEngine(model, network, device)


def _cache_path(card: ModelCard, network: Network, part: str = "") -> Path | None:
    """Where the converted graph of these weights, or of a part of them, is kept, without ending: in the user's cache folder, if there is
    one.

    The name holds the weights' hash, the config, the code's version and the hash of the networks' source: a graph of older source gives the
    same, but may be slower. The parity check guards the rest.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    facts = (card.weights_sha256, sorted(card.config.items()), card.network, CARD_VERSION, __version__, network.outputs,
             _library_version("openvino"), source_hash(network), *([part] if part else []))
    return root / "kd_planner_ros" / hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def _library_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
