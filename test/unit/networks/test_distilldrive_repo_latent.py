"""DistillDrive's latent variable as in the repository (``repo_latent``): each defect by itself, and none of them without the switch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import noise

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.distilldrive import model as student
from kd_planner_ros.networks.distilldrive.config import CONFIGURATIONS, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.generative import Generative, frame_noise, posterior
from kd_planner_ros.networks.distilldrive.options import TrainOptions, config_fields
from kd_planner_ros.networks.distilldrive.plan_loss import Taught, misplaced, with_future
from kd_planner_ros.networks.distilldrive.processor import build_processor
from kd_planner_ros.networks.distilldrive.training import build_task
from kd_planner_ros.networks.registry import find_config

CONFIG = DistillDriveConfig(cameras=1, repo_latent=True)
SPEC = CONFIGURATIONS[1].spec
FIXED = (False, True)


def part(repo):
    torch.manual_seed(0)
    return Generative(SPEC, repo).eval()


def built(config):
    torch.manual_seed(0)
    return student.build_model(config).eval()


def given(config, seed=0):
    inputs = noise(student.example_inputs(config), seed)
    return inputs | {"seen": torch.ones_like(inputs["seen"]), "known": torch.ones_like(inputs["known"])}


def test_the_switch_is_off_changes_no_weight_and_old_cards_load():
    assert DistillDriveConfig().repo_latent is False and find_config("distilldrive").config({"cameras": 3}).repo_latent is False
    plain, repo = (built(replace(CONFIG, repo_latent=on)).state_dict() for on in FIXED)
    assert plain.keys() == repo.keys() and all(torch.equal(plain[name], repo[name]) for name in plain)
    assert config_fields("nano", TrainOptions(repo_latent=True), None, {})["repo_latent"] is True
    assert config_fields("nano", TrainOptions(), None, {})["repo_latent"] is False
    with pytest.raises(ConfigError, match="generative on where repo_latent is on"):
        DistillDriveConfig(generative=False, repo_latent=True)


def test_a_relu_keeps_mean_and_deviation_from_below():
    tokens, ways = torch.randn(1, 20, SPEC.width), torch.randn(1, 20, 12)
    for repo in FIXED:
        torch.manual_seed(0)
        with torch.no_grad():
            for mean, deviation in (part(repo).prior(tokens), posterior(SPEC, 6, repo)(ways)):
                assert (bool((mean >= 0.0).all()), bool((deviation.exp() >= 1.0).all())) == (repo, repo)


def test_the_hidden_state_is_that_of_other_tokens():
    """The third of four tokens is changed: in two layers of 48 the repository reads it as the second layer's state of tokens 0 and 1."""
    tokens, latent = torch.randn(2, 2, SPEC.width), torch.zeros(2, 2, SPEC.latent)
    changed = tokens.clone()
    changed[1, 0] += 1.0
    moves = []
    for repo in FIXED:
        with torch.no_grad():
            before, after = (part(repo)(one, latent) - one for one in (tokens, changed))
        moves.append((before - after).abs().amax(-1).flatten() > 1e-5)
    assert moves[0].tolist() == [False, False, True, False], "its own token alone"
    assert moves[1].tolist() == [True, True, False, False], "those of another sample"
    flat = tokens.flatten(0, 1)
    assert torch.equal(part(True)._hidden(tokens)[0, 1], flat[2, :48]) and torch.equal(part(False)._hidden(tokens)[0, 1], flat[0, 48:])


def test_a_draw_is_of_another_road_user_and_the_divergence_is_not():
    """Road user 0 was paired with instance 2: in the repository instance 0 draws from its future."""
    pairs = [(torch.tensor([2, 1]), torch.tensor([0, 1]))]
    assert [one.tolist() for one in misplaced(pairs)[0]] == [[0, 1], [0, 1]]
    tokens, future = torch.randn(1, 3, SPEC.width), torch.ones(1, 3, 12)
    taught, drawn = (Taught(torch.tensor([[index == only for index in range(3)]]), future) for only in (2, 0))
    generative, seer = part(False), posterior(SPEC, 6)
    with torch.no_grad():
        for gaussian, mean in ((generative.prior, 0.0), (seer, 4.0)):  # nearly without deviation: a draw says whose it is
            gaussian.net[-1].weight.zero_()
            gaussian.net[-1].bias.copy_(torch.tensor([mean] * SPEC.latent + [-5.0] * SPEC.latent))
        wanted = [generative(tokens, torch.full((1, 3, SPEC.latent), mean)) for mean in (0.0, 4.0)]
        for own, taker in (((taught,), 2), ((taught, drawn), 0)):
            moved, apart = with_future(generative, seer, tokens, *own)
            for token in range(3):
                near = [float((moved - one)[0, token].abs().max()) for one in wanted]
                assert (near[1] < near[0]) is (token == taker), (taker, token)
            assert float(apart) == pytest.approx(SPEC.latent * 0.5 * 16.0 * np.exp(10.0), rel=1e-3), "of instance 2"


def test_every_candidate_knows_the_driven_way_in_training():
    for options, config, known in ((TrainOptions(), replace(CONFIG, repo_latent=False), (1,)),
                                   (TrainOptions(posterior="all"), replace(CONFIG, repo_latent=False), (18,)),
                                   (TrainOptions(), CONFIG, (18, 18))):
        task = build_task(build_processor(config), options)
        outputs = {"tokens": torch.zeros(1, 20, SPEC.width), "agent_modes": torch.zeros(1, 2, 6, SPEC.width),
                   "offsets": torch.zeros(1, 18, 6, 2)}
        targets = {"plan": torch.zeros(1, 6, 2), "plan_known": torch.tensor([True]), "command": torch.tensor([2]),
                   "boxes": torch.zeros(1, 3, 10), "kinds": torch.zeros(1, 3, dtype=torch.int64), "future": torch.zeros(1, 3, 6, 2)}
        taught = task._taught(outputs, targets, [(torch.tensor([1]), torch.tensor([0]))])
        assert tuple(int(one.known[:, 2:].sum()) for one in taught) == known
        assert [one.known[0, :2].tolist() for one in taught] == [[False, True], [True, False]][:len(known)]


def test_at_run_time_a_draw_moves_the_tokens_by_the_priors_deviation():
    tokens, drawn = torch.randn(1, 4, SPEC.width), torch.randn(1, 4, SPEC.latent)
    for repo in FIXED:
        generative = part(repo)
        with torch.no_grad():
            mean, deviation = generative.prior(tokens)
            assert torch.equal(generative(tokens), generative(tokens, mean))
            assert torch.equal(generative(tokens, noise=drawn), generative(tokens, mean + deviation.exp() * drawn))


def test_two_runs_draw_alike_and_two_frames_do_not():
    inputs, other = given(CONFIG), given(CONFIG, 1)
    for repo in FIXED:
        model = built(replace(CONFIG, repo_latent=repo))
        torch.manual_seed(5)
        with torch.no_grad():
            first = model(**inputs)
            state = torch.random.get_rng_state()
            model(**other)
            again = built(replace(CONFIG, repo_latent=repo))(**inputs)
        assert all(torch.equal(first[name], again[name]) for name in student.OUTPUTS), "bit-identical, whatever was planned between"
        torch.manual_seed(5)
        assert torch.equal(state, torch.random.get_rng_state()), "the global generator is left alone"
    plain, drawn = (built(replace(CONFIG, repo_latent=repo)) for repo in FIXED)
    drawn.planner.generative.repo = False
    drawn.planner.generative.prior.net = plain.planner.generative.prior.net
    with torch.no_grad():
        assert not torch.equal(plain(**inputs)["offsets"], drawn(**inputs)["offsets"]), "the draw alone makes a difference"


def test_noise_belongs_to_the_frame():
    frame = torch.randn(2, 3, 4), torch.randn(2, 5)
    both = frame_noise(frame, 70, 16)
    assert both.shape == (2, 70, 16) and not torch.equal(both[0], both[1])
    assert torch.equal(frame_noise(tuple(one[1:] for one in frame), 70, 16), both[1:]), "in every batch"
    assert torch.equal(frame_noise(tuple(one.double() for one in frame), 70, 16), both)
    assert not torch.equal(frame_noise((frame[0], frame[1] + 1e-3), 70, 16), both)
    assert abs(float(both.mean())) < 0.1 and float(both.std()) == pytest.approx(1.0, abs=0.1)
    assert frame_noise(tuple(one.to("meta") for one in frame), 70, 16).shape == (2, 70, 16), "to count operations"


@pytest.mark.parametrize("name", ["images", "motion", "target", "ego_speed", "ego_queue"])
def test_each_input_that_tells_frames_apart_changes_the_draw(name, monkeypatch):
    seen = []
    monkeypatch.setattr(student, "frame_noise", lambda *args: seen.append(frame_noise(*args)) or seen[-1])
    model, inputs = built(CONFIG), given(CONFIG)
    with torch.no_grad():
        for one in (inputs, inputs | {name: inputs[name] + 0.5}):
            model(**one)
    assert not torch.equal(*seen)


def test_a_graph_with_draws_is_not_exported():
    inputs = given(CONFIG)

    class Plans(torch.nn.Module):
        def __init__(self, config):
            super().__init__()
            self.inner = built(config)

        def forward(self, *values):
            return self.inner(*values)["offsets"]

    with torch.no_grad(), pytest.raises(ConfigError, match="repo_latent.*use engine torch"):
        torch.jit.trace(Plans(CONFIG), tuple(inputs[name] for name in student.INPUTS), check_trace=False)
