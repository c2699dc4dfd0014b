"""What a camera sees, in a fixed set of words: the light, and the road users that are large enough in its picture, largest first.

    day car 34 12 walker 56 40

A number is a place in the picture, in per cent of its width and of its height.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.scene import ActorKind

LIGHTS = ("day", "dusk", "night")
NOBODY = "none"
KIND_WORDS: Mapping[int, str] = {ActorKind.PEDESTRIAN: "walker", ActorKind.CAR: "car", ActorKind.TRUCK: "truck", ActorKind.BUS: "bus",
                                 ActorKind.MOTORCYCLE: "motorcycle", ActorKind.BICYCLE: "bicycle"}
PLACES = 100
"""Numbers along each side of a picture, 0 to 99."""
_KINDS = {word: kind for kind, word in KIND_WORDS.items()}


@dataclass(frozen=True)
class SeenUser:
    """A road user in a picture: its kind (``ActorKind``), and where its middle is, in per cent."""

    kind: int
    column: int
    row: int


@dataclass(frozen=True)
class Caption:
    """What one camera saw at one instant.

    Attributes:
        view: the camera: its id, of a station ``STATION/CAMERA``.
        stamp_ns: of the picture.
        light: of ``LIGHTS``.
    """

    view: str
    stamp_ns: int
    light: str
    users: tuple[SeenUser, ...] = ()

    @property
    def text(self) -> str:
        """The caption in words."""
        users = [f"{KIND_WORDS[one.kind]} {one.column} {one.row}" for one in self.users]
        return " ".join([self.light, *(users or [NOBODY])])


def station_view(station: str, camera: str) -> str:
    """The name of a station's camera in captions."""
    return f"{station}/{camera}"


def caption_of(view: str, stamp_ns: int, text: str) -> Caption:
    """The caption that ``text`` is.

    Raises:
        SensorError: a word, a number or an order that captions do not have.
    """
    words = text.split()
    light, rest = words[:1], words[1:]
    users = [] if rest == [NOBODY] else [rest[at:at + 3] for at in range(0, len(rest), 3)]
    fits = light and light[0] in LIGHTS and rest and all(
        len(one) == 3 and one[0] in _KINDS and all(_is_place(number) for number in one[1:]) for one in users)
    if not fits:
        raise SensorError(f"a caption: one of {', '.join(LIGHTS)}, then '{NOBODY}' or KIND COLUMN ROW of each road user, the numbers 0 to "
                          f"{PLACES - 1}", repr(text[:80]), "record it with 'kd-planner record', or correct its writer")
    return Caption(view, stamp_ns, light[0], tuple(SeenUser(_KINDS[kind], int(column), int(row)) for kind, column, row in users))


def _is_place(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 2
