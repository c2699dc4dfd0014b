"""``kd-planner``: finds the subcommand, runs it, and turns errors into one line and an exit status.

Exit status: 0 done; 2 bad input (one line on stderr says what was expected, what came, what to do); 130 stopped with
Ctrl-C, 143 with SIGTERM. A subcommand is one module of this folder with ``configure(parser)``; it is imported only when it is asked for,
so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass

from kd_planner_ros import __version__
from kd_planner_ros.cli.options import Parser, refuse_unknown
from kd_planner_ros.core.errors import is_foreseen, sentence_of
from kd_planner_ros.core.stopping import Terminated, exit_status, note_signal

COMMANDS = {
    "drive": "drive a planner through the built-in world over a real ROS 2 graph, and write a report",
    "record": "let the expert drive, or a student now and then, and record rosbag2 recordings to train on",
    "train": "train a planner or a perceiver from recordings and write it to models/",
    "evaluate": "score one model: in closed loop, or against recordings",
    "perceive": "show what a perceiver sees in a picture, a folder of pictures or a recording",
    "replay": "play a recording through the real ROS 2 graph and score the plans",
    "benchmark": "compare many models in tables beside published ones, e.g. PlanKD's; trains what is missing",
    "bags": "check recordings, or turn nuScenes, NAVSIM and DAIR-V2X into recordings",
    "explain": "draw what a perceiver sees, what a planner with candidates considers, or what a model trained with PlanKD looks at",
    "routes": "list what route files hold: routes, weathers, scenarios, what is left out and why",
    "bench": "measure speed: world, record, train, latency, sizes, drive, v2x",
    "v2x": "make the keys with which roadside stations sign",
    "models": "list the shipped models, count a network's parameters, check weights against cards",
}
EPILOG = """\
start here:
  kd-planner drive                                       watch the shipped planner drive; needs no data
  kd-planner models list                                 the shipped models: planners and perceivers
  kd-planner evaluate closed-loop --planner constant_velocity --out runs/baseline

'kd-planner COMMAND --help' describes every option. Every measuring command takes --json and then prints one JSON
object as its last line. In a colcon workspace, where kd-planner is not on the PATH, write 'ros2 run kd_planner_ros kd-planner'."""


KEEPS = (("record",), ("train",), ("benchmark",), ("evaluate", "closed-loop"), ("evaluate", "latency-sweep"), ("evaluate", "steering"))
"""Commands that go on where they were stopped."""
TRACEBACK = "KD_PLANNER_TRACEBACK"
"""Environment variable that lets an unexpected exception through."""


def build_parser(wanted: str | None) -> argparse.ArgumentParser:
    """The parser; only the subcommand ``wanted`` has its options, the others their one-line help."""
    parser = Parser(prog="kd-planner", epilog=EPILOG,
                    description="Distilled end-to-end driving planners for ROS 2: drive, record, train, evaluate.")
    parser.add_argument("--version", action="version", version=f"kd_planner_ros {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == wanted:
            importlib.import_module(f"kd_planner_ros.cli.{name}").configure(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own) and give back the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    wanted = next((word for word in argv if not word.startswith("-")), None)
    with _orderly_end():
        return _guarded(argv, wanted)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does: worker processes end, files are closed, what is finished is kept. Only where nobody
    else handles it, and in the main thread."""
    def end(number: int, *_: object) -> None:
        note_signal(number)
        raise Terminated

    note_signal(0)
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _guarded(argv: list[str], wanted: str | None) -> int:
    """``_run`` with every error turned into one line and an exit status."""
    try:
        return _run(argv, wanted)
    except BrokenPipeError:  # the reader of our output has left, as in 'kd-planner models list | head -1'
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "kd_planner_ros":
            raise
        return _refuse(f"expected the Python package {error.name.split('.')[0]!r}; got none; install it (for ROS packages: "
                       "source your ROS 2 set-up file), or run 'make setup' and use .venv/bin/kd-planner")
    except Exception as error:
        if is_foreseen(error):
            return _refuse(sentence_of(error))
        if os.environ.get(TRACEBACK):
            raise
        return _refuse(f"{sentence_of(error)}; this is a bug in kd_planner_ros: run the command again with "
                       f"{TRACEBACK}=1 and report the traceback")
    except KeyboardInterrupt:
        return _stopped(argv)


def _run(argv: list[str], wanted: str | None) -> int:
    """Run the subcommand, print its result where ``--json`` asks for it, and give back the exit status.

    A command that gives a result beside a fault sets ``args.status``. A result whose ``finished`` is False comes from a command that
    Ctrl-C or SIGTERM has ended in order.
    """
    parser = build_parser(wanted)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        refuse_unknown(parser, argv, unknown)
    result = args.run(args)
    if getattr(args, "json", False):
        print(json.dumps(asdict(result) if is_dataclass(result) else result, sort_keys=True, default=str))
    sys.stdout.flush()
    return _stopped(argv) if getattr(result, "finished", True) is False else getattr(args, "status", 0)


def _stopped(argv: Sequence[str]) -> int:
    keeps = any(tuple(argv[:len(words)]) == words for words in KEEPS)
    print(f"kd-planner: stopped{'; the same command goes on behind the work that is finished' if keeps else ''}", file=sys.stderr)
    return exit_status()


def _refuse(sentence: str) -> int:
    print(f"kd-planner: error: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def entry() -> None:
    """The command as a process of its own: ``main``, then the end of the process.

    Everything is closed and written then. The interpreter would go on to take apart torch and its like: a second of processor time, after
    the result, which on a busy machine is ten. Exit handlers run; where a thread still works the ordinary end waits for it.
    """
    status = main()
    if any(not one.daemon and one is not threading.main_thread() for one in threading.enumerate()):
        sys.exit(status)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has left, or it was closed
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    entry()
