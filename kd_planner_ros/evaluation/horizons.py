"""Times after a plan's stamp, as options name them."""

from __future__ import annotations

from kd_planner_ros.core.errors import ConfigError


def read_horizons(text: str) -> tuple[float, ...]:
    """The horizons in a text such as ``0.5,1,2``, seconds.

    Raises:
        ConfigError: a part that is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError("--horizons of seconds with commas between", repr(text), "correct them, e.g. --horizons 2,3") from None
