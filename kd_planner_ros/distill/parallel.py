"""One process or several (``torchrun``): who am I, which device and precision, what do all agree on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Iterable

import torch
import torch.distributed as dist
from torch import nn

from kd_planner_ros.core.errors import ConfigError


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
        """The leader's ``values``, the same in every process."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return tensor.tolist()

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients of ``parameters``, which DistributedDataParallel does not know, the mean over processes."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.size

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def close(self) -> None:
        """Leave the group."""
        if self.size > 1:
            dist.destroy_process_group()


def join(device: str) -> Group:
    """The group that ``torchrun`` describes in the environment; alone without it.

    Raises:
        ConfigError: CUDA was asked for and is not there.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        chosen = torch.device(name)
    except RuntimeError:
        raise ConfigError("a device: auto, cpu, cuda or cuda:N", repr(device), "correct 'device'") from None
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError("a CUDA device", "none on this machine", "use --device cpu")
        chosen = torch.device("cuda", local if size > 1 or chosen.index is None else chosen.index)
        torch.cuda.set_device(chosen)
    if size > 1:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=timedelta(hours=2))
    return Group(rank, size, chosen)


def has_native_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is faster than fp32 there: AMX or AVX512-BF16 on a CPU, Ampere or later on a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context for forward passes in ``precision`` (auto, fp32, bf16)."""
    wanted = precision == "bf16" or (precision == "auto" and has_native_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)
