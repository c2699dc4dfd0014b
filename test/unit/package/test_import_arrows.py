"""Every module's imports keep to the partial order of docs/architecture.md."""

import ast

import pytest
from support.source import MODULES, OWED, OWED_CLASSES, PACKAGE, ROOMS, imported, long_classes, reachable, wrong_arrows


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows(path):
    parts = path.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return
    assert parts[0] in ROOMS, f"room {parts[0]} is not in docs/architecture.md"
    assert wrong_arrows(parts[0], imported(ast.parse(path.read_text()))) == []


def test_the_order_has_no_circle():
    assert [room for room in ROOMS if any(room in reachable(one) for one in ROOMS[room])] == []


def test_no_owed_arrow_is_paid_already():
    used = {(path.relative_to(PACKAGE).parts[0], name.split(".")[1]) for path in MODULES
            for name in imported(ast.parse(path.read_text())) if name.startswith("kd_planner_ros.")}
    assert OWED - used == set()
    assert {(room, target) for room, target in OWED if target in reachable(room)} == set()


def test_the_check_can_fail():
    assert wrong_arrows("core", ["kd_planner_ros.world.maps"]) == ["kd_planner_ros.world.maps"]
    assert wrong_arrows("world", ["kd_planner_ros.runtime.load"]) == ["kd_planner_ros.runtime.load"]
    assert wrong_arrows("driving", ["rclpy.node"]) == ["rclpy.node"]
    assert wrong_arrows("ros", ["kd_planner_ros.cli.main"]) == ["kd_planner_ros.cli.main"]
    assert wrong_arrows("cli", ["kd_planner_ros.ros.graph.drive"]) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_size(path):
    assert len(path.read_text().splitlines()) <= (150 if path.name.endswith("_node.py") else 300), "split the module by verb"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_function_size(path):
    long = [f"{n.name}: {n.end_lineno - n.lineno + 1}" for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n.end_lineno - n.lineno + 1 > 40]
    assert long == [], "split the function"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_class_size(path):
    name = str(path.relative_to(PACKAGE))
    assert [one for one in long_classes(ast.parse(path.read_text())) if (name, one) not in OWED_CLASSES] == [], "split the class"


def test_no_owed_class_is_short_already():
    assert {(name, one) for name, one in OWED_CLASSES if one not in long_classes(ast.parse((PACKAGE / name).read_text()))} == set()
    assert long_classes(ast.parse("class A:\n    x = 1\n    y = 2\n"), 2) == ["A"]
