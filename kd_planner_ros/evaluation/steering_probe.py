"""A steering head on windows of 16 pictures: trained to early stopping, on the features of a frozen encoder or with the encoder."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.distill.parallel import autocast
from kd_planner_ros.networks.blocks.inputs import normalise
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.unified_driver.training import UnifiedDriverTask
from kd_planner_ros.networks.unified_encoder.selfsup import steering_loss, steering_weight
from kd_planner_ros.networks.unified_encoder.steering import WINDOW, AttentiveProbe, PooledSteering
from kd_planner_ros.networks.unified_steering.model import DEGREES
from kd_planner_ros.networks.unified_steering.training import FEATURES
from kd_planner_ros.samples.dataset import Samples

CLIP = 1.0
HEADS = 4
WEIGHT_DECAY = 0.05
TOGETHER = 4
"""Windows of 16 pictures whose gradient is taken at once where an encoder learns: the memory of a step grows with them. The whole
batch is still one step; batch statistics of the pooling reading are those of so many windows."""

SEEN_TOGETHER = 512
"""Samples of a test whose pictures' features are held at once."""


class PictureTask(UnifiedDriverTask):
    """Samples that hold the pictures themselves, for an encoder that learns too."""

    past = ((MAIN, WINDOW - 1),)
    pictures = (MAIN,)

    @property
    def key(self) -> dict:
        """The section of the picture."""
        config = self.processor.config
        return {"size": [config.input_height, config.input_width]}

    def record(self, frames, truth, tick) -> dict[str, np.ndarray]:
        """The picture, RGB uint8 [H, W, 3]."""
        return {MAIN: self.processor.eyes.picture(frames[0])}


class Windows:
    """Windows of 16 of ``array`` and the steering in degrees of the front wheels, by sample number."""

    def __init__(self, samples: Samples, array: str, full_lock_deg: float, device: str):
        self.samples, self._array, self.device = samples, array, device
        self.degrees = samples.rows["actions"][:, 0, 1].astype(np.float32) * np.float32(full_lock_deg)

    def get(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Windows [B, 16, ...] and degrees [B] of the samples ``index`` [B], on the device."""
        arrays = self.samples.fetch(index).arrays[self._array]
        return torch.from_numpy(arrays).to(self.device), self.told(index)

    def pictures(self, index: np.ndarray) -> Tensor:
        """The newest picture [B, H, W, 3] of each of the samples ``index``, on the device."""
        return torch.from_numpy(np.ascontiguousarray(self.samples.fetch(index).arrays[self._array][:, -1])).to(self.device)

    def told(self, index: np.ndarray) -> Tensor:
        """Degrees [B] of the samples ``index`` [B], on the device."""
        return torch.from_numpy(self.degrees[index]).to(self.device)


class Probe(nn.Module):
    """A steering head behind ``encoder``, or behind features that an encoder made (None).

    Args:
        shape: channels, rows and columns of the features.
        width: of the probe's tokens.
        precision: of the encoder: auto (bf16 where the processor has it natively), fp32 or bf16.
    """

    def __init__(self, shape: tuple[int, int, int], reading: str, width: int, encoder: nn.Module | None = None, precision: str = "fp32"):
        super().__init__()
        channels, *grid = shape
        place = (grid[0], grid[1])
        self.head = AttentiveProbe(channels, place, min(width, channels), HEADS) if reading == "probe" else PooledSteering(
            channels, place, channels // 4)
        self.encoder, self._precision = encoder, precision

    def forward(self, window: Tensor) -> Tensor:
        """Degrees [B] of a window of features [B, 16, C, h, w], or with an encoder of pictures uint8 [B, 16, H, W, 3]."""
        return self.steer(window if self.encoder is None else self.look(window.flatten(0, 1)).unflatten(0, (len(window), WINDOW)))

    def look(self, pictures: Tensor) -> Tensor:
        """The encoder's coarsest features [N, C, h, w] of pictures uint8 [N, H, W, 3]."""
        assert self.encoder is not None
        with autocast(self._precision, pictures.device):
            return self.encoder(normalise(pictures))[-1]

    def steer(self, window: Tensor) -> Tensor:
        """Degrees [B] of a window of features [B, 16, C, h, w]."""
        return DEGREES * self.head(window.float())


class Seen:
    """Windows of the features that the encoder of ``probe`` gives now; each picture is looked at once, though it is in 16 windows.

    Args:
        windows: of pictures; a window's pictures are those of the 16 samples up to its own (``time_blocks``).
        index: samples whose windows are asked for.
    """

    def __init__(self, probe: Probe, windows: Windows, index: np.ndarray, batch: int):
        self._windows, self._numbers = windows, np.unique(index[:, None] + _PAST)
        parts = np.split(self._numbers, np.arange(batch, len(self._numbers), batch))
        self._features = torch.cat([probe.look(windows.pictures(part)) for part in parts])

    def get(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Windows [B, 16, C, h, w] and degrees [B] of the samples ``index`` [B]."""
        rows = torch.from_numpy(np.searchsorted(self._numbers, index[:, None] + _PAST))
        return self._features[rows.to(self._features.device)], self._windows.told(index)


_PAST = np.arange(1 - WINDOW, 1)


@dataclass(frozen=True)
class Settings:
    """How a probe is trained. ``rate`` is the head's learning rate, ``encoder_rate`` the encoder's; a round is ``steps`` steps, or
    with 0 one pass over every ``stride``-th sample; ``patience`` rounds without a better error on the ``stop`` samples end it."""

    rate: float = 1e-4
    encoder_rate: float = 1e-5
    batch: int = 32
    rounds: int = 20
    steps: int = 0
    stride: int = 4
    patience: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """``rounds`` that were trained, ``best`` is the one whose weights were kept, counted from 1; ``stopped``: rounds without a better error
    ended the training, not their largest number."""

    steps: int
    rounds: int
    best: int
    stop_mse: float
    stopped: bool


def fit(probe: Probe, windows: Windows, train: np.ndarray, stop: np.ndarray, settings: Settings) -> Fitted:
    """Train ``probe`` on the samples ``train`` by equation 5, and leave it with the weights of its best round on ``stop``."""
    groups = [{"params": list(probe.head.parameters()), "lr": settings.rate}]
    if probe.encoder is not None:
        groups.append({"params": list(probe.encoder.parameters()), "lr": settings.encoder_rate})
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    rng = np.random.default_rng([settings.seed, len(train)])
    best, kept, steps, done = (float("inf"), 0), copy.deepcopy(probe.state_dict()), 0, 0
    for number in range(1, settings.rounds + 1):
        done = number
        probe.train()
        for index in _batches(train, settings, number, rng):
            optimiser.zero_grad(set_to_none=True)
            _backward(probe, windows, index)
            nn.utils.clip_grad_norm_(probe.parameters(), CLIP)
            optimiser.step()
            steps += 1
        error = square_error(probe, windows, stop, settings.batch)
        if error < best[0]:
            best, kept = (error, number), copy.deepcopy(probe.state_dict())
        if number - best[1] >= settings.patience:
            break
    probe.load_state_dict(kept)
    return Fitted(steps, done, best[1], best[0], done - best[1] >= settings.patience)


def _backward(probe: Probe, windows: Windows, index: np.ndarray) -> None:
    """Add the gradient of equation 5 over the samples ``index``, ``TOGETHER`` at a time behind an encoder that learns."""
    size = len(index) if probe.encoder is None else TOGETHER
    whole = steering_weight(torch.from_numpy(windows.degrees[index])).sum()
    for part in np.split(index, np.arange(size, len(index), size)):
        pictures, wanted = windows.get(part)
        share = steering_weight(wanted).sum() / whole.to(wanted.device)
        (share * steering_loss(probe(pictures), wanted)).backward()


def _batches(train: np.ndarray, settings: Settings, number: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of one round: every ``stride``-th sample, another one of the stride in each round."""
    chosen = rng.permutation(train[number % settings.stride::settings.stride])
    count = settings.steps or max(1, len(chosen) // settings.batch)
    line = np.resize(chosen, count * settings.batch)
    return np.split(line, count)


@torch.no_grad()
def square_error(probe: Probe, windows: Windows, index: np.ndarray, batch: int) -> float:
    """Unweighted mean square error in square degrees over the samples ``index``."""
    probe.eval()
    total = 0.0
    for some in np.split(index, np.arange(SEEN_TOGETHER, len(index), SEEN_TOGETHER)):
        seen = windows if probe.encoder is None else Seen(probe, windows, some, batch)
        for part in np.split(some, np.arange(batch, len(some), batch)):
            features, wanted = seen.get(part)
            total += float((probe.steer(features) - wanted).square().sum())
    return total / len(index)


def array_of(task: UnifiedDriverTask) -> str:
    """The array of ``task`` that windows are made of."""
    return MAIN if isinstance(task, PictureTask) else FEATURES
