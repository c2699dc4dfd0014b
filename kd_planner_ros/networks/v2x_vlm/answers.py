"""What the network is taught to say: captions of the views and plans, as ids; and which of them each sample of a step is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.captions import KIND_WORDS, NOBODY, PLACES, Caption
from kd_planner_ros.networks.v2x_vlm.config import CAPTION_WORDS, WAYPOINTS
from kd_planner_ros.networks.v2x_vlm.words import END, FIRST_LOCATION, FIRST_NUMBER, PAD, Locations, Tokens, ids_of

PLAN, VEHICLE, STATION = range(3)
"""What a sample is asked for: the plan, the caption of the front view, the caption of the station's view."""
UNTOLD = -100
"""A place of the answer that no loss counts."""
NEAR = 8
"""Bins by which a spoilt location is wrong at most: 2 m in the nano sizes."""


def caption_ids(caption: Caption | None, section: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)) -> np.ndarray:
    """The caption as ids int16 [CAPTION_WORDS], its end included, padded; PAD alone where there is none.

    Args:
        section: left, top, width and height of the part of the picture that the network sees, as shares. Road users outside of it are
            left out, and places count within it.
    """
    found = np.full(CAPTION_WORDS, PAD, np.int16)
    if caption is None:
        return found
    left, top, width, height = section
    words: list[int] = []
    for one in caption.users:
        share = ((one.column + 0.5) / PLACES - left) / width, ((one.row + 0.5) / PLACES - top) / height
        if all(0.0 <= part < 1.0 for part in share):
            words += [*ids_of(KIND_WORDS[one.kind]), *(FIRST_NUMBER + int(part * PLACES + 1e-6) for part in share)]
    words = [*ids_of(caption.light), *(words or ids_of(NOBODY))][:CAPTION_WORDS - 1]
    found[:len(words) + 1] = [*words, END]
    return found


def words_of(caption: np.ndarray) -> list[int] | None:
    """The ids [CAPTION_WORDS] of ``caption_ids`` without end and padding; None where there is none."""
    words = [int(one) for one in caption if one not in (PAD, END)]
    return words or None


def plan_ids(future: np.ndarray, locations: Locations) -> tuple[list[int], int]:
    """(ids of a plan through ``future`` [9, 2] with its end, how many waypoints lie outside of the bins and were clamped); an unknown
    waypoint stands nowhere."""
    bins, clamped = locations.bins(future)
    known = np.isfinite(future).all(-1)
    return [FIRST_LOCATION + int(one) for one in bins.reshape(-1)] + [END], int((clamped & known).sum())


@dataclass(frozen=True)
class Asked:
    """What each of B samples is asked for.

    Attributes:
        task: PLAN, VEHICLE or STATION [B].
        view: bool [B], the network is shown what the station sent.
        noise: of each place of the answer, a number in [0, 1) [B, N]; the smallest ones are spoilt.
        other: for spoilt places how far off they are, a number in [0, 1) [B, N].
        phase: a number in [0, 1) [B]; the signal is unknown to the samples with the smallest ones.
    """

    task: np.ndarray
    view: np.ndarray
    noise: np.ndarray
    other: np.ndarray
    phase: np.ndarray


def ask(present: np.ndarray, places: int, captions: float, dropout: float, told: np.ndarray | None = None) -> Asked:
    """What the samples of this step are asked for: in a training step by the step's seed, in a validation the plan with everything.

    Called twice in one step it says the same.

    Args:
        present: bool [B], the station sent something.
        places: N, of an answer.
        captions: share of samples that are asked for a caption.
        dropout: share of samples whose station is hidden.
        told: bool [B], there is a caption of what the station shows; None: of every station that sent something.
    """
    count = len(present)
    if not torch.is_grad_enabled():
        return Asked(np.full(count, PLAN), present.copy(), np.ones((count, places)), np.ones((count, places)), np.ones(count))
    rng = np.random.default_rng([torch.initial_seed() % 2**63, 0x763278])
    view = present & (rng.random(count) >= dropout)
    about = np.where(view & (rng.random(count) < 0.5) & (True if told is None else told), STATION, VEHICLE)
    task = np.where(rng.random(count) < captions, about, PLAN)
    return Asked(task, view, rng.random((count, places)), rng.random((count, places)), rng.random(count))


def answers(asked: Asked, captions: tuple[np.ndarray, np.ndarray], future: np.ndarray, locations: Locations, tokens: Tokens,
            head: str) -> Tensor:
    """The right answers int64 [B, N]; UNTOLD behind their ends, and where nothing is known.

    Args:
        captions: of the front view and of the station's, [B, CAPTION_WORDS] each.
        future: [B, 9, 2] metres, ``base_link``; NaN: unknown.
        head: the config's; the displacement head's plans have no tokens.
    """
    rows: list[list[int]] = []
    for number, task in enumerate(asked.task):
        if task == PLAN:
            ids = plan_ids(future[number], locations)[0] if head == "tokens" and np.isfinite(future[number]).all() else []
        else:
            ids = [int(one) for one in captions[task - VEHICLE][number] if one != PAD]
        rows.append(tokens.encode(ids))
    return _padded(rows, asked.noise.shape[1], UNTOLD)


def decoder_inputs(asked: Asked, right: Tensor, head: str, spoilt: float, first: int, bins: int) -> Tensor:
    """What the decoder reads int64 [B, N]: END, and then the right answer up to the token before; PAD where there is none.

    Of the locations, ``first`` on ``bins``, a share ``spoilt`` is another one at most ``NEAR`` bins away: when driving, the network reads
    its own mistakes, which are small ones. A network that reads right locations alone continues the first ones and hardly reads its
    prompt; one location of 0.25 m too far at 0.5 s is then 2.25 m at 4.5 s. The displacement head's plan begins with END nine times.
    """
    place = (right >= first) & (right < first + bins)
    shift = torch.from_numpy(np.round((2.0 * asked.other - 1.0) * NEAR).astype(np.int64)).to(right.device)
    other = (right + shift).clamp(first, first + bins - 1)
    change = torch.from_numpy(asked.noise < spoilt).to(right.device) & place
    read = torch.full_like(right, END)
    read[:, 1:] = torch.where(change, other, right)[:, :-1]
    read = read.masked_fill(right == UNTOLD, PAD)
    plans = torch.from_numpy(asked.task == PLAN).to(right.device)
    if head == "displacement":
        read[plans] = PAD
        read[plans, :WAYPOINTS] = END
    return read


def _padded(rows: Sequence[Sequence[int]], places: int, filler: int) -> Tensor:
    return torch.tensor([[*row[:places], *[filler] * (places - len(row))] for row in rows])
