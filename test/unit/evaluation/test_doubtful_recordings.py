"""A recording that cannot be believed is refused by every command with the same sentence, and nothing of it is used."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.bags import HEIGHT, RIG, WIDTH, copy_bag
from support.rewrite import moved, rewrite, stamped, zoomed
from support.training import training

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.stamps import header_stamp
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.distill.recorded import require_sensors
from kd_planner_ros.distill.train import train
from kd_planner_ros.evaluation import explain, open_loop
from kd_planner_ros.evaluation.dense.instants import bag_instants
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.ros.graph.replay import needed_topics
from kd_planner_ros.samples.shards import build_shards

S = 10**9
STAMPED = ("/odometry", "/front/image", "/imu", "vehicle_control_cmd", "/truth/state", "/truth/objects", "/truth/signals")


def _train(bag):
    train(training(bags=(bag,), name="x", size="3.1m", input_height=32, input_width=64, epochs=0.1, cache=bag.parent / "cache",
                   models_dir=bag.parent / "models", runs_dir=bag.parent / "runs", progress=False, device="cpu"))


def _dense(bag):
    config = find_network("tcp").config({"input_height": HEIGHT, "input_width": WIDTH})
    with open_bag(bag) as recording:
        list(bag_instants(SimpleNamespace(rig=SensorRig(config.rig.cameras)), recording, "b"))


def _explain(bag):
    config = find_network("tcp").config({"input_height": HEIGHT, "input_width": WIDTH})
    with open_bag(bag) as recording:
        list(explain._frames(recording, explain.ExplainConfig(bag, "none", bag), config))


def _replay(bag):
    with open_bag(bag) as recording:
        needed_topics(recording, RIG)


def _open_loop(bag):
    with open_bag(bag) as recording:
        open_loop._score_one(recording, SimpleNamespace(rig=RIG, reset=lambda: None, plan=lambda frame: pytest.fail("it was scored")))


COMMANDS = {"train": _train, "open-loop": lambda bag: open_loop.run(open_loop.OpenLoopConfig(bag), progress=False), "dense": _dense,
            "explain": _explain, "replay": _replay}


def _back(topic, when, raw):
    stamp = header_stamp(raw, topic) if topic.endswith(STAMPED) else 0
    return stamped(raw, stamp - 2 * S) if stamp > 4 * S else raw


FAULTS = {
    "two clocks": (moved("/odometry", lambda stamp: stamp + 1_700_000_000 * S), r"from 1\.000 s to .*from 1700000001\.000 s to .*clocks"),
    "another clock beside": (moved("/front/image", lambda stamp: stamp + 3 * S), r"front/image.*3\.0 s ahead of those of .*odometry"),
    "set back": (_back, r"set back from (3\.950|4\.000|3\.500) s to (2|2\.050|2\.500|2\.000)"),
    "still": (moved("/front/image", lambda stamp: min(stamp, 3 * S)), "stand still: 3.000 s in 12 of 16 .* from 3.000 s to 8.500 s"),
    "empty": (lambda topic, when, raw: None if topic.endswith("/odometry") else raw, "odometry.*no such topic"),
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    home = tmp_path_factory.mktemp("doubtful")
    whole = copy_bag(home / "whole", labels=False)
    return {name: rewrite(whole, home / name.replace(" ", "_"), change) for name, (change, _) in FAULTS.items()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_refuses_it_in_one_line(recordings, fault, command):
    with pytest.raises(BagError, match=FAULTS[fault][1]) as refused:
        COMMANDS[command](recordings[fault])
    assert "\n" not in str(refused.value)
    assert not list(recordings[fault].parent.glob("models/*"))


@pytest.mark.parametrize("command", [_open_loop, _dense, _explain, _replay])
def test_pictures_of_another_field_of_view_are_not_used(tmp_path, command):
    bag = rewrite(copy_bag(tmp_path / "whole", labels=False, seconds=2.0), tmp_path / "narrow", zoomed(2.06))
    with pytest.raises(BagError, match=r"camera 'front' of .*narrow as the model declares it; got camera_info has .* 55") as refused:
        command(bag)
    assert "\n" not in str(refused.value)


def test_recordings_of_two_fields_of_view_are_not_trained_on_together(tmp_path):
    """Nor where the samples of both lie in the cache, from trainings on each alone."""
    for name, change in (("a", lambda topic, when, raw: raw), ("b", zoomed(2.06))):
        rewrite(copy_bag(tmp_path / "whole" / name, labels=False, seconds=4.0), tmp_path / "bags" / name, change)
    for name, fov_deg in (("a", 100.0), ("b", 60.0)):
        rig = SensorRig((replace(RIG.cameras[0], fov_deg=fov_deg),))
        assert build_shards([tmp_path / "bags" / name], tmp_path / "cache", _task(fov_deg), False, rig)[0].facts["samples"]
    with pytest.raises(BagError, match=r"camera 'front' of .*/b as the model declares it; .* train on recordings of one kind of camera"):
        _train(tmp_path / "bags")
    assert not list(tmp_path.glob("models/*"))


def _task(fov_deg):
    config = find_network("tcp").config({"size": "3.1m", "input_height": HEIGHT, "input_width": WIDTH, "camera_height": HEIGHT,
                                         "camera_width": WIDTH, "camera_fov_deg": fov_deg})
    return find_training("tcp").build_task(find_network("tcp").build_processor(config), find_training("tcp").options())


def test_a_tcp_student_declares_the_camera_where_the_recorder_noted_it(tmp_path):
    """Its own network's mounting, or that of the shared recordings."""
    noted = {"rig": json.dumps({"cameras": [{"id": "front", "pose": {"x": 1.3, "z": 2.3}}]})}
    bag = rewrite(copy_bag(tmp_path / "whole", labels=False, seconds=1.0), tmp_path / "b", custom=noted)
    config = training(bags=(bag,), size="3.1m", input_height=HEIGHT, input_width=WIDTH)
    declared = find_network("tcp").config(find_training("tcp").config_fields("3.1m", config.options("tcp"), *require_sensors(config)))
    assert declared.rig.cameras[0].pose == Pose(1.3, 0.0, 2.3)
    assert declared.rig.cameras[0].fov_deg == pytest.approx(100.0)


def test_what_is_left_out_of_the_samples_is_reported(tmp_path, capsys):
    """One odometry is not finite (its place is interpolated) and one picture came twice: numbers, reasons and notes are printed."""
    from kd_planner_ros.bags.messages import typestore

    def change(topic, when, raw):
        if topic.endswith("/odometry") and when == 2 * S:
            message = typestore().deserialize_cdr(raw, "nav_msgs/msg/Odometry")
            place = replace(message.pose.pose.position, x=float("nan"))
            pose = replace(message.pose, pose=replace(message.pose.pose, position=place))
            return bytes(typestore().serialize_cdr(replace(message, pose=pose), "nav_msgs/msg/Odometry"))
        return [(when, raw), (when, raw)] if topic.endswith("/front/image") and when == 3 * S else raw

    for number in range(2):
        rewrite(copy_bag(tmp_path / f"whole{number}", labels=False, seed=number), tmp_path / "bags" / f"b{number}", change)
    (tmp_path / "bags" / "old.partial").mkdir()
    (tmp_path / "bags" / "old.partial" / "x.mcap").touch()
    _train(tmp_path / "bags")
    said = capsys.readouterr().err
    assert said.count("2 recordings found; left out: ") == 1 and "it was interrupted" in said
    assert ("22 samples of 32 instants in 2 recordings; left out: 2 without every sensor or without odometry, "
            "8 nearer than the horizon to the end or to a gap of odometry\n") in said
    assert "1 of 160 messages on /carla/ego_vehicle/odometry are left out: numbers that are not finite (and 1 recordings more)" in said
    assert "1 of 17 messages repeat a stamp" in said


def test_no_instant_with_every_sensor_is_no_score(tmp_path):
    """Odometry is missing at the instants of the pictures alone; each topic by itself is sound."""
    bag = rewrite(copy_bag(tmp_path / "whole", labels=False), tmp_path / "b", lambda topic, when, raw: None if
                  topic.endswith("/odometry") and when % (S // 2) == 0 else raw)
    with pytest.raises(BagError, match="every sensor of 'constant_velocity' and odometry gave something; got none; 16 instants"):
        open_loop.run(open_loop.OpenLoopConfig(bag), progress=False)


def test_notes_of_two_recordings_of_one_name_are_kept_apart(tmp_path):
    """Drives in folders by day are often of one name."""
    for seed, (day, topic) in enumerate((("monday", "/imu"), ("tuesday", "/vehicle_control_cmd"))):
        whole = copy_bag(tmp_path / "whole" / day, labels=False, seconds=3.0, seed=seed)
        rewrite(whole, tmp_path / "days" / day / "drive", lambda name, when, raw, topic=topic: [(when, raw)] * (1 + name.endswith(topic)))
    notes = open_loop.run(open_loop.OpenLoopConfig(tmp_path / "days"), progress=False)["notes"]
    assert sorted(notes) == [str(tmp_path / "days" / day / "drive") for day in ("monday", "tuesday")]
    assert "imu" in notes[str(tmp_path / "days" / "monday" / "drive")][0]
