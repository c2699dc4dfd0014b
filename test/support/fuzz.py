"""Broken files: bytes of each kind of file flipped, cut and spliced, and what its reader makes of them.

``python -m support.fuzz --inputs 2000`` (from test/) prints the table of docs/notes/broken_files.md. Each kind is read by the function
that the product reads it with; right is a value, or one of the named errors of ``core/errors.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import KdPlannerError

SLOWEST_S = 10.0
"""Processor time of one input: the wall clock measures what else a machine does. A sleep would not be found, but no reader sleeps."""
MOST_BYTES = 2**30
ROUTES = """<routes>
  <route id="a" town="Town01"><waypoint pitch="0" roll="0" x="1.5" y="2" yaw="0" z="0"/><waypoint x="80" y="2" yaw="0"/></route>
  <route id="b" town="Town01"><waypoints><position x="1" y="2" z="0"/><position x="8" y="90.5" z="0"/></waypoints>
  <weathers><weather route_percentage="0" cloudiness="5" sun_altitude_angle="15"/></weathers>
  <scenarios><scenario name="s" type="Accident"><trigger_point x="1" y="2" z="0" yaw="0"/><distance value="30"/></scenario></scenarios>
  </route>
</routes>
"""
RECIPE = """network: tcp
size: 3.1m
lr: 1e-3
bags: [a, b]
method: plankd
teacher: [wise]
tcp: {input-height: 64, input_width: 224}
plankd: {rank_loss: paper, teacher_waypoints: 1}
stages:
- {name: a, share: 0.5, trained: [backbone], losses: {waypoints: 1.0}, ramps: {speed: [0, 1]}}
- {name: b, share: 0.5}
"""
BENCHMARK = """title: Tiny
kind: open_loop
models: [constant_velocity]
suites: {arcs: {bags: arcs, options: {horizons: [0.5, 3.0]}}}
figures: {l2_m/0.5: {text: error at 0.5 s, short: L2, digits: 2, limit: 3}, steer_mae: {}}
labels: {mine: {text: mine, colour: "#8a8a85", curve: line}}
notes: {figures: none}
"""
MODELS = """train: {epochs: 2}
networks: {tcp: {batch: 24}}
models:
  t: {network: tcp, size: 7.6m, label: teacher}
  s: {network: tcp, size: 3.1m, teacher: t, method: plankd, plankd: {entropy: false}}
"""
STATIONS = """stations:
- {id: gate, x: 10, y: -5.5, yaw_deg: 90, range_m: 80, cameras: [{id: front, z: 5, width: 640, height: 360, fov_deg: 90, pitch_deg: 20}]}
- {id: far, x: 0, y: 0}
"""


@dataclass(frozen=True)
class Kind:
    """A kind of file: ``files`` (name: content) of a folder, those of them that are broken, and ``read(folder)``."""

    files: dict[str, bytes]
    broken: tuple[str, ...]
    read: Callable[[Path], Any]


@dataclass
class Outcome:
    """What came of the inputs of one kind. ``faults`` are other exceptions than the named errors, and inputs that took too long."""

    kind: str
    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    grown_mb: float = 0.0
    faults: list[str] = field(default_factory=list)
    errors: Counter = field(default_factory=Counter)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` after one to eight accidents: a bit flipped, a byte or a run of bytes replaced, the end or a middle part lost, a part
    doubled or moved."""
    data = bytearray(content)
    for _ in range(1 if rng.random() < 0.4 else int(rng.integers(1, 9))):
        if not data:
            break
        at, length = int(rng.integers(len(data))), int(min(rng.integers(1, 65), len(data)))
        other = int(rng.integers(len(data)))
        match int(rng.integers(7)):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at] = int(rng.integers(256))
            case 2:
                data[at:at + length] = bytes(rng.integers(0, 256, length, dtype=np.uint8))
            case 3:
                del data[at:at + length]
            case 4:
                data[at:at] = data[other:other + length]
            case 5:
                data[at:at + length] = rng.choice([b"\x00", b"\xff", b"9", b"-", b"{", b"]", b"\n", b"'", b'"'], length).tobytes()
            case _ if rng.random() < 0.3:
                del data[at:]
    return bytes(data)


STRANGE = (None, True, 0, -1.5, 1e400, 10**30, "", "x", "../x", [], {}, [1], ["a"], {"a": 1}, [[[]]], "\n", "1e-3")
"""Values that stand where another type is expected."""


def misfit(path: str, content: bytes, rng: np.random.Generator) -> bytes:
    """JSON or YAML ``content`` with one value, anywhere in it, replaced by one of another type."""
    import yaml

    data = json.loads(content) if path.endswith(".json") else yaml.safe_load(content)
    places = list(_places(data))
    holder, key = places[int(rng.integers(len(places)))]
    if rng.random() < 0.15 and isinstance(holder, dict):
        holder[STRANGE[int(rng.integers(8))]] = holder.pop(key)
    else:
        holder[key] = STRANGE[int(rng.integers(len(STRANGE)))]
    return (json.dumps(data) if path.endswith(".json") else yaml.safe_dump(data)).encode()


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(data.items() if isinstance(data, dict) else enumerate(data)):
        yield data, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def fuzz(name: str, kind: Kind, inputs: int, seed: int = 0) -> Outcome:
    """Read ``inputs`` broken versions of ``kind``."""
    found = Outcome(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as top:
        for number in range(inputs):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
            folder = Path(top) / "input"
            shutil.rmtree(folder, ignore_errors=True)
            victim = kind.broken[number % len(kind.broken)]
            for path, content in kind.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                if path == victim:
                    typed = path.endswith((".json", ".yaml")) and path != "b/metadata.yaml" and rng.random() < 0.5
                    content = misfit(path, content, rng) if typed else mutated(content, rng)
                (folder / path).write_bytes(content)
            _read_one(kind, folder, found, f"{victim}, input {number} of seed {seed}")
    found.grown_mb = max(0.0, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0)
    if found.grown_mb > MOST_BYTES / 2**20:
        found.faults.append(f"{found.grown_mb:.0f} MB of memory")
    return found


def _read_one(kind: Kind, folder: Path, found: Outcome, what: str) -> None:
    found.inputs += 1
    began = time.process_time()
    try:
        with _time_limit(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            kind.read(folder)
        found.read += 1
    except KdPlannerError as error:
        found.refused += 1
        found.errors[type(error).__name__] += 1
        if "\n" in str(error) or len(str(error)) > 2000:
            found.faults.append(f"{what}: {len(str(error))} characters in an error")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        found.faults.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
    found.slowest_s = max(found.slowest_s, time.process_time() - began)


class Late(BaseException):
    """An input took too long. No Exception: a reader's own handlers must not take it for the file's fault."""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def late(*_: object) -> None:
        raise Late(f"more than {SLOWEST_S:g} s of processor time")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


# --- the kinds -----------------------------------------------------------------------------------------------------------

def _card() -> Kind:
    from kd_planner_ros.core.card import read_card
    from kd_planner_ros.distill.recipes import complete
    from kd_planner_ros.evaluation.benchmark.models import held_out_m
    from kd_planner_ros.networks.registry import find_network
    from kd_planner_ros.runtime.facts import model_facts
    from kd_planner_ros.runtime.paths import models_folder
    from kd_planner_ros.runtime.zoo import zoo

    def read(folder: Path) -> None:
        card = read_card(folder / "m")
        assert isinstance(card.maps_seen, set) and isinstance(card.finished, bool)
        find_network(card.network).config(card.config)
        held_out_m(card)
        complete(card.training.get("recipe", {}))
        model_facts(str(folder / "m"))
        zoo(folder)

    return Kind({"m/card.json": (models_folder() / "tcp64_3m1_imitation" / "card.json").read_bytes()}, ("m/card.json",), read)


def _weights() -> Kind:
    import hashlib
    from dataclasses import replace

    import torch
    from safetensors.torch import save

    from kd_planner_ros.core.card import read_card
    from kd_planner_ros.runtime.paths import models_folder
    from kd_planner_ros.runtime.store import WEIGHTS, fill, read_weights

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    card = read_card(models_folder() / "tcp64_3m1_imitation")

    def read(folder: Path) -> None:
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()  # else all are refused by their hash
        fill(model, read_weights(folder, replace(card, weights_sha256=digest)), "m")

    return Kind({WEIGHTS: save(model.state_dict())}, (WEIGHTS,), read)


def _backbone() -> Kind:
    import torch
    from safetensors.torch import save

    from kd_planner_ros.networks.blocks.resnet import load_pretrained

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    new, old = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, new)
    torch.save(model.state_dict(), old, _use_new_zipfile_serialization=False)

    def read(folder: Path) -> None:
        errors = []
        for name in ("a.safetensors", "new.pth", "old.pth"):
            try:
                load_pretrained(model, folder / name)
            except KdPlannerError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    files = {"a.safetensors": save(model.state_dict()), "new.pth": new.getvalue(), "old.pth": old.getvalue()}
    return Kind(files, tuple(files), read)


def _checkpoint() -> Kind:
    import torch

    from kd_planner_ros.distill import checkpoint
    from kd_planner_ros.distill.ownership import require_same_recipe

    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), {"recipe": json.dumps({"lr": 1e-3}), "step": 3, "learner": {
            "model": {"a": torch.arange(4.0)}, "memory": {"held": np.arange(3.0)}}})
        content = (Path(folder) / checkpoint.LAST).read_bytes()

    def read(folder: Path) -> None:
        require_same_recipe(checkpoint.load(folder), {"lr": 1e-3}, folder)

    return Kind({checkpoint.LAST: content}, (checkpoint.LAST,), read)


def _town_net() -> bytes:
    """A grid of two by two junctions, as netconvert writes it."""
    from kd_planner_ros.world.sumo_tools import run_tool

    with tempfile.TemporaryDirectory() as folder:
        nodes = "".join(f'<node id="{x}{y}" x="{90 * x}" y="{90 * y}" type="traffic_light"/>' for x in (0, 1) for y in (0, 1))
        edges = "".join(f'<edge id="{a}_{b}" from="{a}" to="{b}" numLanes="1" speed="13.9"/>'
                        for a, b in (("00", "10"), ("10", "11"), ("11", "01"), ("01", "00"), ("10", "00"), ("11", "10"), ("01", "11"),
                                     ("00", "01")))
        (Path(folder) / "a.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
        (Path(folder) / "a.edg.xml").write_text(f"<edges>{edges}</edges>")
        run_tool("netconvert", "-n", "a.nod.xml", "-e", "a.edg.xml", "-o", "a.net.xml", folder=Path(folder))
        return (Path(folder) / "a.net.xml").read_bytes()


def _map() -> Kind:
    import gzip

    from kd_planner_ros.world.lane_graph import LaneGraph
    from kd_planner_ros.world.maps import load_map

    content = _town_net()

    def read(folder: Path) -> None:
        for name in ("a.net.xml", "b.net.xml.gz"):
            LaneGraph(load_map(str(folder / name)))

    files = {"a.net.xml": content, "b.net.xml.gz": gzip.compress(content, mtime=0)}
    return Kind(files, tuple(files), read)


XODR = """<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4" name="" version="1" north="0" south="0" east="0" west="0"/>
<road name="r" length="120" id="1" junction="-1"><planView><geometry s="0" x="0" y="0" hdg="0" length="120"><line/></geometry></planView>
<elevationProfile/><lateralProfile/><lanes><laneSection s="0"><left><lane id="1" type="driving" level="false"><width sOffset="0" a="3.5"
b="0" c="0" d="0"/></lane></left><center><lane id="0" type="none" level="false"/></center><right><lane id="-1" type="driving"
level="false"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></right></laneSection></lanes></road></OpenDRIVE>
"""


def _opendrive() -> Kind:
    from kd_planner_ros.world.maps import load_map

    return Kind({"a.xodr": XODR.encode()}, ("a.xodr",), lambda folder: load_map(str(folder / "a.xodr")))


def _route() -> Kind:
    from kd_planner_ros.world.route_files import read_route_file

    return Kind({"r.xml": ROUTES.encode()}, ("r.xml",), lambda folder: read_route_file(folder / "r.xml"))


def _recipe() -> Kind:
    from kd_planner_ros.distill.recipes import read_recipe, train_config

    return Kind({"r.yaml": RECIPE.encode()}, ("r.yaml",), lambda folder: train_config({}, read_recipe(folder / "r.yaml")))


def _benchmark() -> Kind:
    from kd_planner_ros.evaluation.benchmark.recipe import read_recipe
    from kd_planner_ros.evaluation.benchmark.spec import find_spec, read_spec

    plankd = find_spec("plankd")

    def read(folder: Path) -> None:
        read_spec(folder / "b.yaml")
        read_recipe(plankd, folder / "models.yaml")

    return Kind({"b.yaml": BENCHMARK.encode(), "models.yaml": MODELS.encode()}, ("b.yaml", "models.yaml"), read)


def _profile() -> Kind:
    from kd_planner_ros.ros.profiles import load_profile
    from kd_planner_ros.runtime.paths import config_folder

    content = (config_folder() / "profiles" / "carla_bridge.yaml").read_bytes()
    return Kind({"p.yaml": content}, ("p.yaml",), lambda folder: load_profile(str(folder / "p.yaml")))


def _stations() -> Kind:
    from kd_planner_ros.core.stations import read_stations_file

    return Kind({"s.yaml": STATIONS.encode()}, ("s.yaml",), lambda folder: read_stations_file(folder / "s.yaml"))


def _latency() -> Kind:
    from kd_planner_ros.evaluation.latency import read_latency

    content = json.dumps({"planner": "m", "latency_ms": [12.5, 30, 8.25]}).encode()
    return Kind({"l.json": content}, ("l.json",), lambda folder: read_latency(str(folder / "l.json"), "m"))


def _sensor_file() -> Kind:
    from kd_planner_ros.ros.carla_objects import read_objects, to_objects
    from kd_planner_ros.runtime.facts import model_facts

    content = json.dumps(to_objects(model_facts("tcp64_3m1_imitation").rig, "ego_vehicle")).encode()
    return Kind({"o.json": content}, ("o.json",), lambda folder: read_objects(folder / "o.json", "ego_vehicle"))


def _run_folder() -> Kind:
    from kd_planner_ros.core.ego import EgoState, Pose
    from kd_planner_ros.core.records import Control
    from kd_planner_ros.core.route import Route
    from kd_planner_ros.core.scene import Weather
    from kd_planner_ros.core.sensors import CameraSpec
    from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter, read_run
    from kd_planner_ros.evaluation.score import read_records

    route = Route("r", "default", np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros(2), np.array([4, 4], np.int8), np.array([[0.0, 0.0]]))
    with tempfile.TemporaryDirectory() as top, RunWriter(
            Path(top), RunInfo("m", route, Weather(), 7, CameraSpec("front", Pose(z=2.0), 90, 26, 100.0))) as writer:
        for tick in range(3):
            writer.tick(EgoState(50_000_000 * tick, Pose(x=1.0), 3.0), Control(throttle=0.5))
        writer.event(0, "collisions_vehicle", 1.0, 2.0)
        writer.finish({"_checkpoint": {"records": [{"route_id": "r", "index": 0, "status": "Completed", "scores": {
            "score_route": 100.0, "score_penalty": 1.0}, "infractions": {}, "meta": {
                "route_length": 1.0, "key_point_length": 1.0, "duration_game": 1.0, "duration_system": 1.0, "seed": 1, "town": "t"}}]}})
        files = {path.name: path.read_bytes() for path in Path(top).iterdir() if path.is_file()}

    def read(folder: Path) -> None:
        read_run(folder)
        read_records(folder / "statistics.json")

    return Kind(files, tuple(sorted(files)), read)


def _caches() -> Kind:
    from kd_planner_ros.evaluation.benchmark.outcomes import read_outcome
    from kd_planner_ros.samples.shards import Shard
    from kd_planner_ros.world.sumo_tools import kept_arrays

    array, packed = io.BytesIO(), io.BytesIO()
    np.save(array, np.arange(12.0).reshape(3, 4))
    np.savez(packed, a=np.arange(3.0), b=np.arange(4))
    facts = {"bag": "b", "content": "c", "map": "m", "route": "r", "samples": 3, "fields": ["extra"]}
    outcome = {"model": "m", "seed": 0, "suite": "s", "weights_sha256": "w", "figures": {"l2": 1.0}, "count": 3}

    def read(folder: Path) -> None:
        shard = Shard(folder)
        for one in (shard.rows, shard.images, *shard.fields.values()):
            assert isinstance(one, np.ndarray)
        assert shard.facts["bag"] is not None
        read_outcome(folder / "outcome.json")
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = str(folder)
        try:
            kept_arrays(b"key", lambda: {"a": np.arange(3.0), "b": np.arange(4)})
        finally:
            os.environ.pop("XDG_CACHE_HOME") if before is None else os.environ.update(XDG_CACHE_HOME=before)

    import hashlib

    town = f"kd_planner_ros/maps/{hashlib.sha256(b'key').hexdigest()[:24]}.npz"
    files = {"facts.json": json.dumps(facts).encode(), "rows.npy": array.getvalue(), "images.npy": array.getvalue(),
             "extra.npy": array.getvalue(), "outcome.json": json.dumps(outcome).encode(), town: packed.getvalue()}
    return Kind(files, tuple(files), read)


def _bag(storage: str) -> Callable[[], Kind]:
    def make() -> Kind:
        from support.bags import write_bag

        from kd_planner_ros.bags.facts import custom_data
        from kd_planner_ros.bags.reader import open_bag
        from kd_planner_ros.samples.shards import content_hash

        with tempfile.TemporaryDirectory() as top:
            write_bag(Path(top) / "b", seconds=1.0, labels=False, storage=storage)
            files = {f"b/{path.name}": path.read_bytes() for path in sorted((Path(top) / "b").iterdir())}

        def read(folder: Path) -> None:
            custom_data(folder / "b")
            content_hash(folder / "b")
            with open_bag(folder / "b") as recording:
                assert recording.map_name is not None and recording.route is not False
                recording.camera_spec(recording.cameras[0] if recording.cameras else "front")
                for _ in recording.samples():
                    pass

        return Kind(files, tuple(files), read)
    return make


KINDS: dict[str, Callable[[], Kind]] = {
    "card": _card, "weights": _weights, "backbone weights": _backbone, "checkpoint": _checkpoint, "map": _map, "OpenDRIVE map": _opendrive,
    "route file": _route, "recipe": _recipe, "benchmark file": _benchmark, "profile": _profile, "stations file": _stations,
    "latency file": _latency, "sensor file": _sensor_file, "run folder": _run_folder, "caches": _caches, "recording (mcap)": _bag("mcap"),
    "recording (sqlite3)": _bag("sqlite3")}


def main() -> int:
    """Print a table, and every fault; exit status 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help="default: all")
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    print("| Kind of file | Inputs | Read | Refused | Slowest s | Memory grown by MB | Faults |\n|---|---|---|---|---|---|---|", flush=True)
    bad = 0
    for name in args.kinds or KINDS:
        found = fuzz(name, KINDS[name](), args.inputs, args.seed)
        counts = map(str, (found.inputs, found.read, found.refused))
        print("|", " | ".join([name, *counts, f"{found.slowest_s:.2f}", f"{found.grown_mb:.0f}", str(len(found.faults))]), "|", flush=True)
        for fault in found.faults[:20]:
            print(f"  {fault}", file=sys.stderr, flush=True)
        if args.json:
            print(json.dumps(asdict(found)), file=sys.stderr)
        bad += len(found.faults)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
