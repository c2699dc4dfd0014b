"""The package's source as tests read it: its modules, what each imports, and which room may import which."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "kd_planner_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))

ROOMS = {
    "core": (),
    "geometry": ("core",), "imaging": ("core",), "sync": ("core",),
    "wire": ("core", "geometry", "imaging"),
    "v2x": ("core", "geometry", "imaging"),
    "driving": ("core", "geometry", "v2x"),
    "networks": ("core", "geometry", "imaging", "driving"),
    "runtime": ("networks", "driving"),
    "bags": ("wire", "driving"),
    "world": ("core", "geometry", "imaging", "v2x", "driving"),
    "record": ("world", "bags", "runtime"),
    "samples": ("bags", "networks"),
    "distill": ("samples", "runtime", "world"),
    "evaluation": ("world", "bags", "distill", "runtime"),
    "ros": ("evaluation", "record", "sync", "v2x"),
    "cli": ("ros",),
}
"""Room -> rooms that it may import. It may also import whatever those may import. ``docs/architecture.md`` shows the table."""

OWED: set[tuple[str, str]] = set()
"""Arrows that still exist and that the table forbids. An arrow leaves this set when it is cut."""

OWED_CLASSES: set[tuple[str, str]] = set()
"""Classes that are still longer than CLASS_LINES. A class leaves this set when it is split."""
CLASS_LINES, FUNCTION_LINES = 200, 40

ONLY_IN = {
    "rclpy": {"ros"}, "message_filters": {"ros"}, "launch": {"ros"}, "launch_ros": {"ros"}, "cv_bridge": {"ros"},
    "torch": {"networks", "runtime", "samples", "distill", "evaluation", "cli"},
    "libsumo": {"world"}, "sumolib": {"world"}, "embreex": {"world"}, "numba": {"world"},
}
"""Outside package -> rooms that may import it."""


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a module, parsed once."""
    return ast.parse(path.read_text())


def circle(graph):
    """Modules that import one another in a loop, the first one again at its end; empty where none do.

    Args:
        graph: what each module imports; names of others are ignored.
    """
    own = {name: {one for one in imports if one in graph and one != name} for name, imports in graph.items()}
    try:
        tuple(TopologicalSorter(own).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """What the module imports, see ``imported``."""
    return tuple(imported(tree_of(path)))


@cache
def modules_of(room: str) -> list[Path]:
    """The modules of a room; "." stands for those beside the rooms."""
    return [path for path in MODULES if path.relative_to(PACKAGE).parts[:-1][:1] == (() if room == "." else (room,))]


def reachable(room: str) -> set[str]:
    """Every room that ``room`` may import, itself included."""
    found, todo = set(), [room]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo.extend(ROOMS[one])
    return found


def imported(tree):
    """Absolute names of everything a module imports, at top level or inside functions."""
    for node in statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow; write the full name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_arrows(room, names):
    """The names in ``names`` that ``room`` may not import."""
    allowed = reachable(room) | {target for source, target in OWED if source == room}
    wrong = []
    for name in names:
        parts = name.split(".")
        if parts[0] == "kd_planner_ros" and len(parts) > 1 and parts[1] in ROOMS:
            if parts[1] not in allowed:
                wrong.append(name)
        elif parts[0] in ONLY_IN and room not in ONLY_IN[parts[0]]:
            wrong.append(name)
    return wrong


def long_classes(tree, limit=CLASS_LINES):
    """Names of the classes in ``tree`` of more than ``limit`` lines."""
    return [node.name for node in statements(tree) if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno + 1 > limit]


def long_functions(tree, limit=FUNCTION_LINES):
    """"NAME: LINES" of the functions in ``tree`` of more than ``limit`` lines."""
    return [f"{node.name}: {node.end_lineno - node.lineno + 1}" for node in statements(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno + 1 > limit]


def statements(tree):
    """Every statement in ``tree``; expressions, which no definition or import can stand in, are passed over."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)))
