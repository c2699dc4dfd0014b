"""What the gateway's node does with many stations through rclpy, in real time: whether it keeps up, and how long an answer takes."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import PointCloud2

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.sensors import SensorRig, Station
from kd_planner_ros.core.stations import stations_to_data
from kd_planner_ros.core.v2x import OBJECTS, PICTURE, RadioMessage
from kd_planner_ros.ros.adapters.carla_bridge import Adapter
from kd_planner_ros.ros.graph.describe import NodeProcess
from kd_planner_ros.ros.graph.environment import graph_environment, require_graph
from kd_planner_ros.ros.graph.monitor import Monitor
from kd_planner_ros.ros.graph.processes import Processes
from kd_planner_ros.ros.ports.radio_outputs import RadioOutputs
from kd_planner_ros.ros.qos import STATE, advertise, subscribe
from kd_planner_ros.ros.specs.v2x_gateway import NODE
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.v2x.bench import LIST_NS, NS, PICTURE_NS, ego_at, jpegs, spots, walkers
from kd_planner_ros.v2x.key_files import make_keys, read_signer
from kd_planner_ros.v2x.payloads import pack_rows

START_S, SETTLE_S = 60.0, 2.0


def bench_graph(stations: int, seconds: float) -> dict[str, Any]:
    """``stations`` send object lists at 10 Hz, four of them pictures at 2 Hz, to the gateway's node in a process of its own, for so many
    seconds of wall time; the car asks at 10 Hz.

    Gives back messages ``graph_sent`` and ``graph_accepted``, refusals by reason, ``graph_busy_share`` (processor time of the process over
    wall time) and ``graph_answer_ms``: the median from odometry to the objects, in the first and in the second half. A queue that grew
    would show in the second one.

    Raises:
        ConfigError: this shell's variables let no graph form. PlannerError: the node did not come up, or died.
    """
    require_graph()
    places = spots(stations)
    environment = graph_environment(SensorRig())
    with tempfile.TemporaryDirectory(prefix="kd_planner_ros_") as name:
        folder = Path(name)
        make_keys(folder / "keys", places, time.time() - 60.0, time.time() + 86_400.0)
        write_text(folder / "stations.json", json.dumps(stations_to_data(places)))
        monitor = Monitor(int(environment["ROS_DOMAIN_ID"]))
        street = _Street(places, folder / "keys" / "private", int(environment["ROS_DOMAIN_ID"]))
        try:
            with Processes([_gateway(folder)], folder / "graph", environment) as processes:
                _await(street, monitor, processes)
                before_s, began_s = _cpu_s(processes), time.monotonic()
                street.drive(seconds, lambda: _require_alive(processes))
                busy_share = (_cpu_s(processes) - before_s) / (time.monotonic() - began_s)
                street.spin(SETTLE_S)
                monitor.spin(SETTLE_S)
        finally:
            street.close()
            monitor.close()
    return {**street.facts(), "graph_stations": stations, "graph_s": seconds, "graph_busy_share": round(busy_share, 3), **_judged(monitor)}


def _gateway(folder: Path) -> NodeProcess:
    parameters = {"stations": str(folder / "stations.json"), "keys": str(folder / "keys" / "allowed"), "autostart": True}
    return NodeProcess(NODE.name, "/", NODE.module, NODE.executable, {}, (), parameters, ())


def _judged(monitor: Monitor) -> dict[str, Any]:
    """What the node's diagnostics say at the end."""
    from kd_planner_ros.v2x.gateway import ACCEPTED
    from kd_planner_ros.v2x.reasons import TEXTS

    def count(key: str) -> int:
        return int(monitor.value(NODE.name, key, 0))

    return {"graph_accepted": count(ACCEPTED), "graph_refused": {reason: count(reason) for reason in TEXTS if count(reason)}}


def _cpu_s(processes: Processes) -> float:
    """Processor time that the gateway's process has used, seconds."""
    fields = Path(f"/proc/{processes.running[NODE.name].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _require_alive(processes: Processes) -> None:
    for name, status in processes.ended().items():
        raise PlannerError(f"node {name} to run until the end", f"status {status}: {processes.last_line(name) or 'no message'}",
                           "read its parameters in docs/reference/parameters.md")


def _await(street: _Street, monitor: Monitor, processes: Processes) -> None:
    until_s = time.monotonic() + START_S
    while not street.heard():
        _require_alive(processes)
        if time.monotonic() > until_s:
            raise PlannerError(f"node {NODE.name} to hear its stations within {START_S:g} s",
                               processes.last_line(NODE.name) or "no message", "try again on a machine that is less busy")
        street.spin(0.1)


class _Street:
    """The stations and the car around the gateway, on one node in a context of its own."""

    def __init__(self, stations: tuple[Station, ...], keys: Path, domain_id: int):
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
        self._node = node = rclpy.create_node("street", context=self._context, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._adapter, self._stations = Adapter(), stations
        self._signers = {one.id: read_signer(keys / f"{one.id}.json", one, time.time()) for one in stations}
        self._radios = {one.id: RadioOutputs(node, self._adapter, one) for one in stations}
        self._odometry = advertise(node, Odometry, "odometry", STATE)
        self._answers = subscribe(node, PointCloud2, "/v2x/objects", self._take, STATE)
        self._pictures = jpegs()
        self._asked: dict[int, int] = {}
        self._took_ms: list[tuple[int, float]] = []
        self._sent = 0

    def heard(self) -> bool:
        """Whether the gateway is there."""
        return self._odometry.get_subscription_count() > 0 and self._node.count_subscribers("/radio/station_0/objects") > 0

    def spin(self, seconds: float) -> None:
        """Take messages for this long."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left_s)

    def drive(self, seconds: float, check: Any) -> None:
        """Send everything of so many seconds at its time; ``check`` is called ten times a second."""
        began_ns, ticks = time.time_ns(), round(seconds * NS / LIST_NS)
        for tick in range(ticks):
            check()
            for number, station in enumerate(self._stations):
                due_ns = began_ns + tick * LIST_NS + LIST_NS * number // len(self._stations)
                self.spin((due_ns - time.time_ns()) / NS)
                self._send(station, tick)
            now_ns = time.time_ns()
            self._asked[now_ns] = time.monotonic_ns()
            self._odometry.publish(self._adapter.odometry_to_msg(replace(ego_at(now_ns), stamp_ns=now_ns)))

    def _send(self, station: Station, tick: int) -> None:
        now_ns = time.time_ns()
        self._say(station, RadioMessage(station.id, 2 * tick + 1, OBJECTS, now_ns, pack_rows(walkers(station, now_ns))))
        if station.cameras and tick % (PICTURE_NS // LIST_NS) == 0:
            picture = self._pictures[tick % len(self._pictures)]
            self._say(station, RadioMessage(station.id, 2 * tick + 2, PICTURE, now_ns, picture, camera=station.cameras[0].id))

    def _say(self, station: Station, message: RadioMessage) -> None:
        self._radios[station.id].send(replace(message, signature=self._signers[station.id].sign(message)))
        self._sent += 1

    def _take(self, message: PointCloud2) -> None:
        asked_ns = self._asked.pop(from_stamp(message.header.stamp), None)
        if asked_ns is not None:
            self._took_ms.append((asked_ns, (time.monotonic_ns() - asked_ns) / 1e6))

    def facts(self) -> Mapping[str, Any]:
        """Messages sent, and how long answers took."""
        took = [ms for _, ms in sorted(self._took_ms)]
        halves = [took[:len(took) // 2], took[len(took) // 2:]]
        return {"graph_sent": self._sent, "graph_answers": len(took), "graph_unanswered": len(self._asked),
                "graph_answer_ms": [round(float(np.median(half)), 2) if half else None for half in halves]}

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)
