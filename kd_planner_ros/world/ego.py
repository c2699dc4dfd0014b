"""The ego's motion: a dynamic bicycle with saturating tyres, driven by lagging pedals and steering.

Source: R. Rajamani, Vehicle Dynamics and Control, 2nd ed., eq. 2.31 (lateral bicycle); the tyre force is the linear one
bent over by tanh at the friction limit. Below about 3 m/s the kinematic bicycle takes over, where slip angles
mean nothing. Numbers are those of CARLA's Lincoln MKZ 2017 where CARLA states them (mass, steering lock and its curve).
"""

from __future__ import annotations

import math
from itertools import pairwise

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.records import Control
from kd_planner_ros.world.ego_body import EGO_WHEELBASE_M

MASS_KG, YAW_INERTIA_KGM2 = 2404.0, 4300.0
MAX_STEER_RAD = math.radians(70.0)  # CARLA's max_steer_angle of the front wheels
STEER_SHARE = ((0.0, 1.0), (5.6, 0.9), (16.7, 0.8), (33.3, 0.7))  # CARLA's steering curve over m/s
FRONT_M = REAR_M = EGO_WHEELBASE_M / 2.0
FRONT_STIFFNESS_N, REAR_STIFFNESS_N = 150e3, 170e3  # per radian and axle; a little understeer
FRICTION = 1.0
MAX_DRIVE_MPS2, POWER_W = 5.0, 170e3
MAX_BRAKE_MPS2 = 8.5
ROLLING_MPS2, COASTING_PER_S, DRAG_PER_M = 0.12, 0.04, 0.5 * 1.2 * 0.7 / MASS_KG
STEER_LAG_S, THROTTLE_LAG_S, BRAKE_LAG_S = 0.07, 0.15, 0.08
STEER_RATE_RPS = 6.0
KINEMATIC_BELOW_MPS, DYNAMIC_ABOVE_MPS = 3.0, 6.0
SUBSTEPS = 10
GRAVITY_MPS2 = 9.81


class Ego:
    """One car. ``step`` moves it by one tick under a control; ``state`` is where it then is."""

    def __init__(self, pose: Pose):
        self.x, self.y, self.yaw = pose.x, pose.y, pose.yaw
        self.vx = self.vy = self.yaw_rate = 0.0
        self.wheel_rad = self.throttle = self.brake = 0.0
        self.acceleration_mps2 = (0.0, 0.0)  # mean specific force over the last tick, base_link

    def step(self, control: Control, dt_s: float) -> None:
        """Advances by ``dt_s`` seconds. The control is clipped to its range; a NaN counts as 0, with full brake."""
        steer, throttle, brake = control.steer, control.throttle, control.brake
        if not (math.isfinite(steer) and math.isfinite(throttle) and math.isfinite(brake)):
            steer, throttle, brake = 0.0, 0.0, 1.0
        goal = (max(-1.0, min(1.0, steer)), max(0.0, min(1.0, throttle)), max(0.0, min(1.0, brake)))
        sum_x = sum_y = 0.0
        for _ in range(SUBSTEPS):
            ax, ay = self._substep(goal, dt_s / SUBSTEPS)
            sum_x, sum_y = sum_x + ax, sum_y + ay
        self.acceleration_mps2 = (sum_x / SUBSTEPS, sum_y / SUBSTEPS)

    def state(self, stamp_ns: int) -> EgoState:
        """The state in ``map`` and ``base_link``; yaw in [-pi, pi]."""
        yaw = math.remainder(self.yaw, 2.0 * math.pi)
        return EgoState(stamp_ns, Pose(self.x, self.y, 0.0, yaw), self.vx, self.yaw_rate,
                        self.acceleration_mps2[0], self.vy)

    def _substep(self, goal: tuple[float, float, float], dt: float) -> tuple[float, float]:
        self._actuate(goal, dt)
        drive = self._longitudinal()
        if self.vx <= 0.0 and drive <= 0.0:
            self.vx = self.vy = self.yaw_rate = 0.0
            return 0.0, 0.0
        share = (self.vx - KINEMATIC_BELOW_MPS) / (DYNAMIC_ABOVE_MPS - KINEMATIC_BELOW_MPS)
        share = max(0.0, min(1.0, share))
        most = FRICTION * GRAVITY_MPS2 / max(self.vx, 1.0)  # tyres hold no tighter bend, rolling geometry or not
        rate_k = max(-most, min(most, self.vx * math.tan(self.wheel_rad) / EGO_WHEELBASE_M))
        vy_k = rate_k * REAR_M
        vy_d, rate_d, resist = self._dynamic(drive, dt) if share > 0.0 else (vy_k, rate_k, 0.0)
        vy, rate = share * vy_d + (1.0 - share) * vy_k, share * rate_d + (1.0 - share) * rate_k
        ax, ay = drive - share * resist, (vy - self.vy) / dt + rate * self.vx
        if self.vx + ax * dt < 0.0:
            ax = -self.vx / dt
        self.vx, self.vy, self.yaw_rate = max(0.0, self.vx + ax * dt), vy, rate
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        self.x += (self.vx * c - self.vy * s) * dt
        self.y += (self.vx * s + self.vy * c) * dt
        self.yaw += self.yaw_rate * dt
        return ax, ay

    def _actuate(self, goal: tuple[float, float, float], dt: float) -> None:
        angle = goal[0] * MAX_STEER_RAD * _steer_share(self.vx)
        change = (angle - self.wheel_rad) * (1.0 - math.exp(-dt / STEER_LAG_S))
        self.wheel_rad += max(-STEER_RATE_RPS * dt, min(STEER_RATE_RPS * dt, change))
        self.throttle += (goal[1] - self.throttle) * (1.0 - math.exp(-dt / THROTTLE_LAG_S))
        self.brake += (goal[2] - self.brake) * (1.0 - math.exp(-dt / BRAKE_LAG_S))

    def _longitudinal(self) -> float:
        """Acceleration along x from pedals and resistance; standing, resistance only opposes motion."""
        pull = self.throttle * min(MAX_DRIVE_MPS2, POWER_W / (MASS_KG * max(self.vx, 1.0)))
        resist = ROLLING_MPS2 + COASTING_PER_S * self.vx + DRAG_PER_M * self.vx**2 + self.brake * MAX_BRAKE_MPS2
        return pull - resist

    def _dynamic(self, drive: float, dt: float) -> tuple[float, float, float]:
        """Next lateral speed and yaw rate, and what the steered tyres take from the speed."""
        load = 0.5 * MASS_KG * GRAVITY_MPS2
        grip = math.sqrt(max(0.05, FRICTION**2 - (drive / GRAVITY_MPS2) ** 2)) * load  # friction circle
        alpha_f = self.wheel_rad - math.atan2(self.vy + FRONT_M * self.yaw_rate, self.vx)
        alpha_r = -math.atan2(self.vy - REAR_M * self.yaw_rate, self.vx)
        front = grip * math.tanh(FRONT_STIFFNESS_N * alpha_f / grip)
        rear = grip * math.tanh(REAR_STIFFNESS_N * alpha_r / grip)
        side = front * math.cos(self.wheel_rad)
        vy = self.vy + dt * ((side + rear) / MASS_KG - self.vx * self.yaw_rate)
        rate = self.yaw_rate + dt * (FRONT_M * side - REAR_M * rear) / YAW_INERTIA_KGM2
        return vy, rate, front * math.sin(self.wheel_rad) / MASS_KG


def _steer_share(speed_mps: float) -> float:
    """Share of full lock at a speed, linear between the points of CARLA's curve."""
    for (v0, s0), (v1, s1) in pairwise(STEER_SHARE):
        if speed_mps <= v1:
            return s0 + (s1 - s0) * max(0.0, speed_mps - v0) / (v1 - v0)
    return STEER_SHARE[-1][1]
