"""The perception node: pictures in, every dense output of one perceiver out."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.ros.params import ModelParams, param
from kd_planner_ros.ros.specs.base import DIAGNOSTICS, IN, LATCHED, OUT, SENSOR, STATE, STATIC, NodeSpec, Port


@dataclass(frozen=True)
class PerceptionParams(ModelParams):
    """Parameters of the perception node."""

    perceiver: str = param("auto", "model folder name, a path to one, or auto: the first perceiver among the models")
    camera_info: bool = param(True, "take the cameras' calibration from camera_info instead of the model's declaration")
    odometry: bool = param(True, "wait for the odometry of each picture; false: the perceiver gets no ego motion")
    overlay: bool = param(True, "offer a picture of each output over the camera's; built only while somebody subscribes")


NODE = NodeSpec("perception", "Runs a perceiver on the newest set of sensor data and publishes each of its outputs.", PerceptionParams, (
    Port("<camera>/image", IN, "sensor_msgs/Image", SENSOR, "each camera that the model declares"),
    Port("<camera>/camera_info", IN, "sensor_msgs/CameraInfo", SENSOR,
         "compared with the model's declaration; replaces it with parameter `camera_info`"),
    Port("tf_static", IN, "tf2_msgs/TFMessage", STATIC,
         "the sensors' mountings, compared with the model's; only where tf2_msgs is installed"),
    Port("tf", IN, "tf2_msgs/TFMessage", STATE, "the same, from a bridge that sends the sensors' frames here"),
    Port("<lidar>", IN, "sensor_msgs/PointCloud2", SENSOR, "each LiDAR that the model declares"),
    Port("odometry", IN, "nav_msgs/Odometry", STATE, "the ego's motion; only with parameter `odometry`"),
    Port("perception/<output>", OUT, "sensor_msgs/Image", SENSOR,
         "depth and probability `32FC1`, classes and masks `mono8`, ids `32SC1`, flow `32FC3`; stamp and frame of the picture"),
    Port("perception/<output>/labels", OUT, "std_msgs/String", LATCHED, "JSON object: class id to name; of classes alone"),
    Port("perception/<output>/overlay", OUT, "sensor_msgs/Image", SENSOR,
         "`bgra8`, the output in colours over the picture; only with parameter `overlay`"),
    Port("perception_camera_info", OUT, "sensor_msgs/CameraInfo", SENSOR, "calibration at the outputs' size, with every set of outputs"),
    Port("perception_scalars", OUT, "sensor_msgs/JointState", STATE, "the model's named numbers, where it gives any"),
    Port("perception_ready", OUT, "std_msgs/Bool", LATCHED, "whether outputs come"),
    DIAGNOSTICS))
