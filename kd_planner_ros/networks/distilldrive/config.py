"""Facts of a DistillDrive student: sizes, cameras, what it forecasts, its switches. Stored in the card, read back by the loader.

Source: DistillDrive (arXiv 2508.05402) and its repository; docs/notes/distilldrive.md says where this code differs and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kd_planner_ros.core.car import LENGTH_M, WIDTH_M
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import CameraSpec, SensorRig

ENGINES = ("torch", "openvino")
FIXED_SHAPES = True
"""OpenVINO (2026.4) picks other instances where it does not know how many there are."""
BFLOAT16 = False
"""The instance bank keeps the best instances: a rounded confidence keeps others."""

COMMANDS = ("right", "left", "straight")
"""The order of the repository."""
MODES, STEP_S = 6, 0.5
"""Trajectories a command; seconds between the steps of a trajectory."""
STEP_NS = round(STEP_S * 1e9)
CANDIDATES = len(COMMANDS) * MODES
KINDS = (ActorKind.CAR, ActorKind.TRUCK, ActorKind.BUS, ActorKind.MOTORCYCLE, ActorKind.BICYCLE, ActorKind.PEDESTRIAN, ActorKind.STATIC)
"""Classes of road users in the order of the network's scores."""
LINES = (LineKind.CROSSING, LineKind.DIVIDER, LineKind.BOUNDARY)
"""Classes of map lines in the order of the network's scores; behind them with ``signals`` stop lines by the state of their light."""
SIGNALS = ("red", "yellow", "green")
MEASURED, PREDICTED = "measured", "predicted"
"""Where the planner's own speed comes from."""
EXPECTED, LIKELIEST = "expected", "likeliest"
"""Which candidate is the trajectory (``SceneConfig.choice``)."""
RULES = {"NC": 1.0, "DAC": 1.0, "TTC": 0.5, "EP": 0.5, "TLC": 1.0}
"""Rule sub-scores of a candidate by the names of NAVSIM (``rules.py``), each with its weight in the choice beside the imitation's 1: what
multiplies in EPDMS counts whole, what is averaged there half."""
ANCHOR = 10
"""A box: x, y, z, log of length, width and height, sine and cosine of the yaw, vx, vy; metres, ``base_link``."""
STATUS = ("ax", "ay", "az", "wx", "wy", "wz", "vx", "vy", "vz", "steer")
"""The ego's status in ``base_link``: m/s^2, rad/s, m/s, and the wheels' angle in rad, positive LEFT."""
FORWARD_SPEED = STATUS.index("vx")
HORIZON = 0.4
"""Share of the input's height at which a level camera's horizon lies."""


@dataclass(frozen=True)
class Size:
    """Widths and counts of one size; ``kept`` are instances carried over from 0.5 s ago, ``keys`` those that the planner looks at.

    A line is looked at in ``line_samples`` places along it, at each of ``line_heights``, and there at ``line_offsets`` points that the
    network moves. ``learned`` are sampling points of a box that the network places itself, beside the fixed ones. ``vocabulary`` is the
    width of a point's encoding. ``decoupled`` attention works on contents and positions side by side, at twice the width, as the
    repository does.
    """

    backbone: str
    strides: tuple[int, ...]
    height: int
    width_px: int
    width: int
    heads: int
    agents: int
    kept_agents: int
    agent_keys: int
    lines: int
    kept_lines: int
    line_keys: int
    line_points: int
    line_heights: tuple[float, ...]
    line_samples: int
    line_offsets: int
    learned: int
    layers: int
    planner_layers: int
    agent_steps: int
    queue: int
    vocabulary: int
    latent: int
    gru_layers: int
    gru_width: int
    generative: int
    groups: int
    decoupled: bool
    cameras: int


SIZES = {
    "full": Size("resnet50d", (4, 8, 16, 32), 256, 704, 256, 8, 900, 600, 50, 100, 33, 10, 20, (-1.0, -0.5, 0.0, 0.5, 1.0), 20, 3, 6, 6,
                 3, 12, 3, 128, 32, 4, 64, 512, 8, True, 6),
    "nano": Size("swin", (8, 16), 128, 352, 96, 4, 48, 24, 16, 20, 10, 10, 10, (0.0,), 8, 1, 3, 2, 2, 6, 2, 64, 16, 2, 48, 192, 4, False,
                 3),
}
"""``full`` is the published size, ``nano`` that of a processor with two cores; ``queue`` counts the past entries of the planner's memory:
the 3 of ``full`` are the repository's 4, which count the present one too."""
FULL_BEHIND_M = 30.0
"""``behind_m`` of models of size ``full``, of the teacher as well."""
MOUNTS = {1: (("front", 0.0),), 3: (("front", 0.0), ("left", 60.0), ("right", -60.0))}
MOUNTS[6] = (*MOUNTS[3], ("back_left", 120.0), ("back_right", -120.0), ("back", 180.0))
"""Camera ids and yaws in degrees by the number of cameras."""


@dataclass(frozen=True)
class SceneConfig:
    """What student and teacher share: the vocabulary's shape and the scene around the car.

    Attributes:
        signals: whether stop lines with the state of their light are map elements, and the student gets a token of the front view;
            False is the published method, which sees no light.
        range_m: road users further away are left out. ahead_m, behind_m, side_m: the part of the map that is looked at.
        horizon_s: how far a trajectory reaches, in whole steps of 0.5 s; the published one is 3 s.
        ego_length_m, ego_width_m, ego_height_m: of the car; ego_ahead_m: its box's centre before the origin of ``base_link``.
        full_lock_deg: angle of the front wheels at full lock.
        speed: the ego's speed that the planner is given: ``measured``, or ``predicted`` by itself 0.5 s ago, the published method.
        target: whether the planner is given the route's next point, beside the command; the published one gets the command alone.
        choice: which candidate is the trajectory: that of the least ``expected`` distance to all six by their probabilities, or the
            ``likeliest``, the published method (``decode.preference``).
        memory_s: time between two entries of the memory, whatever the rate; max_memory_s: a memory older than this is dropped.
    """

    size: str = "nano"
    signals: bool = True
    horizon_s: float = 3.0
    range_m: float = 55.0
    ahead_m: float = 30.0
    behind_m: float = 2.0
    side_m: float = 15.0
    ego_length_m: float = LENGTH_M
    ego_width_m: float = WIDTH_M
    ego_height_m: float = 1.5
    ego_ahead_m: float = 0.0
    full_lock_deg: float = 70.0
    speed: str = MEASURED
    target: bool = True
    choice: str = EXPECTED
    memory_s: float = 0.5
    max_memory_s: float = 2.0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"a size out of {', '.join(SIZES)}", repr(self.size), "correct 'size'")
        if self.speed not in (MEASURED, PREDICTED):
            raise ConfigError(f"speed out of {MEASURED}, {PREDICTED}", repr(self.speed), "correct 'speed'")
        if self.choice not in (EXPECTED, LIKELIEST):
            raise ConfigError(f"choice out of {EXPECTED}, {LIKELIEST}", repr(self.choice), "correct 'choice'")
        for name in ("range_m", "ahead_m", "side_m", "ego_length_m", "ego_width_m", "ego_height_m", "full_lock_deg", "memory_s"):
            if not 0.0 < getattr(self, name) < 1000.0:
                raise ConfigError(f"{name} above 0", repr(getattr(self, name)), f"correct '{name}'")
        if not 0.0 <= self.behind_m < 1000.0:
            raise ConfigError("behind_m of at least 0", repr(self.behind_m), "correct 'behind_m'")
        if not abs(self.ego_ahead_m) <= self.ego_length_m:
            raise ConfigError("ego_ahead_m within the car's length", repr(self.ego_ahead_m), "correct 'ego_ahead_m'")
        if not 1.0 <= self.horizon_s <= 10.0 or self.horizon_s % STEP_S:
            raise ConfigError(f"horizon_s of whole steps of {STEP_S:g} s from 1 to 10", repr(self.horizon_s), "correct 'horizon_s'")
        if not self.memory_s <= self.max_memory_s:
            raise ConfigError("max_memory_s of at least memory_s", repr(self.max_memory_s), "correct 'max_memory_s'")

    @property
    def spec(self) -> Size:
        """The size's widths and counts."""
        return SIZES[self.size]

    @property
    def steps(self) -> int:
        """Steps of a trajectory."""
        return round(self.horizon_s / STEP_S)

    @property
    def line_classes(self) -> int:
        """Number of classes of map lines."""
        return len(LINES) + (len(SIGNALS) if self.signals else 0)


def rules_of(config: SceneConfig) -> tuple[str, ...]:
    """Names of the sub-scores in the order of the heads; where no light is looked at, none is kept to."""
    return tuple(name for name in RULES if config.signals or name != "TLC")


@dataclass(frozen=True)
class DistillDriveConfig(SceneConfig):
    """One student.

    Attributes:
        cameras: 1, 3 or 6, mounted at ``camera_x_m``, ``camera_z_m`` with yaws of 60 degrees between them.
        min_cameras: a frame with pictures of fewer cameras is refused, and one without the front camera's; the others may be missing.
        generative: whether the planner has the conditional VAE.
        repo_latent: whether it computes as the repository's does (``generative.py``, ``plan_loss.with_future``), defects included.
        rule_scores: whether heads forecast each candidate's sub-scores (``RULES``), and the choice counts them.
        proposals: first boxes that come from the pictures' heat map, beside the fixed ones (``proposals.py``); 0 is the published method.
        rescore: whether candidates that meet a forecast road user lose their score.
        rescore_probability: road users below it are not asked.
    """

    cameras: int = 3
    min_cameras: int = 1
    camera_width: int = 448
    camera_height: int = 336
    camera_fov_deg: float = 100.0
    camera_x_m: float = 1.3
    camera_z_m: float = 2.3
    generative: bool = True
    repo_latent: bool = False
    rule_scores: bool = False
    proposals: int = 24
    rescore: bool = True
    rescore_probability: float = 0.5
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cameras not in MOUNTS:
            raise ConfigError(f"cameras out of {', '.join(map(str, MOUNTS))}", repr(self.cameras), "correct 'cameras'")
        if self.repo_latent and not self.generative:
            raise ConfigError("generative on where repo_latent is on", "generative off", "correct 'repo_latent' or 'generative'")
        for name in ("camera_width", "camera_height"):
            if not 32 <= getattr(self, name) <= 4096:
                raise ConfigError(f"{name} between 32 and 4096 pixels", repr(getattr(self, name)), f"correct '{name}'")
        for name, low, high in (("proposals", 0, self.spec.agents), ("min_cameras", 1, self.cameras), ("rescore_probability", 0.0, 1.0),
                                ("rate_hz", 0.1, 100.0), ("camera_x_m", -10.0, 10.0), ("camera_z_m", 0.0, 10.0)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} from {low:g} to {high:g}", repr(getattr(self, name)), f"correct '{name}'")
        if not 10.0 <= self.camera_fov_deg <= 170.0:
            raise ConfigError("camera_fov_deg between 10 and 170", repr(self.camera_fov_deg), "correct 'camera_fov_deg'")
        if self.scaled_height < self.spec.height:
            raise ConfigError(f"a camera of at least {self.spec.height} rows at a width of {self.spec.width_px}",
                              f"{self.camera_width}x{self.camera_height}", "give a camera with a higher picture")

    @property
    def torch_only(self) -> str:
        """The switch that leaves torch as the only engine; empty where none does."""
        return "repo_latent" if self.repo_latent else ""

    @property
    def scaled_height(self) -> int:
        """Rows of the camera's whole picture at the input's width."""
        return round(self.camera_height * self.spec.width_px / self.camera_width)

    @property
    def cut_top(self) -> int:
        """First row of the scaled picture that the network sees."""
        wanted = round(self.scaled_height / 2 - HORIZON * self.spec.height)
        return min(max(wanted, 0), self.scaled_height - self.spec.height)

    @property
    def camera_specs(self) -> tuple[CameraSpec, ...]:
        """The cameras, the front one first."""
        return tuple(CameraSpec(name, Pose(x=self.camera_x_m, z=self.camera_z_m, yaw=math.radians(yaw)), self.camera_width,
                                self.camera_height, self.camera_fov_deg, period_s=1.0 / self.rate_hz)
                     for name, yaw in MOUNTS[self.cameras])

    @property
    def rig(self) -> SensorRig:
        """The cameras, of which those behind the first may be missing as long as ``min_cameras`` are there; a route for the command,
        straight on without one."""
        specs = self.camera_specs
        return SensorRig(cameras=specs, optional=tuple(spec.id for spec in specs[1:]), route_optional=True, placed=True,
                         min_cameras=self.min_cameras)


Config = DistillDriveConfig
CONFIGURATIONS = (DistillDriveConfig(size="full", cameras=6, camera_width=1600, camera_height=900, camera_fov_deg=64.6,
                                     behind_m=FULL_BEHIND_M),
                  DistillDriveConfig(size="nano"))
