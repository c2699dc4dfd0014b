"""Roadside stations: where they stand, files of them, and which are drawn."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.towns import actor, scene, straight_road

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, Station
from kd_planner_ros.core.stations import stations_from_data, stations_to_data
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.roadside import StationChoice, nearest_views, place_stations, read_stations, view_of

CAR, WALKER = (4.5, 1.8, 1.5), (0.5, 0.6, 1.75)


def station(name, x, *yaws, range_m=150.0):
    cameras = tuple(CameraSpec(f"c{n}", Pose(x=x, z=7.0, yaw=yaw, pitch=0.3), 64, 36, 90.0, 0.1) for n, yaw in enumerate(yaws))
    return Station(name, Pose(x=x), cameras, range_m=range_m)


@pytest.fixture(scope="module")
def town():
    return load_map("default")


def test_every_busy_junction_of_the_default_town_has_a_station_off_the_road(town):
    assert len(town.stations) >= 12 and len({one.id for one in town.stations}) == len(town.stations)
    lanes = [lane for lane in town.lanes.values() if lane.kind == "driving"]
    for one in town.stations:
        spot = np.array([one.pose.x, one.pose.y])
        assert all(np.hypot(*(lane.centre - spot).T).min() > lane.width / 2 for lane in lanes), one.id
        camera, = one.cameras
        middle = min((outline.mean(0) for outline in town.junctions.values()), key=lambda at: np.hypot(*(at - spot)))
        away = middle - spot
        turned = math.atan2(away[1], away[0]) - camera.pose.yaw
        assert abs(math.remainder(turned, 2 * math.pi)) < 1e-6, "the camera looks across the junction"
        assert camera.pose.pitch > 0.0 and camera.pose.z >= 6.0, "and down from its mast"


def test_the_same_seed_gives_the_same_stations(town):
    assert place_stations(town, 0) == town.stations
    assert place_stations(town, 1) != town.stations


def test_a_map_without_junctions_has_no_stations():
    assert place_stations(straight_road()) == ()


def test_a_stations_file_there_and_back(tmp_path, town):
    wanted = town.stations[:2]
    path = tmp_path / "stations.json"
    path.write_text(json.dumps(stations_to_data(wanted)))
    found = read_stations(path, town)
    assert [one.id for one in found] == [one.id for one in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert a.cameras[0].pose.pitch == pytest.approx(b.cameras[0].pose.pitch) and a.pose.x == b.pose.x
        assert replace(a.cameras[0], pose=b.cameras[0].pose) == b.cameras[0]
    loaded = load_map("default", str(path))
    assert [one.id for one in loaded.stations] == [one.id for one in wanted]


def test_a_camera_stands_on_its_station_unless_the_file_says_otherwise(tmp_path):
    path = tmp_path / "stations.yaml"
    path.write_text("stations:\n- {id: rsu, x: 3, y: 4, yaw_deg: 90, cameras: [{id: a, z: 6, width: 64, height: 36},"
                    " {id: b, z: 6, x: 5, yaw_deg: 0, width: 64, height: 36}]}\n")
    one, = read_stations(path, straight_road())
    assert (one.cameras[0].pose.x, one.cameras[0].pose.y) == (3.0, 4.0) and one.cameras[0].pose.yaw == pytest.approx(math.pi / 2)
    assert (one.cameras[1].pose.x, one.cameras[1].pose.yaw) == (5.0, 0.0) and one.cameras[1].period_s == 0.1


@pytest.mark.parametrize(("entry", "said"), [
    ({"id": "far", "x": 5000, "y": 0}, "station 'far' on map straight"),
    ({"id": "a b", "x": 0, "y": 0}, "letters"),
    ({"id": "a", "x": 0}, "no y"),
    ({"id": "a", "x": "0", "y": 0}, "'x'"),
    ({"id": "a", "x": 0, "y": 0, "hight": 3}, "hight"),
    ({"id": "a", "x": 0, "y": 0, "cameras": [{"id": "c", "z": 5, "width": 64, "height": 0}]}, "'height'"),
    ({"id": "a", "x": 0, "y": 0, "cameras": [{"id": "c", "z": 5, "width": 64, "height": 36, "fov_deg": 180}]}, "fov_deg"),
    ({"id": "a", "x": 0, "y": 0, "cameras": 3}, "cameras"),
    ("a", "keys and values"),
])
def test_a_broken_station_is_refused_by_name(tmp_path, entry, said):
    path = tmp_path / "stations.json"
    path.write_text(json.dumps({"stations": [entry]}))
    with pytest.raises(ConfigError, match=said):
        read_stations(path, straight_road())


@pytest.mark.parametrize("text", ["{", "[]", "stations: {}"])
def test_a_broken_stations_file_is_refused(tmp_path, text):
    path = tmp_path / "stations.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_stations(path, straight_road())
    with pytest.raises(ConfigError, match="twice"):
        stations_from_data({"stations": [{"id": "a", "x": 0, "y": 0}] * 2}, "file")
    with pytest.raises(ConfigError, match="stations file"):
        read_stations(tmp_path / "none.yaml", straight_road())


def test_the_nearest_stations_in_reach_are_chosen_with_the_camera_towards_the_car():
    stations = (station("far", 140.0, 0.0), station("near", 20.0, 0.0, math.pi), station("deaf", 10.0, 0.0, range_m=5.0))
    found = nearest_views(stations, 0.0, 0.0, RoadsideWish(views=2))
    assert [(one.id, camera.id) for one, camera in found] == [("near", "c1"), ("far", "c0")]
    assert [one.id for one, _ in nearest_views(stations, 0.0, 0.0, RoadsideWish(views=2, range_m=100.0))] == ["near"]
    blind = (station("blind", 5.0),)
    assert nearest_views(blind, 0.0, 0.0, RoadsideWish()) == []
    assert nearest_views(blind, 0.0, 0.0, RoadsideWish(objects=True)) == [(blind[0], None)]


def test_a_station_is_drawn_at_ten_hertz_however_often_it_is_asked_for():
    choice = StationChoice((station("a", 20.0, math.pi),), RoadsideWish())
    assert [len(choice.due(scene(), tick)) for tick in (0, 1, 2, 5, 6, 7, 8)] == [1, 0, 1, 1, 0, 1, 0]
    choice.reset()
    assert len(choice.due(scene(), 0)) == 1


def test_a_station_without_a_camera_reports_everybody_in_its_range():
    state = scene(actor(ActorKind.CAR, 40.0, 0.0, CAR, seed=1), actor(ActorKind.PEDESTRIAN, 80.0, 0.0, WALKER, seed=2))
    view = view_of(state, station("blind", 5.0, range_m=60.0), None, RoadsideWish(objects=True), renderer=None)
    assert view.objects.tobytes() == state.actors[:1].tobytes() and view.image is None and view.age_s == 0.0


def test_the_choice_follows_the_car():
    choice = StationChoice((station("west", 0.0, 0.0), station("east", 200.0, 0.0)), RoadsideWish())
    for tick, (x, wanted) in enumerate(((10.0, "west"), (190.0, "east"))):
        state = replace(scene(), ego=EgoState(0, Pose(x=x), 0.0))
        assert [one.id for one, _ in choice.due(state, tick)] == [wanted]
