"""Facts of a V2X-VLM network: widths, views, bins of the location tokens, roadside input. Stored in the card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig

BFLOAT16 = False
"""A rounded logit may choose another token, and the tokens after it follow that one."""
WAYPOINTS, STEP_S = 9, 0.5
TIMES_S = STEP_S * np.arange(1, WAYPOINTS + 1)
"""Times of the plan's waypoints, 0.5 to 4.5 s."""
ROADSIDE, LISTS, HEADS = ("picture", "objects", "none"), ("words", "tokens"), ("tokens", "displacement")
OBJECTS = 8
"""Most road users of the stations' lists that become words or tokens."""
CAPTION_WORDS = 16
"""Most words of the caption of one view, its end included."""
MOST_STATIONS = 4
"""As many as the car asks for its supervisor in closed loop (``evaluation/v2x_link.py``)."""
OBJECT_WORDS, MEETING_WORDS = 6, 2
"""Words of one road user, and those of where and when it gets in the car's way."""
PLAN_TOKENS = 2 * WAYPOINTS + 1
"""Tokens of a plan: two a waypoint and the end."""


@dataclass(frozen=True)
class Tower:
    """Florence-2's vision encoder: DaViT. Heads and groups are equal."""

    depths: tuple[int, int, int, int]
    dims: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int
    positions: int


@dataclass(frozen=True)
class Text:
    """Florence-2's language model: BART's encoder and decoder."""

    width: int
    layers: int
    heads: int
    ffn: int
    positions: int
    vocabulary: int


@dataclass(frozen=True)
class Widths:
    """Everything that a size fixes.

    Attributes:
        std: of the first weights. 0.02 is too small for a width of about 100: the pictures are ignored then.
        temporal: whether the projector's embedding of time keeps its values; a single frame gets the same constant each time.
        bins: location tokens along each axis.
        ahead_m, left_m: where the first bin begins: metres ahead of the car, and to its left (negative: behind, to the right).
        bin_m: size of a bin.
        prompt: most tokens of the prompt, without objects.
        align: width of the space in which pictures and captions are compared.
    """

    tower: Tower
    text: Text
    view: tuple[int, int]
    std: float
    temporal: bool
    bins: int
    ahead_m: float
    left_m: float
    bin_m: float
    prompt: int
    align: int


def _nano(tower: Tower, text: Text) -> Widths:
    return Widths(tower, text, (64, 128), 0.1, temporal=False, bins=256, ahead_m=-4.0, left_m=-32.0, bin_m=0.25, prompt=64, align=64)


def _full(tower: Tower, text: Text) -> Widths:
    return Widths(tower, text, (576, 576), 0.02, temporal=True, bins=1000, ahead_m=-8.0, left_m=-40.0, bin_m=0.08, prompt=160, align=256)


SIZES = {
    "nano": _nano(Tower((1, 1, 1, 1), (16, 32, 64, 96), (1, 2, 4, 6), 4, 16), Text(96, 2, 4, 256, 160, 400)),
    "nano_teacher": _nano(Tower((1, 1, 2, 1), (16, 32, 64, 128), (1, 2, 4, 8), 4, 16), Text(128, 3, 4, 384, 160, 400)),
    "full": _full(Tower((1, 1, 9, 1), (128, 256, 512, 1024), (4, 8, 16, 32), 12, 50), Text(768, 6, 12, 3072, 1024, 51328)),
    "full_teacher": _full(Tower((1, 1, 9, 1), (256, 512, 1024, 2048), (8, 16, 32, 64), 12, 50), Text(1024, 12, 16, 4096, 1024, 51328)),
}
"""``full`` is Florence-2-base, ``full_teacher`` Florence-2-large; the nano sizes are trained from random weights on two cores."""
PUBLISHED = {"full": 231_400_000, "full_teacher": 770_200_000}
"""Parameters of the checkpoints with a vocabulary of 51,328."""


@dataclass(frozen=True)
class V2xVlmConfig:
    """One V2X-VLM network.

    Attributes:
        view_height, view_width: of each view, multiples of 32; 0: those of the size. Both views lie side by side in one picture.
        roadside: ``picture``: the nearest station's picture is the right half. ``objects``: object lists become words, and the
            picture is the front view alone. ``none``: the front view alone.
        lists: ``words``: each road user of a list is six or eight words of the prompt; ``tokens``: each is one token behind it, an
            embedding of its numbers (``users.py``); with ``objects``.
        stations: lists of so many stations are read, the nearest ones; with ``objects``. Halfway between two junctions the nearest station
            may be the one behind the car.
        meets: of each road user in the lists it is told where and when it gets in the car's way, and the most urgent one comes first; with
            ``objects``.
        crop: cut the station's picture to the area that the car is about to cross; 64x128 pixels of a whole picture show a walker
            with two pixels.
        head: ``tokens``: waypoints are location tokens; ``displacement``: a linear head gives the steps between waypoints.
        caption: the network describes the front view first, and reads its own words beside the others.
        signal: the prompt says what the signal ahead shows, where stations report it; without, as in models from before there was this
            field, the slot is always ``unknown``.
        tokenizer: folder with the ``tokenizer.json`` of Florence-2, for the full sizes; the nano sizes have words of their own.
        range_m, max_age_s: which stations count.
    """

    size: str = "nano"
    view_height: int = 0
    view_width: int = 0
    roadside: str = "picture"
    lists: str = "words"
    stations: int = 1
    meets: bool = False
    crop: bool = False
    head: str = "tokens"
    caption: bool = False
    signal: bool = False
    tokenizer: str = ""
    camera_width: int = 448
    camera_height: int = 336
    camera_fov_deg: float = 100.0
    camera_x_m: float = 1.3
    camera_z_m: float = 2.3
    camera_id: str = "front"
    rate_hz: float = 2.0
    range_m: float = 150.0
    max_age_s: float = 0.5

    def __post_init__(self) -> None:
        for name, known in (("size", SIZES), ("roadside", ROADSIDE), ("lists", LISTS), ("head", HEADS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} of a V2X-VLM out of {', '.join(known)}", repr(getattr(self, name)), f"correct '{name}'")
        for name, own in zip(("view_height", "view_width"), self.widths.view, strict=True):
            value = getattr(self, name) or own
            object.__setattr__(self, name, value)
            if not isinstance(value, int) or value % 32 or not 32 <= value <= 1024:
                raise ConfigError(f"{name}: a multiple of 32 between 32 and 1024 pixels", repr(value), f"correct '{name}'")
        if self.caption and not self.nano:
            raise ConfigError("a nano size with caption: the full sizes do not read their own words", f"size {self.size}",
                              "leave 'caption' out")
        if self.signal and self.roadside == "none":
            raise ConfigError("roadside picture or objects with signal: phases are reported by stations", "roadside none",
                              "leave 'signal' out")
        self._check_lists()
        if self.image_tokens + self.prompt + self.users > self.widths.text.positions:
            raise ConfigError(f"at most {self.widths.text.positions} tokens of picture, prompt and road users",
                              f"{self.image_tokens} of the picture and {self.prompt + self.users} behind them", "give smaller views")
        if max(self.grid) > self.widths.tower.positions:
            raise ConfigError(f"at most {self.widths.tower.positions} cells of 32 pixels along each side", f"{max(self.grid)}",
                              "give smaller views")

    def _check_lists(self) -> None:
        if (self.meets or self.stations != 1 or self.lists != "words") and self.roadside != "objects":
            raise ConfigError("roadside objects with meets, stations and lists: they are about lists", f"roadside {self.roadside}",
                              "leave 'meets', 'stations' and 'lists' out")
        if not isinstance(self.stations, int) or not 1 <= self.stations <= MOST_STATIONS:
            raise ConfigError(f"stations: a whole number between 1 and {MOST_STATIONS}", repr(self.stations), "correct 'stations'")

    @property
    def widths(self) -> Widths:
        """The size's widths."""
        return SIZES[self.size]

    @property
    def nano(self) -> bool:
        """Whether the size has words of its own instead of Florence-2's tokenizer."""
        return self.widths.text.vocabulary < 1000

    @property
    def views(self) -> int:
        """Views side by side in the picture."""
        return 2 if self.roadside == "picture" else 1

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the vision encoder's last map."""
        return self.view_height // 32, self.views * self.view_width // 32

    @property
    def image_tokens(self) -> int:
        """Tokens of the picture: one a cell, and their mean."""
        return self.grid[0] * self.grid[1] + 1

    @property
    def prompt(self) -> int:
        """Most tokens of the prompt."""
        words = OBJECT_WORDS + (MEETING_WORDS if self.meets else 0)
        spoken = self.roadside == "objects" and self.lists == "words"
        return self.widths.prompt + (words * OBJECTS * (1 if self.nano else 3) if spoken else 0)

    @property
    def users(self) -> int:
        """Tokens of road users behind the prompt."""
        return OBJECTS if self.lists == "tokens" else 0

    @property
    def answer(self) -> int:
        """Most tokens of an answer, a plan or the caption of one view; Florence-2's tokenizer takes several tokens for some words."""
        return PLAN_TOKENS if self.nano else 3 * CAPTION_WORDS

    @property
    def camera(self) -> CameraSpec:
        """The front camera. It gives pictures at 10 Hz, so that the newest one is young."""
        return CameraSpec(self.camera_id, Pose(x=self.camera_x_m, z=self.camera_z_m), self.camera_width, self.camera_height,
                          self.camera_fov_deg, period_s=0.1)

    @property
    def wish(self) -> RoadsideWish | None:
        """What the network wants of roadside stations."""
        if self.roadside == "none":
            return None
        return RoadsideWish(self.stations, self.range_m, self.max_age_s, objects=self.roadside == "objects",
                            pictures=self.roadside == "picture")

    @property
    def rig(self) -> SensorRig:
        """One front camera, the nearest roadside stations, a route."""
        return SensorRig(cameras=(self.camera,), roadside=self.wish, phases=self.signal)


Config = V2xVlmConfig
CONFIGURATIONS = tuple(V2xVlmConfig(size=size) for size in SIZES)
"""Every configuration that 'kd-planner models params v2x_vlm' lists."""
