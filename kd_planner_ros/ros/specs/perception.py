"""The perception node: pictures in, every dense output of one perceiver out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kd_planner_ros.imaging.colormaps import COLORMAPS, TURBO
from kd_planner_ros.ros.params import ModelParams, param
from kd_planner_ros.ros.specs.base import IN, LATCHED, MODEL_INPUTS, MODEL_OUTPUTS, OUT, SENSOR, STATE, NodeSpec, Place, Port


@dataclass(frozen=True)
class PerceptionParams(ModelParams):
    """Parameters of the perception node."""

    perceiver: str = param("auto", "model folder name, a path to one, or auto: the first perceiver among the models")
    model: str = param("", "another name of `perceiver`; empty: `perceiver` says it")
    camera_info: bool = param(True, "take the cameras' calibration from camera_info instead of the model's declaration")
    odometry: bool = param(True, "wait for the odometry of each picture; false: the perceiver gets no ego motion")
    overlay: bool = param(True, "offer a picture of each output over the camera's; built only while somebody subscribes")
    colormap: str = param(TURBO, "colours of depth, flow and probabilities in the overlays", choices=COLORMAPS)
    points: bool = param(False, "offer coloured points of the depth output; built only while somebody subscribes")
    points_stride: int = param(2, "every n-th pixel of every n-th row is a point", low=1, high=64)
    strips_dir: str = param("", "folder for a strip of the outputs now and then, which the report of a drive shows; empty: none")
    strips_every_s: float = param(5.0, "simulated seconds from one strip to the next", low=0.1, high=3600.0)


def _strips(graph: Any) -> str:
    """The folder in the run folder of the built-in world that the report looks into; "" without one."""
    run_dir = graph.world_parameters.get("run_dir", "")
    return f"{run_dir}/perception" if run_dir else ""


def _own_sensors(graph: Any) -> dict[str, str]:
    """Cameras and LiDARs that are mounted for this node alone, under another name than the model's."""
    return {f"{own}{topic}": f"{mounted}{topic}" for own, mounted in graph.perceiver_sensors.items()
            for topic in ("", "/image", "/camera_info")}


NODE = NodeSpec("perception", "Runs a perceiver on the newest set of sensor data and publishes each of its outputs.", PerceptionParams, (
    *MODEL_INPUTS,
    Port("odometry", IN, "nav_msgs/Odometry", STATE, "the ego's motion; only with parameter `odometry`"),
    Port("perception/<output>", OUT, "sensor_msgs/Image", SENSOR,
         "depth and probability `32FC1`, classes and masks `mono8`, ids `32SC1`, flow `32FC3`; stamp and frame of the picture"),
    Port("perception/<output>/labels", OUT, "std_msgs/String", LATCHED, "JSON object: class id to name; of classes alone"),
    Port("perception/<output>/label_info", OUT, "vision_msgs/LabelInfo", LATCHED,
         "names of classes; of classes alone, and only where vision_msgs is installed"),
    Port("perception/<output>/overlay", OUT, "sensor_msgs/Image", SENSOR,
         "`bgra8`, the output in colours over the picture; only with parameter `overlay`"),
    Port("perception_camera_info", OUT, "sensor_msgs/CameraInfo", SENSOR, "calibration at the outputs' size, with every set of outputs"),
    Port("perception_scalars", OUT, "sensor_msgs/JointState", STATE, "the model's named numbers, where it gives any"),
    Port("perception_points", OUT, "sensor_msgs/PointCloud2", SENSOR,
         "x, y, z in metres in the camera's frame, and rgb; only with parameter `points` and an output of depth"),
    Port("perception_twist", OUT, "geometry_msgs/TwistStamped", STATE,
         "velocity and turn rate of `base_link` along its axes, where the model gives `forward_mps`, `left_mps` and `yaw_rate_rps`; sent "
         "while they are known"),
    Port("perception_steering", OUT, "ackermann_msgs/AckermannDriveStamped", STATE,
         "steering angle in radians, positive left, where the model gives `steer`; only where ackermann_msgs is installed, else the number "
         "`steer` of `perception_scalars` (-1 to 1, positive left) is all there is"),
    Port("perception_ready", OUT, "std_msgs/Bool", LATCHED, "whether outputs come"),
    *MODEL_OUTPUTS),
    Place(2, lambda graph: bool(graph.perceiver),
          parameters=lambda graph: {"perceiver": graph.perceiver, "models_dir": graph.perceiver_dir,
                                    "strips_dir": _strips(graph)},
          remaps=_own_sensors, arguments=(
              ("perception", "false", "true: run a perception node beside the planner", ["true", "false"]),
              ("perceiver", "", "with perception:=true: folder of models/, a path to one, or auto: the first perceiver among the models; "
                                "empty: the parameter files', else auto", None))), families=(
        ("rate_divider.", "1", "0 to 1000", "of each part of the model that can be left out, such as `rate_divider.depth`: it runs on "
         "every n-th frame, 0: never. May be set while the node runs"),))
