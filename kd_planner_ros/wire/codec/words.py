"""What cameras saw, in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kd_planner_ros.core.captions import Caption, caption_of
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.wire.codec.base import Make
from kd_planner_ros.wire.codec.roadside import TEXT


def captions(make: Make, record: Sequence[Caption], stamp_ns: int = 0, frame: str = "") -> Any:
    """std_msgs/String with a JSON list, one entry a picture: ``{"view": "front", "stamp_ns": 50000000, "text": "day none"}``."""
    return make(TEXT, data=json.dumps([{"view": one.view, "stamp_ns": one.stamp_ns, "text": one.text} for one in record]))


def captions_of(message: Any) -> tuple[Caption, ...]:
    """The captions in the text.

    Raises:
        SensorError: another form, or words that captions do not have.
    """
    remedy = "record it with 'kd-planner record', or correct its writer"
    try:
        entries = json.loads(message.data)
        found = [(one["view"], one["stamp_ns"], one["text"]) for one in entries]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SensorError("captions as JSON: a list of view, stamp_ns and text", f"{type(error).__name__}: {error}"[:120], remedy) from None
    if wrong := [one for one in found if not (isinstance(one[0], str) and type(one[1]) is int and isinstance(one[2], str))]:
        raise SensorError("captions with a text, a whole number and a text", repr(wrong[0])[:80], remedy)
    return tuple(caption_of(view, stamp_ns, text) for view, stamp_ns, text in found)
