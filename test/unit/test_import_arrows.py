"""Every module's imports keep to the arrows of docs/architecture.md."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "kd_planner_ros"
# A room may import itself and every room in a tier after its own.
TIERS = [["cli"], ["ros"], ["evaluation"], ["distill"], ["bags"], ["world"], ["runtime"], ["networks"], ["driving"],
         ["v2x", "sync", "imaging", "geometry"], ["core"]]
LEVEL = {room: level for level, rooms in enumerate(TIERS) for room in rooms}
ONLY_IN = {  # outside package -> rooms that may import it
    "rclpy": {"ros"}, "message_filters": {"ros"}, "launch": {"ros"}, "launch_ros": {"ros"}, "cv_bridge": {"ros"},
    "torch": {"networks", "runtime", "distill", "evaluation", "cli"},
    "libsumo": {"world"}, "sumolib": {"world"}, "embreex": {"world"}, "numba": {"world"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(tree):
    """Absolute names of everything a module imports, at top level or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow; write the full name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrong_arrows(room, names):
    """The names in ``names`` that ``room`` may not import."""
    wrong = []
    for name in names:
        parts = name.split(".")
        if parts[0] == "kd_planner_ros" and len(parts) > 1 and parts[1] in LEVEL:
            target = parts[1]
            if target != room and LEVEL[target] <= LEVEL[room]:
                wrong.append(name)
        elif parts[0] in ONLY_IN and room not in ONLY_IN[parts[0]]:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows(path):
    parts = path.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return
    assert parts[0] in LEVEL, f"room {parts[0]} is not in docs/architecture.md"
    assert wrong_arrows(parts[0], imported(ast.parse(path.read_text()))) == []


def test_the_check_can_fail():
    assert wrong_arrows("core", ["kd_planner_ros.world.maps"]) == ["kd_planner_ros.world.maps"]
    assert wrong_arrows("driving", ["rclpy.node"]) == ["rclpy.node"]
    assert wrong_arrows("ros", ["kd_planner_ros.cli.main"]) == ["kd_planner_ros.cli.main"]
    assert wrong_arrows("cli", ["kd_planner_ros.ros.drive"]) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_size(path):
    assert len(path.read_text().splitlines()) <= (150 if path.name.endswith("_node.py") else 300), "split the module by verb"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_function_size(path):
    long = [f"{n.name}: {n.end_lineno - n.lineno + 1}" for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.end_lineno - n.lineno + 1 > 40]
    assert long == [], "split the function"
