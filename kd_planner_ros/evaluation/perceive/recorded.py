"""A perception in a recording, on the topics of the perception node: all but its coloured points, which follow from depth and picture, and
``vision_msgs/LabelInfo``, whose names stand in ``labels``."""

from __future__ import annotations

import json

from kd_planner_ros.bags.messages import make
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.outputs import Perception, vehicle_twist
from kd_planner_ros.wire.channels import find_channel
from kd_planner_ros.wire.codec.pictures import IMAGE


def put_perception(bag: BagWriter, seen: Perception, first: bool) -> None:
    """Write the dense outputs of ``seen``, their calibration, its numbers and the ego's twist at its stamp; a mask of which nothing is
    known is left out.

    Args:
        first: write the names of the classes too, latched.
    """
    stamp, topics = seen.stamp_ns, bag.topics
    for name, output in seen.outputs.items():
        channel = f"dense_{output.kind}"
        topic = find_channel(channel).topic.format(role=topics.role_name, sensor=name)
        if first and output.labels and output.kind == "classes":
            text = make("std_msgs/msg/String", data=json.dumps(output.names))
            bag.write(f"{topic}/labels", "std_msgs/msg/String", text, stamp, latched=True)
        if output.kind != "mask" or name not in seen.unknown:
            bag.write(topic, IMAGE, find_channel(channel).encode(make, output, stamp, topics.frame(seen.camera)), stamp)
    if seen.calibration is not None:
        info = find_channel("camera_info").encode(make, seen.calibration, stamp, topics.frame(seen.camera))
        bag.write(f"/carla/{topics.role_name}/perception/camera_info", "sensor_msgs/msg/CameraInfo", info, stamp)
    if seen.scalars:
        bag.put("scalars", dict(seen.scalars), stamp)
    if (twist := vehicle_twist(seen)) is not None:
        bag.put("perception_twist", twist, stamp)
