"""Messages of other systems, written into hand-made classes of their definitions, and into the real ones where they are installed."""

import math

import numpy as np
import pytest
from support.foreign import makers, wire
from support.wire import STAMP, filled

from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind
from kd_planner_ros.wire.codec import base, carla


@pytest.mark.parametrize("make", makers(carla.OBJECTS))
def test_objects_as_carlas_bridge_sends_them(make):
    kinds = [kind for kind in ActorKind]
    actors = filled(ACTOR_DTYPE, len(kinds))
    actors["kind"], actors["yaw"], actors["lights"], actors["seed"] = kinds, np.linspace(-3.0, 3.0, len(kinds)), 0, 0
    actors["length"], actors["width"], actors["height"] = 4.5, 2.0, 1.5
    message = wire(carla.object_array(make, actors, STAMP, "map"))
    assert base.stamp_of(message) == STAMP and message.header.frame_id == "map"
    assert [one.classification for one in message.objects] == [4, 6, 7, 7, 8, 5, 10]  # a bus has no class of its own
    one = message.objects[1]
    assert (one.detection_level, one.classification_certainty, one.shape.type, list(one.shape.dimensions)) == (1, 255, 1, [4.5, 2.0, 1.5])
    back = carla.actors_from_objects(message.objects)
    actors["kind"][kinds.index(ActorKind.BUS)] = ActorKind.TRUCK
    for name in ACTOR_DTYPE.names:
        assert back[name] == pytest.approx(actors[name], abs=1e-6), name
    assert len(wire(carla.object_array(make, actors[:0], STAMP, "map")).objects) == 0


@pytest.mark.parametrize("make", makers(carla.LIGHT_STATES, carla.LIGHT_INFOS))
def test_traffic_lights_as_carlas_bridge_sends_them(make):
    signals = np.zeros(3, SIGNAL_DTYPE)
    for row, yaw in zip(signals, (0.3, -2.0, math.pi / 2)):
        x, y, c, s = 10.0, -5.0, math.cos(yaw), math.sin(yaw)
        mid = (x + 12.0 * c, y + 12.0 * s)  # the stop line lies across the way that the head faces
        row["x"], row["y"], row["z"], row["yaw"] = x, y, 5.0, yaw
        row["stop_x0"], row["stop_y0"] = mid[0] + 1.75 * s, mid[1] - 1.75 * c
        row["stop_x1"], row["stop_y1"] = mid[0] - 1.75 * s, mid[1] + 1.75 * c
    signals["id"], signals["state"] = (7, 8, 9), (0, 2, 3)
    states, infos = wire(carla.light_states(make, signals)), wire(carla.light_infos(make, signals))
    assert [(one.id, one.state) for one in states.traffic_lights] == [(7, 0), (8, 2), (9, 3)]
    back = carla.signals_from_lights(states.traffic_lights, infos.traffic_lights)
    for name in SIGNAL_DTYPE.names:
        assert back[name] == pytest.approx(signals[name], abs=1e-5), name
