"""Key files: made by ``kd-planner v2x keys``, read at the start of a station or a gateway.

A folder of keys has ``private/<station>.json``, which goes to the station, and ``allowed/<station>.json``, which goes to the cars. Each
file can be read by its owner alone; whatever anybody else may have read or written is refused by its name.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError, sentence_of
from kd_planner_ros.core.files import whole_file
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.v2x.signing import KeyRing, Signer, StationKey, place_digest

PRIVATE, ALLOWED = "private", "allowed"
ALGORITHM = "Ed25519"
MAX_FILE_BYTES = 10_000
MOVED_M, TURNED_DEG = 0.5, 1.0
"""A station farther from where its key was made, or turned by more, has moved."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NEW = "make new keys with 'kd-planner v2x keys'"


def make_keys(folder: Path, stations: Iterable[Station], from_s: float, until_s: float) -> list[Path]:
    """A new pair of keys for each of ``stations``: the files, private ones first. They hold between two instants of Unix time.

    Raises:
        ConfigError: the folder lies in a git repository, or holds a key of one of the stations already.
    """
    folder, stations = folder.expanduser().resolve(), list(stations)
    _refuse_repository(folder)
    names = [folder / part / f"{one.id}.json" for part in (PRIVATE, ALLOWED) for one in stations]
    if there := [path for path in names if path.exists()]:
        raise ConfigError("a folder without keys of these stations", str(there[0]), "give another folder, or delete the old keys first")
    for part in (PRIVATE, ALLOWED):
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / part).chmod(0o700)
    for one in stations:
        key = Ed25519PrivateKey.generate()
        common = {"station": one.id, "algorithm": ALGORITHM, "valid_from": _text(from_s), "valid_until": _text(until_s)}
        place = {**_mount(one.pose), "cameras": {camera.id: _mount(camera.pose) for camera in one.cameras}}
        private = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        _write(folder / PRIVATE / f"{one.id}.json", {**common, "private_key": private.hex()})
        _write(folder / ALLOWED / f"{one.id}.json", {**common, "public_key": public.hex(), "place": place})
    return names


def read_signer(path: Path, station: Station, now_s: float) -> Signer:
    """Who signs for ``station``.

    Raises:
        ConfigError: the file is missing, broken, another station's, readable by others, or its time has not begun or is over.
    """
    data = _read(path, "private_key")
    if data["station"] != station.id:
        raise ConfigError(f"the key of station '{station.id}' in {path}", f"that of '{data['station']}'", "give the station's own key")
    _require_time(data, path, now_s)
    return Signer(Ed25519PrivateKey.from_private_bytes(data["private_key"]), place_digest(station))


def read_signers(folder: Path, stations: Iterable[Station], name: str, now_s: float) -> list[tuple[Station, Signer]]:
    """(station, who signs for it) of each of ``stations`` that has a key in ``folder`` (``.../private``); of station ``name`` alone where
    it is not empty.

    Raises:
        ConfigError: no such station, none of them has a key there, or as ``read_signer``.
    """
    stations = list(stations)
    wanted = [one for one in stations if name in ("", one.id)]
    if not wanted:
        raise ConfigError(f"a station out of {', '.join(one.id for one in stations)}", repr(name), "correct parameter station")
    found = [(one, folder / f"{one.id}.json") for one in wanted]
    there = [(one, path) for one, path in found if path.is_file()]
    if not there:
        raise ConfigError(f"a private key of one of the stations in {folder}", f"none for {wanted[0].id}", _NEW)
    return [(one, read_signer(path, one, now_s)) for one, path in there]


def read_allowed(folder: Path, stations: Iterable[Station], now_s: float) -> KeyRing:
    """The allow-list in ``folder`` (``.../allowed``): the keys of those ``stations`` that have a good one; a station may have several, each
    in a file of its own, while one replaces another. Why another file was refused stands in ``refused``; a station that moved on the map
    since its key was made, or has a camera that did, is refused too.

    Raises:
        ConfigError: no such folder, others may write into it, or none of its keys can be used.
    """
    if not folder.is_dir():
        raise ConfigError(f"a folder of keys at {folder}", "no such folder", _NEW)
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"a folder of keys that its owner alone writes to at {folder}", "others may write to it", f"chmod 700 {folder}")
    places = {one.id: one for one in stations}
    keys: dict[str, tuple[StationKey, ...]] = {}
    refused: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            data = _read(path, "public_key")
            _require_time(data, path, now_s)
            _require_place(data, path, places)
            key = StationKey(Ed25519PublicKey.from_public_bytes(data["public_key"]), data["valid_from"], data["valid_until"], data["place"])
            keys[data["station"]] = (*keys.get(data["station"], ()), key)
        except (ConfigError, OSError) as error:
            refused[path.stem] = sentence_of(error)
    if not keys:
        raise ConfigError(f"a key that can be used in {folder}", next(iter(refused.values()), "no key file"), _NEW)
    return KeyRing(keys, refused)


def _refuse_repository(folder: Path) -> None:
    for one in (folder, *folder.parents):
        if (one / ".git").exists():
            raise ConfigError("a folder for keys outside every git repository", f"{folder} inside {one}",
                              "give another folder: keys that are committed once can be read for ever")


def _write(path: Path, data: Mapping[str, Any]) -> None:
    with whole_file(path, durable=True) as part, os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(data, indent=2) + "\n")


def _read(path: Path, secret: str) -> dict[str, Any]:
    """The checked content of a key file: keys as bytes, times as Unix time."""
    expected = f"a key file of kd-planner at {path}"
    with reading(ConfigError, expected, _NEW):
        mode, size = path.stat().st_mode, path.stat().st_size
        if mode & _OTHERS:
            raise ConfigError(f"a key file that its owner alone can read at {path}", f"mode {stat.S_IMODE(mode):o}",
                              f"chmod 600 {path}; where others have read it, {_NEW}")
        if size > MAX_FILE_BYTES:
            raise ConfigError(expected, f"{size} bytes", _NEW)
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or data.get("algorithm") != ALGORITHM or not isinstance(data.get("station"), str):
            raise ConfigError(expected, "no 'station' and 'algorithm': 'Ed25519' in it", _NEW)
        key = bytes.fromhex(data[secret])
        if len(key) != 32:
            raise ConfigError(f"a key of 32 bytes in {path}", f"{len(key)} bytes", _NEW)
        times = {name: datetime.fromisoformat(data[name]).timestamp() for name in ("valid_from", "valid_until")}
        place = data.get("place")
        if place is not None:  # files of older versions know neither heights nor cameras
            place = {"": _numbers(place), **{name: _numbers(one) for name, one in place.get("cameras", {}).items()}}
        return {"station": data["station"], secret: key, **times, "place": place}


def _require_time(data: Mapping[str, Any], path: Path, now_s: float) -> None:
    if not data["valid_from"] <= now_s < data["valid_until"]:
        when = f"expired on {_text(data['valid_until'])}" if now_s >= data["valid_until"] else f"begins on {_text(data['valid_from'])}"
        raise ConfigError(f"a key that holds now in {path}", f"one that {when}", _NEW)


def _require_place(data: Mapping[str, Any], path: Path, stations: Mapping[str, Station]) -> None:
    station, place = stations.get(data["station"]), data["place"]
    if station is None:
        raise ConfigError(f"the key of a station of the map in {path}", f"station '{data['station']}'",
                          "remove the file, or add the station")
    mounts = {"": _mount(station.pose), **{camera.id: _mount(camera.pose) for camera in station.cameras}}
    for name, made in (place or {}).items():
        of = f"camera '{name}' of station '{station.id}'" if name else f"station '{station.id}'"
        now = mounts.get(name)
        if now is None or not _stayed(made, now):
            raise ConfigError(f"{of} where its key was made, {_place_text(made)}", "no such camera" if now is None else _place_text(now),
                              "check the map and the station; if it was moved on purpose, " + _NEW)


def _mount(pose: Pose) -> dict[str, float]:
    return {"x": pose.x, "y": pose.y, "z": pose.z, "yaw_deg": math.degrees(pose.yaw), "pitch_deg": math.degrees(pose.pitch)}


def _numbers(place: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(place[name]) for name in ("x", "y", "z", "yaw_deg", "pitch_deg") if name in place or name in ("x", "y", "yaw_deg")}


def _stayed(made: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Whether a mount is where it was, by what is known of it."""
    away_m = math.hypot(*(now[name] - made[name] for name in ("x", "y", "z") if name in made))
    turned = [abs((now[name] - made[name] + 180.0) % 360.0 - 180.0) for name in ("yaw_deg", "pitch_deg") if name in made]
    return away_m <= MOVED_M and all(one <= TURNED_DEG for one in turned)


def _place_text(place: Mapping[str, float]) -> str:
    where = ", ".join(f"{place[name]:.1f}" for name in ("x", "y", "z") if name in place)
    return f"({where}), yaw {place['yaw_deg']:.0f} deg" + (f", pitch {place['pitch_deg']:.0f} deg" if "pitch_deg" in place else "")


def _text(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, timezone.utc).isoformat(timespec="seconds")
