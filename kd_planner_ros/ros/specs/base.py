"""What a declaration consists of: ports, and a node with its parameters."""

from __future__ import annotations

from dataclasses import dataclass

IN, OUT = "in", "out"
SENSOR, STATE, COMMAND, LATCHED, STATIC = "sensor", "state", "command", "latched", "static"
QOS_TEXTS = {SENSOR: "reliable; depth 5 to publish, 1 to subscribe", STATE: "reliable, depth 10", COMMAND: "reliable, depth 1",
             LATCHED: "reliable, depth 1, transient local", STATIC: "reliable, depth 100, transient local"}
"""Quality of service by its name (``ros/qos.py``). Every port may be overridden by ``qos_overrides`` in YAML."""


@dataclass(frozen=True)
class Port:
    """One topic of a node.

    Args:
        name: its name in the code. ``<camera>``, ``<lidar>`` and ``<output>`` stand for ids that a model declares; ``~/`` begins
            a name below the node's own.
        direction: ``in`` or ``out``.
        kind: message type, or several of which the first that is installed is used.
        qos: a key of ``QOS_TEXTS``.
        text: what travels there, and when.
    """

    name: str
    direction: str
    kind: str
    qos: str
    text: str

    @property
    def mapped(self) -> bool:
        """Whether a profile gives it a topic; names with an id and private names keep their own."""
        return not self.name.startswith("~") and "<" not in self.name


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Args:
        name: its name in the graph; its module is ``ros/nodes/<name>_node.py``, its parameter file ``config/nodes/<name>.yaml``.
        text: what it does, one sentence.
        params: the dataclass of its parameters (``ros/params.py``); None where another command's options are its parameters.
        ports: every topic that it reads or writes.
    """

    name: str
    text: str
    params: type | None
    ports: tuple[Port, ...]

    @property
    def module(self) -> str:
        """The module that runs it as a process."""
        return f"kd_planner_ros.ros.nodes.{self.name}_node"


DIAGNOSTICS = Port("diagnostics", OUT, "diagnostic_msgs/DiagnosticArray", STATE, "once a second and on every change")
