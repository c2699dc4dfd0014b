"""DistillDrive's own training options, and what they make of its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from kd_planner_ros.core.car import LENGTH_M, WIDTH_M
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.distilldrive.config import EXPECTED, FULL_BEHIND_M, LIKELIEST, MEASURED, PREDICTED
from kd_planner_ros.networks.distilldrive.reinforcement import FORMS


@dataclass(frozen=True)
class RecordedCar:
    """Size and place of the recorded car, which student and teacher are told."""

    ego_length_m: float = field(default=LENGTH_M, metadata={
        "help": "length of the recorded car, metres; nuScenes' is 4.084, NAVSIM's 5.176", "above": 0.0})
    ego_width_m: float = field(default=WIDTH_M, metadata={
        "help": "width of the recorded car, metres; nuScenes' is 1.85, NAVSIM's 2.297", "above": 0.0})
    ego_ahead_m: float = field(default=0.0, metadata={
        "help": "the recorded car's centre before the origin of base_link, metres: 1.44 in nuScenes and 1.461 in NAVSIM, where that lies "
        "on the rear axle"})

    def car_fields(self) -> dict[str, float]:
        """Them by the names that the networks' configs have."""
        return {one.name: getattr(self, one.name) for one in fields(RecordedCar)}


@dataclass(frozen=True)
class TrainOptions(RecordedCar):
    """DistillDrive's own training options."""

    cameras: int = field(default=3, metadata={"help": "cameras, 60 degrees apart: 1, 3 or 6", "choices": (1, 3, 6), "input": True})
    signals: bool = field(default=True, metadata={
        "help": "stop lines with the colour of their light as map elements, and a token of the front view; off: the published method, "
        "which sees no lights", "input": True})
    horizon_s: float = field(default=3.0, metadata={"help": "how far trajectories reach, seconds, in steps of 0.5",
                                                    "low": 1.0, "high": 10.0})
    generative: bool = field(default=True, metadata={"help": "the conditional VAE between the planner's blocks and its heads"})
    repo_latent: bool = field(default=False, metadata={
        "help": "the VAE computes as in the repository, for comparison: ReLU before mean and deviation, hidden states of other tokens, "
        "futures of other road users, a seeded draw in each frame at run time, and --distilldrive.posterior all; runs on engine torch "
        "alone"})
    posterior: str = field(default="best", metadata={
        "help": "the candidates that know the driven way in training: best (the nearest of the command's six) or all (as the repository, "
        "and always with repo-latent)",
        "choices": ("best", "all")})
    reinforcement: str = field(default="repo", metadata={
        "help": "the Q-network's form: repo (as published), td (Q-learning on the next status) or off", "choices": FORMS})
    plan_space: str = field(default="offsets", metadata={
        "help": "the trajectory's loss: offsets (step by step, as published) or cumulative (place by place)",
        "choices": ("offsets", "cumulative")})
    speed: str = field(default=MEASURED, metadata={
        "help": "the car's own speed that the planner gets: measured, or predicted by itself 0.5 s before (the published method)",
        "choices": (MEASURED, PREDICTED)})
    target: bool = field(default=True, metadata={
        "help": "the planner gets the route's next point beside the command; off: the published method"})
    choice: str = field(default=EXPECTED, metadata={
        "help": "the candidate that is the trajectory: that of the least expected distance to all six by their probabilities, or the "
        "likeliest (the published method)", "choices": (EXPECTED, LIKELIEST)})
    start_weight: float = field(default=4.0, metadata={
        "help": "weight of a frame in which the standing car is about to start, in the losses of trajectory and choice: in recordings a "
        "standing car nearly always goes on standing, which a planner learns before it learns the light. 1: the published method",
        "low": 1.0, "high": 100.0})
    rule_scores: bool = field(default=False, metadata={
        "help": "heads that forecast of each candidate whether it keeps to the rules (collisions, drivable area, time to collision, "
        "progress, red lights), which the recorded truth teaches; the choice counts them. Off: the published method"})
    road_users: str = field(default="shown", metadata={
        "help": "the road users that perception learns to find: shown (those that the cameras show, by the front camera's instance labels) "
        "or all within range_m, for recordings without these labels", "choices": ("shown", "all")})
    heat: bool = field(default=True, metadata={
        "help": "a map of where pictures show road users, which the pyramid learns from, and the backbone where it is trained; off: the "
        "published method, with --distilldrive.proposals 0"})
    proposals: int = field(default=24, metadata={
        "help": "first boxes of road users at the maxima of the map of --distilldrive.heat, beside the fixed ones, at most as many as "
        "those; the map is shipped with them. 0: the published method", "low": 0, "high": 900})
    dense: bool = field(default=True, metadata={
        "help": "an auxiliary map of the front picture's classes and depth, by recorded labels, with --distilldrive.road-users shown; it "
        "is not shipped. Off: the published method, whose auxiliary branch has depth alone"})
    reframe: bool = field(default=False, metadata={
        "help": "training pictures are zoomed, turned and shifted, with their projections: for a backbone that is trained on few drives"})
    frozen_perception: bool = field(default=False, metadata={
        "help": "samples hold what the perception of --init or --warm-start finds in place of the pictures, so that planner and front "
        "token alone are trained: to compare planners on one perception"})
    frozen_token: bool = field(default=False, metadata={
        "help": "with frozen-perception: samples hold the front view's token as well, so that the planner alone is trained"})
    min_cameras: int = field(default=1, metadata={
        "help": "a frame with pictures of fewer cameras is refused, and one without the front camera's; the others may be missing",
        "low": 1, "high": 6})
    rescore: bool = field(default=True, metadata={
        "help": "candidates that meet a forecast road user lose their score, unless all six of the command do"})
    rescore_probability: float = field(default=0.5, metadata={
        "help": "road users of a lower confidence are not asked in rescoring", "low": 0.0, "high": 1.0})
    camera_x_m: float = field(default=1.3, metadata={"help": "place of the recorded cameras ahead of the vehicle's centre, metres"})
    camera_z_m: float = field(default=2.3, metadata={"help": "height of the recorded cameras, metres", "above": 0.0})


KEPT = ("cameras", "signals", "horizon_s", "speed", "target", "choice", "generative", "repo_latent", "rule_scores", "proposals",
        "min_cameras", "rescore", "rescore_probability")
"""Options that are fields of the config, under the same names."""


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, switches and the front camera that the recordings were made with."""
    found: dict[str, Any] = {"size": size, "camera_x_m": options.camera_x_m, "camera_z_m": options.camera_z_m,
                             **{name: getattr(options, name) for name in KEPT}, **options.car_fields(),
                             **({"behind_m": FULL_BEHIND_M} if size == "full" else {})}
    camera = others.get("front", camera)
    if camera is not None:
        found |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    elif size == "full":
        found |= {"camera_width": 1600, "camera_height": 900, "camera_fov_deg": 64.6}
    if camera is not None and camera.pose != Pose():  # where the recorder noted it
        found |= {"camera_x_m": camera.pose.x, "camera_z_m": camera.pose.z}
    return found
