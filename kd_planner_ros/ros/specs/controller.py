"""The controller's node: plans and odometry in, one control a tick out."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.car import LENGTH_M, WIDTH_M
from kd_planner_ros.ros.params import CommonParams, param
from kd_planner_ros.ros.specs.base import (
    CAR_AHEAD_TEXT,
    COMMAND,
    DIAGNOSTICS,
    IN,
    LATCHED,
    OUT,
    STATE,
    NodeSpec,
    Place,
    Port,
    car_box,
    hears_roadside,
)


@dataclass(frozen=True)
class ControllerParams(CommonParams):
    """Parameters of the controller node."""

    plan_period_s: float = param(0.1, "time between plans, s; from the planner's rate", low=0.05, high=2.0)
    lockstep: bool = param(True, "wait for the plan of a tick that is due; off: take the newest plan there is")
    max_plan_age_s: float = param(0.0, "age from which a plan is stale, s; 0: 2.5 plan periods and two planner latencies, at least 0.5",
                                  low=0.0, high=30.0)
    plan_latency_s: float = param(0.0, "time that a plan is expected to take, s; counts in the derived plan age limit only",
                                  low=0.0, high=10.0)
    fallback_period_s: float = param(0.0, "time between plans of a fallback planner, s; from the planner's rate; 0: there is none",
                                     low=0.0, high=2.0)
    fallback_latency_s: float = param(0.0, "time that a plan of the fallback planner is expected to take, s; counts in its plan age "
                                           "limit only, 2.5 periods and two latencies, at least 0.5", low=0.0, high=10.0)
    plan_timeout_s: float = param(0.8, "longest wait for a due plan, wall time, s; then a safe stop",
                                  low=0.05, high=10.0)
    odometry_timeout_s: float = param(0.5, "odometry older than this on the clock leads to a safe stop, s",
                                      low=0.1, high=10.0)
    max_steer_rad: float = param(1.22, "steering angle of the wheels at full lock, rad; plans are made for CARLA's default car (1.22, "
                                 "which is 70 deg) and scaled to the same wheel angle", low=0.1, high=1.57)
    car_length_m: float = param(LENGTH_M, "length of the car, m; the checks of candidates and of what stations report count with its box",
                                low=0.5, high=30.0)
    car_width_m: float = param(WIDTH_M, "width of the car, m", low=0.3, high=5.0)
    car_ahead_m: float = param(0.0, CAR_AHEAD_TEXT, low=-10.0, high=10.0)
    v2x: bool = param(False, "hear road users and signal phases that roadside stations report, as the V2X gateway lets them through: they "
                             "can only make the control more cautious")
    autostart: bool = param(False, "configure and activate without a lifecycle manager")


NODE = NodeSpec("controller", "Follows plans, supervises them and brakes where there is none.", ControllerParams, (
    Port("odometry", IN, "nav_msgs/Odometry", STATE, "each message is answered by one control"),
    Port("plan", IN, "sensor_msgs/PointCloud2", COMMAND, "the plan, or that there is none"),
    Port("candidates", IN, "sensor_msgs/PointCloud2", COMMAND, "part of the plan of the same stamp"),
    Port("detections", IN, "sensor_msgs/PointCloud2", COMMAND, "part of the plan of the same stamp"),
    Port("lines", IN, "sensor_msgs/PointCloud2", COMMAND, "part of the plan of the same stamp"),
    Port("planner_ready", IN, "std_msgs/Bool", LATCHED, "whether plans come"),
    *(Port(f"fallback_planner/{name}", IN, "sensor_msgs/PointCloud2", COMMAND, f"the fallback planner's {what}; only with parameter "
           "`fallback_period_s`") for name, what in (("plan", "plan"), ("candidates", "part of it"), ("detections", "part of it"),
                                                     ("lines", "part of it"))),
    Port("fallback_planner/ready", IN, "std_msgs/Bool", LATCHED, "whether its plans come; driving begins when it was true once"),
    Port("/v2x/objects", IN, "sensor_msgs/PointCloud2", STATE, "road users that stations report; only with parameter `v2x`"),
    Port("/v2x/phases", IN, "sensor_msgs/PointCloud2", STATE, "signal phases that stations report; only with parameter `v2x`"),
    Port("/v2x/silent", IN, "sensor_msgs/PointCloud2", STATE, "stations in range that send no object list; only with parameter `v2x`"),
    Port("velocity_status", IN, "autoware_vehicle_msgs/VelocityReport", STATE,
         "profile `autoware`: the vehicle's speed wins over odometry's"),
    Port("steering_status", IN, "autoware_vehicle_msgs/SteeringReport", STATE, "profile `autoware`: for the diagnostics"),
    Port("control", OUT, "carla_msgs/CarlaEgoVehicleControl or autoware_control_msgs/Control, else sensor_msgs/JointState", COMMAND,
         "throttle, steer, brake; steer positive RIGHT"),
    Port("steering", OUT, "ackermann_msgs/AckermannDriveStamped", COMMAND, "radians, positive LEFT; only where it is installed"),
    Port("control_reason", OUT, "std_msgs/String", LATCHED, "why the control is not the planner's wish, on change"),
    Port("status", OUT, "std_msgs/Bool", LATCHED, "the agent is ready (the Leaderboard's topic)"),
    DIAGNOSTICS),
    Place(3, lambda graph: True, lambda graph: {"plan_period_s": graph.plan_period_s, "fallback_period_s": graph.fallback_period_s,
                                                "v2x": hears_roadside(graph), **car_box(graph)}))
