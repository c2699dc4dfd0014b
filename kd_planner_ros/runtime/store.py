"""Weights and their card on disk: written atomically in 16 bits, read back with every check, running no code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from kd_planner_ros.core.card import CARD, ModelCard, read_card
from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.files import write_bytes
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.notices import report
from kd_planner_ros.networks.registry import find_network

WEIGHTS = "weights.safetensors"
_HALF_MAX = 65504.0


def half_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` as it is shipped: matrices and kernels in fp16 (bf16 where fp16 would overflow), vectors, which are
    few but delicate (biases, batch-norm statistics), and integers as they are. Contiguous, on the CPU."""
    shipped = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.float()
            if tensor.ndim > 1:
                tensor = tensor.half() if tensor.abs().max() <= _HALF_MAX else tensor.bfloat16()
        shipped[name] = tensor.contiguous()
    return shipped


def save_model(folder: Path, network: str, config: Any, state_dict: Mapping[str, Tensor],
               training: Mapping[str, Any] | None = None, scores: Mapping[str, Any] | None = None,
               parts: Mapping[str, str] = MappingProxyType({})) -> ModelCard:
    """Write ``weights.safetensors`` and ``card.json`` into ``folder`` (its name is the model's) and give the card back.

    The card, which holds the weights' hash, is written last: a crash in between leaves a pair that the loader refuses,
    never one that it takes. ``config`` is an instance of the network's config class. ``parts`` names, by module, models whose folders
    lie beside ``folder``: where the module's weights are those of the model, they are not written a second time. Models beside ``folder``
    that have left weights with the one it held until now get them back first.

    Raises:
        CardError: ``state_dict`` holds a value that is not finite, or does not fit the network and the config.
    """
    folder = Path(folder)
    state = half_weights(state_dict)
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise CardError(f"finite weights for {folder.name}", f"NaN or infinity in {', '.join(bad[:3])}",
                        "train again with a lower learning rate, or take an earlier checkpoint")
    model = build_empty(network, config)
    fill(model, state, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    _give_back(folder)
    elsewhere = {module: read_card(folder.parent / name) for module, name in parts.items() if _same(state, module, folder.parent / name)}
    data = save_tensors({name: tensor for name, tensor in state.items() if not any(name.startswith(f"{module}.") for module in elsewhere)})
    held = {module: {"model": other.name, "sha256": other.weights_sha256} for module, other in elsewhere.items()}
    card = ModelCard(
        name=folder.name, network=network, config=asdict(config), weights_sha256=_digest(data, held),
        parameters=sum(p.numel() for p in model.parameters()), training=dict(training or {}), scores=dict(scores or {}), parts=held)
    write_bytes(folder / WEIGHTS, data, durable=True)
    write_bytes(folder / CARD, card.to_json().encode(), durable=True)
    return card


def _same(state: Mapping[str, Tensor], module: str, folder: Path) -> bool:
    """Whether the tensors of ``module`` in ``state`` are all those of the model in ``folder``, bit by bit; False where that cannot be
    read: the module is then written whole."""
    try:
        other = read_weights(folder, read_card(folder))
    except CardError as error:
        report(error)
        return False
    own = {name.removeprefix(f"{module}."): tensor for name, tensor in state.items() if name.startswith(f"{module}.")}
    return own.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name]) for name, tensor in own.items())


def _give_back(folder: Path) -> None:
    """Write models beside ``folder`` whole that left weights with the model that is still in it: it is about to be replaced."""
    try:
        kept = read_card(folder).weights_sha256
    except CardError:
        return
    for path in sorted(folder.resolve().parent.glob(f"*/{CARD}")):
        try:
            card = read_card(path.parent)
            if {"model": folder.resolve().name, "sha256": kept} not in card.parts.values():
                continue
            data = save_tensors(read_weights(path.parent, card))
        except CardError as error:
            report(error)
            continue
        card = replace(card, parts={}, weights_sha256=_digest(data, {}))
        write_bytes(path.parent / WEIGHTS, data, durable=True)
        write_bytes(path, card.to_json().encode(), durable=True)
        report(f"'{card.name}' holds all of its weights now: '{folder.name}', which held a part of them, is replaced")


def _digest(data: bytes, parts: Mapping[str, Mapping[str, str]]) -> str:
    """The hash on the card: of the file alone, or of the file and the cards of the models that hold the rest."""
    digest = hashlib.sha256(data)
    for module, of in sorted(parts.items()):
        digest.update(f"{module} {of['sha256']}".encode())
    return digest.hexdigest()


def add_scores(folder: Path, scores: Mapping[str, Any]) -> ModelCard:
    """Add ``scores`` to the card in ``folder``, over those of the same name; the weights stay as they are.

    Raises:
        CardError: no card, or a broken one.
    """
    return _add(folder, "scores", scores)


def add_training(folder: Path, facts: Mapping[str, Any]) -> ModelCard:
    """Add ``facts`` to what the card in ``folder`` says of the training, as ``add_scores`` does to its scores.

    Raises:
        CardError: no card, or a broken one.
    """
    return _add(folder, "training", facts)


def _add(folder: Path, part: str, facts: Mapping[str, Any]) -> ModelCard:
    card = read_card(Path(folder))
    card = replace(card, **{part: {**getattr(card, part), **facts}})
    write_bytes(Path(folder) / CARD, card.to_json().encode(), durable=True)
    return card


def build_empty(network: str, config: Any) -> nn.Module:
    """The network's module, its weights yet to be filled; torch's random state is left as it was."""
    with torch.random.fork_rng(devices=()):
        return find_network(network).build_model(config)


def load_model(folder: Path) -> tuple[nn.Module, Any, ModelCard]:
    """The module (float32, CPU, eval mode), its config and its card from ``folder``.

    Raises:
        CardError: card or weights are missing, broken, or do not fit each other or this code.
        PlannerError: the card names a network that this version does not have.
    """
    folder = Path(folder)
    card = read_card(folder)
    config = find_network(card.network).config(card.config)
    state = read_weights(folder, card)
    model = build_empty(card.network, config)
    count = sum(p.numel() for p in model.parameters())
    if count != card.parameters:
        raise CardError(f"{card.parameters:,} parameters as the card of '{card.name}' says", f"{count:,} in this code",
                        "install the version of kd_planner_ros that wrote the card, or train again")
    fill(model, state, card.name)
    return model.eval(), config, card


def read_weights(folder: Path, card: ModelCard) -> dict[str, Tensor]:
    """The tensors of the model in ``folder``, those that other models hold for it included.

    Raises:
        CardError: a file is missing, broken, or another one than the card says.
    """
    path = folder / WEIGHTS
    remedy = "restore the file, or train again with 'kd-planner train'"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CardError(f"weights at {path}", error.strerror or str(error), remedy) from None
    digest = _digest(data, card.parts)
    if digest != card.weights_sha256:
        raise CardError(f"weights of '{card.name}' with sha256 {card.weights_sha256[:12]}...", f"{digest[:12]}...",
                        remedy)
    with reading(CardError, f"a safetensors file at {path}", remedy):
        tensors = load_tensors(data)
    for module, of in card.parts.items():
        tensors |= {f"{module}.{name}": tensor for name, tensor in _read_part(folder, card.name, module, of).items()}
    return tensors


def _read_part(folder: Path, name: str, module: str, of: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors that model ``of`` holds for ``module`` of model ``name`` in ``folder``; it may not have parts itself."""
    place = folder.resolve().parent / of["model"]
    remedy = f"copy the folder of '{of['model']}' that belongs to it there, or train '{name}' again"
    if not (place / CARD).is_file():
        raise CardError(f"the model '{of['model']}' at {place}, which holds '{module}' of '{name}'", "no such model", remedy)
    card = read_card(place)
    if card.parts or card.weights_sha256 != of["sha256"]:
        raise CardError(f"weights {of['sha256'][:12]} of '{of['model']}' for '{module}' of '{name}'",
                        f"{card.weights_sha256[:12]} at {place}", remedy)
    return read_weights(place, card)


def fill(model: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Put ``state`` into ``model``, in the model's own precision.

    Raises:
        CardError: a tensor is missing, left over, or of another shape; the first of them is named.
    """
    wanted = model.state_dict()
    remedy = "the weights belong to another config or version: restore the matching pair, or train again"
    if missing := sorted(set(wanted) - set(state)):
        raise CardError(f"tensor '{missing[0]}' in the weights of '{name}'", f"{len(missing)} missing", remedy)
    if extra := sorted(set(state) - set(wanted)):
        raise CardError(f"only tensors of the network in '{name}'", f"{len(extra)} unknown, first '{extra[0]}'", remedy)
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            raise CardError(f"'{key}' of shape {list(tensor.shape)} in '{name}'", f"{list(state[key].shape)}", remedy)
    with reading(CardError, f"tensors that torch takes in '{name}'", remedy):
        model.load_state_dict(dict(state))
