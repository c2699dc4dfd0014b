"""Every module's imports keep to the partial order of docs/architecture.md; no module, function or class is too long."""

import ast

import pytest
from support.source import (
    MODULES,
    OWED,
    OWED_CLASSES,
    PACKAGE,
    ROOMS,
    circle,
    imports_of,
    long_classes,
    long_functions,
    modules_of,
    reachable,
    tree_of,
    wrong_arrows,
)

FOLDERS = sorted({path.relative_to(PACKAGE).parts[0] for path in MODULES if path.parent != PACKAGE})


def name_of(path):
    return str(path.relative_to(PACKAGE))


def test_every_folder_is_a_room():
    assert sorted(ROOMS) == FOLDERS, "the rooms of docs/architecture.md"


@pytest.mark.parametrize("room", ROOMS)
def test_arrows(room):
    assert {name_of(path): wrong for path in modules_of(room) if (wrong := wrong_arrows(room, imports_of(path)))} == {}


def test_the_order_has_no_circle():
    assert [room for room in ROOMS if any(room in reachable(one) for one in ROOMS[room])] == []


def test_no_modules_import_each_other():
    """Not for annotations either. A package's ``__init__.py`` only hands on names."""
    graph = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): imports_of(path)
             for path in MODULES if path.name != "__init__.py"}
    assert circle(graph) == []
    assert circle({**graph, "a": ["b"], "b": ["a", "kd_planner_ros.core.errors"]}) in (["a", "b", "a"], ["b", "a", "b"])


def test_no_owed_arrow_is_paid_already():
    used = {(room, name.split(".")[1]) for room in ROOMS for path in modules_of(room) for name in imports_of(path)
            if name.startswith("kd_planner_ros.")}
    assert OWED - used == set()
    assert {(room, target) for room, target in OWED if target in reachable(room)} == set()


def test_the_check_can_fail():
    assert wrong_arrows("core", ["kd_planner_ros.world.maps"]) == ["kd_planner_ros.world.maps"]
    assert wrong_arrows("world", ["kd_planner_ros.runtime.load"]) == ["kd_planner_ros.runtime.load"]
    assert wrong_arrows("driving", ["rclpy.node"]) == ["rclpy.node"]
    assert wrong_arrows("ros", ["kd_planner_ros.cli.main"]) == ["kd_planner_ros.cli.main"]
    assert wrong_arrows("cli", ["kd_planner_ros.ros.graph.drive"]) == []


@pytest.mark.parametrize("room", [*ROOMS, "."])
def test_size(room):
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules_of(room)}
    assert {name: count for name, count in lines.items() if count > (150 if name.endswith("_node.py") else 300)} == {}, \
        "split the module by verb"


@pytest.mark.parametrize("room", [*ROOMS, "."])
def test_function_size(room):
    assert {name_of(path): long for path in modules_of(room) if (long := long_functions(tree_of(path)))} == {}, "split the function"


@pytest.mark.parametrize("room", [*ROOMS, "."])
def test_class_size(room):
    found = {(name_of(path), one) for path in modules_of(room) for one in long_classes(tree_of(path))}
    assert found - OWED_CLASSES == set(), "split the class"


def test_no_owed_class_is_short_already():
    assert {(name, one) for name, one in OWED_CLASSES if one not in long_classes(tree_of(PACKAGE / name))} == set()


def test_the_sizes_can_be_too_large():
    assert long_classes(ast.parse("class A:\n    x = 1\n    y = 2\n"), 2) == ["A"]
    assert long_functions(ast.parse("if x:\n    try:\n        y\n    except E:\n        def g():\n            z\n"), 1) == ["g: 2"]
    assert long_functions(ast.parse("def f():\n    x = 1\n    y = 2\n"), 2) == ["f: 3"]
