"""Where a recording lies, and how its topics are to be read where they do not say it themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.v2x.channel_settings import ChannelSettings

ROLE_HELP = "the ego's role name, needed where a recording holds two"
CAMERA_HELP = "NAME=RECORDED: what a recording calls the camera NAME of a network, e.g. front=rgb_front; several are separated by blanks"


@dataclass(frozen=True)
class Source:
    """A recording at ``path`` (usable as a path) with the ego's role name ("" where the recording has one ego) and pairs of a
    network's name of a camera and the recorded one; with ``radio`` what roadside stations sent comes through that channel."""

    path: Path
    role_name: str = ""
    cameras: tuple[tuple[str, str], ...] = ()
    radio: ChannelSettings | None = None

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def key(self) -> list[object]:
        """What shapes the samples of the recording beside its content; empty where the recording says all itself."""
        said = [self.role_name, [list(pair) for pair in self.cameras]] if self.role_name or self.cameras else []
        return said if self.radio is None else [*said, asdict(self.radio)]


def as_source(place: Path | str | Source) -> Source:
    """``place`` with nothing said about its topics, unless it is a Source already."""
    return place if isinstance(place, Source) else Source(Path(place))


def read_cameras(words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(NAME, RECORDED) of each word NAME=RECORDED.

    Raises:
        ConfigError: a word of another form, or a name that is given twice on one side.
    """
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise ConfigError("--camera NAME=RECORDED (camera: [NAME=RECORDED] in a recipe)", repr(words), "correct --camera")
    pairs = [tuple(part.strip() for part in word.partition("=")[::2]) for word in words]
    if wrong := [word for word, pair in zip(words, pairs, strict=True) if not all(pair)]:
        raise ConfigError("--camera NAME=RECORDED, for example --camera front=rgb_front", repr(wrong[0]), "correct --camera")
    for side, what in enumerate(("network's name", "recorded name")):
        names = [pair[side] for pair in pairs]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"--camera with each {what} once", f"'{doubled[0]}' twice", "correct --camera")
    return tuple((own, recorded) for own, recorded in pairs)


def find_sources(folders: Iterable[Path], role_name: str | None = None, cameras: Iterable[str] = (),
                 radio: ChannelSettings | None = None) -> list[Source]:
    """``find_bags`` with the role name, the names of cameras (words NAME=RECORDED) and the radio that hold for every recording.

    Raises:
        BagError: as ``find_bags``. ConfigError: as ``read_cameras``.
    """
    pairs = read_cameras(tuple(cameras))
    return [Source(path, role_name or "", pairs, radio) for path in find_bags(folders)]
