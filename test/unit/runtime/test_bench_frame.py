"""The frame that a model's speed is measured on."""

from time import sleep
from types import SimpleNamespace

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig
from kd_planner_ros.networks.v2x_vlm.config import OBJECTS
from kd_planner_ros.networks.v2x_vlm.words import word_id
from kd_planner_ros.runtime import bench
from kd_planner_ros.runtime.bench import STATION_PICTURE, noise_frame
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.world import roadside

FRONT = CameraSpec("front", Pose(), 8, 4, 90.0)


def test_a_frame_has_the_roadside_views_that_the_model_asks_for():
    plain = noise_frame(SimpleNamespace(rig=SensorRig((FRONT,))))
    asked = noise_frame(SimpleNamespace(rig=SensorRig((FRONT,), roadside=RoadsideWish(views=2, objects=True))))
    assert plain.roadside == () and [view.station for view in asked.roadside] == ["station_0", "station_1"]
    assert asked.roadside[0].image.shape == (STATION_PICTURE[1], STATION_PICTURE[0], 3) and len(asked.roadside[0].objects) == 30
    assert (plain.images["front"] == asked.images["front"]).all(), "the other inputs stay as they were"
    assert STATION_PICTURE == (roadside.CAMERA_WIDTH, roadside.CAMERA_HEIGHT)


def test_who_describes_what_it_sees_is_measured_with_its_words(monkeypatch):
    planner, said = load_planner("constant_velocity"), []
    assert bench.bench_caption("constant_velocity", planner, 2) == {}, "it describes nothing"
    monkeypatch.setattr(bench, "load_captioner", lambda place: SimpleNamespace(caption=lambda frame: said.append(frame) or sleep(0.01)))
    found = bench.bench_caption("constant_velocity", planner, 3, warm=1)
    assert len(said) == 4 and 10.0 <= found["caption_p50_ms"] <= found["caption_and_plan_p50_ms"]


def test_a_reader_of_lists_gets_no_picture_of_a_station():
    view, = bench.noise_views(RoadsideWish(objects=True, pictures=False))
    assert view.image is None and view.camera is None and len(view.objects) == 30


def test_a_planner_of_lists_is_measured_with_road_users_that_it_tells():
    found = load_planner("v2x_vlm_nano")
    words = found.processor.encode([noise_frame(found)])["words"][0].tolist()
    assert words.count(word_id("object")) == OBJECTS
