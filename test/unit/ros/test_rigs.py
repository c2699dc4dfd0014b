"""Which sensors are mounted for a planner and a perceiver together."""

from dataclasses import replace

import pytest
from support.perception import install_network, save_tiny

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError, PlannerError
from kd_planner_ros.core.rigs import renamed_rig
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, RoadsideWish, SensorRig
from kd_planner_ros.ros.graph.rigs import PICTURE_CAMERA, perceiver_facts, perceiver_words, rig_to_mount

FRONT = CameraSpec("front", Pose(x=-1.5, z=2.0), 64, 32, 100.0, period_s=0.1)
LIDAR = LidarSpec("lidar", Pose(z=2.5))


def test_both_models_get_their_sensors_and_a_shared_one_is_mounted_once():
    left = replace(FRONT, id="left")
    mounted = rig_to_mount(SensorRig((FRONT,), history_s=(0.1,)), SensorRig((left, replace(FRONT, period_s=0.05)), (LIDAR,)))
    rig = mounted.rig
    assert not mounted.perceiver_names
    assert [spec.id for spec in rig.cameras] == ["front", "left"] and rig.lidars == (LIDAR,)
    assert rig.cameras[0].period_s == 0.05, "the faster of the two decides"
    assert rig.history_s == (0.1,)


@pytest.mark.parametrize("planner, perceiver, both", [
    (None, RoadsideWish(2, 80.0), RoadsideWish(2, 80.0)),
    (RoadsideWish(1, 150.0), None, RoadsideWish(1, 150.0)),
    (RoadsideWish(3, 80.0, 0.5, False), RoadsideWish(1, 150.0, 0.2, True), RoadsideWish(3, 150.0, 0.5, True)),
    (None, None, None)])
def test_the_stations_serve_whoever_asks_for_views(planner, perceiver, both):
    """The world draws no station that its rig does not ask for: a perceiver's wish counts as the planner's does."""
    assert rig_to_mount(SensorRig(roadside=planner), SensorRig(roadside=perceiver)).rig.roadside == both


def test_a_sensor_that_both_want_differently_is_mounted_for_each():
    wide = SensorRig((replace(FRONT, width=128), replace(FRONT, id="left")), (replace(LIDAR, channels=32),), optional=("lidar",))
    mounted = rig_to_mount(SensorRig((FRONT,), (LIDAR,)), wide)
    assert mounted.rig.cameras == (FRONT, replace(FRONT, id="perception_front", width=128), replace(FRONT, id="left"))
    assert mounted.rig.lidars == (LIDAR, replace(LIDAR, id="perception_lidar", channels=32))
    assert mounted.perceiver_names == {"front": "perception_front", "lidar": "perception_lidar"}
    assert renamed_rig(wide, mounted.perceiver_names).optional == ("perception_lidar",)


def test_two_planners_that_want_one_sensor_differently_are_refused():
    with pytest.raises(ConfigError, match="one camera 'front'.*64x32.*128x32"):
        rig_to_mount(SensorRig((FRONT,)), fallback=SensorRig((replace(FRONT, width=128),)))
    with pytest.raises(ConfigError, match="one LiDAR 'lidar'"):
        rig_to_mount(SensorRig((), (LIDAR,)), fallback=SensorRig((), (replace(LIDAR, channels=32),)))


def test_a_perceivers_sensor_is_mounted_beside_the_fallback_planners_too():
    mounted = rig_to_mount(SensorRig(), SensorRig((replace(FRONT, width=128),)), fallback=SensorRig((FRONT,)))
    assert [spec.id for spec in mounted.rig.cameras] == ["front", "perception_front"]


def test_a_picture_camera_where_nobody_has_one():
    assert rig_to_mount(SensorRig()).rig.cameras == (PICTURE_CAMERA,)
    assert rig_to_mount(SensorRig(), pictures=False).rig.cameras == ()
    assert rig_to_mount(SensorRig(), SensorRig((FRONT,))).rig.cameras == (FRONT,)


def test_the_perceiver_by_name(tmp_path, monkeypatch):
    install_network(monkeypatch, tmp_path, "rigs_eye_package")
    save_tiny(tmp_path / "models", "eye")
    assert perceiver_facts("") == ("", None)
    name, facts = perceiver_facts("auto", str(tmp_path / "models"))
    assert name == "eye" and facts.rig.cameras[0].id == "front" and perceiver_words(None, "auto") == ""
    assert perceiver_words(facts, "torch") == f"eye, network tiny_eye, {facts.card['parameters']} parameters, engine torch"
    with pytest.raises(PlannerError, match="expected a perceiver; got 'constant_velocity', a planner"):
        perceiver_facts("constant_velocity")
