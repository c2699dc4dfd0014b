"""``kd-planner replay``: a recording through the real graph in simulated time, scored like an open-loop evaluation."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.bags.cameras import recorded_mounts
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.bags.roadside import require_hearer, roadside_topics
from kd_planner_ros.bags.source import Source, read_cameras
from kd_planner_ros.core.errors import BagError, ConfigError, PlannerError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.rigs import renamed_rig
from kd_planner_ros.core.sensors import RoadsideWish, SensorRig
from kd_planner_ros.evaluation.car import car_of
from kd_planner_ros.ros.graph.checks import check_nodes
from kd_planner_ros.ros.graph.describe import GraphConfig, NodeProcess, describe
from kd_planner_ros.ros.graph.environment import graph_environment, require_graph, transport_environment
from kd_planner_ros.ros.graph.pacing import Asked, paced
from kd_planner_ros.ros.graph.replay_config import ReplayConfig
from kd_planner_ros.ros.graph.replay_score import score
from kd_planner_ros.ros.graph.replay_topics import needed_topics, playable, renamed, with_cameras
from kd_planner_ros.ros.graph.rigs import perceiver_facts, rig_to_mount
from kd_planner_ros.ros.graph.site import Site
from kd_planner_ros.ros.mounts import mounts_text
from kd_planner_ros.ros.profiles import Profile
from kd_planner_ros.ros.specs.world import PATIENT_CONTROL_S
from kd_planner_ros.runtime.facts import ModelFacts, planner_facts
from kd_planner_ros.sync.cadence import Cadence
from kd_planner_ros.v2x.channel_settings import recorded_radio

START_S, DIAGNOSTICS_S = 240.0, 3.0
GIVEN = ("planner", "models_dir", "carla_profile", "role_name")
"""Options that a parameter file may say instead."""


def replay(config: ReplayConfig, progress: bool = True) -> dict[str, Any]:
    """Play the recording and give back the figures of an open-loop evaluation (``replay_score.score``), with ``frames``, ``dropped``
    (frames without a plan), ``extra`` (plans at stamps that no frame has; they are scored too), ``unanswered`` (ticks without a control
    in time), ``refused``, ``wall_s`` and ``calibration`` (what the planner said of the calibration that was played). With a perceiver
    ``perceptions`` and ``pictures_unseen``; with ``config.out`` ``out``, the new recording, ``written``, its messages by topic, and
    ``not_written``: topics of types that have no definition here; ``radio``: what became of roadside messages by a simulated radio;
    ``roadside_unheard``: messages of stations that a model did not take in time, in lock-step.

    Raises:
        BagError: no recording, a broken one, or one that lacks a sensor of the models or the route that the planner needs; ``config.out``
            exists already.
        PlannerError, CardError: from the planner, or a node died.
        ConfigError: more frames were dropped than ``max_drops`` allows, or this shell's variables let no graph form.
    """
    check_fields(config)
    if config.rate < 0.0 or not 0.0 <= config.max_drops <= 1.0:
        raise ConfigError("--rate of at least 0 and --max-drops from 0 to 1", f"{config.rate} and {config.max_drops}",
                          "correct them")
    require_graph()
    _require_new(config.out)
    site = Site({**{name: getattr(config, name) for name in GIVEN}, "perceiver": config.perception}, config.params_file)
    radio = recorded_radio(config)
    with open_bag(Source(config.bag, site.value("role_name"), read_cameras(config.camera), radio)) as recording:
        graph = _graph(config, recording, site)
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kd_planner_replay_") as folder:
            player, frames, found = _play(config, recording, graph.nodes, graph.profile, graph.topics, graph.trigger, graph.facts,
                                          Path(folder), graph.environment, progress, graph.seen, graph.wishes)
        return {"planner": graph.facts.name, "bag": str(config.bag), "wall_s": round(time.monotonic() - started_s, 2),
                **score(config.max_drops, recording, player, frames, graph.rig), **found,
                **({"radio": dict(sorted(recording.radio.items()))} if radio is not None else {})}


@dataclass(frozen=True)
class _Graph:
    """What is played to whom. ``facts`` are the planner's, with the sensors of the perceiver ``seen`` too, ``rig`` the planner's alone.
    ``wishes`` has what models ask of roadside stations in lock-step, by the full name of their node."""

    profile: Profile
    nodes: list[NodeProcess]
    topics: dict[str, str]
    trigger: str
    facts: ModelFacts
    seen: ModelFacts | None
    wishes: dict[str, RoadsideWish]
    environment: dict[str, str]
    rig: SensorRig


def _graph(config: ReplayConfig, recording: Recording, site: Site) -> _Graph:
    """The nodes for ``recording``, checked; nothing is started."""
    profile = site.profile(recording.role_name)
    _require_heard(profile, recording)
    planner, models_dir = site.planner(profile)
    facts = planner_facts(planner, models_dir)
    require_hearer(recorded_radio(config), facts.rig, facts.name)
    perceiver, perceiver_dir = site.perceiver(profile) if config.perception else ("", "")
    perceiver, seen = perceiver_facts(perceiver, perceiver_dir)
    _, trigger = needed_topics(recording, facts.rig)
    asked = {"planner": facts.rig.roadside, "perception": seen.rig.roadside if seen else None} if config.rate == 0.0 else {}
    own = facts.rig
    mounted = rig_to_mount(own, seen.rig if seen else None, pictures=False)
    facts = replace(facts, rig=mounted.rig)
    seen = None if seen is None else replace(seen, rig=renamed_rig(seen.rig, mounted.perceiver_names))
    topics, _ = needed_topics(recording, facts.rig, perceiver, mounted.perceiver_names)
    environment = graph_environment(facts.rig)
    profile = with_cameras(profile, recording, facts.rig)
    period_s = max(1.0 / facts.rate_hz, _period_s(recording, trigger))
    nodes = describe(GraphConfig(profile, planner, period_s, world="none", device=config.device, engine=config.engine,
                                 perceiver=perceiver, perceiver_dir=perceiver_dir, perceiver_sensors=mounted.perceiver_names,
                                 models_dir=models_dir, lockstep=config.rate == 0.0, log_level=config.log_level,
                                 params_file=config.params_file, car=car_of(recording.custom_data),
                                 camera_mounts=_mounts(recording, own),
                                 route_wait_s=0.0 if own.route_optional and recording.route is None else None))
    check_nodes(nodes, config.params_file)
    site.require_agreed(nodes)
    for node in nodes:
        if node.name == "controller":
            site.require(node, "lockstep", config.rate == 0.0, f"--rate {config.rate:g}")
    wishes = {node.full_name: wish for node in nodes if (wish := asked.get(node.name)) is not None}
    return _Graph(profile, nodes, topics, trigger, facts, seen, wishes, environment, own)


def _mounts(recording: Recording, rig: SensorRig) -> str:
    """Where the recording says that the cameras of ``rig`` are, for a planner that reads it: an evaluation reads the same."""
    return mounts_text(recorded_mounts(recording, tuple(spec.id for spec in rig.cameras))) if rig.placed else ""


def _require_new(out: Path | None) -> None:
    if out is not None and out.exists():
        raise BagError(f"no recording at {out} yet", "one that is complete" if (out / "metadata.yaml").is_file() else "other files",
                       "give another --out")


def _require_heard(profile: Profile, recording: Recording) -> None:
    """Refuse a profile whose nodes do not read what was recorded: they would wait for odometry until the end."""
    topic, recorded = profile.topics.get("odometry", "odometry"), recording.topics.odometry
    heard = topic if topic.startswith("/") else f"{profile.namespace.rstrip('/')}/{topic}"
    if heard != recorded:
        raise ConfigError(f"a profile whose nodes read {recorded}, as recorded", f"{profile.name}, whose nodes read {heard}",
                          "leave --carla-profile out, or name the profile of the recorded system")


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
          facts: ModelFacts, folder: Path, environment: dict[str, str], progress: bool,
          seen: ModelFacts | None, wishes: dict[str, RoadsideWish]) -> tuple[Any, list[int], dict[str, Any]]:
    """Play everything to the nodes; gives back the player, the stamps that asked for plans, and facts about perceptions and outputs."""
    from kd_planner_ros.ros.clock import require_only_clock
    from kd_planner_ros.ros.graph.hearing import Hearing
    from kd_planner_ros.ros.graph.player import Player, instants
    from kd_planner_ros.ros.graph.processes import Processes
    from kd_planner_ros.ros.graph.replay_outputs import OutputBag, Perceptions
    from kd_planner_ros.ros.graph.watch import HeartbeatWatch

    watch = HeartbeatWatch([node.full_name for node in nodes])
    with _transport(facts.rig):
        player = Player(profile, int(environment["ROS_DOMAIN_ID"]), watch.take)
    player.adapter.max_steer_rad = next(node.effective()["max_steer_rad"] for node in nodes if node.name == "controller")
    stamp_ns = 0
    try:
        with Processes(nodes, folder, environment) as processes, \
                OutputBag(config.out, player.node, nodes, profile.role_name, _about(config, facts, seen)) as written:
            eyes = None if seen is None else Perceptions(player.node, seen.rate_hz, needed_topics(recording, seen.rig)[1])
            run = _Run(config, player, eyes, written, Asked(Cadence(1.0 / facts.rate_hz)), trigger, recording.topics.odometry)
            topics = playable(topics, player, recording)
            player.open(topics, recording.usable_route, recording.stations if facts.rig.roadside is not None else (),
                        renamed(recording, facts.rig))
            player.hearing = Hearing(wishes, roadside_topics(recording.stations, topics))
            _await_agent(player, eyes, processes, watch, environment)
            player.await_readers()
            written.open(player.spin)
            require_only_clock(player.node)
            bar = tqdm(instants(recording, set(topics), trigger), unit="tick", disable=not progress, dynamic_ncols=True, file=sys.stderr)
            for stamp_ns, group in paced(bar, config.rate, player.spin):
                run.tick(stamp_ns, group)
                _require_alive(processes, watch, environment)
            for _ in range(20):
                player.spin(0.05)
            _await_diagnostics(player, stamp_ns)
            written.tick(stamp_ns, player.spin)
    finally:
        player.close()
    return player, run.asked.frames, {**(eyes.facts() if eyes is not None else {}), **written.facts(), **player.hearing.facts()}


@dataclass
class _Run:
    """What plays one instant and waits for its answers."""

    config: ReplayConfig
    player: Any
    eyes: Any
    written: Any
    asked: Asked
    trigger: str
    odometry: str

    def tick(self, stamp_ns: int, group: list[tuple[str, bytes]]) -> None:
        """Play ``group``; in lock-step wait for the control, and for the perception of the picture."""
        player, names = self.player, {topic for topic, _ in group}
        if self.trigger in names:
            self.asked.take(stamp_ns, max(player.plans, default=0))
        if self.eyes is not None:
            self.eyes.ask(names, stamp_ns)
        player.tick(stamp_ns, group)
        if self.config.rate == 0.0 and self.odometry in names:
            player.await_control(stamp_ns, PATIENT_CONTROL_S)
        if self.config.rate == 0.0 and self.eyes is not None:
            self.eyes.wait(stamp_ns, player.spin)
        self.written.tick(stamp_ns, player.spin)


def _about(config: ReplayConfig, facts: ModelFacts, seen: ModelFacts | None) -> dict[str, str]:
    """What the new recording says of itself."""
    return {"replayed": config.bag.name, "planner": facts.name, **({} if seen is None else {"perceiver": seen.name})}


def _await_diagnostics(player: Any, stamp_ns: int) -> None:
    """Wait until the planner has said what it compared up to ``stamp_ns``, as it does once a second."""
    until_s, player.told_ns = time.monotonic() + DIAGNOSTICS_S, -1
    while player.told_ns < stamp_ns and (left_s := until_s - time.monotonic()) > 0.0:
        player.spin(left_s)


def _await_agent(player: Any, eyes: Any, processes: Any, watch: Any, environment: dict[str, str]) -> None:
    until_s = time.monotonic() + START_S
    while not (player.ready and (eyes is None or eyes.ready)):
        _require_alive(processes, watch, environment)
        if time.monotonic() > until_s:
            slow = "perception" if player.ready else "planner"
            raise PlannerError(f"node {slow} to be ready within {START_S:g} s", processes.last_line(slow) or "no message", "read its log")
        player.spin(0.2)


def _require_alive(processes: Any, watch: Any, environment: dict[str, str]) -> None:
    for name, status in processes.ended().items():
        raise PlannerError("planner and controller to run until the end of the recording",
                           f"{name} ended with status {status}: {processes.last_line(name) or 'no message'}",
                           "see 'kd-planner models list', or try --engine torch")
    if watch.silent(processes.begun()):
        raise watch.error(processes.last_lines(), {**os.environ, **environment})
