"""V2X-VLM in the trainer: a shard by hand, what a step asks for, the losses, and a smoke training of teacher and student."""

import math
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support import bags
from support.bags import scene, write_bag
from support.frames import frame
from support.training import but, training

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.captions import Caption, SeenUser
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import PHASE_DTYPE, RoadsideView
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recipes import read_recipe, train_config
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.train import train
from kd_planner_ros.driving.signals import signal_ahead
from kd_planner_ros.networks.v2x_vlm.answers import NEAR, PLAN, STATION, UNTOLD, VEHICLE, ask, caption_ids, decoder_inputs
from kd_planner_ros.networks.v2x_vlm.config import V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.florence import build_florence, load_florence
from kd_planner_ros.networks.v2x_vlm.loss import Alignment, errors, token_losses
from kd_planner_ros.networks.v2x_vlm.model import build_model
from kd_planner_ros.networks.v2x_vlm.processor import build_processor
from kd_planner_ros.networks.v2x_vlm.training import BESIDE, STAGES
from kd_planner_ros.networks.v2x_vlm.words import END, FIRST_LOCATION, PAD, SPECIALS, WORDS, text_of
from kd_planner_ros.runtime.captions import load_captioner
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards
from kd_planner_ros.v2x.station import phases_of

POLE = CameraSpec("camera", Pose(20.0, 8.0, 6.0, math.radians(-135.0), math.radians(20.0)), 96, 54, 90.0, 0.5)
STATION_0 = Station("north", Pose(20.0, 8.0), (POLE,))


def view(age_s=0.1):
    rows = np.zeros(1, ACTOR_DTYPE)
    rows["id"], rows["kind"], rows["x"], rows["y"] = 1, ActorKind.CAR, 12.0, 0.0
    rows["length"], rows["width"], rows["height"] = 4.5, 1.9, 1.5
    return RoadsideView("north", POLE, np.full((54, 96, 3), 100, np.uint8), rows, 0, age_s, STATION_0.pose)


def drives(folder, count=2, seconds=6.0, **options):
    for number in range(count):
        write_bag(folder / "bags" / f"b{number}", rate=0.2 * (-1) ** number, seconds=seconds, seed=number, every=5,
                  **{"views": (view(),), "stations": (STATION_0,), "captions": True, **options})


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    return training(bags=(tmp_path / "bags",), name="talker", network="v2x_vlm", size="nano", batch=4, epochs=2.0, lr=1e-3, clip=1.0,
                    validation_share=0.0, models_dir=tmp_path / "models", runs_dir=tmp_path / "runs", seed=1, cache=tmp_path / "cache",
                    progress=False, threads=1, device="cpu", precision="fp32", validate_minutes=0)


def learner_of(config):
    learner = Learner(config, join("cpu"), *cameras(find_bags(config.bags)[0]))
    return learner, Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))


# --- samples -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("captions", ["recorded", "made"])
def test_a_shard_holds_views_captions_and_the_way(config, tmp_path, captions):
    drives(tmp_path, 1)
    _, samples = learner_of(but(config, captions=captions))
    (shard,) = samples.shards
    assert sorted(shard.fields) == [BESIDE, "infra", "objects", "place", "present", "veh"]
    assert shard.images.shape[1:] == shard.fields[BESIDE].shape[1:] == (64, 128, 3) and shard.rows["future"].shape[1:] == (9, 2)
    assert shard.fields["present"].all() and np.isfinite(shard.fields["place"]).all()
    assert len(np.unique(shard.fields[BESIDE])) == 1  # the station's grey picture
    assert text_of(shard.fields["infra"][0]).startswith("day car") and shard.fields["infra"][0].tolist().count(END) == 1
    assert text_of(shard.fields["veh"][0]).split()[0] in ("day", "dusk", "night")


def test_a_recording_without_stations_gives_samples_without_a_view(config, tmp_path):
    drives(tmp_path, 1, views=(), stations=())
    learner, samples = learner_of(config)
    fields = samples.shards[0].fields
    assert not fields["present"].any() and np.isnan(fields["place"]).all() and (fields["infra"] == PAD).all()
    assert (fields[BESIDE][0] == learner.processor.nothing).all()


def test_a_step_reads_the_lists_of_two_stations_as_a_planner_does(config, tmp_path):
    """The nearest station reports a car that stands ahead, the other one a walker who gets in the way later."""
    south = Station("south", Pose(60.0, -8.0), (replace(POLE, pose=replace(POLE.pose, x=60.0, y=-8.0)),))
    walker = view().objects.copy()
    walker["id"], walker["kind"], walker["x"], walker["y"], walker["vy"], walker["yaw"] = 2, ActorKind.PEDESTRIAN, 30.0, 9.0, -1.5, -1.57
    walker["length"], walker["width"], walker["height"] = 0.5, 0.5, 1.75
    other = RoadsideView("south", south.cameras[0], None, walker, 0, 0.1, south.pose)
    drives(tmp_path, 1, views=(view(), other), stations=(STATION_0, south))
    learner, samples = learner_of(but(config, roadside="objects", stations=2, meets=True, captions="made"))
    with torch.no_grad():
        told, _ = learner.tensors(samples.fetch(np.arange(4)))
    rig = learner.model_config.rig
    with open_bag(find_bags(config.bags)[0]) as recording:
        frames = {one.frame.stamp_ns: one.frame for one in samples_for(recording, ("front",), (), rig, {})}
        planned = learner.processor.encode([frames[int(stamp)] for stamp in samples.rows["stamp"][:4]])
    assert torch.equal(told["words"], planned["words"])
    texts = [text_of([one for one in row if one != PAD]) for row in told["words"].tolist()]
    assert sum("object car" in one and "object walker" in one for one in texts) >= 3, "the first list may be too late"


# --- the signal ahead ----------------------------------------------------------------------------------------------------

def lamp(state, x=30.0, number=3, yaw=math.pi):
    """A signal over the line x = ``x`` of the lane along the x axis, for traffic that drives ahead."""
    rows = np.zeros(1, SIGNAL_DTYPE)
    rows["id"], rows["state"], rows["x"], rows["yaw"] = number, state, x + 15.0, yaw
    rows["stop_x0"], rows["stop_x1"], rows["stop_y0"], rows["stop_y1"] = x, x, -1.5, 1.5
    return rows


def test_what_the_nearest_signal_ahead_shows():
    ego = EgoState(0, Pose(), 5.0)
    at = lambda *lamps: signal_ahead(phases_of(np.concatenate(lamps)), ego)  # noqa: E731
    assert at(lamp(LightState.RED)) == LightState.RED and at(lamp(LightState.GREEN, 50.0, 4), lamp(LightState.RED)) == LightState.RED
    assert at(lamp(LightState.GREEN), lamp(LightState.YELLOW)) == LightState.YELLOW, "of two rows of one signal the stricter one"
    assert at(lamp(LightState.OFF)) is None and at(lamp(LightState.RED, -20.0)) is None and at(lamp(LightState.RED, 90.0)) is None
    assert at(lamp(LightState.RED, yaw=0.0)) is None, "it faces those who come towards the car"
    aside = lamp(LightState.RED)
    aside["stop_y0"] += 4.0
    aside["stop_y1"] += 4.0
    assert at(aside) is None and signal_ahead(np.zeros(0, PHASE_DTYPE), ego) is None


def test_samples_hold_the_signal_and_steps_hide_it_in_their_share(config, tmp_path, monkeypatch):
    """The made-up drives have one signal, number 3, green, whose line is not recorded; here it is red and ahead."""
    monkeypatch.setattr(bags, "scene", lambda ego: replace(scene(ego), signals=lamp(LightState.RED, 60.0)))
    drives(tmp_path, 1, seconds=8.0)
    plain, _ = learner_of(config)
    learner, samples = learner_of(but(config, signal=True, signal_dropout=0.5))
    found = samples.shards[0].fields["signal"]
    assert "signal" not in plain.task.key and learner.task.truth == ("captions", "signals") and learner.model_config.rig.phases
    assert set(found.tolist()) <= {-1, int(LightState.RED)} and (found == int(LightState.RED)).any()
    batch = samples.fetch(np.flatnonzero(found == int(LightState.RED))[:1].repeat(200))

    def told(task):
        task.begin_stage(STAGES[-1])
        torch.manual_seed(5)
        words = task.inputs(batch.rows, {name: torch.from_numpy(one) for name, one in batch.arrays.items()}, np.zeros(200, bool))["words"]
        return [text_of(row[row != PAD]).split("signal ")[1].split()[0] for row in words]

    share = told(learner.task).count("red") / 200
    assert 0.4 < share < 0.6 and set(told(learner.task)) == {"red", "unknown"} and set(told(plain.task)) == {"unknown"}
    with torch.no_grad():
        assert set(told(learner.task)) == {"red"}, "a validation hides nothing"


def test_a_planner_reads_the_signal_where_it_is_known():
    config = V2xVlmConfig(camera_width=64, camera_height=32, signal=True)
    shown = replace(frame(config.rig, 0), ego=EgoState(0, Pose(), 5.0))
    processor = build_processor(config)
    for phases, word in ((None, "unknown"), (phases_of(lamp(LightState.GREEN)), "green"), (phases_of(lamp(LightState.OFF)), "unknown")):
        words = processor.encode([replace(shown, phases=phases)])["words"][0]
        assert f"signal {word} " in text_of(words[words != PAD])
    assert not V2xVlmConfig().rig.phases
    with pytest.raises(ConfigError, match="phases are reported by stations"):
        V2xVlmConfig(roadside="none", signal=True)


def test_a_recording_without_captions_is_refused(config, tmp_path):
    drives(tmp_path, 1, captions=False)
    with pytest.raises(BagError, match="/truth/captions"):
        learner_of(config)


def test_a_caption_counts_within_the_section_that_is_shown():
    caption = Caption("front", 0, "dusk", (SeenUser(ActorKind.CAR, 30, 60), SeenUser(ActorKind.BUS, 90, 60)))
    assert text_of(caption_ids(caption)) == "dusk car 30 60 bus 90 60"
    assert text_of(caption_ids(caption, (0.25, 0.5, 0.5, 0.5))) == "dusk car 11 21"
    assert text_of(caption_ids(caption, (0.5, 0.0, 0.2, 0.5))) == "dusk none" and (caption_ids(None) == PAD).all()


# --- a step ------------------------------------------------------------------------------------------------------------

def test_a_step_asks_by_its_seed_and_a_validation_for_plans_alone():
    present = np.arange(400) % 4 > 0
    torch.manual_seed(3)
    one, two = (ask(present, 19, 0.25, 0.3) for _ in range(2))
    assert (one.task == two.task).all() and (one.view == two.view).all() and (one.noise == two.noise).all()
    assert not one.view[~present].any() and not (one.task[~one.view] == STATION).any()
    assert 0.6 < one.view[present].mean() < 0.8 and 0.18 < (one.task != PLAN).mean() < 0.32
    assert {PLAN, VEHICLE, STATION} == set(one.task.tolist())
    told = np.arange(400) % 8 > 3  # a station's list has no caption, and no sample is asked for what is not there
    some = ask(present, 19, 0.25, 0.3, told)
    assert (some.view == one.view).all() and ((some.task == PLAN) == (one.task == PLAN)).all()
    assert not (some.task[~told] == STATION).any() and (some.task[told] == one.task[told]).all()
    with torch.no_grad():
        held = ask(present, 19, 1.0, 1.0)
    assert (held.task == PLAN).all() and (held.view == present).all()


def test_the_decoder_reads_the_answer_one_token_late_and_some_of_it_wrong():
    right = torch.tensor([[FIRST_LOCATION + 1, FIRST_LOCATION + 2, END], [5, END, UNTOLD]])
    torch.manual_seed(0)
    asked = ask(np.ones(2, bool), 3, 1.0, 0.0)
    plain = decoder_inputs(asked, right, "tokens", 0.0, FIRST_LOCATION, 256)
    assert plain.tolist() == [[END, FIRST_LOCATION + 1, FIRST_LOCATION + 2], [END, 5, PAD]]
    wrong = decoder_inputs(asked, right, "tokens", 1.0, FIRST_LOCATION, 256)
    assert wrong[1].tolist() == plain[1].tolist() and wrong[0, 0] == END
    off = wrong[0, 1:] - plain[0, 1:]
    assert (wrong[0, 1:] >= FIRST_LOCATION).all() and (off != 0).any() and (off.abs() <= NEAR).all()


def test_stages_say_who_is_asked_for_captions(config, tmp_path):
    drives(tmp_path, 1)
    learner, samples = learner_of(config)
    shares = []
    for index in range(3):
        learner.begin_stage(index)
        torch.manual_seed(5)
        _, targets = learner.tensors(samples.fetch(np.arange(4).repeat(50) % len(samples)))
        shares.append(float((targets["task"] != PLAN).float().mean()))
    assert shares[0] == 1.0 and 0.1 < shares[1] < 0.4 and shares[2] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"head": "displacement"}, {"roadside": "objects"},
                                     {"roadside": "objects", "stations": 2, "meets": True}, {"roadside": "none", "caption": True},
                                     {"crop": True}, {"semantic_weight": 0.5, "states_weight": 0.5}])
def test_every_kind_learns_one_batch(config, tmp_path, options):
    """A few steps on the same samples lower the loss of plans; gradients are finite although stations are hidden."""
    drives(tmp_path, 1)
    learner, samples = learner_of(but(config, v2x_dropout=0.5, **options))
    learner.begin_stage(1)
    first, *_, last = (learner.step(learner.prepare(samples, np.arange(4), 0), 0, 1e-3) for _ in range(8))
    part = "waypoints" if options.get("head") == "displacement" else "trajectory"
    assert last[part] < first[part] and np.isfinite(last["gradient"]) and last["gradient"] < 1e4
    if "semantic_weight" in options:
        assert last["semantics"] < first["semantics"] and last["states"] < first["states"]
    scores = learner.validate(samples, 4)
    assert {"l2_m", "l2_4.5s_m", "constant_velocity_m", "outside"} <= set(scores) and scores["outside"] == 0.0
    assert "caption" not in scores


@pytest.mark.long
@pytest.mark.parametrize("head", ["displacement", "tokens"])
def test_overfits_32_samples_of_eight_ways(config, tmp_path, head):
    """The plans that the network decodes by itself, not those of teacher forcing."""
    for number, rate in enumerate(np.linspace(-0.28, 0.28, 8)):
        write_bag(tmp_path / "bags" / f"b{number}", rate=float(rate), seconds=6.5, seed=number, every=5, views=(view(),),
                  stations=(STATION_0,), captions=True)
    learner, samples = learner_of(but(config, batch=16, head=head, v2x_dropout=0.0, token_noise=0.0, align=False))
    whole, first = np.isfinite(samples.rows["future"]).all((1, 2)), np.cumsum([0, *(len(shard.rows) for shard in samples.shards)])
    known = np.concatenate([begin + np.flatnonzero(whole[begin:end])[:4] for begin, end in pairwise(first)])
    assert len(known) == 32
    learner.begin_stage(2)
    rng, steps = np.random.default_rng(0), 200

    def error_m():
        learner.model.eval()
        with torch.no_grad():
            inputs, targets = learner.tensors(samples.fetch(known))
            total, count = errors(learner.model(**inputs)["points"], targets)["l2_4.5s_m"]
        learner.model.train()
        return total / count

    before = error_m()
    for step in range(steps):
        rate = 2e-3 * min(1.0, (step + 1) / 20) * (1.0 - 0.9 * step / steps)
        learner.step(samples.fetch(rng.choice(known, 16, replace=False)), step, rate)
    assert error_m() < 0.5 < 5.0 < before


def test_hidden_stations_look_like_missing_ones(config, tmp_path):
    drives(tmp_path, 1)
    learner, samples = learner_of(but(config, v2x_dropout=1.0))
    learner.begin_stage(2)
    inputs, _ = learner.tensors(samples.fetch(np.arange(2)))
    whole = learner.processor.nothing.astype(np.float32) / 127.5 - 1.0
    np.testing.assert_allclose(inputs["image"][0, :, :, 128:].permute(1, 2, 0).numpy(), whole, atol=1e-5)
    assert all("<NO_V2X>" in text_of([one for one in row if one != PAD]) for row in inputs["words"].tolist())
    with torch.no_grad():
        seen, _ = learner.tensors(samples.fetch(np.arange(2)))
    assert seen["image"][0, :, :, 128:].std() < 1e-6


# --- losses ------------------------------------------------------------------------------------------------------------

def test_token_losses_count_known_tokens_of_their_own_kind():
    logits = torch.zeros(2, 3, 8)
    right, task = torch.tensor([[1, 2, UNTOLD], [3, UNTOLD, UNTOLD]]), torch.tensor([PLAN, VEHICLE])
    found = token_losses(logits, right, task)
    assert float(found["trajectory"]) == pytest.approx(math.log(8)) == pytest.approx(float(found["caption"]))
    logits[1, 0, 3] = 50.0
    found = token_losses(logits, right, task)
    assert float(found["caption"]) == pytest.approx(0.0, abs=1e-6) and float(found["trajectory"]) == pytest.approx(math.log(8))


def test_the_alignment_is_the_surprise_at_the_own_caption():
    torch.manual_seed(0)
    head = Alignment(5, 4)
    seen, told = torch.randn(3, 5), torch.randn(3, 5)
    words, stamps = torch.arange(6).view(3, 2), torch.arange(3) * 10**10
    image, text = (torch.nn.functional.normalize(one, dim=-1) for one in (head.image(seen), head.text(told)))
    scores = (image @ text.T / 0.07).exp()
    wanted = -(scores.diagonal() / scores.sum(1)).log().mean()
    torch.testing.assert_close(head(seen, told, words, stamps), wanted)
    assert head(seen, told, words * 0, stamps).item() == 0.0 and head(seen, told, words, stamps * 0).item() == 0.0
    same = torch.ones(3, 5)
    assert head(same, same, words, stamps).item() == pytest.approx(math.log(3))  # pictures that say nothing


def test_errors_are_those_at_the_horizons_over_what_is_known():
    future = torch.zeros(2, 9, 2)
    future[..., 0] = torch.arange(1, 10) * 0.5 * 4.0
    targets = {"future": future, "known": torch.tensor([[True] * 9, [False] * 9]), "speed": torch.tensor([3.0, 3.0])}
    points = future + torch.tensor([3.0, 4.0])
    found = errors(points, targets)
    assert found["l2_2.5s_m"] == (5.0, 1.0) and found["l2_m"] == (15.0, 3.0)
    assert found["constant_velocity_m"] == (pytest.approx(2.5 + 3.5 + 4.5), 3.0)


# --- runs --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "stations", "lists"), [("v2x_vlm_starts", 1, "words"), ("v2x_vlm_lists", 2, "words"),
                                                         ("v2x_vlm_nano", 2, "words"), ("v2x_vlm_users", 2, "tokens"),
                                                         ("v2x_vlm_turns", 2, "tokens")])
def test_the_recipes_that_go_on_from_another_model_are_read(config, name, stations, lists):
    made = train_config({"bags": config.bags}, read_recipe(config_folder() / "recipes" / f"{name}.yaml"))
    options = made.options("v2x_vlm")
    assert (options.stations, options.meets, options.roadside, options.head) == (stations, stations > 1, "objects", "displacement")
    assert options.lists == lists
    assert [one["name"] for one in made.stages] == ["plans"]


def test_the_recipes_are_read(config):
    for name, teacher in (("v2x_vlm_teacher", ""), ("v2x_vlm_tokens", "wise"), ("v2x_vlm_base", "")):
        made = train_config({"bags": config.bags, "teacher": teacher}, read_recipe(config_folder() / "recipes" / f"{name}.yaml"))
        assert made.network == "v2x_vlm" and [one["name"] for one in made.stages] == ["captions", "plans and captions", "plans"]
        assert (made.method == "logits") is bool(teacher) and made.options("v2x_vlm").align is (name != "v2x_vlm_teacher")


@pytest.mark.slow
def test_a_teacher_is_trained_and_teaches_a_student(config, tmp_path):
    drives(tmp_path, 2)
    own = {"caption_share": 0.25}
    teacher = replace(config, name="wise", size="nano_teacher", sections={"v2x_vlm": own | {"align": False}}, validation_share=0.5)
    assert train(teacher).finished
    card = read_card(config.models_dir / "wise")
    told = load_captioner("wise", config.models_dir).caption(frame(V2xVlmConfig(**card.config).rig, 0)).split()
    assert {one for one in told if not one.isdigit()} <= {*SPECIALS, *WORDS}, "its stages teach captions"
    assert {"l2_m", "constant_velocity_m", "trajectory"} <= set(card.scores["validation"])
    student = replace(config, method="logits", teacher="wise", sections={"v2x_vlm": own, "logits": {"weak_teacher": True}})
    assert train(student).finished
    card = read_card(config.models_dir / "talker")
    assert card.training["switches"] == {"weight": 0.5, "temperature": 2.0} and card.training["teacher"]["name"] == "wise"
    assert card.training["teacher_sees"] == "the student's augmented picture"
    assert not list(config.cache.glob("*.teacher*"))  # answers depend on what a step asks for


# --- weights of a Florence-2 checkpoint ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small checkpoint of random weights, saved by transformers in Hugging Face's layout."""
    folder = tmp_path_factory.mktemp("florence")
    torch.manual_seed(11)
    build_florence(V2xVlmConfig()).save_pretrained(folder)
    return folder


def test_a_run_begins_with_the_weights_of_a_checkpoint(config, tmp_path, checkpoint):
    drives(tmp_path, 1)
    learner, _ = learner_of(but(config, backbone_weights=checkpoint))
    torch.manual_seed(11)
    wanted = build_florence(V2xVlmConfig())
    assert torch.equal(learner.model.florence.words.weight, wanted.get_input_embeddings().weight)
    assert torch.equal(learner.model.florence.decoder.layers[1].fc2.weight, wanted.model.language_model.decoder.layers[1].fc2.weight)
    assert learner.start.name == checkpoint.name and len(learner.start.sha256) == 64
    assert len(learner.start.taken) == learner.start.tensors


def test_a_checkpoint_in_several_files_is_read(checkpoint, tmp_path):
    torch.manual_seed(11)
    build_florence(V2xVlmConfig()).save_pretrained(tmp_path, max_shard_size="1MB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    one, several = build_model(V2xVlmConfig()).florence, build_model(V2xVlmConfig()).florence
    load_florence(one, checkpoint)
    load_florence(several, tmp_path)
    assert all(torch.equal(value, several.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("spoil, words", [
    (lambda path: (path / "config.json").unlink(), r"config\.json in"),
    (lambda path: (path / "config.json").write_text("{"), "JSON in"),
    (lambda path: (path / "config.json").write_text('{"model_type": "bart"}'), "model_type florence2 .*got 'bart'"),
    (lambda path: (path / "model.safetensors").unlink(), "weights at"),
    (lambda path: (path / "model.safetensors").write_bytes(b"no tensors"), "safetensors file"),
    (lambda path: _without(path, "encoder.layers.0.fc1.weight"), "fc1.weight' in .*1 missing"),
    (lambda path: _without(path, "encoder.layers.0.fc1.weight", torch.zeros(2, 2)), "of shape")])
def test_another_checkpoint_is_refused_by_what_does_not_fit(checkpoint, tmp_path, spoil, words):
    shutil.copytree(checkpoint, tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises(ConfigError, match=words):
        load_florence(build_model(V2xVlmConfig()).florence, tmp_path / "copy")


def test_a_smaller_vocabulary_fills_the_first_rows(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "copy")
    state = load_file(checkpoint / "model.safetensors")
    state = {name: one[:390] if one.shape == (400, 96) else one for name, one in state.items()}
    save_file(state, tmp_path / "copy" / "model.safetensors")
    model = build_model(V2xVlmConfig()).florence
    before = model.words.weight.detach().clone()
    load_florence(model, tmp_path / "copy")
    assert torch.equal(model.words.weight[390:], before[390:]) and not torch.equal(model.words.weight[:390], before[:390])


def _without(path, ending, instead=None):
    """The checkpoint without the tensor of that ending, or with another one in its place."""
    state = load_file(path / "model.safetensors")
    (name,) = [one for one in state if one.endswith(ending)]
    state = {key: value for key, value in state.items() if key != name} | ({name: instead} if instead is not None else {})
    save_file(state, path / "model.safetensors")
