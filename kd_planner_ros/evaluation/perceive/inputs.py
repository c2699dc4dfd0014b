"""Pictures of one camera from a file, a folder of pictures or a recording, as a perceiver's own camera would see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kd_planner_ros.bags.files import bag_files
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import Source, read_cameras
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.sensors import CameraSpec

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")


@dataclass(frozen=True)
class Shot:
    """One picture RGB uint8 [H, W, 3] with a name that a file can have, its time and its horizontal field of view."""

    name: str
    stamp_ns: int
    picture: np.ndarray
    fov_deg: float


@dataclass
class Shots:
    """Pictures in order; ``left_out`` names files that hold none, with the reason; ``recording`` says whether times are real."""

    recording: bool
    camera: str
    _pictures: Iterator[Shot]
    left_out: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Shot]:
        return self._pictures


def open_shots(place: Path, fov_deg: float, rate_hz: float, cameras: tuple[str, ...], own: CameraSpec, role_name: str = "") -> Shots:
    """The pictures at ``place``.

    Args:
        fov_deg: horizontal field of view where the input does not tell it, degrees; 0: not given.
        rate_hz: of pictures without a time.
        cameras: words NAME=RECORDED, for recordings.
        own: the perceiver's camera.

    Raises:
        ConfigError: nothing there, no picture, or no field of view. BagError: a recording that cannot be read.
    """
    place = Path(place)
    pictures = _pictures(place, fov_deg)
    if not pictures:
        return _recorded(place, fov_deg, cameras, own, role_name)
    left_out = {} if place.is_file() else {one.name: "no picture by its name" for one in sorted(place.iterdir()) if one not in pictures}
    shots = Shots(False, own.id, iter(()), left_out)
    shots._pictures = _files(pictures, fov_deg, rate_hz, left_out)
    return shots


def require_input(place: Path, fov_deg: float, cameras: tuple[str, ...] = (), role_name: str = "") -> None:
    """Refuse what ``open_shots`` refuses, as far as names and the first bytes of files tell, and words for recordings beside pictures.

    Raises:
        ConfigError: nothing there, no file that holds a picture, no field of view, or ``cameras`` or ``role_name`` with pictures.
        BagError: neither pictures nor one recording.
    """
    place = Path(place)
    pictures = _pictures(place, fov_deg)
    if not pictures:
        try:
            bag_files(place)
        except BagError as error:
            raise BagError(f"pictures ({', '.join(SUFFIXES)}) or {error.expected}", error.got, error.remedy) from None
    elif not any(map(_is_picture, pictures)):
        raise ConfigError(f"a picture in {place}", f"no picture by its bytes in {len(pictures)} of {len(pictures)}, the first is "
                          f"{pictures[0].name}", "give other pictures")
    elif cameras or role_name:
        raise ConfigError("--camera and --role-name with a recording", f"{'--camera' if cameras else '--role-name'} with pictures",
                          "leave it out")


def _pictures(place: Path, fov_deg: float) -> list[Path]:
    """The files at ``place`` that are pictures by their names, sorted; none where it may be a recording."""
    if not place.exists():
        raise ConfigError(f"a picture, a folder of pictures or a recording at {place}", "nothing", "correct --input")
    found = [place] if place.suffix.lower() in SUFFIXES else sorted(
        one for one in place.iterdir() if one.suffix.lower() in SUFFIXES) if place.is_dir() else []
    if found and not fov_deg:
        raise ConfigError("--fov for pictures, which do not tell their camera's horizontal field of view", "none",
                          "give it in degrees, such as --fov 81 for KITTI's cameras")
    return found


def _is_picture(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path):
            return True
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def _files(pictures: list[Path], fov_deg: float, rate_hz: float, left_out: dict[str, str]) -> Iterator[Shot]:
    from PIL import Image

    for number, (path, name) in enumerate(zip(pictures, _names(pictures), strict=True)):
        try:
            with Image.open(path) as file:
                if file.mode not in ("RGB", "RGBA", "L", "P"):
                    left_out[path.name] = f"expected 8-bit colours or grey; got mode {file.mode}"
                    continue
                rgb = np.array(file.convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            left_out[path.name] = " ".join(str(error).split())
            continue
        yield Shot(name, round(number * 1e9 / rate_hz), rgb, fov_deg)


def _names(pictures: list[Path]) -> list[str]:
    """The name of each picture, by which its outputs are called: without the ending, with it where two would have one name."""
    counts = Counter(path.stem for path in pictures)
    names = [path.stem if counts[path.stem] == 1 else path.name for path in pictures]
    return names if len(set(names)) == len(names) else [path.name for path in pictures]


def _recorded(place: Path, fov_deg: float, cameras: tuple[str, ...], own: CameraSpec, role_name: str) -> Shots:
    recording = open_bag(Source(place, role_name, read_cameras(cameras)))
    name = own.id if own.id in recording.cameras or len(recording.cameras) != 1 else recording.cameras[0]
    if name not in recording.cameras:
        raise BagError(f"a camera '{name}' in {place}", f"the cameras {', '.join(recording.cameras) or 'none'}",
                       f"say which one it is with --camera {own.id}=RECORDED")
    spec = recording.camera_spec(name)
    angle = fov_deg or (spec.fov_deg if spec is not None else 0.0)
    if not angle:
        raise ConfigError(f"--fov, as camera '{name}' in {place} has no camera_info", "none",
                          "give its horizontal field of view in degrees")

    def pictures() -> Iterator[Shot]:
        with recording:
            for number, (stamp_ns, picture) in enumerate(recording.pictures(name)):
                yield Shot(f"{number:06d}", stamp_ns, picture, angle)

    return Shots(True, name, pictures())
