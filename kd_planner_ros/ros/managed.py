"""What every lifecycle node shares: each way out of active ends alike."""

from __future__ import annotations

import traceback
from abc import abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from kd_planner_ros.core.errors import KdPlannerError, sentence_of
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.lifecycle import FAILURE, SUCCESS
from kd_planner_ros.ros.stop import StopFlag

TRANSITIONS = ("configure", "activate", "deactivate", "cleanup", "shutdown")


class ManagedNode(LifecycleNode):
    """A lifecycle node that stands down before it leaves active, whatever takes it out: deactivate, shutdown, an error in a
    transition, ``close`` or destruction.

    rclpy switches a lifecycle publisher off in ``deactivate`` alone: without this a node that was shut down goes on publishing.
    A node says what standing down means for it; both methods may be called in any state, twice too.
    """

    health: Health | None = None
    """Set by the constructor of the node; a node whose constructor failed has none, and nothing to leave."""
    stop: StopFlag | None = None
    """Set by ``lifecycle.run``: Ctrl-C while a node configures ends the process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        for transition in TRANSITIONS:  # before rclpy takes the callbacks
            setattr(self, f"on_{transition}", partial(self._tell_faults, transition, getattr(self, f"on_{transition}")))
        super().__init__(*arguments, **options)

    def _tell_faults(self, transition: str, work: Callable[[Any], Any], state: Any) -> Any:
        """``work(state)``. rclpy swallows what a transition raises: it is told first, with its traceback in the log, and as
        condition ``transition`` of the diagnostics until a transition succeeds."""
        try:
            with self.stop.starting() if self.stop is not None and transition == "configure" else nullcontext():
                result = work(state)
        except Exception as error:
            self.get_logger().error("".join(traceback.format_exception(error)).rstrip())
            if self.health is not None:
                self.health.set("transition", ERROR, f"{transition} failed: {sentence_of(error)}")
            raise  # to on_error, which closes the node
        if self.health is not None and result == SUCCESS:
            self.health.clear("transition")
        return result

    def configured(self, work: Callable[[], None]) -> Any:
        """What ``on_configure`` answers after ``work``. A foreseen error is told as condition ``configure`` of the diagnostics, what was
        taken by then is given back, and the node stays unconfigured."""
        assert self.health is not None, "a node that configures has been constructed"
        try:
            work()
        except KdPlannerError as error:
            self.health.set("configure", ERROR, str(error))
            self.give_back()
            return FAILURE
        self.health.clear("configure")
        self._tell("inactive")
        return SUCCESS

    @abstractmethod
    def stand_down(self) -> None:
        """Leave what the node drives in a safe state, tell it, and begin nothing any more."""

    @abstractmethod
    def give_back(self) -> None:
        """Drop what configure took."""

    def on_deactivate(self, state: Any) -> Any:
        """Stand down; publishers are silent afterwards."""
        self.stand_down()
        self._tell("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> Any:
        """Give everything back that configure took."""
        self.close()
        self._tell("unconfigured")
        return SUCCESS

    def on_shutdown(self, state: Any) -> Any:
        """Stand down and give everything back, from every state."""
        self.close()
        self._tell("finalized")
        return SUCCESS

    def on_error(self, state: Any) -> Any:
        """The same after a transition that raised; the node can be configured again."""
        self.close()
        self._tell("unconfigured")
        return SUCCESS

    def close(self) -> None:
        """Stand down and give everything back. A step that fails does not keep the others from being made."""
        if self.health is None:
            return
        switch_off = super().on_deactivate
        for step in (self.stand_down, lambda: switch_off(None), self.give_back):
            self._try(step)

    def destroy_node(self) -> None:
        """Close, then destroy."""
        self.close()
        super().destroy_node()

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> Any:  # a private method of rclpy's class
        """rclpy up to Jazzy lets a request for a transition that the present state does not have end the process, and the car is
        without its node; Kilted's refuses it, as this does."""
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)  # type: ignore[misc]
        except _rclpy.RCLError as error:
            self.get_logger().error(f"transition {transition_id} refused: {' '.join(str(error).split())}")
            return TransitionCallbackReturn.ERROR

    def _tell(self, state: str) -> None:
        if self.health is not None:
            self.health.set("state", WARN, state)

    def _try(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  a publisher that fails must not keep the car from being given up
            self.get_logger().error(" ".join(f"{type(error).__name__} while leaving: {error}".split()))
