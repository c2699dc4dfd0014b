"""``kd-planner bags check``: a user's first command on a foreign recording."""

import json
from dataclasses import replace

import pytest
from support.bags import copy_bag
from support.rewrite import edited, moved, rewrite
from support.rigs import write_rig_bag

from kd_planner_ros.cli.main import main
from kd_planner_ros.runtime.facts import planner_facts

CAMERA = "/carla/ego_vehicle/front/image"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return copy_bag(tmp_path_factory.mktemp("check") / "bag", labels=False, seconds=4.0)


def check(path, capsys, *options):
    status = main(["bags", "check", str(path), "--json", *options])
    out = capsys.readouterr()
    lines = out.out.splitlines()
    return status, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else out.err, "\n".join(lines[:-1])


def test_a_sound_recording_is_told_in_full(bag, capsys):
    status, found, text = check(bag, capsys)
    (one,) = found["recordings"]
    assert status == 0 and found["unreadable"] == found["left_out"] == [] and one["faults"] == {} and one["notes"] == []
    (camera,) = one["cameras"]
    assert (camera["id"], camera["size"], camera["fov_deg"], camera["without_ego"]) == ("front", [64, 32], 100.0, 0)
    assert (one["role_name"], one["map"], one["duration_s"]) == ("ego_vehicle", "Town01", pytest.approx(3.95))
    topics = {topic["name"]: topic for topic in one["topics"]}
    assert topics[CAMERA]["messages"] == 8 and topics[CAMERA]["first_s"] == 1.0 and topics[CAMERA]["type"] == "sensor_msgs/msg/Image"
    assert one["messages"] == sum(topic["messages"] for topic in one["topics"])
    assert one["uses"]["evaluate open-loop, replay"] == one["uses"]["train --network tcp"] == ""
    assert "left/image" in one["uses"]["train --network interfuser"]
    assert "camera front: 64x32, 100.0 degrees" in text and "train --network tcp: yes" in text and "1 recording found" in text


USES = ("evaluate open-loop, replay", "train --network tcp")
FAULTS = {
    "clock": (moved("/front/image", lambda stamp: stamp + 10**18), CAMERA, "two clocks", USES),
    "still": (moved("/front/image", lambda stamp: min(stamp, 2 * 10**9)), CAMERA, "stand still", USES),
    "ego": (moved("/odometry", lambda stamp: stamp % 10**9), "/carla/ego_vehicle/odometry", "set back", USES),
    "control": (moved("/vehicle_control_cmd", lambda stamp: stamp + 10**18), "/carla/ego_vehicle/vehicle_control_cmd", "two clocks", ()),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_named_with_what_it_costs(bag, tmp_path, capsys, name):
    change, topic, named, refused = FAULTS[name]
    status, found, text = check(rewrite(bag, tmp_path / "b", change), capsys)
    (one,) = found["recordings"]
    assert status == 0 and named in one["faults"][topic] and f"{topic}: " in text
    for use in USES:
        assert bool(one["uses"][use]) == (use in refused)


def test_a_recording_without_an_ego_vehicle_is_told_too(bag, tmp_path, capsys):
    path = rewrite(bag, tmp_path / "b", rename=lambda topic: topic.replace("/carla/ego_vehicle", "/sensing"))
    status, found, text = check(path, capsys)
    (one,) = found["recordings"]
    assert status == 0 and "/carla/<role name>/odometry" in one["no_ego"] and "/sensing/front/image" in text
    assert "/carla/<role name>/odometry" in one["uses"]["train"]


def test_two_egos_are_told_apart_by_the_option(bag, tmp_path, capsys):
    path = rewrite(bag, tmp_path / "b", rename=lambda topic: topic.replace("ego_vehicle/gnss", "hero/odometry"))
    _, found, _ = check(path, capsys)
    assert "--role-name" in found["recordings"][0]["no_ego"]
    _, found, _ = check(path, capsys, "--role-name", "ego_vehicle")
    assert found["recordings"][0]["role_name"] == "ego_vehicle"


def test_of_a_folder_each_recording_and_each_that_is_left_out_is_told(bag, tmp_path, capsys):
    rewrite(bag, tmp_path / "one")
    rewrite(bag, tmp_path / "interrupted.partial")
    broken = rewrite(bag, tmp_path / "broken")
    data = next(broken.glob("*.mcap"))
    data.write_bytes(data.read_bytes()[:3000])
    status, found, text = check(tmp_path, capsys)
    assert status == 2 and len(found["recordings"]) == 1 and "broken" in found["unreadable"][0]
    assert found["left_out"] == [{"path": str(tmp_path / "interrupted.partial"), "why": "it was interrupted"}]
    assert "cannot be read" in text and "2 recordings found; left out: " in text


def test_a_topic_of_another_type_is_named_and_the_others_are_checked(bag, tmp_path, capsys):
    """Odometry as a text: neither the recording's check ends there, nor the folder's."""
    text = bytes.fromhex("00010000") + (9).to_bytes(4, "little") + b"anything\0"
    for name, wrong in (("a", "/odometry"), ("b", "/nothing")):
        rewrite(bag, tmp_path / name, lambda topic, when, raw, wrong=wrong: text if topic.endswith(wrong) else raw,
                kinds={f"/carla/ego_vehicle{wrong}": "std_msgs/msg/String"})
    status, found, _ = check(tmp_path, capsys)
    first, second = found["recordings"]
    assert status == 0 and first["faults"] == {
        "/carla/ego_vehicle/odometry": "messages of type std_msgs/msg/String, not nav_msgs/msg/Odometry"}
    assert first["cameras"][0]["size"] == [64, 32] and "std_msgs/msg/String" in first["uses"][USES[0]] and second["uses"][USES[0]] == ""


def test_cameras_are_named_as_in_other_commands(bag, tmp_path, capsys):
    path = rewrite(bag, tmp_path / "b", rename=lambda topic: topic.replace("/front/", "/rgb_view/"))
    _, found, _ = check(path, capsys, "--camera", "left=rgb_view")
    assert [one["id"] for one in found["recordings"][0]["cameras"]] == ["left"] and found["recordings"][0]["uses"][USES[0]] == ""
    _, found, text = check(path, capsys, "--camera", "left=rgb_other")
    assert "camera 'rgb_other' in" in found["recordings"][0]["no_ego"] and "rgb_view" in text
    status, said, _ = check(path, capsys, "--camera", "left")
    assert status == 2 and said.count("\n") == 1 and "--camera NAME=RECORDED" in said


def test_all_messages_are_read_once(bag, capsys, monkeypatch):
    """Pictures are most of a recording: whatever is asked of it, they are not read again and again."""
    from kd_planner_ros.bags.bag_file import BagFile

    whole, seen = BagFile.raw, []
    monkeypatch.setattr(BagFile, "raw", lambda self, topics: (seen.append(one[0]) or one for one in whole(self, topics)))
    _, found, _ = check(bag, capsys)
    (camera,) = (one for one in found["recordings"][0]["topics"] if one["name"] == CAMERA)
    uses = sum(not why or use.startswith("model ") for use, why in found["recordings"][0]["uses"].items())
    assert camera["messages"] == 8 <= seen.count(CAMERA) <= 8 + 2 + uses  # and the first ones: their size, and a sample for each use


def test_models_that_the_recording_fits_are_named(tmp_path, capsys):
    """By their own sensors: the size of a picture is what a bare recording most often has wrong."""
    write_rig_bag(tmp_path / "small", planner_facts("tcp64_7m6").rig, seconds=2.0)
    _, found, text = check(tmp_path / "small", capsys)
    uses = found["recordings"][0]["uses"]
    assert uses["model tcp64_7m6"] == "" and "    model tcp64_7m6: yes" in text
    other = uses["model unified_nano"]
    assert "448x336" in other and "'kd-planner record --network unified_encoder --width 448 --height 336'" in other
    assert "left/image" in uses["model if128_3m8_imitation"]


def test_where_nothing_can_be_read_the_status_is_two_and_the_sentence_one_line(bag, tmp_path, capsys):
    broken = rewrite(bag, tmp_path / "broken")
    next(broken.glob("*.mcap")).write_bytes(b"")
    status, said, _ = check(broken, capsys)
    assert status == 2 and said.count("\n") == 1 and "whole recording" in said


def test_a_wrong_calibration_is_named(bag, tmp_path, capsys):
    import numpy as np

    from kd_planner_ros.bags.messages import typestore

    def change(topic, when, raw):
        if not topic.endswith("camera_info"):
            return raw
        message = typestore().deserialize_cdr(raw, "sensor_msgs/msg/CameraInfo")
        return bytes(typestore().serialize_cdr(replace(message, k=np.zeros(9)), "sensor_msgs/msg/CameraInfo"))

    _, found, text = check(rewrite(bag, tmp_path / "b", change), capsys)
    (one,) = found["recordings"]
    assert "fx 0 and fy 0" in one["faults"]["/carla/ego_vehicle/front/camera_info"]
    assert one["cameras"][0]["fov_deg"] is None and "no calibration" in text
    assert "fx 0" in one["uses"]["train --network tcp"] and "fx 0" in one["uses"]["evaluate open-loop, replay"]


def _two_routes(topic, when, raw):
    return [(when, raw), (when, _shorter(topic, when, raw))] if topic.endswith("/global_plan") else raw


_shorter = edited("/global_plan", "sensor_msgs/msg/PointCloud2", lambda one: replace(
    one, width=one.width - 1, row_step=one.row_step - one.point_step, data=one.data[:-one.point_step]))


def _lost(odometry):
    place = replace(odometry.pose.pose.position, x=float("nan"))
    return replace(odometry, pose=replace(odometry.pose, pose=replace(odometry.pose.pose, position=place)))


NOT_USABLE = {
    "no common instant": (lambda topic, when, raw: None if topic.endswith("/odometry") and when % 500_000_000 == 0 else raw, USES, "none"),
    "odometry of no numbers": (edited("/odometry", "nav_msgs/msg/Odometry", _lost), USES, ""),
    "two routes": (_two_routes, USES, "2 different ones"),
    "no control at the samples": (lambda topic, when, raw: None if topic.endswith(("/truth/state", "vehicle_control_cmd")) and when
                                  < 4_500_000_000 else raw, USES[1:], "neither in"),
    "no future": (lambda topic, when, raw: raw if when < 2_500_000_000 else None, USES[1:], "2 s were recorded"),
    "no calibration and another size": (lambda topic, when, raw: None if topic.endswith("/camera_info") else raw, USES[1:], "900x256"),
}


@pytest.mark.parametrize("fault", NOT_USABLE)
def test_what_the_commands_would_refuse_is_no(bag, tmp_path, capsys, fault):
    change, uses, told = NOT_USABLE[fault]
    _, found, _ = check(rewrite(bag, tmp_path / "b", change), capsys)
    (one,) = found["recordings"]
    for use in uses:
        assert one["uses"][use] and told in one["uses"][use]


def test_left_and_right_cameras_are_no_front_camera(bag, tmp_path, capsys):
    """A planner wants the front one; said which it is, the recording can be used."""
    path = rewrite(bag, tmp_path / "b", lambda topic, when, raw: [(when, raw)], lambda topic: topic.replace("/front/", "/left/"))
    two = rewrite(path, tmp_path / "c", silent={"/carla/ego_vehicle/right/image": "sensor_msgs/msg/Image"})
    _, found, _ = check(two, capsys)
    assert "--camera front=RECORDED; the recording has the cameras left, right" in found["recordings"][0]["uses"][USES[0]]
    _, found, _ = check(two, capsys, "--camera", "front=left")
    assert found["recordings"][0]["uses"][USES[0]] == ""
