"""Florence-2 of ``transformers``, taken apart so that each weight is held once and a graph can be exported.

``transformers`` is imported when a network is built, never before. Nothing is downloaded: weights are random, or come from a local
folder in Hugging Face's layout.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.networks.blocks.swin import require_packages
from kd_planner_ros.networks.v2x_vlm.config import V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.words import END, FLORENCE_IMAGE, IMAGE, PAD, START

BLOCKED = -1e9
"""Added to the attention on a place that is not there."""
PARTS = {"vision": "model.vision_tower", "projector": "model.multi_modal_projector", "words": "model.language_model.shared",
         "encoder": "model.language_model.encoder", "decoder": "model.language_model.decoder"}
"""Modules of ``Florence2ForConditionalGeneration`` by the names that they have here."""
_COPIES = ("lm_head.weight", "model.language_model.encoder.embed_tokens.weight", "model.language_model.decoder.embed_tokens.weight")
"""Tensors that are the embedding of words once more."""
_REMEDY = "give a folder with config.json and model.safetensors of Florence-2, as transformers saves Florence2ForConditionalGeneration"


def florence_config(config: V2xVlmConfig) -> Any:
    """``transformers``' config for ``config``.

    Raises:
        ConfigError: transformers is not installed.
    """
    require_packages("v2x_vlm", "transformers")
    library, widths = importlib.import_module("transformers"), config.widths
    tower, text = widths.tower, widths.text
    vision = library.Florence2VisionConfig(
        depths=list(tower.depths), embed_dim=list(tower.dims), num_heads=list(tower.heads), num_groups=list(tower.heads),
        window_size=tower.window, drop_path_rate=0.0, projection_dim=text.width, max_position_embeddings=tower.positions,
        initializer_range=widths.std)
    language = library.BartConfig(
        vocab_size=text.vocabulary, d_model=text.width, encoder_layers=text.layers, decoder_layers=text.layers,
        encoder_attention_heads=text.heads, decoder_attention_heads=text.heads, encoder_ffn_dim=text.ffn, decoder_ffn_dim=text.ffn,
        max_position_embeddings=text.positions, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, init_std=widths.std,
        bos_token_id=START, pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=END, forced_eos_token_id=None)
    whole = library.Florence2Config(text_config=language, vision_config=vision, image_token_id=IMAGE if config.nano else FLORENCE_IMAGE)
    for one in (whole, whole.text_config):
        one._attn_implementation = "eager"  # takes the mask as it is given: nothing in the graph depends on its values
    return whole


def build_florence(config: V2xVlmConfig) -> Any:
    """``transformers``' whole module with random weights: the reference that tests compare with."""
    modelling = importlib.import_module("transformers.models.florence2.modeling_florence2")
    model = modelling.Florence2ForConditionalGeneration(florence_config(config))
    if not config.widths.temporal:
        nn.init.zeros_(model.get_submodule(PARTS["projector"]).get_submodule("visual_temporal_embed").pos_idx_to_embed)
    return model


class Florence(nn.Module):
    """The parts of Florence-2: ``vision``, ``projector``, ``words`` (also the output layer), ``encoder`` and ``decoder``."""

    vision: Any
    projector: Any
    words: Any
    encoder: Any
    decoder: Any

    def __init__(self, config: V2xVlmConfig):
        super().__init__()
        whole: Any = build_florence(config)
        for name, path in PARTS.items():
            self.add_module(name, whole.get_submodule(path))
        for one in (self.encoder, self.decoder):
            one._modules.pop("embed_tokens")  # the same embedding once more
        for part in self.modules():
            if getattr(part, "loss_type", "") is None:  # transformers warns of it when an exporter reads every attribute
                part.__dict__["loss_type"] = "ForCausalLM"

    def maps(self, image: Tensor) -> list[Tensor]:
        """The vision encoder's maps [B, C_i, H / s, W / s] of pictures [B, 3, H, W], at strides s of 4, 8, 16 and 32."""
        found = []
        for conv, block in zip(self.vision.convs, self.vision.blocks, strict=True):
            image = conv(image)
            for layer in block:
                image = layer(image)
            found.append(image)
        return found

    def tokens(self, last: Tensor) -> Tensor:
        """Tokens [B, 1 + cells, d] of the last of ``maps``; the first one is the mean of the others."""
        return self.projector(last)

    def see(self, image: Tensor) -> Tensor:
        """``tokens`` of the ``maps`` of pictures [B, 3, H, W]."""
        return self.tokens(self.maps(image)[-1])

    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The encoder's output [B, S, d] for embedded ``tokens`` [B, S, d]; ``mask`` [B, 1, 1, S] is added to the attention."""
        encoder = self.encoder
        places = encoder.embed_positions.weight[2:2 + tokens.shape[1]]
        hidden = encoder.layernorm_embedding(tokens + places)
        for layer in encoder.layers:
            hidden = layer(hidden, mask)
        return hidden

    def speak(self, answer: Tensor, read: Tensor, mask: Tensor) -> Tensor:
        """The decoder's hidden states [B, N, d] before the tokens that follow ``answer`` [B, N]."""
        decoder, count = self.decoder, answer.shape[1]
        hidden = decoder.layernorm_embedding(self.words(answer) + decoder.embed_positions.weight[2:2 + count])
        causal = torch.full((count, count), BLOCKED, device=hidden.device, dtype=hidden.dtype).triu(1)[None, None]
        for layer in decoder.layers:
            hidden = layer(hidden, causal, read, encoder_attention_mask=mask, use_cache=False)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [..., V] of the next token."""
        return nn.functional.linear(hidden, self.words.weight)


def blocked(ids: Tensor, before: int = 0) -> Tensor:
    """What is added to the attention on tokens ``ids`` [B, L] with ``before`` further tokens in front of them: [B, 1, 1, before + L]."""
    text = torch.where(ids == PAD, BLOCKED, 0.0)
    if before:
        text = torch.cat([text.new_zeros(1, before).expand(ids.shape[0], before), text], dim=1)
    return text[:, None, None]


def load_florence(model: Any, path: Path) -> None:
    """Fill the parts of ``model`` (a ``Florence``) from a folder in Hugging Face's layout: ``config.json``, and ``model.safetensors`` or
    several files with ``model.safetensors.index.json``. A smaller vocabulary fills the first rows of the embedding.

    Raises:
        ConfigError: a file is missing or unreadable, or belongs to another architecture; the first misfit is named.
    """
    if not (path / "config.json").is_file():
        raise ConfigError(f"config.json in {path}", "no such file", _REMEDY)
    with reading(ConfigError, f"JSON in {path / 'config.json'}", _REMEDY):
        kind = json.loads((path / "config.json").read_text()).get("model_type")
    if kind != "florence2":
        raise ConfigError(f"model_type florence2 in {path / 'config.json'}", repr(kind), _REMEDY)
    given, wanted = _tensors(path), model.state_dict()
    state = {name: given.pop(_theirs(name)) for name in wanted if _theirs(name) in given}
    if missing := [name for name in wanted if name not in state]:
        raise ConfigError(f"tensor '{_theirs(missing[0])}' in {path}", f"{len(missing)} missing", _REMEDY)
    if extra := sorted(name for name in given if name not in _COPIES):
        raise ConfigError(f"only tensors of Florence-2 in {path}", f"{len(extra)} unknown, first '{extra[0]}'", _REMEDY)
    state["words.weight"] = _padded(state["words.weight"], wanted["words.weight"])
    for name, tensor in wanted.items():
        if state[name].shape != tensor.shape:
            raise ConfigError(f"'{_theirs(name)}' of shape {list(tensor.shape)} in {path}", f"{list(state[name].shape)}",
                              "give the checkpoint of this size: Florence-2-base for full, -large for full_teacher")
    model.load_state_dict(state)


def _theirs(name: str) -> str:
    part, _, rest = name.partition(".")
    return f"{PARTS[part]}.{rest}"


def _padded(given: Tensor, wanted: Tensor) -> Tensor:
    if given.ndim == 2 and given.shape[1] == wanted.shape[1] and given.shape[0] < wanted.shape[0]:
        return torch.cat([given.to(wanted.dtype), wanted[given.shape[0]:]])
    return given


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    index = path / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.is_file():
        with reading(ConfigError, f"a table of files in {index}", _REMEDY):
            files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    found: dict[str, Tensor] = {}
    for name in files:
        if not (path / name).is_file():
            raise ConfigError(f"weights at {path / name}", "no such file", _REMEDY)
        with reading(ConfigError, f"a safetensors file at {path / name}", _REMEDY):
            found |= load_file(path / name)
    return found


def as_florence(config: V2xVlmConfig, state: Mapping[str, Tensor]) -> Any:
    """``transformers``' module with the weights ``state`` of a ``Florence``."""
    whole = build_florence(config)
    own = {_theirs(name): tensor for name, tensor in state.items()}
    whole.load_state_dict(own | {name: state["words.weight"] for name in _COPIES})
    return whole
