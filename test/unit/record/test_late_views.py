"""A recording made by a simulated radio is what a reader with that radio makes of one made without."""

from dataclasses import replace

import numpy as np
import pytest
from support.bags import RIG, TICK_NS, picture, scene, shot

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import Source
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.record.jobs import RecordConfig
from kd_planner_ros.record.late_views import LateViews
from kd_planner_ros.record.record import record
from kd_planner_ros.v2x.channel_settings import ChannelSettings

CAMERA = CameraSpec("north", Pose(x=10.0, z=7.0), 16, 8, 90.0, 0.1)
STATION = Station("rsu", Pose(x=10.0), (CAMERA,))
START_NS = 1_000_000_000


def made(path, radio, compact):
    """(the recording at ``path`` of two seconds, what became of the messages)."""
    rng = np.random.default_rng(0)
    with BagWriter(path, RIG, {}, compact=compact) as bag:
        stations = LateViews(bag, radio, compact)
        bag.write_stations((STATION,), START_NS)
        for tick in range(40):
            ego = EgoState(START_NS + tick * TICK_NS, Pose(0.25 * tick), 5.0)
            stations.arrive(ego.stamp_ns)
            bag.write_ego(ego)
            if tick % 2 == 0:
                bag.write_scene(scene(ego))
                image = np.full((8, 16, 3), 5 * tick, np.uint8)
                stations.take([RoadsideView("rsu", CAMERA, image, np.zeros(tick, ACTOR_DTYPE), ego.stamp_ns, 0.0)])
                bag.write_camera("front", shot(ego.stamp_ns, picture(0.0, rng), False))
    return path, stations.counts


def views(source):
    with open_bag(source) as recording:
        return [[(one.stamp_ns, one.age_s, None if one.image is None else int(one.image.sum()), None if one.objects is None else
                  len(one.objects)) for one in sample.frame.roadside]
                for sample in recording.samples(wants=SensorRig(roadside=RoadsideWish(objects=True)))]


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("radio", [ChannelSettings(latency_ms=130.0, jitter_ms=60.0, loss=0.3, burst=2.0, seed=7),
                                   ChannelSettings(loss=0.4, seed=2), ChannelSettings(latency_ms=100.0)], ids=str)
def test_recorded_late_is_read_late(tmp_path, radio, compact):
    plain, counts = made(tmp_path / "plain", None, compact)
    assert not counts
    late, counts = made(tmp_path / "late", radio, compact)
    assert counts["sent"] == 40 and 40 - counts["lost"] - counts["arrived"] <= 12 and (counts["lost"] > 0) == (radio.loss > 0.0)
    found = views(late)
    assert found == views(replace(Source(plain), radio=radio)) != views(plain) and len(found) == 20


def test_a_radio_for_a_network_that_hears_no_station_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'tcp', which asks for none"):
        record(RecordConfig(tmp_path, network="tcp", v2x_loss=0.1))
    with pytest.raises(ConfigError, match="--v2x-loss"):
        RecordConfig(tmp_path, v2x_loss=1.5)
