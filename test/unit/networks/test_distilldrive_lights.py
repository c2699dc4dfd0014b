"""The light ahead, as the front token is asked for it."""

from types import SimpleNamespace

import pytest
import torch

from kd_planner_ros.networks.distilldrive.config import CONFIGURATIONS, LINES, SIGNALS
from kd_planner_ros.networks.distilldrive.lights import UNSURE, LightHead, before_a_light, light_ahead, light_figures, light_loss
from kd_planner_ros.networks.distilldrive.processor import DistillDriveProcessor
from kd_planner_ros.networks.distilldrive.stages import STAGES
from kd_planner_ros.networks.distilldrive.training import build_task
from kd_planner_ros.networks.distilldrive.vision import FrontToken

RED, GREEN = (len(LINES) + SIGNALS.index(name) for name in ("red", "green"))


def scenes(*samples):
    """Targets; each sample holds lines (x, y, kind), 3 m wide across the road."""
    lines, kinds = torch.zeros(len(samples), 4, 5, 2), torch.full((len(samples), 4), -1)
    for row, sample in enumerate(samples):
        for place, (x, y, kind) in enumerate(sample):
            lines[row, place, :, 0], lines[row, place, :, 1] = x, y + torch.linspace(-1.5, 1.5, 5)
            kinds[row, place] = kind
    return {"lines": lines, "line_kinds": kinds}


def test_the_nearest_stop_line_on_the_axis_says_which_light_is_ahead():
    given = scenes([(20.0, 0.5, RED)], [(25.0, 0.0, RED), (12.0, -1.0, GREEN)], [(-1.0, 0.0, RED)], [(10.0, 0.0, 0)], [(10.0, 4.0, RED)],
                   [(30.0, 0.0, RED), (10.0, 4.0, GREEN)], [])
    assert light_ahead(given).tolist() == [0, 2, UNSURE, UNSURE, UNSURE, 0, UNSURE]


def test_unsure_samples_teach_nothing_and_count_in_no_figure():
    unsure, sure = torch.tensor([UNSURE, UNSURE]), torch.tensor([0, UNSURE])
    logits = torch.randn(2, 3, requires_grad=True)
    light_loss(logits, unsure).backward()
    assert not logits.grad.any() and light_figures(logits, unsure) == {}
    light_loss(logits, sure).backward()
    assert logits.grad[0].any() and not logits.grad[1].any()
    assert light_figures(torch.eye(3)[[0, 1]], torch.tensor([0, 0])) == {"light_red": (1.0, 2.0)}


def test_the_stage_of_the_token_draws_from_samples_before_a_light_and_others_from_all():
    first, second = ({name: one.numpy() for name, one in scenes(*given).items()}
                     for given in ([[(20.0, 0.5, RED)], []], [[(10.0, 4.0, RED)], [(12.0, 0.0, GREEN)]]))
    samples = SimpleNamespace(shards=[SimpleNamespace(fields=first), SimpleNamespace(fields=second)])
    perception, lights, planning = STAGES
    assert before_a_light(samples, lights).tolist() == [True, False, False, True]
    assert before_a_light(samples, perception) is None and before_a_light(samples, planning) is None


def test_a_token_learns_the_colour_of_two_pixels():
    """The lamp covers two pixels of 64 x 32 at a place that changes."""
    torch.manual_seed(0)
    token, head = FrontToken(16), LightHead(16)
    colours = torch.tensor([[2.5, -1.0, -1.0], [-1.0, 2.5, 0.5]])

    def batch():
        wanted, pictures = torch.randint(0, 2, (16,)), 0.3 * torch.randn(16, 3, 32, 64)
        rows, columns = torch.randint(4, 14, (16,)), torch.randint(36, 60, (16,))
        for shift in (0, 1):
            pictures[torch.arange(16), :, rows + shift, columns] = colours[wanted]
        return pictures, torch.where(wanted == 1, 2, 0)

    steps = torch.optim.Adam([*token.parameters(), *head.parameters()], 3e-3)
    for _ in range(100):
        pictures, wanted = batch()
        steps.zero_grad()
        light_loss(head(token(pictures)), wanted).backward()
        steps.step()
    token.eval()
    told = [light_figures(head(token(pictures)), wanted) for pictures, wanted in (batch() for _ in range(4))]
    for name in ("light_red", "light_green"):
        assert sum(one[name][0] for one in told) >= 0.9 * sum(one[name][1] for one in told), name
    assert token(torch.randn(2, 3, 128, 352)).shape == (2, 16) == token(torch.randn(2, 3, 64, 96)).shape


def test_a_sure_right_answer_costs_nothing():
    assert LightHead(96)(torch.zeros(3, 96)).shape == (3, len(SIGNALS))
    assert float(light_loss(torch.full((1, 3), -50.0).index_fill(1, torch.tensor([0]), 50.0), torch.tensor([0]))) == pytest.approx(0.0)


def test_a_stage_without_the_planner_is_judged_by_what_it_trains():
    task = build_task(DistillDriveProcessor(CONFIGURATIONS[1]))
    figures = {"l2_m": 8.0, "agents_found": 0.1, "lines_found": 0.2, "light": 0.5}
    better = {"l2_m": 9.0, "agents_found": 0.2, "lines_found": 0.3, "light": 0.4}  # the planner has random weights yet
    scores = []
    for stage in STAGES:
        task.begin_stage(stage)
        scores.append((task.selection_score(better), task.selection_score(figures)))
    perception, lights, planning = scores
    assert perception[0] < perception[1] and lights[0] < lights[1] and planning[1] < planning[0]
    assert max(planning) < min(lights) and max(lights) < min(perception), "weights of a later stage are preferred"
