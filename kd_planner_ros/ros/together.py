"""Training in several processes on one machine: torchrun between a launch and its trainers, and no process that outlives the one before.

A launch that is killed takes torchrun with it, and torchrun, however it ends, the trainers: each process asks the kernel for a signal.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, MutableSequence
from typing import Any

from kd_planner_ros.core.errors import is_foreseen, sentence_of
from kd_planner_ros.ros.guard import follow_launch, follow_torchrun

PROCESSES = "--processes"


def share_out(argv: MutableSequence[str]) -> None:
    """Where ``argv`` begins with ``--processes N``: torchrun takes the place of this process and starts N of the same executable with
    the other words. Elsewhere nothing, but a process that torchrun started ends with it from now on."""
    if argv[1:2] == [PROCESSES]:
        follow_launch()  # outlasts the change of program
        os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={argv[2]}", "--no-python",
                                  argv[0], *argv[3:]])
    follow_torchrun()


def train_along(settings: Callable[[Any], Any], train: Callable[[Any], Any]) -> int:
    """``train(settings(node))`` beside the first process, which is the trainer node; gives back the exit status. The settings come from
    the same command line; ``node`` serves to read them."""
    import rclpy

    rclpy.init(args=sys.argv)
    node = rclpy.create_node("trainer", start_parameter_services=False)
    try:
        train(settings(node))
        return 0
    except Exception as error:  # noqa: BLE001  which may be this machine's alone
        if not is_foreseen(error):
            traceback.print_exception(error)
        print(f"kd_planner_ros: error in process {os.environ['RANK']}: {sentence_of(error)}", file=sys.stderr)
        return 2
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
