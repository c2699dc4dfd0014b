"""Message packages that are not on PyPI: each is looked up here, by name, when an adapter asks for it."""

from __future__ import annotations

import importlib
from typing import Any

APT_PACKAGES = {
    "carla_msgs": "ros-carla-msgs (ros-bridge, built from source)",
    "ackermann_msgs": "ros-$ROS_DISTRO-ackermann-msgs",
}


def message_type(package: str, name: str) -> Any | None:
    """The message class ``package.msg.name``, or None where the package is not installed."""
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def missing_sentence(package: str, without: str) -> str:
    """What is missing and what works without it, for the diagnostics."""
    return f"{package} is not installed ({APT_PACKAGES[package]}); {without}"
