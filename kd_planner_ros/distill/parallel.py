"""One process or several (``torchrun``): rank, device, precision, and values that all processes share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from kd_planner_ros.core.errors import KdPlannerError
from kd_planner_ros.runtime.engines import fast_bfloat16, require_device

AUTO = "auto"
"""The device word for a GPU where there is one, else the CPU."""
PATIENCE = timedelta(hours=2)
"""A process that hears nothing from the others for so long gives up: one of them hangs, or its machine is gone."""
HOLD_S = 60.0
"""Seconds between two signs of life from ``Group.hold``."""
Result = TypeVar("Result")
Item = TypeVar("Item")
ROOM = 8
"""Numbers in a message of the leader: whether to go on waiting, and what it shares."""


@dataclass(frozen=True)
class Group:
    """This process among ``size`` training processes."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, *values: float) -> list[float]:
        """The leader's ``values``, less than ``ROOM`` of them, the same in every process."""
        if self.size == 1:
            return list(values)
        while (told := self._broadcast(False, *values))[0]:
            pass  # the leader is in ``hold``
        return told[1:len(values) + 1]

    @contextmanager
    def hold(self) -> Iterator[None]:
        """For the leader alone, around work that may outlast ``PATIENCE``. The other processes, whose next call must be
        ``share``, wait there until the work is over."""
        if self.size == 1:
            yield
            return
        over = threading.Event()

        def tell() -> None:
            while not over.wait(HOLD_S):
                self._broadcast(True)

        teller = threading.Thread(target=tell, name="hold", daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()

    def _broadcast(self, wait: bool, *values: float) -> list[float]:
        message = [float(wait), *values, *[0.0] * (ROOM - 1 - len(values))]
        tensor = torch.tensor(message, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return tensor.tolist()

    def part_of(self, items: Sequence[Item]) -> list[Item]:
        """What of ``items`` this process does, where each process does some."""
        return list(items[self.rank::self.size])

    def leader_first(self, work: Callable[[], Result], part: Callable[[], object] | None = None) -> Result:
        """What ``work`` gives, done by the leader and then by the others, who wait for it however long it takes; it must call
        nothing of the group. The leader waits ``PATIENCE`` for the others: they find done what it has done.

        ``part`` is done before, by every process at once: the part of the work that is its own (``part_of``). What is refused there
        the leader meets again in ``work``, and says it. A process waits ``PATIENCE`` for the parts of the others.
        """
        if part is not None and self.size > 1:
            with suppress(KdPlannerError):
                part()
            self.wait()
        if self.leads:
            with self.hold():
                done = work()
            self.share()
        else:
            self.share()
            done = work()
        self.wait()
        return done

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients of ``parameters``, which DistributedDataParallel does not know, the mean over processes."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.size

    def wait(self) -> None:
        """Until every process is here; ``PATIENCE`` is the limit, see ``leader_first`` for what takes longer."""
        if self.size > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the group."""
        if self.size > 1:
            dist.destroy_process_group()


def join(device: str) -> Group:
    """The group that ``torchrun`` describes in the environment; alone without it.

    Raises:
        ConfigError: an unknown device, or one that is not there.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == AUTO else device
    require_device(name, (AUTO,))
    chosen = torch.device(name)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", local if size > 1 or chosen.index is None else chosen.index)
        require_device(str(chosen))  # torchrun may have started more processes than there are GPUs
        torch.cuda.set_device(chosen)
    if size > 1:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    return Group(rank, size, chosen)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context for forward passes in ``precision`` (auto, fp32, bf16)."""
    wanted = precision == "bf16" or (precision == "auto" and fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)
