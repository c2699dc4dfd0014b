"""Ctrl-C in the middle of a training run."""

import os
import signal

from kd_planner_ros.distill.learner import Learner


def interrupt_in_step(monkeypatch, count):
    """Have SIGINT come in the ``count``-th step from now on; gives a list that the numbers of all steps are added to."""
    steps, step = [], Learner.step

    def interrupted(self, batch, number, rate):
        steps.append(number)
        if len(steps) == count:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch, number, rate)

    monkeypatch.setattr(Learner, "step", interrupted)
    return steps
