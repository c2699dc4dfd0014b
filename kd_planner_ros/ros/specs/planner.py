"""The planner's node: sensor topics in, plans out."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.ros.params import ModelParams, param
from kd_planner_ros.ros.specs.base import COMMAND, IN, LATCHED, MODEL_INPUTS, MODEL_OUTPUTS, OUT, STATE, NodeSpec, Place, Port

NOBODY_S = 3.0
"""Nobody has offered a route for so long since the first odometry: there is none."""


@dataclass(frozen=True)
class PlannerParams(ModelParams):
    """Parameters of the planner node."""

    planner: str = param("constant_velocity", "model folder name, a path to one, or constant_velocity")
    camera_info: bool = param(False, "take the cameras' calibration from camera_info instead of the model's declaration")
    camera_mounts: str = param("", "where cameras are, for a model that reads it (DistillDrive), until tf_static or tf tells: NAME x y z "
                                   "yaw pitch roll; ... in base_link, metres and degrees; empty: where the model declares them")
    route_wait_s: float = param(NOBODY_S, "time from the first odometry in which nobody offers a route, after which a planner that can do "
                                          "without one goes straight on; 0: it never waits, s", low=0.0, high=3600.0)
    caption: bool = param(False, "publish in words what the network sees in the front view, after each plan; a V2X-VLM that was taught "
                                 "captions")


CAPTION = "~/caption"
NODE = NodeSpec("planner", "Runs a planner on the newest set of sensor data.", PlannerParams, (
    *MODEL_INPUTS,
    Port("odometry", IN, "nav_msgs/Odometry", STATE, "steps the route's follower"),
    Port("route", IN, "carla_msgs/CarlaRoute, else sensor_msgs/PointCloud2", LATCHED, "only where the model needs a route"),
    Port("waypoints", IN, "nav_msgs/Path", LATCHED, "followed without turn commands where nobody publishes the route"),
    Port("trajectory", OUT, "nav_msgs/Path", COMMAND, "in `map`, each pose stamped with its time of arrival"),
    Port("joint_trajectory", OUT, "trajectory_msgs/MultiDOFJointTrajectory", COMMAND,
         "the trajectory in the vehicle's frame, for controllers of another make"),
    Port("plan", OUT, "sensor_msgs/PointCloud2", COMMAND,
         "table of one row: trajectory, goal, the network's own control, notes, mode, names of the parts below; or `fault`"),
    Port("candidates", OUT, "sensor_msgs/PointCloud2", COMMAND, "table, one row a candidate: points, score"),
    Port("detections", OUT, "sensor_msgs/PointCloud2", COMMAND,
         "table, one row a road user (`core/outputs.py` DETECTION_DTYPE), with forecasts, their scores and times"),
    Port("lines", OUT, "sensor_msgs/PointCloud2", COMMAND, "table, one row a map line: kind, score, points"),
    Port("detections_3d", OUT, "vision_msgs/Detection3DArray", COMMAND, "the detections' boxes; only where it is installed"),
    Port("autoware_trajectory", OUT, "autoware_planning_msgs/Trajectory", COMMAND, "in `map`; only where it is installed"),
    Port("autoware_candidates", OUT, "autoware_internal_planning_msgs/CandidateTrajectories", COMMAND,
         "in `map`, best score first, of the route's intent alone; only where it is installed"),
    Port("autoware_objects", OUT, "autoware_perception_msgs/PredictedObjects", COMMAND,
         "the detections with their forecasts, in `map`; only where it is installed"),
    Port("markers", OUT, "visualization_msgs/MarkerArray", COMMAND, "for RViz and Foxglove"),
    Port("attention", OUT, "sensor_msgs/Image", COMMAND, "`32FC1`, sums to 1"),
    Port(CAPTION, OUT, "std_msgs/String", COMMAND,
         "the network's own description of the front view, `day car 34 12 walker 56 40`; only with parameter `caption`"),
    Port("planner_ready", OUT, "std_msgs/Bool", LATCHED, "whether plans come"),
    *MODEL_OUTPUTS),
    Place(0, lambda graph: True, parameters=lambda graph: {
        "planner": graph.planner, "models_dir": graph.models_dir, "camera_mounts": graph.camera_mounts,
        "caption": graph.asked.get("caption") == "true" or None}, arguments=(
        ("planner", "", "folder of models/, a path to one, constant_velocity, or auto: the best shipped model; empty: the parameter "
                        "files', else auto", None),)))
