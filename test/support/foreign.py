"""Hand-made message classes of packages that are not on PyPI, from the fields of their definitions. Where a package is installed the
tests that use this module run with the real classes too (``makers``)."""

from __future__ import annotations

from functools import lru_cache

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

DEFINITIONS = {
    "derived_object_msgs/msg/Object":
        "std_msgs/Header header\nuint32 id\nuint8 detection_level\nbool object_classified\ngeometry_msgs/Pose pose\n"
        "geometry_msgs/Twist twist\ngeometry_msgs/Accel accel\ngeometry_msgs/Polygon polygon\nshape_msgs/SolidPrimitive shape\n"
        "uint8 classification\nuint8 classification_certainty\nuint32 classification_age\n",
    "derived_object_msgs/msg/ObjectArray": "std_msgs/Header header\nderived_object_msgs/Object[] objects\n",
    "carla_msgs/msg/CarlaBoundingBox": "geometry_msgs/Vector3 center\ngeometry_msgs/Vector3 size\n",
    "carla_msgs/msg/CarlaTrafficLightStatus": "uint32 id\nuint8 state\n",
    "carla_msgs/msg/CarlaTrafficLightStatusList": "carla_msgs/CarlaTrafficLightStatus[] traffic_lights\n",
    "carla_msgs/msg/CarlaTrafficLightInfo":
        "uint32 id\ngeometry_msgs/Pose transform\ncarla_msgs/CarlaBoundingBox trigger_volume\n",
    "carla_msgs/msg/CarlaTrafficLightInfoList": "carla_msgs/CarlaTrafficLightInfo[] traffic_lights\n",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose":
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "vision_msgs/msg/Detection3D":
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\nvision_msgs/BoundingBox3D bbox\nstring id\n",
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    "vision_msgs/msg/LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
    "vision_msgs/msg/Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
    "autoware_planning_msgs/msg/TrajectoryPoint":
        "builtin_interfaces/Duration time_from_start\ngeometry_msgs/Pose pose\nfloat32 longitudinal_velocity_mps\n"
        "float32 lateral_velocity_mps\nfloat32 acceleration_mps2\nfloat32 heading_rate_rps\nfloat32 front_wheel_angle_rad\n"
        "float32 rear_wheel_angle_rad\n",
    "autoware_planning_msgs/msg/Trajectory": "std_msgs/Header header\nautoware_planning_msgs/TrajectoryPoint[] points\n",
    "autoware_internal_planning_msgs/msg/CandidateTrajectory":
        "std_msgs/Header header\nunique_identifier_msgs/UUID generator_id\nautoware_planning_msgs/TrajectoryPoint[] points\n",
    "autoware_internal_planning_msgs/msg/GeneratorInfo":
        "unique_identifier_msgs/UUID generator_id\nstd_msgs/String generator_name\n",
    "autoware_internal_planning_msgs/msg/CandidateTrajectories":
        "autoware_internal_planning_msgs/CandidateTrajectory[] candidate_trajectories\n"
        "autoware_internal_planning_msgs/GeneratorInfo[] generator_info\n",
    "autoware_perception_msgs/msg/ObjectClassification": "uint8 label\nfloat32 probability\n",
    "autoware_perception_msgs/msg/PredictedPath":
        "geometry_msgs/Pose[] path\nbuiltin_interfaces/Duration time_step\nfloat32 confidence\n",
    "autoware_perception_msgs/msg/PredictedObjectKinematics":
        "geometry_msgs/PoseWithCovariance initial_pose_with_covariance\n"
        "geometry_msgs/TwistWithCovariance initial_twist_with_covariance\n"
        "geometry_msgs/AccelWithCovariance initial_acceleration_with_covariance\n"
        "autoware_perception_msgs/PredictedPath[] predicted_paths\n",
    "autoware_perception_msgs/msg/Shape":
        "uint8 type\ngeometry_msgs/Polygon footprint\ngeometry_msgs/Vector3 dimensions\n",
    "autoware_perception_msgs/msg/PredictedObject":
        "unique_identifier_msgs/UUID object_id\nfloat32 existence_probability\n"
        "autoware_perception_msgs/ObjectClassification[] classification\n"
        "autoware_perception_msgs/PredictedObjectKinematics kinematics\nautoware_perception_msgs/Shape shape\n",
    "autoware_perception_msgs/msg/PredictedObjects":
        "std_msgs/Header header\nautoware_perception_msgs/PredictedObject[] objects\n",
    "autoware_control_msgs/msg/Lateral":
        "builtin_interfaces/Time stamp\nbuiltin_interfaces/Time control_time\nfloat32 steering_tire_angle\n"
        "float32 steering_tire_rotation_rate\nbool is_defined_steering_tire_rotation_rate\n",
    "autoware_control_msgs/msg/Longitudinal":
        "builtin_interfaces/Time stamp\nbuiltin_interfaces/Time control_time\nfloat32 velocity\nfloat32 acceleration\n"
        "float32 jerk\nbool is_defined_acceleration\nbool is_defined_jerk\n",
    "autoware_control_msgs/msg/Control":
        "builtin_interfaces/Time stamp\nbuiltin_interfaces/Time control_time\nautoware_control_msgs/Lateral lateral\n"
        "autoware_control_msgs/Longitudinal longitudinal\n",
    "autoware_vehicle_msgs/msg/VelocityReport":
        "std_msgs/Header header\nfloat32 longitudinal_velocity\nfloat32 lateral_velocity\nfloat32 heading_rate\n",
    "autoware_vehicle_msgs/msg/SteeringReport": "builtin_interfaces/Time stamp\nfloat32 steering_tire_angle\n",
}


@lru_cache
def store():
    """A typestore of the standard messages and ``DEFINITIONS``."""
    found = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in DEFINITIONS.items():
        found.register(get_types_from_msg(text, name))
    return found


def make(kind, /, **fields):
    """A message of a hand-made class; every field must be given, as by name so in number."""
    return store().types[kind](**fields)


def makers(*kinds):
    """Parameters for a test: the hand-made classes, and the installed ones where all of ``kinds`` can be imported."""
    def real(kind, /, **fields):
        from kd_planner_ros.ros.messages import find_type
        from kd_planner_ros.ros.messages import make as rclpy_make
        for one in kinds:
            if find_type(one) is None:
                pytest.skip(f"{one.split('/')[0]} is not installed: source a workspace that has it built")
        return rclpy_make(kind, **fields)

    return [pytest.param(make, id="hand-made"), pytest.param(real, id="installed")]


def wire(message):
    """``message`` after serialisation and back: each value fits its field."""
    kind = getattr(message, "__msgtype__", None)
    return message if kind is None else store().deserialize_cdr(store().serialize_cdr(message, kind), kind)
