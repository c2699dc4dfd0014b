"""What the gateway costs: milliseconds a message, and whether one core keeps up with many stations."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import OBJECTS, PICTURE, RadioMessage
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.v2x.gateway import Gateway
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.signing import Signer, keyring_for

NS = 1_000_000_000
START_NS, LATENCY_NS = 1_000 * NS, NS // 50
OBJECTS_A_LIST, CAMERAS = 30, 4
WIDTH, HEIGHT, QUALITY = 768, 432, 80
LIST_BAR_MS, PICTURE_BAR_MS = 0.6, 6.0
LIST_NS, PICTURE_NS = NS // 10, NS // 2


def bench_messages(count: int) -> dict[str, Any]:
    """Median milliseconds that ``Gateway.take`` spends on a signed list of 30 objects and on a picture 768 pixels wide, wall time."""
    lists = [_spent_s(gateway, message) for gateway, message in _one_station(count, False)]
    pictures = [_spent_s(gateway, message) for gateway, message in _one_station(count, True)]
    return {"list_ms": round(median(lists) * 1e3, 3), "list_bar_ms": LIST_BAR_MS, "list_objects": OBJECTS_A_LIST,
            "picture_ms": round(median(pictures) * 1e3, 3), "picture_bar_ms": PICTURE_BAR_MS, "picture_px": f"{WIDTH}x{HEIGHT}"}


def bench_stream(stations: int, seconds: int) -> dict[str, Any]:
    """Every station's object list at 10 Hz, pictures of four at 2 Hz, and the answer for the car at 10 Hz, for so many seconds of stream
    time. One server works on the messages in the order of their arrival, each for the processor time that it really took: how busy
    it is, and how long messages wait, in the first half and in the second."""
    places, pictures = spots(stations), jpegs()
    signers, keys = keyring_for(places)
    gateway = Gateway(places, keys)
    waits_s: list[float] = []
    free_ns = busy_ns = 0
    for second in range(seconds):
        for message in _second(second, places, signers, pictures):
            spent_ns = _serve(gateway, message)
            free_ns = max(free_ns, message.received_ns) + spent_ns
            busy_ns += spent_ns
            waits_s.append((free_ns - message.received_ns) / NS)
    half = len(waits_s) // 2
    return {"stations": stations, "stream_s": seconds, "messages": len(waits_s), "refused": sum(gateway.refusals.values()),
            "busy_share": round(busy_ns / NS / seconds, 3), "longest_wait_first_half_ms": round(max(waits_s[:half]) * 1e3, 1),
            "longest_wait_second_half_ms": round(max(waits_s[half:]) * 1e3, 1),
            "left_in_queue_s": round(max(0.0, free_ns / NS - START_NS / NS - seconds), 3)}


def _serve(gateway: Gateway, message: RadioMessage) -> int:
    """Processor time, ns, of one message, and of the answer where it is the first one of a tenth of a second."""
    begin = time.thread_time_ns()
    gateway.take(message)
    if message.station == "station_0" and message.kind == OBJECTS:
        gateway.picture(message.received_ns, ego_at(message.received_ns))
    return time.thread_time_ns() - begin


def _second(second: int, stations: Sequence[Station], signers: dict[str, Signer], pictures: Sequence[bytes]) -> Iterator[RadioMessage]:
    """One second's messages, signed, in the order of their arrival; the stations send one after another."""
    found = []
    for number, station in enumerate(stations):
        shift_ns = LIST_NS * number // len(stations)
        for tick in range(10):
            at_ns = START_NS + second * NS + tick * LIST_NS + shift_ns
            found.append(_message(station, OBJECTS, at_ns, pack_rows(walkers(station, at_ns))))
        for half in range(2 if station.cameras else 0):
            at_ns = START_NS + second * NS + half * PICTURE_NS + shift_ns
            found.append(_message(station, PICTURE, at_ns, pictures[(2 * second + half) % len(pictures)]))
    for one in sorted(found, key=lambda one: one.received_ns):
        yield replace(one, signature=signers[one.station].sign(one))


def _one_station(count: int, pictures: bool) -> Iterator[tuple[Gateway, RadioMessage]]:
    station = Station("station", Pose(), _cameras(True, 0.0, 0.0))
    signers, keys = keyring_for([station])
    gateway = Gateway([station], keys)
    pair = jpegs(2)
    for number in range(count):
        at_ns = START_NS + number * (PICTURE_NS if pictures else LIST_NS)
        gateway.locate(ego_at(at_ns))
        payload = pair[number % 2] if pictures else pack_rows(walkers(station, at_ns))
        message = _message(station, PICTURE if pictures else OBJECTS, at_ns, payload)
        yield gateway, replace(message, signature=signers["station"].sign(message))


def _spent_s(gateway: Gateway, message: RadioMessage) -> float:
    begin = time.perf_counter()
    gateway.take(message)
    return time.perf_counter() - begin


def _message(station: Station, kind: str, at_ns: int, payload: bytes) -> RadioMessage:
    camera = "camera" if kind == PICTURE else ""
    return RadioMessage(station.id, at_ns // 1_000_000, kind, at_ns, payload, received_ns=at_ns + LATENCY_NS, camera=camera)


def ego_at(stamp_ns: int) -> EgoState:
    """The car, which stands in the middle of the stations."""
    return EgoState(stamp_ns, Pose(30.0, 0.0), 0.0)


def spots(count: int) -> tuple[Station, ...]:
    """Stations on a circle around the car; the first four have a camera."""
    places = [_spot(number, count) for number in range(count)]
    return tuple(Station(f"station_{number}", Pose(*place), _cameras(number < CAMERAS, *place)) for number, place in enumerate(places))


def _spot(number: int, count: int) -> tuple[float, float]:
    turn = 2.0 * math.pi * number / max(count, 1)
    return 40.0 * math.cos(turn), 40.0 * math.sin(turn)


def _cameras(wanted: bool, x: float, y: float) -> tuple[CameraSpec, ...]:
    towards = math.atan2(-y, 30.0 - x)
    return (CameraSpec("camera", Pose(x, y, 7.0, towards, 0.2), WIDTH, HEIGHT, 90.0, 0.5),) if wanted else ()


def walkers(station: Station, at_ns: int) -> np.ndarray:
    """Thirty walkers around ``station`` who walk at 1 m/s along x for a minute; then others, with ids of their own, start."""
    rows = np.zeros(OBJECTS_A_LIST, ACTOR_DTYPE)
    minute = (at_ns - START_NS) // (60 * NS) % 1000
    rows["id"], rows["kind"] = np.arange(OBJECTS_A_LIST) + OBJECTS_A_LIST * minute, ActorKind.PEDESTRIAN
    rows["length"] = rows["width"] = 0.5
    rows["height"], rows["vx"] = 1.7, 1.0
    rows["x"] = station.pose.x - 30.0 + (at_ns - START_NS) / NS % 60.0
    rows["y"] = station.pose.y + np.linspace(5.0, 90.0, OBJECTS_A_LIST)
    return rows


def jpegs(count: int = 8) -> tuple[bytes, ...]:
    """Pictures with about as much in them as a street: blocks of a few pixels, of which a tenth changes from one to the next."""
    drawn = np.random.default_rng(0)
    world = drawn.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    changed = ((drawn.random((*world.shape[:2], 1)) < 0.1, drawn.integers(0, 255, world.shape, np.uint8)) for _ in range(count))
    seen = (np.where(where, new, world).repeat(8, 0).repeat(8, 1) for where, new in changed)
    return tuple(compress(one, quality=QUALITY).tobytes() for one in seen)
