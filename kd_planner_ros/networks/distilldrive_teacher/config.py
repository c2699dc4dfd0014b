"""Facts of a DistillDrive teacher: the student's vocabulary and scene, and what it reads of road users."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.distilldrive.config import FULL_BEHIND_M, SIZES, STEP_S, SceneConfig

ENGINES = ("torch",)
BFLOAT16 = False
AGENT_INPUTS = ("future", "history", "both")
SCORES = ("label", "distribution")


@dataclass(frozen=True)
class TeacherSize:
    """Road users and lines at most; layers of the encoder of road users; width of the lines' first network; layers of the planner."""

    agents: int
    lines: int
    layers: int
    line_width: int
    planner_layers: int


TEACHERS = {"full": TeacherSize(150, 50, 4, 128, 2), "nano": TeacherSize(48, 24, 2, 64, 2)}


@dataclass(frozen=True)
class DistillDriveTeacherConfig(SceneConfig):
    """One teacher. Its planner is the student's: trajectory k of the one is trajectory k of the other.

    Attributes:
        agent_input: ``both`` and ``future`` read where road users will be, which is for teaching and for open loop alone; ``history`` is
            an honest planner.
        history_s: how far it looks back at road users, in steps of 0.5 s.
        plan_score: ``label``: a status for all modes; ``distribution``: a status for each mode, and the choice is taught as a distribution.
    """

    agent_input: str = "both"
    history_s: float = 2.0
    plan_score: str = "distribution"
    rescore: bool = True
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, words in (("agent_input", AGENT_INPUTS), ("plan_score", SCORES)):
            if getattr(self, name) not in words:
                raise ConfigError(f"{name} out of {', '.join(words)}", repr(getattr(self, name)), f"correct '{name}'")
        if not 0.1 <= self.rate_hz <= 100.0:
            raise ConfigError("rate_hz from 0.1 to 100", repr(self.rate_hz), "correct 'rate_hz'")
        if not 0.5 <= self.history_s <= 5.0 or self.history_s % STEP_S:
            raise ConfigError(f"history_s of whole steps of {STEP_S:g} s from 0.5 to 5", repr(self.history_s), "correct 'history_s'")

    @property
    def own(self) -> TeacherSize:
        """The size's counts."""
        return TEACHERS[self.size]

    @property
    def past_steps(self) -> int:
        """Steps of a road user's past."""
        return round(self.history_s / STEP_S)

    @property
    def agent_steps(self) -> int:
        """Steps of a road user's future."""
        return SIZES[self.size].agent_steps

    @property
    def rig(self) -> SensorRig:
        """No sensor: the scene itself, and a route for the command."""
        return SensorRig(scene=True)


Config = DistillDriveTeacherConfig
CONFIGURATIONS = (DistillDriveTeacherConfig(size="full", behind_m=FULL_BEHIND_M), DistillDriveTeacherConfig(size="nano"))
