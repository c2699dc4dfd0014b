"""Which node may end without the end of the drive: one of two planners."""

from __future__ import annotations

from collections.abc import Collection

SPARES = {"planner": "fallback_planner", "fallback_planner": "planner"}
"""Who drives on in whose place."""
NOT_STARTED = 2
"""Exit status of a node that could not be configured or activated."""


def drives_on(name: str, status: int, alive: Collection[str]) -> bool:
    """Whether the graph drives on where node ``name`` has ended with ``status``, while the nodes ``alive`` run. A node that could not
    start ends the graph: whoever asked for two planners has one."""
    return status != NOT_STARTED and SPARES.get(name) in alive
