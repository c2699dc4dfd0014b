"""Every node of the graph, declared once: its parameters and its ports. One module a node; the folder is the table.

The graph's description, the profiles, the parameter files, the reference pages and their tests are built from these
declarations. No module here imports rclpy.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from kd_planner_ros.ros.specs.base import NodeSpec


@functools.lru_cache(maxsize=1)
def node_specs() -> dict[str, NodeSpec]:
    """The declaration of every node by the node's name: ``NODE`` of each module of this folder."""
    modules = (importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__))
    found = [module.NODE for module in modules if hasattr(module, "NODE")]
    return {spec.name: spec for spec in found}


def graph_specs() -> list[NodeSpec]:
    """The nodes that have a place in the driving graph, in the order in which they start."""
    placed = [(spec.place.order, spec.name, spec) for spec in node_specs().values() if spec.place is not None]
    return [spec for *_, spec in sorted(placed, key=lambda row: row[:2])]


def known_ports() -> tuple[str, ...]:
    """Names of all ports that a profile may give a topic, each once."""
    return tuple(dict.fromkeys(port.name for spec in node_specs().values() for port in spec.ports if port.mapped))
