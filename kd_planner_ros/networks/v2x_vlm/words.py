"""The words of the nano sizes, and their translation for Florence-2's tokenizer. No text from outside ever becomes a word."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.networks.v2x_vlm.config import V2xVlmConfig

START, PAD, END, UNKNOWN, IMAGE = range(5)
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<image>", "<TRAJ>", "<CAPTION>", "<NO_V2X>", "<NO_CAPTION>")
WORDS = ("veh", "infra", "ego", "goal", "speed", "heading", "command", "signal", "object", "plan", "left", "right", "straight", "follow",
         "lane", "day", "dusk", "night", "car", "truck", "bus", "motorcycle", "bicycle", "walker", "none", "red", "yellow", "green",
         "unknown")
NUMBERS = 100
FLORENCE_IMAGE, FLORENCE_LOCATION = 51_289, 50_269
"""Florence-2's token of a place in a picture, and its first location token."""
FIRST_NUMBER = len(SPECIALS) + len(WORDS)
FIRST_LOCATION = FIRST_NUMBER + NUMBERS
_ID = {word: number for number, word in enumerate((*SPECIALS, *WORDS))}


def ids_of(words: str) -> list[int]:
    """Ids of the words in a text of this package's words."""
    return [_ID[word] for word in words.split()]


def text_of(ids: Iterable[int]) -> str:
    """The words of ``ids`` up to the end, numbers as digits; for people and tests."""
    names = (*SPECIALS, *WORDS, *map(str, range(NUMBERS)))
    shown = []
    for one in map(int, ids):
        if one in (PAD, END):
            break
        shown.append(names[one] if one < FIRST_LOCATION else f"<loc_{one - FIRST_LOCATION}>")
    return " ".join(shown)


def word_id(word: str) -> int:
    """Id of a word of this package."""
    return _ID[word]


def number_id(value: float) -> int:
    """Id of the number nearest to ``value``, 0 to 99; what lies outside is clamped, and what is not finite is ``unknown``."""
    if not np.isfinite(value):
        return _ID["unknown"]
    return FIRST_NUMBER + int(np.clip(round(value), 0, NUMBERS - 1))


@dataclass(frozen=True)
class Locations:
    """Metres of ``base_link`` to bins and back. Values are the middles of bins.

    Attributes:
        first_m: [2] where the bins along x and y begin.
        bin_m: size of a bin.
        count: bins along each axis.
    """

    first_m: tuple[float, float]
    bin_m: float
    count: int

    def bins(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bins int [..., 2] of ``points`` [..., 2], clamped, and which of the points were clamped or are not finite, bool [...]."""
        exact = np.floor((np.nan_to_num(np.asarray(points, float), nan=0.0, posinf=1e6, neginf=-1e6) - self.first_m) / self.bin_m)
        found = np.clip(exact, 0, self.count - 1).astype(np.int64)
        return found, (found != exact).any(-1) | ~np.isfinite(points).all(-1)

    def points(self, bins: Any) -> np.ndarray:
        """Metres [..., 2] of ``bins`` [..., 2]."""
        return (np.asarray(bins, float) + 0.5) * self.bin_m + self.first_m


def locations_of(config: V2xVlmConfig) -> Locations:
    """The bins of ``config``'s size."""
    widths = config.widths
    return Locations((widths.ahead_m, widths.left_m), widths.bin_m, widths.bins)


class Tokens:
    """Ids of this package's words as the network's own: the same for the nano sizes, Florence-2's for the full ones.

    Attributes:
        location: the network's id of the first location token; they follow each other.
    """

    location = FIRST_LOCATION

    def encode(self, ids: Iterable[int]) -> list[int]:
        """The network's ids of ``ids``."""
        return list(ids)


class FlorenceTokens(Tokens):
    """Words by Florence-2's tokenizer: a word may take several tokens.

    Args:
        tokenizer: of the package ``tokenizers``.
        bins: number of location tokens.

    Raises:
        ConfigError: its location tokens are not where Florence-2 has them.
    """

    def __init__(self, tokenizer: Any, bins: int):
        first, last = (tokenizer.token_to_id(f"<loc_{number}>") for number in (0, bins - 1))
        if (first, last) != (FLORENCE_LOCATION, FLORENCE_LOCATION + bins - 1):
            raise ConfigError(f"location tokens <loc_0> to <loc_{bins - 1}> from id {FLORENCE_LOCATION} on", f"ids {first} and {last}",
                              "give the tokenizer of a Florence-2 checkpoint")
        self.location = FLORENCE_LOCATION
        fixed = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<image>": FLORENCE_IMAGE}
        texts = {"<TRAJ>": "trajectory", "<CAPTION>": "caption", "<NO_V2X>": "no view", "<NO_CAPTION>": "no caption"}
        names = (*SPECIALS, *WORDS, *map(str, range(NUMBERS)))
        self._table = [[fixed[name]] if name in fixed else tokenizer.encode(f" {texts.get(name, name)}", add_special_tokens=False).ids
                       for name in names]

    def encode(self, ids: Iterable[int]) -> list[int]:
        """The network's ids of ``ids``."""
        found: list[int] = []
        for one in ids:
            found += self._table[one] if one < FIRST_LOCATION else [self.location + one - FIRST_LOCATION]
        return found


def tokens_of(config: V2xVlmConfig) -> Tokens:
    """The tokens of ``config``.

    Raises:
        ConfigError: a full size without a tokenizer, or one that cannot be read.
    """
    return Tokens() if config.nano else _florence(config.tokenizer, config.widths.bins)


@functools.lru_cache(maxsize=2)
def _florence(folder: str, bins: int) -> FlorenceTokens:
    remedy = "set 'tokenizer' to the folder of a Florence-2 checkpoint in Hugging Face's layout"
    path = Path(folder) / "tokenizer.json"
    if not folder or not path.is_file():
        raise ConfigError("a folder with Florence-2's tokenizer.json for a full V2X-VLM", repr(folder) if folder else "none", remedy)
    if importlib.util.find_spec("tokenizers") is None:
        raise ConfigError("package tokenizers for network v2x_vlm", "no such package", "pip install tokenizers")
    with reading(ConfigError, f"a tokenizer in {path}", remedy):
        tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(path))
    return FlorenceTokens(tokenizer, bins)
