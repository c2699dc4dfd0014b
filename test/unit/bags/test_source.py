"""What an option says of a recording's topics: the ego's role name, and which camera is which. Every reader obeys it."""

import json
from contextlib import closing

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from support.bags import write_bag

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.messages import typestore
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import Source, find_sources, read_cameras
from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.samples.shards import build_shards, content_hash


def copied(source, target, names):
    """``source`` in which each topic has the ``names(topic)``; a second name begins one message later, so that it is another one."""
    with closing(BagFile(source)) as file, Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        links, seen = {}, set()
        for topic, bag_ns, raw in file.raw(file.kinds):
            for number, name in enumerate(names(topic)):
                if number and topic not in seen:
                    continue
                links[name] = links.get(name) or writer.add_connection(name, file.kinds[topic], typestore=typestore())
                writer.write(links[name], bag_ns, raw)
            seen.add(topic)
    return target


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two cameras, rgb_front and rgb_view, neither called as any network calls its camera: what the bridge's own objects.json gives."""
    folder = tmp_path_factory.mktemp("two")
    whole = write_bag(folder / "whole", labels=True)
    return copied(whole, folder / "bags" / "two", lambda topic: (
        [topic.replace("/front", "/rgb_front"), topic.replace("/front", "/rgb_view")] if "/front" in topic else [topic]))


@pytest.fixture(scope="module")
def egos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("egos")
    return copied(write_bag(folder / "whole", labels=False), folder / "bags" / "egos", lambda topic: (
        [topic, topic.replace("/ego_vehicle/", "/hero/")] if "/ego_vehicle/" in topic else [topic]))


def test_a_camera_has_the_name_that_is_said(two):
    with open_bag(two) as recording:
        assert recording.cameras == ("rgb_front", "rgb_view")
        with pytest.raises(BagError, match="cameras rgb_front, rgb_view .*: say which is which with --camera NAME=RECORDED"):
            next(recording.samples(("front",)))
    with open_bag(Source(two, cameras=read_cameras(["front=rgb_front"]))) as recording:
        assert recording.cameras == ("front", "rgb_view") and recording.camera_spec("front").id == "front"
        front = [sample.frame for sample in recording.samples(("front",), labels=("depth", "semantic"))]
    with open_bag(two) as recording:
        plain = [sample.frame for sample in recording.samples(("rgb_front",), labels=("depth",))]
    assert len(front) == 16 and all(np.array_equal(one.images["front"], other.images["rgb_front"])
                                    for one, other in zip(front, plain, strict=True))
    with open_bag(Source(two, cameras=(("front", "rgb_view"),))) as recording:
        assert len(list(recording.samples(("front",)))) == 15  # the other one, which began later


def test_a_recorded_camera_of_that_name_steps_back(two):
    with open_bag(Source(two, cameras=(("rgb_front", "rgb_view"),))) as recording:
        assert recording.cameras == ("rgb_front",) and len(list(recording.samples(("rgb_front",)))) == 15


def test_a_camera_that_was_not_recorded_is_refused_by_name(two):
    with pytest.raises(BagError, match="camera 'front' in .*, as --camera says; got the cameras rgb_front, rgb_view; correct --camera"):
        open_bag(Source(two, cameras=(("left", "front"),)))


@pytest.mark.parametrize("words", [["front"], ["=rgb"], ["front="], ["a=b", "a=c"], ["a=b", "c=b"], [""], 5, "a=b", [5]])
def test_words_that_say_nothing_are_refused(words):
    with pytest.raises(ConfigError, match="--camera"):
        read_cameras(words)


def test_samples_of_another_camera_are_other_samples(two, tmp_path):
    network, training = find_network("tcp"), find_training("tcp")
    task = training.build_task(network.build_processor(network.config({"size": "3.1m", "input_height": 32, "input_width": 64})),
                               training.options())
    (first,), (second,) = (build_shards(find_sources([two.parent], cameras=[f"front={name}"]), tmp_path / "cache", task, False)
                           for name in ("rgb_front", "rgb_view"))
    assert first.folder != second.folder and first.facts["content"] == second.facts["content"] == content_hash(two)
    assert len(first.rows) > len(second.rows) > 0


def test_two_egos_need_a_role_name(egos):
    with pytest.raises(BagError, match="one ego vehicle .*ego_vehicle, hero; give the role name with --role-name"):
        open_bag(egos)
    with open_bag(Source(egos, role_name="hero")) as recording:
        assert recording.topics.odometry == "/carla/hero/odometry" and len(list(recording.samples(("front",)))) > 10
    assert find_sources([egos.parent], "hero") == [Source(egos, "hero")]


def test_a_role_that_was_not_recorded_is_refused_by_its_name(two):
    with pytest.raises(BagError, match="topics of role 'hero' in .*; got those of ego_vehicle; correct --role-name, or leave it out"):
        open_bag(Source(two, role_name="hero"))


@pytest.mark.parametrize("words", [("evaluate", "open-loop", "--planner", "constant_velocity")], ids=" ".join)
def test_the_command_line_takes_both(two, egos, capsys, words):
    assert cli.main([*words, "--bag", str(two), "--camera", "front=rgb_front", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bags"] == 1
    assert cli.main([*words, "--bag", str(egos), "--role-name", "hero", "--json"]) == 0
    assert cli.main([*words, "--bag", str(two), "--camera", "front=nosuch"]) == 2
    assert "correct --camera" in capsys.readouterr().err
