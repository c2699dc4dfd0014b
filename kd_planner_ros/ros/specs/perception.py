"""The perception node: pictures in, every dense output of one perceiver out."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.ros.params import ModelParams, param
from kd_planner_ros.ros.specs.base import DIAGNOSTICS, IN, LATCHED, MODEL_INPUTS, OUT, SENSOR, STATE, NodeSpec, Place, Port


@dataclass(frozen=True)
class PerceptionParams(ModelParams):
    """Parameters of the perception node."""

    perceiver: str = param("auto", "model folder name, a path to one, or auto: the first perceiver among the models")
    camera_info: bool = param(True, "take the cameras' calibration from camera_info instead of the model's declaration")
    odometry: bool = param(True, "wait for the odometry of each picture; false: the perceiver gets no ego motion")
    overlay: bool = param(True, "offer a picture of each output over the camera's; built only while somebody subscribes")


NODE = NodeSpec("perception", "Runs a perceiver on the newest set of sensor data and publishes each of its outputs.", PerceptionParams, (
    *MODEL_INPUTS,
    Port("odometry", IN, "nav_msgs/Odometry", STATE, "the ego's motion; only with parameter `odometry`"),
    Port("perception/<output>", OUT, "sensor_msgs/Image", SENSOR,
         "depth and probability `32FC1`, classes and masks `mono8`, ids `32SC1`, flow `32FC3`; stamp and frame of the picture"),
    Port("perception/<output>/labels", OUT, "std_msgs/String", LATCHED, "JSON object: class id to name; of classes alone"),
    Port("perception/<output>/overlay", OUT, "sensor_msgs/Image", SENSOR,
         "`bgra8`, the output in colours over the picture; only with parameter `overlay`"),
    Port("perception_camera_info", OUT, "sensor_msgs/CameraInfo", SENSOR, "calibration at the outputs' size, with every set of outputs"),
    Port("perception_scalars", OUT, "sensor_msgs/JointState", STATE, "the model's named numbers, where it gives any"),
    Port("perception_ready", OUT, "std_msgs/Bool", LATCHED, "whether outputs come"),
    DIAGNOSTICS),
    Place(2, lambda graph: bool(graph.perceiver),
          parameters=lambda graph: {"perceiver": graph.perceiver, "models_dir": graph.perceiver_dir}, arguments=(
              ("perception", "false", "true: run a perception node beside the planner", ["true", "false"]),
              ("perceiver", "", "with perception:=true: folder of models/, a path to one, or auto: the first perceiver among the models; "
                                "empty: the parameter files', else auto", None))))
