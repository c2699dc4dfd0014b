"""SUMO beside the ego: vehicles, walkers and signals, stepped in lock-step through libsumo.

libsumo holds one simulation per process; a new ``Traffic.start`` ends the one before.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, BRAKE_LIGHT, HEAD_LIGHT, INDICATOR_LEFT, INDICATOR_RIGHT, ActorKind
from kd_planner_ros.world.actor_table import ActorTable
from kd_planner_ros.world.demand import Demand
from kd_planner_ros.world.ego_in_traffic import EGO, WALK_M, EgoInTraffic
from kd_planner_ros.world.fleet import BY_NAME, VehicleType, define_types, draw_type
from kd_planner_ros.world.glide import Glide
from kd_planner_ros.world.guard import Guard
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.lane_slide import LaneSlide
from kd_planner_ros.world.lights import SignalTable, retime
from kd_planner_ros.world.sumo_tools import sumo_path
from kd_planner_ros.world.walkers import make_walkers

TICK_S = 0.05
TICKS_PER_S = 20
WARM_UP_TICKS = 300
CLEAR_M, CLEAR_BEHIND_M = 14.0, 40.0  # room round the ego when it appears
SPAWN_AWAY_M = 70.0  # nothing appears or vanishes nearer to the ego
SPAWN_GAP_M = 14.0
EDGES_LEFT = 5
STUCK_S = 90.0
JAMMED_S = 60.0  # inside a junction, also beside the ego: vehicles that wait for each other there do so for ever
_LAMPS = np.array([(BRAKE_LIGHT if bits & 8 else 0) | (INDICATOR_RIGHT if bits & 1 else 0)
                   | (INDICATOR_LEFT if bits & 2 else 0) for bits in range(16)], np.uint8)  # from SUMO's signal bits


class Traffic:
    """All road users but the ego on ``road``: about ``vehicles`` driving and ``walkers`` on foot. ``headlights``: HEAD_LIGHT where
    drivers have their lights on, 0 where not."""

    def __init__(self, road: RoadMap, vehicles: int, walkers: int):
        import libsumo

        self.sumo: Any = libsumo
        self.road, self.wanted = road, vehicles
        self.graph = LaneGraph(road)
        self.demand = Demand(self.graph)
        self.signal_table = SignalTable(road)
        self.walkers = make_walkers(road, walkers)
        self._variables = (libsumo.constants.VAR_POSITION, libsumo.constants.VAR_ANGLE, libsumo.constants.VAR_SPEED,
                           libsumo.constants.VAR_SIGNALS)
        self.running = False

    def start(self, route: Route, pose: Pose, seed: int, headlights: bool) -> None:
        """Loads the network, fills the streets, lets traffic run in for 15 s and then puts the ego at ``pose``."""
        self.close()
        self.rng = np.random.default_rng([seed, 0x747261])
        self.tick, self._next_id, self.headlights = 0, 1, HEAD_LIGHT if headlights else 0
        self._types: dict[str, VehicleType] = {}
        self._rows: dict[str, np.ndarray] = {}
        self._ends: dict[str, str] = {}
        self._waits: dict[str, int] = {}
        self._turns: list[list[str]] = [[] for _ in range(TICKS_PER_S)]  # whose turn it is to be tended at which tick
        self._present: dict = {}
        self._last = np.zeros(0, ACTOR_DTYPE)
        self.guard = Guard(self.road, self.sumo)
        self._table = ActorTable(self.road.offset, front_m=0.5)
        self._glide = Glide(TICK_S)
        self._slide = LaneSlide()
        self._launch(seed)
        self.running = True
        define_types(self.sumo)
        retime(self.sumo, self.rng)
        for lane in self.road.lanes.values():
            if lane.kind == "shoulder":
                self.sumo.lane.setDisallowed(lane.id, ["all"])
        self._fill()
        self.walkers.start(self.sumo, self.rng, self.new_id)
        for _ in range(WARM_UP_TICKS):
            self._advance(None)
        self._clear(pose)
        self._ego = EgoInTraffic(self.sumo, self.graph, self.demand, self.road.offset)
        self._ego.appear(route, self.tick)

    def _launch(self, seed: int) -> None:
        try:
            with sumo_path(self.road.net_file) as net:
                self.sumo.start([
                    "sumo", "-n", net, "--step-length", str(TICK_S), "--seed", str(seed % 2**31),
                    "--no-step-log", "--no-warnings", "--duration-log.disable", "--collision.action", "none",
                    "--time-to-teleport", "-1", "--default.action-step-length", "0.2", "--xml-validation", "never",
                    "--max-depart-delay", "3"])
        except (self.sumo.TraCIException, self.sumo.FatalTraCIError, RuntimeError) as error:
            lines = str(error).strip().splitlines() or ["no message"]
            raise MapError(f"a network SUMO can load in {self.road.net_file}", lines[0],
                           "build it again with netconvert") from None

    def step(self, ego: EgoState) -> None:
        """Puts the ego where it is and lets 0.05 s pass for everyone."""
        self.guard.step(ego, self._last, self.known, self.walkers.speeds)
        self._ego.move(ego.pose, self.tick, waiting=EGO not in self._present and self.tick > WARM_UP_TICKS)
        self._advance(ego.pose)

    def new_id(self) -> int:
        """A number no actor has had."""
        self._next_id += 1
        return self._next_id - 1

    def actors(self) -> np.ndarray:
        """ACTOR_DTYPE [N] in the order of ids: centres in ``map``. Call it once after each step."""
        results = {name: values for name, values in self._present.items() if name != EGO}
        driving = self._table.fill(results, self._rows, self._variables)
        self._slide.step(driving, TICK_S)
        lamps = driving["lights"]
        driving["lights"] = _LAMPS[lamps & 15] | self.headlights
        self._glide.smooth(driving)
        table = np.concatenate([driving, self.walkers.rows()])
        self._last = table[np.argsort(table["id"], kind="stable")]
        return self._last

    def signals(self) -> np.ndarray:
        """SIGNAL_DTYPE [S], in the order of the map's signal sites."""
        return self.signal_table.refresh(self.sumo)

    @property
    def known(self) -> Collection[str]:
        """SUMO's names (``v`` and the actor's id) of the vehicles on the road."""
        return self._present.keys()

    def close(self) -> None:
        """Ends the simulation; a no-op when there is none."""
        if getattr(self.sumo, "isLoaded", lambda: False)():
            self.sumo.close()
        self.running = False

    def _advance(self, pose: Pose | None) -> None:
        self.sumo.simulationStep()
        self.tick += 1
        for name in self.sumo.simulation.getDepartedIDList():
            self.sumo.vehicle.subscribe(name, self._variables)
        self._present = self.sumo.vehicle.getAllSubscriptionResults()
        self.walkers.step(TICK_S)
        self._tend(pose)

    def _tend(self, pose: Pose | None) -> None:
        """Once a second for each vehicle: lengthen its route, take it away if stuck; keep their number."""
        for name in self._turns[self.tick % TICKS_PER_S]:
            if name not in self._present:
                continue
            standing = self._present[name][self._variables[2]] < 0.1
            self._waits[name] = self._waits.get(name, 0) + 1 if standing else 0
            self._lengthen(name)
            jammed = self._waits[name] > JAMMED_S and self.sumo.vehicle.getRoadID(name).startswith(":")
            if jammed or (self._waits[name] > STUCK_S and self._far(name, pose)):
                self._remove(name)
        if self.tick % TICKS_PER_S == 0:
            for name in [n for n in self._rows if n not in self._present and n not in self._pending()]:
                for store in (self._rows, self._types, self._ends, self._waits):
                    store.pop(name, None)
                self._turns[int(name[1:]) % TICKS_PER_S].remove(name)
            missing = self.wanted - len(self._rows)
            for _ in range(min(missing, 3)):
                self._spawn(self._room(pose))

    def _pending(self) -> frozenset[str]:
        return frozenset(self.sumo.simulation.getPendingVehicles())

    def _far(self, name: str, pose: Pose | None) -> bool:
        x, y = self._present[name][self._variables[0]]
        x, y = x - self.road.offset[0], y - self.road.offset[1]
        return pose is None or math.hypot(x - pose.x, y - pose.y) > SPAWN_AWAY_M

    def _lengthen(self, name: str) -> None:
        route, index = self.sumo.vehicle.getRoute(name), self.sumo.vehicle.getRouteIndex(name)
        if index < 0 or len(route) - index > EDGES_LEFT or self._ends[name] not in self.demand.onward:
            return
        edges, end = self.demand.walk(self._ends[name], WALK_M, self.rng)
        try:
            self.sumo.vehicle.setRoute(name, [*route[index:], *edges[1:]])
            self._ends[name] = end
        except self.sumo.TraCIException:
            pass  # inside a junction; it is asked again in a second, with edges to spare

    def _fill(self) -> None:
        taken: list[tuple[str, float]] = []
        for _ in range(20 * self.wanted):
            if len(taken) == self.wanted or not self.demand.starts:
                break
            lane, arc = self.demand.start(self.rng)
            if all(lane != other or abs(arc - at) > SPAWN_GAP_M for other, at in taken):
                taken.append((lane, arc))
        for place in taken:
            self._spawn(place)

    def _room(self, pose: Pose | None) -> tuple[str, float] | None:
        """A free place on a lane, far from the ego."""
        spots = np.array([v[self._variables[0]] for v in self._present.values()]).reshape(-1, 2) - self.road.offset
        for _ in range(8 if self.demand.starts else 0):
            lane, arc = self.demand.start(self.rng)
            at = self.graph.at(lane, arc)
            clear = len(spots) == 0 or np.hypot(*(spots - at).T).min() > SPAWN_GAP_M
            if clear and (pose is None or math.hypot(at[0] - pose.x, at[1] - pose.y) > SPAWN_AWAY_M):
                return lane, arc
        return None

    def _spawn(self, place: tuple[str, float] | None) -> None:
        if place is None:
            return
        lane, arc = place
        number, item = self.new_id(), draw_type(self.rng)
        name = f"v{number}"
        edges, end = self.demand.walk(lane, WALK_M, self.rng)
        self.sumo.route.add(name, edges)
        self.sumo.vehicle.add(name, name, item.name, depart="now", departLane=str(self.graph.lanes[lane].index),
                              departPos=f"{min(arc, self.sumo.lane.getLength(lane) - 1.0):.2f}", departSpeed="max")
        row = np.zeros((), ACTOR_DTYPE)
        row["id"], row["kind"], row["seed"] = number, item.kind, self.rng.integers(2**32)
        row["length"], row["width"], row["height"] = item.length, item.width, item.height
        self._turns[number % TICKS_PER_S].append(name)
        self._rows[name], self._types[name], self._ends[name] = row, BY_NAME[item.name], end

    def _clear(self, pose: Pose) -> None:
        """Takes away whoever stands where the ego appears, or comes up behind it too fast to stop."""
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        for name in sorted(self._present):
            x, y = np.subtract(self._present[name][self._variables[0]], self.road.offset) - (pose.x, pose.y)
            ahead, left = x * c + y * s, y * c - x * s
            behind = -CLEAR_BEHIND_M < ahead < 0.0 and abs(left) < 2.5
            if math.hypot(x, y) < CLEAR_M or behind:
                self._remove(name)
        self.walkers.clear(pose)

    def _remove(self, name: str) -> None:
        self.sumo.vehicle.unsubscribe(name)  # else the next step asks for a vehicle that is gone
        self.sumo.vehicle.remove(name)
        self._present.pop(name)


def is_vehicle(actors: np.ndarray) -> np.ndarray:
    """bool [N]: which rows are vehicles, riders included."""
    return (actors["kind"] != ActorKind.PEDESTRIAN) & (actors["kind"] != ActorKind.STATIC)
