"""Which files a recording is made of, and what its metadata.yaml says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

from kd_planner_ros.core.errors import BagError

DATA = (".mcap", ".db3")
PACKED = ".zstd"
ROS1_REMEDY = "convert this ROS 1 recording with 'rosbags-convert --src FILE --dst FOLDER'"
PARTIAL = ".partial"
"""What an interrupted run of our own recorder leaves ends with this."""
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""libyaml's: a recording of forty topics has a thousand lines, which a reader in Python takes 0.3 s for."""
_PART = re.compile(r"(.*)_(\d+)$")
"""A recorder splits a recording into NAME_0, NAME_1 ..."""


@dataclass(frozen=True)
class BagFiles:
    """The data files of one recording.

    Attributes:
        path: the folder, or the one file.
        files: the data files that are read, in the recorder's order.
        compression: "", "file" or "message".
        custom_data: what the recorder noted in metadata.yaml.
        counts: number of messages by topic as metadata.yaml says; None without one.
        beside: further data files in the folder, which are not read.
    """

    path: Path
    files: tuple[Path, ...]
    compression: str = ""
    custom_data: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] | None = None
    beside: tuple[Path, ...] = ()


def bag_files(path: Path) -> BagFiles:
    """The files of the recording at ``path``: a rosbag2 folder, one without metadata.yaml, or a single .mcap or .db3 file.

    Raises:
        BagError: no recording there, several, a file that is missing or not finished, or a broken metadata.yaml.
    """
    if not path.exists():
        raise BagError(f"a rosbag2 folder or file at {path}", "no such folder", "check the path; 'kd-planner record' writes some")
    found = _folder(path) if path.is_dir() else _file(path)
    for file in found.files:
        _require_finished(file)
    return found


def recordings_in(folder: Path) -> list[Path]:
    """The recordings that lie in ``folder`` itself, without its subfolders: the folder, or files in it; none where there are none."""
    if (folder / "metadata.yaml").is_file():
        return [folder]
    data = _data_files(folder)
    return [folder] if len(data) == 1 or (data and _one_recording(data)) else data


def _folder(path: Path) -> BagFiles:
    if (path / "metadata.yaml").is_file():
        return _described(path)
    data = _data_files(path)
    if data and (len(data) == 1 or _one_recording(data)):
        return BagFiles(path, tuple(data))
    inner = data or sorted({found.parent for found in path.glob("*/*") if found.name == "metadata.yaml" or found.suffix in DATA
                            if found.parent.suffix != PARTIAL})
    if inner:
        raise BagError(f"one recording at {path}", f"a folder of {len(inner)}", f"name one of them, for example {inner[0]}")
    packed = sorted(path.glob(f"*{PACKED}"))
    raise BagError(f"metadata.yaml or a .mcap or .db3 file in {path}", packed[0].name if packed else "none",
                   "unpack it with 'zstd -d', or copy the folder's metadata.yaml beside it" if packed else
                   "check the path; 'kd-planner record' writes some")


def _file(path: Path) -> BagFiles:
    if path.suffix not in DATA:
        remedies = {".bag": ROS1_REMEDY,
                    PACKED: "name its folder, or unpack it with 'zstd -d'", ".yaml": "name its folder"}
        raise BagError(f"a rosbag2 folder, or a .mcap or .db3 file, at {path}", "a file of another kind",
                       remedies.get(path.suffix, "check the path; 'kd-planner record' writes some"))
    if (path.parent / "metadata.yaml").is_file():
        whole = _described(path.parent)
        if len(whole.files) == 1 and whole.files[0].name == path.name:
            return BagFiles(path, (path,), whole.compression, whole.custom_data, whole.counts)
    return BagFiles(path, (path,))


def _data_files(folder: Path) -> list[Path]:
    """The data files in ``folder``; parts in the order of their numbers, for NAME_10 comes after NAME_9."""
    found = [one for one in folder.iterdir() if one.suffix in DATA and one.is_file()]

    def order(path: Path) -> tuple[str, int]:
        part = _PART.match(path.stem)
        return (part[1], int(part[2])) if part else (path.stem, -1)

    return sorted(found, key=order)


def _one_recording(data: Iterable[Path]) -> bool:
    """Whether ``data`` are the parts of one recording: of one name, with the numbers 0, 1, 2 and so on. Drives that a user counts
    from 1, or names by their dates, are recordings of their own."""
    parts = [(_PART.match(path.stem), path.suffix) for path in data]
    found = [(part[1], suffix, int(part[2])) for part, suffix in parts if part]
    return len(found) == len(parts) and len({one[:2] for one in found}) == 1 and sorted(one[2] for one in found) == list(range(len(found)))


def _described(folder: Path) -> BagFiles:
    facts = read_metadata(folder / "metadata.yaml")
    try:
        names = [PurePath(name).name for name in _list(facts["relative_file_paths"])]
        counts: dict[str, int] = {}
        for one in _list(_given(facts.get("topics_with_message_count")) or []):
            topic = str(one["topic_metadata"]["name"])
            counts[topic] = counts.get(topic, 0) + int(one["message_count"])
        compression = str(_given(facts.get("compression_mode")) or "").lower().replace("none", "")
        custom = custom_data_of(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(folder, f"{type(error).__name__}: {error}") from None
    files = tuple(folder / name for name in names)
    if not files:
        raise BagError(f"data files in {folder / 'metadata.yaml'}", "none",
                       "delete metadata.yaml to read the folder's files as they are, or run 'ros2 bag reindex' on the folder")
    if missing := [one.name for one in files if not one.is_file()]:
        raise BagError(f"the files that metadata.yaml names in {folder}", f"no {', '.join(missing)}", "copy them too")
    if compression and (facts.get("compression_format") != "zstd" or compression not in ("file", "message")):
        raise BagError(f"compression by zstd of files or messages in {folder}", f"{facts.get('compression_format')} of {compression}",
                       "convert it with 'ros2 bag convert'")
    if wrong := [one.name for one in files if one.with_suffix("" if one.suffix == PACKED else one.suffix).suffix not in DATA]:
        raise BagError(f".mcap or .db3 files in {folder}", wrong[0], "convert it with 'ros2 bag convert'")
    beside = tuple(sorted(one for one in folder.iterdir() if one not in files and not one.is_dir()
                          and (one.suffix in DATA or one.suffix == PACKED)))
    return BagFiles(folder, files, compression, custom, counts, beside)


def read_metadata(path: Path) -> Mapping[str, Any]:
    """The contents of the metadata.yaml at ``path``.

    Raises:
        BagError: it cannot be read, or is no recorder's.
    """
    try:
        return parse_metadata(path.read_text())
    except OSError as error:
        raise _unreadable(path.parent, error.strerror or type(error).__name__) from None
    except Exception as error:  # noqa: BLE001 - a YAML reader raises many kinds
        raise _unreadable(path.parent, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from None


def parse_metadata(text: str) -> Mapping[str, Any]:
    """The facts in the text of a metadata.yaml; every value that is no list or map is a text, as it stands there.

    Raises:
        YAMLError, ValueError: it is broken, or no recorder's.
    """
    found = yaml.load(text, Loader=_LOADER)
    facts = found.get("rosbag2_bagfile_information", found) if isinstance(found, dict) else None
    if not isinstance(facts, dict):
        raise yaml.YAMLError("no rosbag2_bagfile_information in it")
    return facts


def custom_data_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """What the recorder noted, in the facts of a metadata.yaml; empty where it noted nothing.

    Raises:
        AttributeError: it is no map.
    """
    return {str(key): str(value) for key, value in (_given(facts.get("custom_data")) or {}).items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} where a list belongs")
    return value


def _given(value: Any) -> Any:
    """``value``, None where YAML has a null for it."""
    return None if value in ("", "~", "null", "Null", "NULL") else value


def _unreadable(folder: Path, why: str) -> BagError:
    return BagError(f"a whole recording in {folder}", f"a metadata.yaml that cannot be read ({why})",
                    "delete metadata.yaml to read the folder's files as they are, or run 'ros2 bag reindex' on the folder")


def _require_finished(file: Path) -> None:
    """Refuse a sqlite3 file whose newest messages still lie in its log or journal."""
    if file.suffix != ".db3":
        return
    for suffix in ("-wal", "-journal"):
        log = file.with_name(file.name + suffix)
        if log.is_file() and log.stat().st_size and any(_head(log)):
            raise BagError(f"a finished sqlite3 file {file}", f"{log.stat().st_size} bytes in {log.name} that are not in it yet",
                           f"end the recorder, then let sqlite3 finish the file: sqlite3 '{file}' 'SELECT COUNT(*) FROM messages'")


def _head(path: Path) -> bytes:
    """The first bytes of a file; a journal that is done with has zeros there."""
    with path.open("rb") as file:
        return file.read(8)
