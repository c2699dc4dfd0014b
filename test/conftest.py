"""For every test: signals that children can receive, ROS domains of this process's own, and what tests share."""

import faulthandler
import os
import signal
import sys

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a non-interactive shell gives `command &`; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"  # before any message module is imported
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

from support.domains import claim_domain

os.environ["ROS_DOMAIN_ID"] = str(claim_domain())


def pytest_configure(config):
    """Print the stack of every thread when a run is ended from outside: whoever ends it wants to know where it stood."""
    stderr = os.dup(sys.__stderr__.fileno())  # pytest captures the other one while a test runs
    faulthandler.register(signal.SIGTERM, file=stderr, all_threads=True, chain=True)


# --- shared by the tests of a process: nothing may write into these ---------------------------------------------------


@pytest.fixture(scope="session")
def bags(tmp_path_factory):
    """A folder of two recordings of 4 s, ``b0`` of a bend to the left and ``b1`` of one to the right, see support.bags."""
    from support.bags import copy_bag

    folder = tmp_path_factory.mktemp("bags")
    for number, rate in enumerate((0.25, -0.25)):
        copy_bag(folder / f"b{number}", rate=rate, seconds=4.0, seed=number, labels=False)
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """A folder that trainings on ``bags`` share their samples in: the samples of one network are made once."""
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a TCP for the camera of ``bags`` that has learnt nothing, called "small"."""
    from support.networks import save_seeded

    fields = {"size": "3.1m", "input_height": 32, "input_width": 64, "camera_width": 64, "camera_height": 32}
    return save_seeded(tmp_path_factory.mktemp("models") / "small", "tcp", fields)


# --- a test's own --------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch):
    """``notices.reported`` of this test alone: what tests before it reported does not count, and is reported once more."""
    from kd_planner_ros.core import notices

    for name in ("_reported", "_said"):
        monkeypatch.setattr(notices, name, {})
    return notices.reported


@pytest.fixture
def train_config(bags, shards, tmp_path):
    """Settings of a short training of the smallest TCP on ``bags``, see support.training."""
    import torch
    from support.training import training_in

    torch.set_num_threads(1)
    return training_in(tmp_path, bags=(bags,), cache=shards)
