"""Spreads the drives of an evaluation over the machines of a Ray cluster. Ray is an optional extra.

A remote worker needs this package and nothing else: weights, map and routes travel with the first drive. Finished
drives are written here as they come in, into the same folders as without Ray, so both ways go on from each other.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError, KdPlannerError, PlannerError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation import closed_loop, worker
from kd_planner_ros.evaluation.drives import ClosedLoopConfig, Drive, claim_folder, plan_drives

_FILES = ("map", "routes", "latency")
_setups: dict[str, tuple[worker.Setup, tempfile.TemporaryDirectory]] = {}
"""The evaluation that this worker's process is at, and the folder of its files, which goes with it."""


def connect(address: str) -> Any:
    """The module ``ray``, connected to the cluster at ``address``.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers there.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("the Python package 'ray' for --ray", "none", "pip install 'ray[default]' here and on the "
                          "cluster, or leave --ray out and use --jobs") from None
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"a Ray cluster at {address}", text,
                          "start one with 'ray start --head', or correct --ray") from None
    return ray


class Spread:
    """Drives an evaluation on the cluster of ``ray``; call it like ``closed_loop.run``."""

    def __init__(self, ray: Any):
        self._ray, self._remote = ray, ray.remote(drive_remotely)

    def __call__(self, config: ClosedLoopConfig) -> dict[str, Any]:
        """All drives that are not done yet, each a task of one processor; then what ``closed_loop.run`` concludes.

        Raises:
            KdPlannerError: what a worker said, or that it ended without a word; the drives that came in are kept.
        """
        check_fields(config)
        setup = worker.Setup(config)
        config = setup.config
        claim_folder(config, setup.weights)
        drives = plan_drives(config, setup.routes())
        waiting = {drive.index: drive for drive in drives if not (drive.folder / "statistics.json").exists()}
        parcel = self._ray.put(pack(config))
        tasks = {self._remote.remote(parcel, _plain(drive)): drive for drive in waiting.values()}
        while tasks:
            done, _ = self._ray.wait(list(tasks), num_returns=1)
            for task in done:
                drive = tasks.pop(task)
                _keep(drive, self._fetch(task, drive))
        return closed_loop.run(config, progress=False)  # every drive is there: this puts them together


    def _fetch(self, task: Any, drive: Drive) -> dict[str, str]:
        try:
            return self._ray.get(task)
        except Exception as error:  # noqa: BLE001  Ray has many of its own, and wraps the worker's
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, KdPlannerError):
                raise cause from None
            text = (str(cause).splitlines() or [""])[0]
            raise PlannerError(f"route {drive.route.name} to be driven on a Ray worker", f"{type(cause).__name__} {text}",
                               "read the worker's log; the same command goes on with the drives that are left") from None


def pack(config: ClosedLoopConfig) -> dict[str, Any]:
    """``config`` and the files that it names, as bytes."""
    files: dict[str, bytes] = {}
    for field in _FILES:
        path = Path(getattr(config, field))
        if path.is_file():
            files[f"{field}/{path.name}"] = path.read_bytes()
    folder = Path(config.planner)
    if (folder / "card.json").is_file():
        files |= {f"planner/{folder.name}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    return {"config": config, "files": files}


def unpack(parcel: dict[str, Any], home: Path) -> ClosedLoopConfig:
    """The config of ``parcel`` with its files below ``home``."""
    config, changes = parcel["config"], {}
    for name, content in parcel["files"].items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        kind = name.split("/")[0]
        changes[kind] = str(path.parent if kind == "planner" else path)
    return replace(config, jobs=1, report=False, out=home / "out", **changes)


def drive_remotely(parcel: dict[str, Any], wanted: tuple[str, int, str]) -> dict[str, str]:
    """Do one drive in a worker's process: the text files of its run folder by name. Map, planner and world stay for the
    next drive of the same evaluation."""
    key = hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(parcel["files"].items()))
                         + repr(parcel["config"]).encode()).hexdigest()
    if key not in _setups:
        for setup, _ in _setups.values():
            setup.close()
        _setups.clear()
        home = tempfile.TemporaryDirectory(prefix="kd_planner_", ignore_cleanup_errors=True)
        _setups[key] = worker.Setup(unpack(parcel, Path(home.name))), home
    setup, _ = _setups[key]
    drive = next(one for one in plan_drives(setup.config, setup.routes()) if _plain(one) == tuple(wanted))
    worker.drive_one(setup, drive)
    return {path.name: path.read_text() for path in sorted(drive.folder.iterdir()) if path.is_file()}


def _plain(drive: Drive) -> tuple[str, int, str]:
    return drive.route.name, drive.seed, drive.weather.name


def _keep(drive: Drive, files: dict[str, str]) -> None:
    drive.folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda name: name == "statistics.json"):  # last: it says that the drive is done
        write_text(drive.folder / name, files[name])
