"""Plain training on the task's own loss."""

from __future__ import annotations

from kd_planner_ros.distill.methods.base import Distiller, MethodContext


def build(context: MethodContext) -> Distiller:
    """The base of every method, which adds nothing."""
    return Distiller()
