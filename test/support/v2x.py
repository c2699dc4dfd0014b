"""A roadside station with a key, a gateway that knows it, and messages to judge."""

from dataclasses import replace

import cv2
import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import OBJECTS, PICTURE, RadioMessage
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.v2x.gateway import Gateway
from kd_planner_ros.v2x.payloads import pack_rows
from kd_planner_ros.v2x.signing import keyring_for

S = 1_000_000_000
START_NS = 1_000 * S
WIDTH, HEIGHT = 128, 72


def station(name="north", x=0.0, y=0.0, cameras=True, range_m=150.0):
    """A mast whose camera looks along the map's x axis."""
    camera = CameraSpec("camera", Pose(x, y, 6.0, 0.0, 0.2), WIDTH, HEIGHT, 90.0, 0.5)
    return Station(name, Pose(x, y), (camera,) if cameras else (), range_m=range_m)


def ego(x=40.0, y=0.0, speed_mps=0.0, stamp_ns=START_NS):
    return EgoState(stamp_ns, Pose(x, y), speed_mps)


def actor(number=1, x=20.0, y=5.0, vx=0.0, vy=0.0, kind=ActorKind.PEDESTRIAN, **columns):
    """One row of ACTOR_DTYPE."""
    sizes = {ActorKind.PEDESTRIAN: (0.5, 0.5, 1.7), ActorKind.CAR: (4.5, 1.9, 1.5)}.get(kind, (1.0, 1.0, 1.0))
    row = np.zeros(1, ACTOR_DTYPE)
    for name, value in {"id": number, "kind": kind, "x": x, "y": y, "vx": vx, "vy": vy, "length": sizes[0], "width": sizes[1],
                        "height": sizes[2], **columns}.items():
        row[name] = value
    return row


def seen(seed=0, width=WIDTH, height=HEIGHT, turned=0.0):
    """RGB uint8 [height, width, 3] of squares that stay, of which a few have other colours in each ``seed``: what a camera sees that stays
    where it is, or that was turned by the share ``turned`` of its width."""
    world, drawn = np.random.default_rng(0).integers(0, 255, (9, 16, 3), np.uint8), np.random.default_rng(seed)
    world[drawn.integers(0, 9, 8), drawn.integers(0, 16, 8)] = drawn.integers(0, 255, (8, 3), np.uint8)
    return np.roll(cv2.resize(world, (width, height), interpolation=cv2.INTER_NEAREST), round(width * turned), 1)


def picture(*args, **kwargs):
    """``seen`` as a JPEG."""
    return compress(seen(*args, **kwargs), quality=90).tobytes()


class Radio:
    """Stations that sign, and a gateway that knows them. Time begins at ``START_NS``; ``latency_s`` from stamp to arrival."""

    def __init__(self, *stations, settings=None, latency_s=0.02, at=None):
        self.stations = stations or (station(),)
        self.signers, self.keys = keyring_for(self.stations)
        self.gateway = Gateway(self.stations, self.keys, settings)
        self.latency_s, self.sequence, self.ego = latency_s, 0, at or ego()
        self.gateway.locate(self.ego)

    def message(self, t_s=0.0, rows=None, jpeg=None, name="north", latency_s=None, **changes):
        """A signed message measured ``t_s`` after the start; ``changes`` are made before it is signed."""
        self.sequence += 1
        payload, kind, camera = (jpeg, PICTURE, "camera") if jpeg is not None else (
            pack_rows(actor() if rows is None else rows), OBJECTS, "")
        stamp_ns = START_NS + round(t_s * S)
        one = RadioMessage(name, self.sequence, kind, stamp_ns, payload, camera=camera,
                           received_ns=stamp_ns + round((self.latency_s if latency_s is None else latency_s) * S))
        one = replace(one, **changes)
        return replace(one, signature=self.signers[name].sign(one))

    def send(self, *args, **kwargs):
        """``message``, taken by the gateway; gives it back."""
        one = self.message(*args, **kwargs)
        self.gateway.take(one)
        return one

    def picture(self, t_s, **changes):
        """What the gateway gives ``t_s`` after the start."""
        now_ns = START_NS + round(t_s * S)
        return self.gateway.picture(now_ns, replace(self.ego, stamp_ns=now_ns, **changes))

    def run(self, seconds, rows=None, pictures=True, from_s=0.0):
        """Good messages: an object list each 0.1 s and a picture each 0.5 s; the gateway is asked each 0.1 s. The last answer."""
        answer = None
        for tick in range(round(seconds * 10)):
            t_s = from_s + tick / 10
            self.send(t_s, rows=rows(t_s) if callable(rows) else rows)
            if pictures and tick % 5 == 0:
                self.send(t_s, jpeg=picture(tick))
            answer = self.picture(t_s + 0.05)
        return answer
