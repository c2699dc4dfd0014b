"""Topics of other message types than this package reads, and types without a definition: named, and no end of the rest."""

import sqlite3

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores
from support.bags import copy_bag, write_bag
from support.rewrite import rewrite

from kd_planner_ros.bags.check import check
from kd_planner_ros.bags.kinds import kinds_of
from kd_planner_ros.bags.messages import CARLA_DEFINITIONS, known_fields, make, typestore
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.scenes import scenes
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE
from kd_planner_ros.wire.channels import CHANNELS
from kd_planner_ros.wire.codec import carla

S = 10**9
P = "/carla/ego_vehicle/"
TEXT, PLACE = "std_msgs/msg/String", "geometry_msgs/msg/PoseStamped"
NEEDED = (f"{P}odometry", f"{P}front/image")
OPTIONAL = (f"{P}speedometer", f"{P}imu", f"{P}vehicle_control_cmd", f"{P}front/camera_info", "/truth/objects", "/truth/signals",
            "/truth/state", "/truth/map_lines", "/carla/world_info", f"{P}global_plan")


def message(kind):
    """A serialised message of one of the two types."""
    stamp = make("builtin_interfaces/msg/Time", sec=1, nanosec=0)
    filled = {TEXT: lambda: make(TEXT, data="no such thing, at some length"), PLACE: lambda: make(
        PLACE, header=make("std_msgs/msg/Header", stamp=stamp, frame_id="map"), pose=make(
            "geometry_msgs/msg/Pose", position=make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
            orientation=make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)))}
    return bytes(typestore().serialize_cdr(filled[kind](), kind))


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp("kinds") / "bag", labels=False, seconds=4.0, told="Town09",
                     lines=np.zeros(3, MAP_LINE_DTYPE))


def retyped(bag, target, topic, kind, storage="mcap"):
    return rewrite(bag, target, lambda name, when, raw: message(kind) if name == topic else raw, storage=storage, kinds={topic: kind})


def everything(recording):
    """Whatever can be asked of a recording."""
    return (list(recording.samples()), recording.route, recording.map_lines, recording.map_name, recording.stations,
            recording.camera_spec("front"))


@pytest.mark.parametrize("kind", [TEXT, PLACE])
@pytest.mark.parametrize("topic", NEEDED)
def test_a_needed_topic_of_another_type_is_refused_by_name(bag, tmp_path, topic, kind):
    path = retyped(bag, tmp_path / "b", topic, kind)
    with pytest.raises(BagError, match=f"{topic} in .*; got messages of type {kind}, not .*; remap the topic") as caught, \
            open_bag(path) as recording:
        everything(recording)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [TEXT, PLACE])
@pytest.mark.parametrize("topic", OPTIONAL)
def test_another_topic_of_another_type_is_left_out_and_told(bag, tmp_path, topic, kind):
    with open_bag(retyped(bag, tmp_path / "b", topic, kind)) as recording:
        recording.custom_data = {}
        found = everything(recording)
        assert len(found[0]) == 8
        assert [note for note in recording.notes if note.startswith(f"{topic} is left out: messages of type {kind}, not ")], recording.notes


@pytest.mark.parametrize("topic", [*NEEDED, *OPTIONAL])
def test_check_names_each_and_goes_on(bag, tmp_path, topic):
    found = check(retyped(bag, tmp_path / "b", topic, TEXT))
    assert list(found["faults"]) == [topic] and f"of type {TEXT}" in found["faults"][topic]
    assert {one["name"]: bool(one["fault"]) for one in found["topics"]} == {one["name"]: one["name"] == topic for one in found["topics"]}


def test_a_type_of_another_name_with_the_same_fields_is_read(bag, tmp_path):
    """As in a fork of the bridge."""
    store = typestore()
    definition = store.generate_msgdef("nav_msgs/msg/Odometry")[0]
    with Writer(tmp_path / "b", version=9, storage_plugin=StoragePlugin.MCAP) as writer, open_bag(bag) as source:
        links = {}
        for topic, when, raw in source.raw(source.kinds):
            if topic not in links:
                links[topic] = writer.add_connection(topic, "my_msgs/msg/Odometry", msgdef=definition, rihs01="RIHS01_" + "0" * 64) \
                    if topic.endswith("/odometry") else writer.add_connection(topic, source.kinds[topic], typestore=store)
            writer.write(links[topic], when, raw)
    with open_bag(tmp_path / "b") as recording:
        assert len(list(recording.samples())) == 8 and recording.kinds[f"{P}odometry"] == "my_msgs/msg/Odometry"


@pytest.mark.parametrize("name", CHANNELS)
def test_every_type_of_a_channel_can_be_read_from_a_bag_without_definitions(name):
    topic = CHANNELS[name].topic.format(role="ego_vehicle", sensor="front")
    kinds = kinds_of(topic)
    assert {CHANNELS[name].kind, *(kind for kind, _ in CHANNELS[name].others)} <= set(kinds)
    assert [kind for kind in kinds if kind not in known_fields()] == []


# --- definitions ----------------------------------------------------------------------------------------------------------

ACTORS = np.zeros(2, ACTOR_DTYPE)
ACTORS["id"], ACTORS["kind"], ACTORS["x"], ACTORS["length"], ACTORS["width"], ACTORS["height"] = [7, 8], 14, [3.5, 9.0], 4.5, 1.9, 1.5
SIGNALS = np.zeros(1, SIGNAL_DTYPE)
SIGNALS["id"], SIGNALS["state"], SIGNALS["stop_x1"] = 3, 2, 4.0


def bridges(tmp_path, of):
    """A sqlite3 recording without any definition: objects and lights as the bridge of one distribution sends them."""
    store, made = typestore(of), lambda kind, /, **fields: typestore(of).types[kind](
        **{name: value for name, value in fields.items() if (kind, name) != ("shape_msgs/msg/SolidPrimitive", "polygon")
           or of == Stores.ROS2_HUMBLE})
    with Writer(tmp_path / "b", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        links = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in (
            (f"{P}objects", carla.OBJECTS), ("/carla/traffic_lights/status", carla.LIGHT_STATES),
            ("/carla/traffic_lights/info", carla.LIGHT_INFOS), (f"{P}odometry", TEXT))}

        def write(topic, kind, sent):
            writer.write(links[topic], S, store.serialize_cdr(sent, kind))

        write("/carla/traffic_lights/status", carla.LIGHT_STATES, carla.light_states(made, SIGNALS))
        write("/carla/traffic_lights/info", carla.LIGHT_INFOS, carla.light_infos(made, SIGNALS))
        write(f"{P}objects", carla.OBJECTS, carla.object_array(made, ACTORS, S, "map"))
    with sqlite3.connect(next((tmp_path / "b").glob("*.db3"))) as file:
        if file.execute("SELECT 1 FROM sqlite_master WHERE name = 'message_definitions'").fetchall():
            file.execute("DELETE FROM message_definitions")
    return tmp_path / "b"


@pytest.mark.parametrize("of", [Stores.ROS2_HUMBLE, Stores.ROS2_FOXY])
def test_objects_and_lights_of_the_bridge_are_read_without_definitions(tmp_path, of):
    """Foxy's SolidPrimitive, which lies in every object, lacks a field of Humble's."""
    with open_bag(bridges(tmp_path, of)) as recording:
        ((stamp, actors, signals),) = scenes(recording)
    assert stamp == S and actors["id"].tolist() == [7, 8] and actors["x"].tolist() == [3.5, 9.0] and actors["length"].tolist() == [4.5, 4.5]
    assert signals["id"].tolist() == [3] and signals["state"].tolist() == [2]
    assert not [one for one in CARLA_DEFINITIONS if one not in known_fields(of)]


def test_a_type_that_nobody_defines_is_refused_before_anything_is_read(tmp_path):
    path = rewrite(copy_bag(tmp_path / "a", labels=False, seconds=1.0), tmp_path / "b", storage="sqlite3")
    with sqlite3.connect(next(path.glob("*.db3"))) as file:
        file.execute("DELETE FROM message_definitions")
        file.execute("UPDATE topics SET type = 'their_msgs/msg/Odometry' WHERE name LIKE '%/odometry'")
    (path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=f"{P}odometry in .*; got their_msgs/msg/Odometry, of which .*; convert it with 'ros2 bag"), \
            open_bag(path) as recording:
        everything(recording)
    found = check(path)
    assert list(found["faults"]) == [f"{P}odometry"]
