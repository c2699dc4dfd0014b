"""Rate dividers of a perceiver's parts as ROS parameters that may change while the node runs, and the parts' times."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from rcl_interfaces.msg import IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.parts import MOST, Schedule
from kd_planner_ros.networks.planner import Perceiver
from kd_planner_ros.ros.diagnostics import WARN, Health

PREFIX = "rate_divider."
"""Begins the parameter of each part that has a switch."""
_SHOWN = 50
"""Frames over which the times are shown."""


class RateDividers:
    """Runs a perceiver's parts at the rates of the parameters ``rate_divider.PART``: 1 every frame, n every n-th, 0 never.

    Raises:
        ConfigError: a value out of range, or a parameter for a part that the perceiver does not have.
    """

    def __init__(self, node: Any, perceiver: Perceiver, health: Health):
        self._node, self._perceiver, self._health = node, perceiver, health
        self.schedule = Schedule(perceiver.parts)
        self._times_ms: dict[str, deque[float]] = {}
        self._declare()
        self._tell_blocked()
        self._check: Callable[[Sequence[Any]], SetParametersResult] = self._take
        node.add_on_set_parameters_callback(self._check)

    def _declare(self) -> None:
        switches = self.schedule.switches
        known = [f"{PREFIX}{name}" for name in switches]
        given = getattr(self._node, "_parameter_overrides", {})
        if unknown := sorted({name for name in given if name.startswith(PREFIX)} - set(known)):
            raise ConfigError(f"parameters out of {', '.join(known)} for '{self._perceiver.name}'", ", ".join(unknown), "correct the name")
        for name, parameter in zip(switches, known, strict=True):
            if not self._node.has_parameter(parameter):
                text = f"'{name}' runs on every n-th frame; 0: never. May be set while the node runs"
                descriptor = ParameterDescriptor(description=text, integer_range=[IntegerRange(from_value=0, to_value=MOST, step=1)])
                try:
                    self._node.declare_parameter(parameter, 1, descriptor)
                except (InvalidParameterTypeException, InvalidParameterValueException):
                    raise ConfigError(f"parameter {parameter}: a whole number from 0 (off) to {MOST}", repr(given[parameter].value),
                                      "correct the YAML or the argument") from None
            self.schedule.set_rates({name: self._node.get_parameter(parameter).value})

    def _take(self, parameters: Sequence[Any]) -> SetParametersResult:
        rates = {one.name.removeprefix(PREFIX): one.value for one in parameters if one.name.startswith(PREFIX)}
        if not rates:
            return SetParametersResult(successful=True)
        try:
            self.schedule.set_rates(rates)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._tell_blocked()
        return SetParametersResult(successful=True)

    def _tell_blocked(self) -> None:
        blocked, rates = self.schedule.blocked(), self.schedule.rates
        found = {f"'{name}' does not run": needs for name, needs in blocked.items()}
        for name, (own, *others) in self._perceiver.made_of.items():
            if own not in blocked and rates.get(own) and (off := tuple(one for one in others if one in blocked or not rates.get(one, 1))):
                found[f"'{name}' is not given"] = off
        told = [f"{what}: it needs {' and '.join(needs)}, switched off by {', '.join(PREFIX + one for one in needs)} 0"
                for what, needs in found.items()]
        told += [f"'{name}' holds {what} as well: it needs {other} on each of its own frames, and {PREFIX}{other} is {rates.get(other, 1)}"
                 for name, (other, what) in self._perceiver.cut_by.items() if self._uncut(name, other)]
        told += [f"'{name}' runs on more pictures than {PREFIX}{name} {rates[name]} says: it is needed by {' and '.join(others)}"
                 for name, others in self.schedule.hurried().items()]
        if told:
            self._health.set("rate_divider", WARN, "; ".join(told))
        else:
            self._health.clear("rate_divider")

    def _uncut(self, name: str, other: str) -> bool:
        """Whether there are frames with the part ``name`` and without ``other``."""
        blocked, rates = self.schedule.blocked(), self.schedule.rates
        runs = {one: rates.get(one, 0) if one not in blocked else 0 for one in (name, other)}
        return bool(runs[name]) and (not runs[other] or runs[name] % runs[other] != 0)

    def perceive(self, frame: Frame) -> Perception:
        """What the parts that are due see in ``frame``; nothing where none is.

        Raises:
            SensorError: as the perceiver's ``perceive``.
        """
        due = self.schedule.next()
        if not due:
            return Perception(frame.stamp_ns, "")
        self._perceiver.due = due
        start = time.perf_counter()
        seen = self._perceiver.perceive(frame)
        whole = {self._perceiver.parts[0].name: (time.perf_counter() - start) * 1e3}
        for name, took in (seen.spent_ms or whole).items():
            self._times_ms.setdefault(name, deque(maxlen=_SHOWN)).append(took)
        return seen

    def values(self) -> dict[str, Any]:
        """Times of the steps and parts in milliseconds (median), and the dividers that are not 1, for the diagnostics."""
        times = {f"{name} ms": f"{median(list(took)):.1f}" for name, took in list(self._times_ms.items())}
        return times | {f"{PREFIX}{name}": rate for name, rate in self.schedule.rates.items() if rate != 1}

    def close(self) -> None:
        """Give back the parameters."""
        self._node.remove_on_set_parameters_callback(self._check)
        self._health.clear("rate_divider")
        for name in self.schedule.switches:
            self._node.undeclare_parameter(f"{PREFIX}{name}")
