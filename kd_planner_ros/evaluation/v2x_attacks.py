"""Attacks on the radio in closed loop: what an attacker changes on the air, or makes a station with a valid key say."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import OBJECTS, RadioMessage
from kd_planner_ros.v2x.signing import Signer, place_digest

REPLAYED_AFTER_NS = 2_000_000_000
GHOST_AHEAD_M, GHOST_ASIDE_M, GHOST_MPS, GHOST_LASTS_NS = 14.0, 4.0, 1.8, 1_000_000_000
GHOST_ID = 1 << 24
FLOOD = 50


class Attack:
    """No attack: the base of all. ``rows`` changes what stations sign, ``air`` what arrives."""

    def __init__(self, stations: Sequence[Station]):
        self._stations = stations

    def rows(self, rows: np.ndarray, ego: EgoState) -> np.ndarray:
        """The object list (ACTOR_DTYPE [N]) that is signed and sent in place of ``rows``."""
        return rows

    def air(self, arrived: list[RadioMessage], now_ns: int) -> list[RadioMessage]:
        """The messages that reach the gateway at ``now_ns`` in place of those that ``arrived``."""
        return arrived


class Unsigned(Attack):
    """All messages arrive without their signatures."""

    def air(self, arrived: list[RadioMessage], now_ns: int) -> list[RadioMessage]:
        return [replace(one, signature=b"") for one in arrived]


class Forged(Attack):
    """All messages arrive with an object list of the attacker, signed with a key of the attacker."""

    def __init__(self, stations: Sequence[Station]):
        super().__init__(stations)
        key = Ed25519PrivateKey.generate()
        self._signers = {one.id: Signer(key, place_digest(one)) for one in stations}

    def air(self, arrived: list[RadioMessage], now_ns: int) -> list[RadioMessage]:
        made = [replace(one, payload=b"") if one.kind == OBJECTS else one for one in arrived]
        return [replace(one, signature=self._signers[one.station].sign(one)) for one in made]


class Replayed(Attack):
    """Messages are held back and arrive two seconds late, twice."""

    def __init__(self, stations: Sequence[Station]):
        super().__init__(stations)
        self._kept: deque[RadioMessage] = deque()

    def air(self, arrived: list[RadioMessage], now_ns: int) -> list[RadioMessage]:
        self._kept.extend(arrived)
        found = []
        while self._kept and self._kept[0].received_ns <= now_ns - REPLAYED_AFTER_NS:
            one = replace(self._kept.popleft(), received_ns=now_ns)
            found += [one, one]
        return found


class Ghosts(Attack):
    """Stations with valid keys report a walker who steps in front of the car, a new one each second."""

    def rows(self, rows: np.ndarray, ego: EgoState) -> np.ndarray:
        since_s = ego.stamp_ns % GHOST_LASTS_NS * 1e-9
        ghost, aside_m = np.zeros(1, ACTOR_DTYPE), GHOST_ASIDE_M - GHOST_MPS * since_s
        c, s = math.cos(ego.pose.yaw), math.sin(ego.pose.yaw)
        ghost["id"], ghost["kind"] = GHOST_ID + ego.stamp_ns // GHOST_LASTS_NS, ActorKind.PEDESTRIAN
        ghost["x"] = ego.pose.x + GHOST_AHEAD_M * c + aside_m * s
        ghost["y"] = ego.pose.y + GHOST_AHEAD_M * s - aside_m * c
        ghost["vx"], ghost["vy"], ghost["yaw"] = -GHOST_MPS * s, GHOST_MPS * c, ego.pose.yaw + 0.5 * math.pi
        ghost["length"], ghost["width"], ghost["height"] = 0.5, 0.6, 1.75
        return np.concatenate([rows, ghost])


class Flood(Attack):
    """Fifty messages a tick that nobody signed arrive beside the honest ones."""

    def air(self, arrived: list[RadioMessage], now_ns: int) -> list[RadioMessage]:
        name = self._stations[0].id
        return [RadioMessage(name, number, OBJECTS, now_ns, b"", bytes(72), now_ns) for number in range(FLOOD)] + arrived


ATTACKS: Mapping[str, Callable[[Sequence[Station]], Attack]] = {
    "none": Attack, "unsigned": Unsigned, "forged": Forged, "replayed": Replayed, "ghosts": Ghosts, "flood": Flood}
