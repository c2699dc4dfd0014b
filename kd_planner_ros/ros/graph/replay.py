"""``kd-planner replay``: a recording through the real graph in simulated time, scored like an open-loop evaluation."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.cameras import recorded_names, require_calibration
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.bags.roadside import roadside_topics
from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP, Source, read_cameras
from kd_planner_ros.core.errors import BagError, ConfigError, PlannerError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.graph.arguments import LOG_LEVELS
from kd_planner_ros.ros.graph.checks import check_nodes
from kd_planner_ros.ros.graph.describe import GraphConfig, describe
from kd_planner_ros.ros.graph.environment import graph_environment, require_graph, transport_environment
from kd_planner_ros.ros.graph.pacing import Asked, paced
from kd_planner_ros.ros.graph.site import Site
from kd_planner_ros.ros.profiles import Profile
from kd_planner_ros.ros.specs.world import PATIENT_CONTROL_S
from kd_planner_ros.runtime.facts import ModelFacts, planner_facts
from kd_planner_ros.sync.cadence import Cadence
from kd_planner_ros.wire.codec.motion import TRANSFORMS
from kd_planner_ros.wire.topics import TF, TF_STATIC, TRUTH_OBJECTS

START_S, DIAGNOSTICS_S = 240.0, 3.0
GIVEN = ("planner", "models_dir", "carla_profile", "role_name")
"""Options that a parameter file may say instead."""


def _option(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class ReplayConfig:
    """What to play, to whom, how fast."""

    bag: Path = field(metadata={"help": "a rosbag2 folder (mcap or sqlite3)"})
    planner: str = _option("", "folder of models/, a path to one, constant_velocity, or auto: the best shipped model; empty: the "
                               "parameter files', else auto")
    rate: float = _option(0.0, "playback speed as a multiple of real time; 0: lock-step, each tick waits for its control")
    max_drops: float = _option(0.02, "largest share of frames without a plan that is still scored")
    device: str = _option("", "cpu, cuda or cuda:N; empty: the parameter files', else cpu")
    engine: str = _option("", "inference engine; empty: the parameter files', else auto",
                          choices=("", "auto", "torch", "openvino", "onnxruntime"))
    models_dir: str = _option("", "folder of models; empty: the parameter files', else the shipped ones", metavar="DIR")
    carla_profile: str = _option("", "topic names and message types, a file of config/profiles/ or a path to one; empty: the parameter "
                                     "files', else carla_bridge")
    role_name: str = _option("", ROLE_HELP)
    camera: tuple[str, ...] = _option((), CAMERA_HELP, metavar="NAME=RECORDED")
    params_file: Path | None = _option(None, "ROS parameter file of your own; wins over config/nodes/*.yaml", metavar="FILE")
    log_level: str = _option("", "what the nodes log; empty: ROS's default, info", choices=LOG_LEVELS)


def replay(config: ReplayConfig, progress: bool = True) -> dict[str, Any]:
    """Play the recording and give back ``evaluation.metrics.score_plans``' figures, with ``frames``, ``dropped``
    (frames without a plan), ``extra`` (plans at stamps that no frame has; they are scored too), ``unanswered`` (ticks without a control
    in time), ``refused``, ``wall_s`` and ``calibration`` (what the planner said of the calibration that was played).

    Raises:
        BagError: no recording, a broken one, or one that lacks the route or a sensor of the planner.
        PlannerError, CardError: from the planner, or a node died.
        ConfigError: more frames were dropped than ``max_drops`` allows, or this shell's variables let no graph form.
    """
    if config.rate < 0.0 or not 0.0 <= config.max_drops <= 1.0:
        raise ConfigError("--rate of at least 0 and --max-drops from 0 to 1", f"{config.rate} and {config.max_drops}",
                          "correct them")
    require_graph()
    site = Site({name: getattr(config, name) for name in GIVEN}, config.params_file)
    with open_bag(Source(config.bag, site.value("role_name"), read_cameras(config.camera))) as recording:
        profile = site.profile(recording.role_name)
        _require_heard(profile, recording)
        planner, models_dir = site.planner(profile)
        facts = planner_facts(planner, models_dir)
        topics, trigger = needed_topics(recording, facts.rig)
        environment = graph_environment(facts.rig)
        profile = _with_cameras(profile, recording, facts.rig)
        period_s = max(1.0 / facts.rate_hz, _period_s(recording, trigger))
        nodes = describe(GraphConfig(profile, planner, period_s, world="none", device=config.device, engine=config.engine,
                                     models_dir=models_dir, lockstep=config.rate == 0.0, log_level=config.log_level,
                                     params_file=config.params_file))
        check_nodes(nodes, config.params_file)
        site.require_agreed(nodes)
        for node in nodes:
            if node.name == "controller":
                site.require(node, "lockstep", config.rate == 0.0, f"--rate {config.rate:g}")
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kd_planner_replay_") as folder:
            player, frames = _play(config, recording, nodes, profile, topics, trigger, facts, Path(folder), environment, progress)
        return {"planner": facts.name, "bag": str(config.bag), "wall_s": round(time.monotonic() - started_s, 2),
                **_score(config, recording, player, frames)}


def _require_heard(profile: Profile, recording: Recording) -> None:
    """Refuse a profile whose nodes do not read what was recorded: they would wait for odometry until the end."""
    topic, recorded = profile.topics.get("odometry", "odometry"), recording.topics.odometry
    heard = topic if topic.startswith("/") else f"{profile.namespace.rstrip('/')}/{topic}"
    if heard != recorded:
        raise ConfigError(f"a profile whose nodes read {recorded}, as recorded", f"{profile.name}, whose nodes read {heard}",
                          "leave --carla-profile out, or name the profile of the recorded system")


def needed_topics(recording: Recording, rig: SensorRig) -> tuple[dict[str, str], str]:
    """Types of the topics that the graph reads, by name, and the topic whose messages trigger plans. What stations sent is
    among them where the planner asks for views; those, the cameras' calibrations and the transforms are missing where they were not
    recorded.

    Raises:
        BagError: one of them was not recorded, a camera's pictures have another size or calibration, or there is no route.
    """
    names = _cameras(recording, rig)
    cameras = [recording.image_topic(name) for name in names]
    lidars = [recording.topics.sensor(spec.id) for spec in rig.lidars]
    wanted = [*cameras, *lidars, recording.topics.odometry]
    for topic in wanted:
        recording.require(topic, "record the sensors that this planner declares, say which camera is which with --camera NAME=RECORDED, or "
                          f"choose another planner; the recording has the cameras {', '.join(recording.cameras) or 'none'} and the LiDARs "
                          f"{', '.join(recording.clouds) or 'none'}")
    for spec, name in zip(rig.cameras, names, strict=True):
        found = recording.camera_spec(name)
        if found is not None and (found.width, found.height) != (spec.width, spec.height):
            raise BagError(f"pictures of {spec.width}x{spec.height} from camera '{name}' in {recording.path}",
                           f"{found.width}x{found.height}", "choose a planner made for them, or record with --width and --height")
    require_calibration(recording, rig)
    if rig.needs_route and recording.route is None:
        raise BagError(f"{recording.topics.route} in {recording.path}", "no route",
                       "record the route too, or choose a planner that needs none")
    heard = [*(recording.topics.of("camera_info", name) for name in names), TF, TF_STATIC]
    heard += roadside_topics(recording.stations, recording.held) if rig.roadside is not None else ()
    return {topic: recording.kinds[topic] for topic in (*wanted, *filter(recording.usable, heard))}, wanted[0]


def _cameras(recording: Recording, rig: SensorRig) -> tuple[str, ...]:
    return recorded_names(recording, tuple(spec.id for spec in rig.cameras))


def _with_cameras(profile: Profile, recording: Recording, rig: SensorRig) -> Profile:
    """``profile`` in which the cameras of ``rig`` have the topics that they were recorded under."""
    names = map(recording.topics.recorded, _cameras(recording, rig))
    own = {f"{spec.id}/{topic}": f"{name}/{topic}" for spec, name in zip(rig.cameras, names, strict=True)
           for topic in ("image", "camera_info")}
    return replace(profile, topics={**profile.topics, **own})


def _period_s(recording: Recording, trigger: str) -> float:
    """Usual time between two messages on ``trigger``, seconds."""
    from kd_planner_ros.ros.graph.player import instants

    stamps = [stamp for stamp, _ in _first(instants(recording, {trigger}), 40)]
    return float(np.median(np.diff(stamps))) / 1e9 if len(stamps) > 1 else 0.0


@contextmanager
def _transport(rig: SensorRig) -> Iterator[None]:
    """Shared memory for what this process creates inside: it sends the sensors of ``rig``."""
    more = transport_environment(rig)
    os.environ.update(more)
    try:
        yield
    finally:
        for name in more:
            del os.environ[name]


def _first(items: Any, count: int) -> list[Any]:
    return [item for item, _ in zip(items, range(count), strict=False)]


def _play(config: ReplayConfig, recording: Recording, nodes: list, profile: Any, topics: dict[str, str], trigger: str,
          facts: ModelFacts, folder: Path, environment: dict[str, str], progress: bool) -> tuple[Any, list[int]]:
    """Play everything to planner and controller; gives back the player and the stamps that asked for plans."""
    from kd_planner_ros.ros.clock import require_only_clock
    from kd_planner_ros.ros.graph.player import Player, instants
    from kd_planner_ros.ros.graph.processes import Processes
    from kd_planner_ros.ros.graph.watch import HeartbeatWatch

    watch = HeartbeatWatch([node.full_name for node in nodes])
    with _transport(facts.rig):
        player = Player(profile, int(environment["ROS_DOMAIN_ID"]), watch.take)
    player.adapter.max_steer_rad = next(node.effective()["max_steer_rad"] for node in nodes if node.name == "controller")
    asked, stamp_ns = Asked(Cadence(1.0 / facts.rate_hz)), 0
    try:
        with Processes(nodes, folder, environment) as processes:
            topics = _playable(topics, player, recording)
            player.open(topics, recording.usable_route, recording.stations if facts.rig.roadside is not None else (),
                        _renamed(recording, facts.rig))
            _await_agent(player, processes, watch, environment)
            require_only_clock(player.node)
            bar = tqdm(instants(recording, set(topics)), unit="tick", disable=not progress, dynamic_ncols=True, file=sys.stderr)
            for stamp_ns, group in paced(bar, config.rate, player.spin):
                names = {topic for topic, _ in group}
                if trigger in names:
                    asked.take(stamp_ns, max(player.plans, default=0))
                player.tick(stamp_ns, group)
                if config.rate == 0.0 and recording.topics.odometry in names:
                    player.await_control(stamp_ns, PATIENT_CONTROL_S)
                _require_alive(processes, watch, environment)
            for _ in range(20):
                player.spin(0.05)
            _await_diagnostics(player, stamp_ns)
    finally:
        player.close()
    return player, asked.frames


def _playable(topics: dict[str, str], player: Any, recording: Recording) -> dict[str, str]:
    """``topics`` that can be played here: transforms where their package is installed."""
    lost = [topic for topic, kind in topics.items() if kind == TRANSFORMS and not player.has_transforms]
    recording.notes += [f"{topic} is not played: {TRANSFORMS} is not installed, mountings are not compared" for topic in lost]
    return {topic: kind for topic, kind in topics.items() if topic not in lost}


def _renamed(recording: Recording, rig: SensorRig) -> dict[str, str]:
    """The recorded names of the cameras of ``rig`` that have another one."""
    names = zip(rig.cameras, map(recording.topics.recorded, _cameras(recording, rig)), strict=True)
    return {spec.id: name for spec, name in names if spec.id != name}


def _await_diagnostics(player: Any, stamp_ns: int) -> None:
    """Wait until the planner has said what it compared up to ``stamp_ns``, as it does once a second."""
    until_s, player.told_ns = time.monotonic() + DIAGNOSTICS_S, -1
    while player.told_ns < stamp_ns and (left_s := until_s - time.monotonic()) > 0.0:
        player.spin(left_s)


def _await_agent(player: Any, processes: Any, watch: Any, environment: dict[str, str]) -> None:
    until_s = time.monotonic() + START_S
    while not player.ready:
        _require_alive(processes, watch, environment)
        if time.monotonic() > until_s:
            raise PlannerError(f"a planner that is ready within {START_S:g} s",
                               processes.last_line("planner") or "no message", "read the planner's log")
        player.spin(0.2)


def _require_alive(processes: Any, watch: Any, environment: dict[str, str]) -> None:
    for name, status in processes.ended().items():
        raise PlannerError("planner and controller to run until the end of the recording",
                           f"{name} ended with status {status}: {processes.last_line(name) or 'no message'}",
                           "see 'kd-planner models list', or try --engine torch")
    if watch.silent(processes.begun()):
        raise watch.error(processes.last_lines(), {**os.environ, **environment})


def _score(config: ReplayConfig, recording: Recording, player: Any, frames: list[int]) -> dict[str, Any]:
    from kd_planner_ros.driving.supervisor import WISHES
    from kd_planner_ros.evaluation.metrics import score_plans
    from kd_planner_ros.evaluation.open_loop import recorded

    answered, dropped = sorted(player.plans), sum(stamp not in player.plans for stamp in frames)
    if not frames or dropped > config.max_drops * len(frames):
        why = f"; the planner said {sorted(set(player.faults.values()))}" if player.faults else ""
        raise ConfigError(f"at most {100 * config.max_drops:g} % of the frames without a plan",
                          f"{dropped} of {len(frames)}{why}",
                          "play in lock-step (--rate 0) or slower, or raise --max-drops")
    controls = [player.controls.get(stamp) for stamp in answered]
    steers = [None if one is None or one.reason not in WISHES else one.steer for one in controls]
    score = score_plans([player.plans[stamp].trajectory for stamp in answered], steers,
                        recorded(recording, list(_actors(recording))))
    return {**score, "frames": len(frames), "dropped": dropped, "extra": len(set(answered) - set(frames)),
            "unanswered": player.unanswered, "unreadable": player.unreadable,
            **({"notes": recording.notes} if recording.notes else {}),
            "calibration": player.calibration, "refused": sum(steer is None for steer in steers)}


def _actors(recording: Recording) -> Any:
    """Recorded boxes with their stamps."""
    return recording.records("objects") if recording.usable(TRUTH_OBJECTS) else ()
