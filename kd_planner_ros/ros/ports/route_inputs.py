"""The route as a node gets it: the dense plan with turn commands, or plain waypoints where nobody publishes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nav_msgs.msg import Path

from kd_planner_ros.core.ego import EgoState, NavigationGoal
from kd_planner_ros.driving.route_planner import RoutePlanner
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.qos import LATCHED, subscribe
from kd_planner_ros.ros.specs.planner import NOBODY_S


class RouteInputs:
    """Subscribes to ``route`` and ``waypoints`` and follows what comes.

    Args:
        mark: called with ``route`` when a route has come (for "topic not seen").
        on_route: called then too.
        wait_s: nobody has offered a route for so long since the first odometry: there is none. 0: there is none until one comes.
    """

    def __init__(self, node: Any, adapter: Any, health: Health, mark: Callable[[str], None], on_route: Callable[[], None],
                 wait_s: float = NOBODY_S):
        self._node, self._adapter, self._health, self._mark, self._on_route = node, adapter, health, mark, on_route
        self._planner: RoutePlanner | None = None
        self._waypoints: Path | None = None
        self._followed: Path | None = None  # the waypoints that the route was made of; None where it came as a route
        self._topic = node.resolve_topic_name("route")
        self._since_ns: int | None = None
        self._wait_s, self.without = wait_s, False
        if wait_s <= 0.0:
            self._go_without()

        def port(kind: type, topic: str, work: Callable[[Any], None]) -> Any:
            return subscribe(node, kind, topic, guarded(health, work, name=topic), LATCHED, lambda text: health.set("qos", WARN, text))

        self._subscriptions = [port(adapter.route_type, "route", self._take_route), port(Path, "waypoints", self._take_waypoints)]

    @property
    def known(self) -> bool:
        """Whether a route has come."""
        return self._planner is not None

    @property
    def topic(self) -> str:
        """The full name of the route's topic."""
        return self._topic

    def goal(self, ego: EgoState) -> NavigationGoal | None:
        """Where the route leads from ``ego``; None before a route has come. Call once for each odometry message."""
        return None if self._planner is None else self._planner.step(ego)

    def nobody_offers(self, stamp_ns: int) -> bool:
        """Whether there is no route, and nobody who offers one, since ``wait_s`` before the odometry of ``stamp_ns``: ``without`` then.
        Ask at each odometry message while no route is known."""
        self._since_ns = stamp_ns if self._since_ns is None else min(self._since_ns, stamp_ns)
        offered = self._node.count_publishers(self._topic) or self._waypoints is not None
        if not self.without and not offered and stamp_ns - self._since_ns >= self._wait_s * 1e9:
            self._go_without()
            self._on_route()
        return self.without

    def _go_without(self) -> None:
        self.without = True
        self._health.set("route", WARN, f"nobody publishes {self._topic}: the model goes without a route, straight on")

    def look_for_waypoints(self) -> None:
        """Take waypoints where nobody offers a route: carla_waypoint_publisher's path has no turn commands. It sends another
        path with every goal that the user sets: the newest counts."""
        has_route = self._planner is not None and self._followed is None
        if has_route or self._waypoints is self._followed or self._node.count_publishers(self._topic):
            return
        self._followed = self._waypoints
        self._mark("route")
        self._planner = RoutePlanner(self._adapter.from_msg("waypoints", self._waypoints))
        self._found()
        self._health.set("waypoints", WARN, f"nobody publishes {self._topic}: following the waypoints, which have no turn commands")
        self._on_route()

    def _take_route(self, message: Any) -> None:
        self._mark("route")
        self._planner, self._followed = RoutePlanner(self._adapter.route_from_msg(message)), None
        self._health.clear("waypoints")
        self._found()
        self._on_route()

    def _found(self) -> None:
        self.without = False
        self._health.clear("route")

    def _take_waypoints(self, message: Path) -> None:
        if len(message.poses) > 1:  # an empty path says that the vehicle has gone
            self._waypoints = message

    def reset(self) -> None:
        """Begin the route anew."""
        self._since_ns = None
        if self._planner is not None:
            self._planner.reset()

    def close(self) -> None:
        """Drop the subscriptions."""
        for one in self._subscriptions:
            self._node.destroy_subscription(one)
