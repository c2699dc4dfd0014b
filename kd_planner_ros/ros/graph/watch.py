"""Ends a graph that does not form: no node has sent a heartbeat for ``SILENCE_S``.

``kd-planner drive`` and ``replay`` ask a ``HeartbeatWatch`` at every turn of their loops. A launch file starts this module beside the
nodes: ``python -m kd_planner_ros.ros.graph.watch --topic /diagnostics /carla/hero/planner`` ends with status 2 and one sentence.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.ros.graph.environment import variables_text

SILENCE_S = 20.0
START_S = 60.0
"""Longest silence of nodes that have written nothing yet: on a busy machine Python's imports alone take longer than ``SILENCE_S``."""
AWAY_S = 5.0
"""Who has not looked for this long was away itself, and must not call others silent."""


class HeartbeatWatch:
    """When any of the nodes ``names`` was heard last.

    Args:
        names: full names, with their namespaces: others in the domain may have nodes of the same last name.
        now_s: called for the time, seconds on a clock that never goes back.
    """

    def __init__(self, names: Sequence[str], now_s: Callable[[], float] = time.monotonic):
        self._names, self._now_s = tuple(names), now_s
        self._heard_s = self._looked_s = now_s()
        self._any = False
        self._limit_s = SILENCE_S

    def take(self, name: str) -> bool:
        """A heartbeat of the node with the full name ``name`` has come; whether it is one of these nodes."""
        ours = name in self._names
        if ours:
            self._heard_s, self._any = self._now_s(), True
        return ours

    def silent(self, begun: bool = True) -> bool:
        """Whether no node was heard for ``SILENCE_S``; for ``START_S`` where none has ``begun`` and none was heard yet. Take the messages
        that wait before you ask."""
        now_s = self._now_s()
        if now_s - self._looked_s > AWAY_S:
            self._heard_s = now_s
        self._looked_s = now_s
        self._limit_s = SILENCE_S if begun or self._any else START_S
        return now_s - self._heard_s > self._limit_s

    def error(self, last_lines: Mapping[str, str], environment: Mapping[str, str]) -> PlannerError:
        """One sentence: who is silent, each node's last log lines by its name, and the variables of ``environment`` that decide."""
        said = "".join(f"; {name} wrote {line!r}" for name, line in last_lines.items())
        names = ", ".join(name.rsplit("/", 1)[-1] for name in self._names)
        return PlannerError(f"a heartbeat of {names} within {self._limit_s:g} s",
                            f"none{said}; the variables of ROS 2 are {variables_text(environment)}",
                            "unset those of them that you do not need, or look at the firewall and at multicast on this machine")


def main(argv: Sequence[str] | None = None) -> int:
    """Watch the nodes until they are silent (status 2) or Ctrl-C comes (status 0)."""
    from kd_planner_ros.ros.graph.monitor import Monitor
    from kd_planner_ros.ros.guard import follow_launch

    follow_launch()
    parser = argparse.ArgumentParser(description="Ends with status 2 when none of the nodes has sent a heartbeat for 20 s.")
    parser.add_argument("--topic", default="/diagnostics", help="topic of the diagnostics")
    parser.add_argument("names", nargs="+", help="full names of the nodes to watch")
    args = parser.parse_args(argv)
    watch = HeartbeatWatch(args.names)
    monitor = Monitor(None, args.topic, watch.take)
    try:
        while not watch.silent(begun=False):
            monitor.spin(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        monitor.close()
    print(f"kd_planner_ros: error: {watch.error({}, os.environ)}", file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
