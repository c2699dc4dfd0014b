"""The planner's node: sensor topics in, plans out."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.ros.params import ModelParams, param
from kd_planner_ros.ros.specs.base import COMMAND, DIAGNOSTICS, IN, LATCHED, OUT, SENSOR, STATE, STATIC, NodeSpec, Port


@dataclass(frozen=True)
class PlannerParams(ModelParams):
    """Parameters of the planner node."""

    planner: str = param("constant_velocity", "model folder name, a path to one, or constant_velocity")
    camera_info: bool = param(False, "take the cameras' calibration from camera_info instead of the model's declaration")


NODE = NodeSpec("planner", "Runs a planner on the newest set of sensor data.", PlannerParams, (
    Port("<camera>/image", IN, "sensor_msgs/Image", SENSOR, "each camera that the model declares"),
    Port("<camera>/camera_info", IN, "sensor_msgs/CameraInfo", SENSOR,
         "compared with the model's declaration; replaces it with parameter `camera_info`"),
    Port("tf_static", IN, "tf2_msgs/TFMessage", STATIC,
         "the sensors' mountings, compared with the model's; only where tf2_msgs is installed"),
    Port("tf", IN, "tf2_msgs/TFMessage", STATE, "the same, from a bridge that sends the sensors' frames here"),
    Port("<lidar>", IN, "sensor_msgs/PointCloud2", SENSOR, "each LiDAR that the model declares"),
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
         "in `map`, best score first; only where it is installed"),
    Port("markers", OUT, "visualization_msgs/MarkerArray", COMMAND, "for RViz and Foxglove"),
    Port("attention", OUT, "sensor_msgs/Image", COMMAND, "`32FC1`, sums to 1"),
    Port("planner_ready", OUT, "std_msgs/Bool", LATCHED, "whether plans come"),
    DIAGNOSTICS))
