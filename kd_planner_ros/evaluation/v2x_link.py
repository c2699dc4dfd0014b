"""The way from the world's roadside stations to a planner's car in closed loop: signed messages, the channel, the gateway.

Station and car have their own clocks; both begin at EPOCH_NS, so that a clock that is behind still shows no time before 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import LidarSpec, RoadsideWish, Station
from kd_planner_ros.core.v2x import (
    OBJECTS,
    PHASES,
    PICTURE,
    CooperativePicture,
    RadioMessage,
    ReportedObjects,
    RoadsideView,
    SignalPhases,
    SilentStations,
)
from kd_planner_ros.evaluation.v2x_attacks import ATTACKS
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.v2x.channel import Channel, clock_ns, measured
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.v2x.free_space import free_space
from kd_planner_ros.v2x.gateway import ACCEPTED, Gateway
from kd_planner_ros.v2x.log import GatewayLog
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.settings import GatewaySettings
from kd_planner_ros.v2x.signing import keyring_for
from kd_planner_ros.v2x.station import phases_near

EPOCH_NS = 100_000_000_000
LIST_TICKS, PICTURE_TICKS = 2, 4
"""10 Hz and 5 Hz: a gateway uses a picture for 0.5 s, so that 2 Hz with any latency would leave gaps between pictures."""
PHASE_NUMBERS = 1 << 40
"""Signal phases are numbered from here on: other messages have the fate that they have without them."""
LISTS = RoadsideWish(views=4, objects=True)
"""Stations that are heard by a car whose planner asks for none: enough for the supervisor."""

Broadcast = Callable[[RoadsideWish, bool], Sequence[RoadsideView]]


@dataclass(frozen=True)
class Heard:
    """What the car knows by radio in one tick: ``reported``, ``phases`` (None: stations send none) and ``silent`` stations for the
    supervisor, ``views`` for the planner."""

    reported: ReportedObjects
    views: tuple[RoadsideView, ...]
    phases: SignalPhases | None = None
    silent: SilentStations | None = None


def summed(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of several drives' ``facts``, number by number."""
    total: dict[str, Any] = {}
    for one in facts:
        for name, value in one.items():
            total[name] = summed([total.get(name, {}), value]) if isinstance(value, Mapping) else total.get(name, 0) + value
    return total


class RadioLink:
    """One drive's radio. ``step`` is asked once a tick, in order.

    Args:
        broadcast: what the stations near the car see at this tick (``World.broadcast``).
        settings: the channel's; the gateway knows its latency as the least time that the link takes.
        attack: a name in ``ATTACKS``.
        wish: what the planner wants of the stations; None: nothing.
        lidar: the car's LiDAR, with which the gateway looks for objects that are not there; None: the car has none.
        signals: whether stations send the phases of the signals in their range.
        cap_unheard: as in ``GatewaySettings``.
    """

    def __init__(self, stations: Sequence[Station], broadcast: Broadcast, settings: ChannelSettings, attack: str = "none",
                 wish: RoadsideWish | None = None, lidar: LidarSpec | None = None, signals: bool = False, cap_unheard: bool = False):
        self._lidar, self._signals = lidar, signals
        self._broadcast, self._settings, self._wish = broadcast, settings, wish
        self._asked = LISTS if wish is None else replace(wish, objects=True, views=max(wish.views, LISTS.views))
        self._signers, keys = keyring_for(stations)
        self._places = {one.id: one for one in stations}
        self._channel = Channel(settings)
        self._gateway = Gateway(stations, keys, GatewaySettings(expected_latency_s=settings.latency_ms / 1000.0, cap_unheard=cap_unheard))
        self._attack = ATTACKS[attack](stations)
        self._numbers: Counter[str] = Counter()
        self._states: Counter[str] = Counter()
        self._tick = 0
        self._log: GatewayLog | None = None

    def step(self, scene: SceneState, clouds: Mapping[str, np.ndarray] = MappingProxyType({})) -> Heard:
        """Send what the stations see at ``scene``, and give what the gateway lets through at its stamp. ``clouds`` are those that the car's
        LiDARs gave in this tick, by id, [N, 4] in the sensor's frame."""
        now_ns = EPOCH_NS + scene.stamp_ns
        ego = replace(scene.ego, stamp_ns=now_ns)
        self._gateway.locate(ego)
        if self._lidar is not None and self._lidar.id in clouds:
            self._gateway.see(free_space(clouds[self._lidar.id], ego, self._lidar.pose))
        for view in self._sent():
            for message in (*self._messages(view, ego, now_ns), *self._phases(view.station, scene, now_ns)):
                self._channel.send(message, now_ns)
        for message in self._attack.air(self._channel.arrived(now_ns), now_ns):
            self._gateway.take(message)
        self._tick += 1
        answer = self._gateway.picture(now_ns, ego)
        if self._log is not None:
            self._log.take(answer, self._gateway.counts[ACCEPTED])
        return self._heard(answer)

    def facts(self) -> dict[str, Any]:
        """JSON-ready: ticks in each of the gateway's states, messages by what became of them, refusals by reason, bytes on the air."""
        return {"states": dict(sorted(self._states.items())), "channel": dict(sorted(self._channel.counts.items())),
                "accepted": self._gateway.counts[ACCEPTED], "refused": self._gateway.refusals, "bytes_sent": self._channel.bytes_sent}

    def log_to(self, folder: Path, pictures: bool) -> None:
        """Write what the gateway lets through into the run folder ``folder`` from now on, roadside views too with ``pictures``."""
        self._log = GatewayLog(folder, EPOCH_NS, pictures)

    def close(self, folder: Path) -> None:
        """End the log, and write the newest refused messages, where there are any, into ``folder``."""
        if self._log is not None:
            self._log.close()
        if self._gateway.refusals:
            self._gateway.evidence.write(folder)

    def _sent(self) -> Sequence[RoadsideView]:
        if self._tick % LIST_TICKS:
            return ()
        return self._broadcast(self._asked, self._wish is not None and self._wish.pictures and self._tick % PICTURE_TICKS == 0)

    def _messages(self, view: RoadsideView, ego: EgoState, now_ns: int) -> list[RadioMessage]:
        made = []
        if view.objects is not None:
            number = self._next(view.station)
            rows = self._attack.rows(measured(self._settings, view.station, number, view.objects), ego)
            made.append((number, OBJECTS, pack_rows(rows), ""))
        if view.image is not None and view.camera is not None:
            made.append((self._next(view.station), PICTURE, compress(view.image).tobytes(), view.camera.id))
        return [self._signed(view.station, *one, now_ns) for one in made]

    def _phases(self, station: str, scene: SceneState, now_ns: int) -> list[RadioMessage]:
        """The phases of the signals in the range of ``station``, at 5 Hz."""
        if not self._signals or self._tick % PICTURE_TICKS:
            return []
        rows = phases_near(scene.signals, self._places[station])
        return [self._signed(station, PHASE_NUMBERS + self._tick, PHASES, pack_rows(rows, PHASES), "", now_ns)]

    def _signed(self, station: str, number: int, kind: str, payload: bytes, camera: str, now_ns: int) -> RadioMessage:
        one = RadioMessage(station, number, kind, clock_ns(self._settings, now_ns), payload, camera=camera)
        return replace(one, signature=self._signers[station].sign(one))

    def _next(self, station: str) -> int:
        self._numbers[station] += 1
        return self._numbers[station]

    def _heard(self, picture: CooperativePicture) -> Heard:
        """The gateway's answer by the world's clock."""
        self._states[picture.state.name] += 1
        reported = replace(picture.objects, stamp_ns=picture.objects.stamp_ns - EPOCH_NS)
        phases = SignalPhases(reported.stamp_ns, picture.phases) if self._signals else None
        silent = SilentStations(reported.stamp_ns, picture.silent)
        if self._wish is None:
            return Heard(reported, (), phases, silent)
        views = (*picture.views, *(picture.lists if self._wish.objects else ()))
        return Heard(reported, tuple(replace(one, stamp_ns=one.stamp_ns - EPOCH_NS) for one in views), phases, silent)
