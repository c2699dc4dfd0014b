"""What a user reads is in plain terms: no private words in help, parameters, errors and pages, and no option that does not exist."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support.source import MODULES, tree_of

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BANNED = {
    r"way points?": "waypoint", r"lessons?": "LearningTask, or targets", r"badness": "selection score",
    r"(is|are|was|were|be) told": "gets, knows",
    r"workshops?": "TrainingPaths", r"meddl\w+": "control override", r"head start": "pretraining of the bottleneck",
    r"(at|takes?|took) the wheel": "drives (DAgger)", r"mend(s|ed|ing)?": "correct, repair", r"4 to 3": "aspect ratio 4:3",
    r"colors?": "colour", r"held out set": "held-out", r"last words": "message", r"running mean of (the )?weights": "EMA",
}
FOREIGN = {  # options of other programs that pages show
    "--nproc-per-node", "--nnodes", "--ros-args", "--shm-size", "--ipc", "--ros2", "--show-args", "--packages-select", "--head",
    "--system-site-packages", "--help", "--version"}


@cache
def errors() -> list[tuple[str, str]]:
    """(place, text) of every literal in the arguments of an error that is made."""
    return [one for path in MODULES for one in _errors(path)]


def _errors(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")).endswith("Error"):
            for part in (literal for argument in node.args for literal in ast.walk(argument)):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", part.value


def private(text: str) -> list[str]:
    """The banned words of ``text``, code and names apart, each with the term to use."""
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)
    return [f"{found[0]!r}: say {plain}" for word, plain in BANNED.items() for found in re.finditer(rf"\b{word}\b", prose, re.IGNORECASE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_have_no_private_words(page):
    """docs/reference holds every help text, parameter and port."""
    assert private(page.read_text()) == []


def test_errors_have_no_private_words():
    found = [f"{place}: {word}" for place, text in errors() for word in private(text)]
    assert found == []


def test_the_command_line_has_no_private_words():
    paths = [*sorted((ROOT / "kd_planner_ros" / "cli").glob("*.py")), ROOT / "kd_planner_ros" / "ros" / "graph" / "arguments.py"]
    found = [f"{path.name}:{node.lineno}: {word}" for path in paths for node in ast.walk(tree_of(path))
             if isinstance(node, ast.Constant) and isinstance(node.value, str) for word in private(node.value)]
    assert found == []


def test_the_check_finds_what_it_is_for():
    assert private("The student takes the wheel; way points are masked.") and not private("`mended` colours told by ear")


def options() -> set[str]:
    """Every option of the command line."""
    return set(re.findall(r"--[a-z0-9][\w.-]*", (ROOT / "docs" / "reference" / "cli.md").read_text())) | FOREIGN


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda path: path.name)
def test_options_on_pages_exist(page):
    known = options()
    sections = {name.partition(".")[0] for name in known if "." in name}
    named = {name.rstrip(".") for name in re.findall(r"(?<![\w-])--[a-z0-9][\w.-]*", page.read_text())}
    assert sorted(name for name in named - known if "." not in name or name.partition(".")[0] in sections) == []


def test_options_in_errors_exist():
    known = options()
    named = {(place, name.rstrip(".")) for place, text in errors() for name in re.findall(r"(?<![\w-])--[a-z0-9][\w.-]*[\w]", text)}
    assert sorted(f"{place}: {name}" for place, name in named if name not in known) == []
