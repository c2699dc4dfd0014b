"""The frame that a model's speed is measured on."""

from types import SimpleNamespace

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig
from kd_planner_ros.runtime.bench import STATION_PICTURE, noise_frame
from kd_planner_ros.world import roadside

FRONT = CameraSpec("front", Pose(), 8, 4, 90.0)


def test_a_frame_has_the_roadside_views_that_the_model_asks_for():
    plain = noise_frame(SimpleNamespace(rig=SensorRig((FRONT,))))
    asked = noise_frame(SimpleNamespace(rig=SensorRig((FRONT,), roadside=RoadsideWish(views=2, objects=True))))
    assert plain.roadside == () and [view.station for view in asked.roadside] == ["station_0", "station_1"]
    assert asked.roadside[0].image.shape == (STATION_PICTURE[1], STATION_PICTURE[0], 3) and len(asked.roadside[0].objects) == 30
    assert (plain.images["front"] == asked.images["front"]).all(), "the other inputs stay as they were"
    assert STATION_PICTURE == (roadside.CAMERA_WIDTH, roadside.CAMERA_HEIGHT)
