"""Rule sub-scores of candidate trajectories by the recorded truth: what the student's rule heads learn. Tensors alone.

Source: NAVSIM's sub-scores (``evaluation/pdm`` measures them on simulated drives); that heads learn them is Hydra-MDP's idea
(arXiv 2406.06978). Of a sample only road users, lines and driven way are known, so three rules are judged by less than NAVSIM has: DAC by
the boundaries of the road, EP along the driven way, TLC by the colour that lights show now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.networks.distilldrive.config import KINDS, LINES, SIGNALS, STEP_S, SceneConfig, rules_of
from kd_planner_ros.networks.distilldrive.decode import preference
from kd_planner_ros.networks.distilldrive.plan_loss import of_command, offsets_of

TICK_S = 0.25
"""Between two instants at which a trajectory is judged."""
AHEAD_S = (0.0, 0.3, 0.6, 0.9)
"""TTC: the car that goes on straight is looked at so much later."""
STANDING_MPS, STILL_MPS = 0.05, 0.005
"""A road user of at most the first speed stands when it is hit; below the second one no collision is imminent."""
MOVES_M = 0.3
"""A shorter way in a step does not say where a heading points."""
EDGE_M = 0.05
"""The car may touch a boundary by so much: maps are that exact."""
LITTLE_M = 2.0
"""EP is 1 where less was driven."""
STATIC_SCORE = 0.5
_AHEAD, _BEHIND = math.cos(math.radians(30.0)), math.cos(math.radians(150.0))
_STATIC = KINDS.index(ActorKind.STATIC)
_BOUNDARY, _RED = LINES.index(LineKind.BOUNDARY), len(LINES) + SIGNALS.index("red")


@dataclass(frozen=True)
class Boxes:
    """Rectangles: ``places`` [..., 2] of their centres, unit vectors ``ahead`` [..., 2] along them, ``half`` [..., 2] length and width.
    One that is not there is NaN and touches nothing."""

    places: Tensor
    ahead: Tensor
    half: Tensor

    def touch(self, other: Boxes) -> Tensor:
        """bool [...], broadcast: separating axis test."""
        apart = other.places - self.places
        along, across = (self.ahead * other.ahead).sum(-1).abs(), _cross(self.ahead, other.ahead).abs()
        own, its = self.half.unbind(-1), other.half.unbind(-1)
        return (((apart * self.ahead).sum(-1).abs() <= own[0] + its[0] * along + its[1] * across)
                & (_cross(self.ahead, apart).abs() <= own[1] + its[0] * across + its[1] * along)
                & ((apart * other.ahead).sum(-1).abs() <= its[0] + own[0] * along + own[1] * across)
                & (_cross(other.ahead, apart).abs() <= its[1] + own[0] * across + own[1] * along))


@dataclass(frozen=True)
class Ways:
    """Moving rectangles over S ticks: ``boxes`` [..., S] and ``speeds`` [..., S] in m/s."""

    boxes: Boxes
    speeds: Tensor


def rule_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], config: SceneConfig) -> Tensor:
    """Binary cross-entropy of the logits ``rules`` [B, 18, R] against the sub-scores of the candidates as they are now, without gradient to
    them; a mean over what is known. A sample whose driven way is unknown teaches nothing, and a rule that the driven way breaks itself is
    not taught in that sample (as the human filter of EPDMS)."""
    wanted, known = taught_rules(outputs["offsets"], targets, config)
    each = binary_cross_entropy_with_logits(outputs["rules"].float(), wanted, reduction="none")
    return (each * known).sum() / known.expand_as(each).sum().clamp(min=1.0)


def rule_figures(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], config: SceneConfig) -> dict[str, tuple[float, float]]:
    """``rule_nc`` and so on: the true sub-scores of the trajectories that ``choice`` picks, as (sum, number) over those that are known."""
    wanted, known = taught_rules(outputs["offsets"], targets, config)
    ways, scores = (of_command(outputs[name].detach().float(), targets["command"]).cpu().numpy() for name in ("offsets", "scores"))
    best = preference(ways.cumsum(2), scores, config.choice).argmax(1)
    chosen = torch.from_numpy(best).to(wanted.device)[:, None]
    own = of_command(wanted, targets["command"]).gather(1, chosen[..., None].expand(-1, -1, wanted.shape[-1]))
    return {f"rule_{name.lower()}": (float((own[:, 0, row] * known[:, 0, row]).sum()), float(known[:, 0, row].sum()))
            for row, name in enumerate(rules_of(config))}


@torch.no_grad()
def taught_rules(offsets: Tensor, targets: Mapping[str, Tensor], config: SceneConfig) -> tuple[Tensor, Tensor]:
    """(sub-scores [B, K, R] of the candidates ``offsets`` [B, K, T, 2], whether each rule is known [B, 1, R], as numbers)."""
    driven = offsets_of(torch.nan_to_num(targets["plan"]))[:, None]
    found = rule_scores(torch.cat([offsets.detach().float(), driven.float()], 1), targets, config)
    known = targets["plan_known"][:, None, None] & (found[:, -1:] >= 1.0 - 1e-4)
    return found[:, :-1], known.float()


def rule_scores(offsets: Tensor, targets: Mapping[str, Tensor], config: SceneConfig) -> Tensor:
    """Sub-scores [B, K, R] in [0, 1], in the order of ``rules_of``, of the ways ``offsets`` [B, K, T, 2] in metres a step.

    Args:
        targets: ``boxes`` [B, A, 10], ``kinds`` [B, A], ``future`` [B, A, T', 2], ``lines`` [B, L, P, 2], ``line_kinds`` [B, L], ``plan``
            [B, T, 2]; as ``SceneTask.targets``.
    """
    count = offsets.shape[2]
    times = torch.arange(0.0, count * STEP_S + 1e-6, TICK_S, device=offsets.device)
    own, others = _own(offsets, times, config), _Others(targets, count)
    off = _off_road(own, targets, config)
    found = {"NC": _no_collision(own, others, times, off), "DAC": 1.0 - off.any(-1).float(),
             "TTC": _time_to_collision(own, others, times), "EP": _progress(offsets, torch.nan_to_num(targets["plan"]))}
    if "TLC" in rules_of(config):
        found["TLC"] = _red_lights(own, targets)
    return torch.stack([found[name] for name in rules_of(config)], -1)


# --- ways ------------------------------------------------------------------------------------------------------------

def _cross(one: Tensor, other: Tensor) -> Tensor:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def _between(nodes: Tensor, times_s: Tensor) -> Tensor:
    """Values [..., S, C] at ``times_s`` [S] of ``nodes`` [..., T + 1, C], which lie ``STEP_S`` apart from time 0 on: linear."""
    at = times_s / STEP_S
    low = (at + 1e-4).floor().long().clamp(max=nodes.shape[-2] - 2)
    share = (at - low).clamp(min=0.0)[:, None]
    first, then = nodes[..., low, :], nodes[..., low + 1, :]
    return torch.where(share < 1e-3, first, torch.where(share > 1.0 - 1e-3, then, first + (then - first) * share))


def _directions(nodes: Tensor, first: Tensor) -> Tensor:
    """Unit vectors [..., T + 1, 2] along a way ``nodes`` [..., T + 1, 2] that begins along ``first`` [..., 2]; where it hardly moves the
    direction stays."""
    chord = torch.cat([nodes[..., 2:, :] - nodes[..., :-2, :], nodes[..., -1:, :] - nodes[..., -2:-1, :]], -2)
    length = chord.norm(dim=-1, keepdim=True)
    ahead = torch.cat([first[..., None, :], chord / length.clamp(min=1e-6)], -2)
    rows = torch.arange(nodes.shape[-2], device=nodes.device)
    moves = torch.cat([length.new_ones(*length.shape[:-2], 1), length[..., 0]], -1) > MOVES_M
    last = torch.where(moves, rows, 0).cummax(-1).values
    return ahead.gather(-2, last[..., None].expand_as(ahead))


def _moving(nodes: Tensor, first: Tensor, half: Tensor, times: Tensor, shift_m: float = 0.0) -> Ways:
    """The rectangle ``half`` [..., 1, 2] on its way at ``times`` [S], its centre ``shift_m`` ahead of the way."""
    ahead = torch.nn.functional.normalize(_between(_directions(nodes, first), times), dim=-1)
    steps = (nodes[..., 1:, :] - nodes[..., :-1, :]).norm(dim=-1) / STEP_S
    speeds = _between(torch.cat([steps[..., :1], 0.5 * (steps[..., 1:] + steps[..., :-1]), steps[..., -1:]], -1)[..., None], times)
    return Ways(Boxes(_between(nodes, times) + shift_m * ahead, ahead, half), speeds[..., 0])


def _own(offsets: Tensor, times: Tensor, config: SceneConfig) -> Ways:
    """The car on each way: [B, K, S]."""
    nodes = pad(offsets.cumsum(2), (0, 0, 1, 0))
    half = nodes.new_tensor([[config.ego_length_m, config.ego_width_m]]) / 2.0
    return _moving(nodes, nodes.new_tensor([1.0, 0.0]).expand(*nodes.shape[:2], 2), half, times, config.ego_ahead_m)


class _Others:
    """The road users of a batch, as many as its fullest sample has."""

    def __init__(self, targets: Mapping[str, Tensor], count: int):
        there = targets["kinds"] >= 0
        most = max(int(there.any(0).sum()), 1)  # they fill the first slots
        boxes, future = (targets[name][:, :most].float() for name in ("boxes", "future"))
        missing = count - future.shape[2]
        future = pad(future, (0, 0, 0, missing), value=math.nan) if missing > 0 else future[:, :, :count]
        self.static = targets["kinds"][:, :most] == _STATIC
        now = torch.where(there[:, :most, None], boxes[..., :2], math.nan)
        self._nodes, self._first = torch.cat([now[:, :, None], future], 2), boxes[..., [7, 6]]
        self._half = boxes[..., None, 3:5].exp() / 2.0

    def at(self, times: Tensor) -> Ways:
        """[B, 1, A, S]."""
        ways = _moving(self._nodes, self._first, self._half, times)
        return Ways(Boxes(ways.boxes.places[:, None], ways.boxes.ahead[:, None], ways.boxes.half[:, None]), ways.speeds[:, None])


# --- rules -----------------------------------------------------------------------------------------------------------

def _first(hits: Tensor) -> Tensor:
    """Only the first of ``hits`` [..., S] along time."""
    return hits & (hits.cumsum(-1) == 1)


def _bearing(own: Boxes, places: Tensor) -> Tensor:
    """Cosine of the angle between the car's heading and the way from between its centre and its rear to ``places``."""
    way = places - (own.places - own.ahead * own.half[..., :1] / 2.0)
    return (way * own.ahead).sum(-1) / way.norm(dim=-1).clamp(min=1e-6)


def _spread(own: Ways) -> Ways:
    """[B, K, 1, S], to be compared with every other."""
    boxes = own.boxes
    return Ways(Boxes(boxes.places[:, :, None], boxes.ahead[:, :, None], boxes.half[:, None]), own.speeds[:, :, None])


def _no_collision(own: Ways, others: _Others, times: Tensor, off: Tensor) -> Tensor:
    """NC [B, K]: 0 where the car hits a road user by its own fault, 0.5 a static object, else 1. It is the car's fault where it moves and
    hits what stands, or with its front, or off the road. Who touches it from the beginning, or was hit without fault, does not count."""
    car, user = _spread(own), others.at(times)
    first = _first(car.boxes.touch(user.boxes))
    front = Boxes(car.boxes.places + car.boxes.ahead * car.boxes.half[..., :1], car.boxes.ahead,
                  car.boxes.half * car.boxes.half.new_tensor([0.0, 1.0]))
    hit = front.touch(user.boxes) | off[:, :, None]
    ahead = (_bearing(car.boxes, user.boxes.places) >= _BEHIND) & hit
    fault = first & (car.speeds > STANDING_MPS) & ((user.speeds <= STANDING_MPS) | ahead)
    blamed, static = fault[..., 1:].any(-1), others.static[:, None]
    return torch.where((blamed & ~static).any(-1), 0.0, torch.where(blamed.any(-1), STATIC_SCORE, 1.0))


def _time_to_collision(own: Ways, others: _Others, times: Tensor) -> Tensor:
    """TTC [B, K]: 0 where the car, if it went on straight at its speed, would touch another ahead of it within 0.9 s, else 1."""
    later = torch.tensor(AHEAD_S, device=times.device)
    count = int((times + later[-1] <= times[-1] + 1e-6).sum())
    car, users = _spread(own), others.at((times[:count, None] + later).flatten())
    begun = car.boxes.touch(others.at(times).boxes)[..., :1]

    def each(values: Tensor) -> Tensor:
        return values[:, :, :, :count].repeat_interleave(len(later), 3)

    ahead, speeds = each(car.boxes.ahead), each(car.speeds)
    moved = Boxes(each(car.boxes.places) + ahead * (speeds * later.repeat(count))[..., None], ahead, car.boxes.half)
    first = _first(moved.touch(users.boxes) & (speeds >= STILL_MPS)) & ~begun
    return 1.0 - (first & (_bearing(moved, users.boxes.places) > _AHEAD)).any(-1).any(-1).float()


def _chosen(targets: Mapping[str, Tensor], kind: int) -> tuple[Tensor, Tensor]:
    """(lines [B, M, P, 2] of ``kind``, M those of the fullest sample; whether each is there [B, M])."""
    there = targets["line_kinds"] == kind
    order = there.float().argsort(dim=1, descending=True, stable=True)[:, :max(int(there.sum(1).max()), 1)]
    lines = targets["lines"].float()
    return lines.gather(1, order[..., None, None].expand(*order.shape, *lines.shape[2:])), there.gather(1, order)


def _off_road(own: Ways, targets: Mapping[str, Tensor], config: SceneConfig) -> Tensor:
    """bool [B, K, S]: the car lies across a boundary of the road."""
    lines, there = _chosen(targets, _BOUNDARY)
    start, way = lines[:, :, :-1].flatten(1, 2), (lines[:, :, 1:] - lines[:, :, :-1]).flatten(1, 2)
    length = way.norm(dim=-1, keepdim=True)
    keep = there.repeat_interleave(lines.shape[2] - 1, 1)[..., None]
    walls = Boxes(torch.where(keep, start + way / 2.0, math.nan)[:, None, None], (way / length.clamp(min=1e-6))[:, None, None],
                  (pad(length, (0, 1)) / 2.0)[:, None, None])
    car = Boxes(own.boxes.places[:, :, :, None], own.boxes.ahead[:, :, :, None], own.boxes.half - EDGE_M)
    return car.touch(walls).any(-1)


def _red_lights(own: Ways, targets: Mapping[str, Tensor]) -> Tensor:
    """TLC [B, K]: 0 where the front bumper crosses the stop line of a light that is red now, forwards, else 1."""
    lines, there = _chosen(targets, _RED)
    front = own.boxes.places + own.boxes.ahead * own.boxes.half[..., :1]
    start, end = front[:, :, :-1, None], front[:, :, 1:, None]
    left, right = lines[:, None, None, :, 0], lines[:, None, None, :, -1]
    crossed = ((_cross(end - start, left - start) * _cross(end - start, right - start) <= 0.0)
               & (_cross(right - left, start - left) * _cross(right - left, end - left) <= 0.0) & (end[..., 0] > start[..., 0]))
    return 1.0 - (crossed & there[:, None, None]).any(-1).any(-1).float()


def _progress(offsets: Tensor, plan: Tensor) -> Tensor:
    """EP [B, K]: how far along the driven way ``plan`` [B, T, 2] the end of each way comes, as a share of it; 1 where hardly anything was
    driven."""
    nodes = pad(plan.float(), (0, 0, 1, 0))
    way = nodes[:, 1:] - nodes[:, :-1]
    length = way.norm(dim=-1)
    rel = offsets.sum(2)[:, :, None] - nodes[:, None, :-1]
    part = ((rel * way[:, None]).sum(-1) / length.square().clamp(min=1e-6)[:, None]).clamp(0.0, 1.0)
    nearest = (rel - part[..., None] * way[:, None]).norm(dim=-1).argmin(-1, keepdim=True)
    arcs = (length.cumsum(1) - length)[:, None] + part * length[:, None]
    whole = length.sum(1, keepdim=True)
    return torch.where(whole > LITTLE_M, arcs.gather(-1, nearest)[..., 0] / whole.clamp(min=1e-6), 1.0).clamp(0.0, 1.0)
