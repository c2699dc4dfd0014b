"""Quality of service, once for all ports, and the two functions that open a port.

Images and clouds are RELIABLE: on default Fast DDS a best-effort subscription loses most samples above 0.25 MB
(docs/reference/topics.md has the table). Every port may be overridden by ``qos_overrides`` in YAML.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble's name of that module
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

OnMismatch = Callable[[str], None]


def _reliable(depth: int, latched: bool = False) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


SENSOR_OUT = _reliable(5)
SENSOR_IN = _reliable(1)
STATE = _reliable(10)
COMMAND = _reliable(1)
EVERY_COMMAND = _reliable(10)
"""For readers that need each command, not the newest alone: with a depth of 1 a busy reader misses the older of two."""
LATCHED = _reliable(1, latched=True)
STATIC = _reliable(100, latched=True)
"""Of /tf_static: several nodes publish there, and with a depth of 1 a reader keeps the last message of all of them."""
CLOCK = _reliable(10)
ROADSIDE = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Object lists of roadside stations, and what comes by radio: nobody waits for a lost message."""
ROADSIDE_IMAGE = _reliable(5)
"""Uncompressed pictures of roadside stations: 0.33 MB at 384x216."""
RADIO = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT, deadline=Duration(seconds=1),
                   lifespan=Duration(nanoseconds=500_000_000))
"""What a station sends by radio: a stream that rests for a second is told, and what is older than half a second is of no use. Readers ask
for neither (``ROADSIDE``): a reader's deadline would shut out stations that offer none."""


def _overridable() -> QoSOverridingOptions:
    """Every policy that a mismatch can be about; rclpy's default leaves durability out."""
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY))


def subscribe(node: Any, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile,
              on_mismatch: OnMismatch | None = None) -> Any:
    """A subscription of ``node``; ``on_mismatch`` is told in a sentence when a publisher's QoS does not fit."""

    def report(event: Any) -> None:
        if on_mismatch is not None:
            on_mismatch(f"a publisher of {node.resolve_topic_name(topic)} offers incompatible QoS "
                        f"({getattr(event.last_policy_kind, 'name', event.last_policy_kind)}); "
                        f"set qos_overrides.{node.resolve_topic_name(topic)}.subscription in YAML")

    return node.create_subscription(  # a copy: rclpy writes the overrides into the profile that it is given
        kind, topic, callback, copy(profile), event_callbacks=SubscriptionEventCallbacks(
            incompatible_qos=report, use_default_callbacks=False),  # each event costs time in every wait
        qos_overriding_options=_overridable())


def advertise(node: Any, kind: type, topic: str, profile: QoSProfile, lifecycle: bool = False,
              on_deadline: Callable[[int], None] | None = None) -> Any:
    """A publisher of ``node``; with ``lifecycle`` it is silent while the node is not active. ``on_deadline`` is told how often the deadline
    of ``profile`` has passed without a message since it was told last."""
    create = node.create_lifecycle_publisher if lifecycle else node.create_publisher
    missed = None if on_deadline is None else lambda event: on_deadline(event.total_count_change)
    return create(kind, topic, copy(profile), event_callbacks=PublisherEventCallbacks(deadline=missed, use_default_callbacks=False),
                  qos_overriding_options=_overridable())
