"""V2X-VLM: its sizes, its words, its pictures, and that it computes what transformers' Florence-2 computes."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.frames import frame
from support.networks import save_seeded

from kd_planner_ros.core.ego import Command, Pose
from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.projection import pixels
from kd_planner_ros.networks.v2x_vlm.config import CAPTION_WORDS, OBJECTS, SIZES, TIMES_S, V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.florence import as_florence, build_florence
from kd_planner_ros.networks.v2x_vlm.model import build_model, example_inputs
from kd_planner_ros.networks.v2x_vlm.processor import build_processor
from kd_planner_ros.networks.v2x_vlm.prompt import Told, prompt_ids, station_objects, told_of
from kd_planner_ros.networks.v2x_vlm.refine import refine
from kd_planner_ros.networks.v2x_vlm.views import conflict_section, missing_view
from kd_planner_ros.networks.v2x_vlm.words import (
    END,
    FIRST_LOCATION,
    FLORENCE_IMAGE,
    FLORENCE_LOCATION,
    IMAGE,
    PAD,
    Tokens,
    ids_of,
    locations_of,
    number_id,
    text_of,
    tokens_of,
)
from kd_planner_ros.runtime.captions import load_captioner
from kd_planner_ros.runtime.store import add_training, load_model

NANO = V2xVlmConfig()
POLE = CameraSpec("camera", Pose(20.0, 8.0, 6.0, yaw=math.radians(-135.0), pitch=math.radians(20.0)), 384, 216, 90.0, 0.1)


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return build_model(NANO).eval()


def station(shown, image=None, objects=None):
    return dataclasses.replace(shown, roadside=(RoadsideView("s", POLE, image, objects, shown.stamp_ns, 0.2, Pose(20.0, 8.0)),))


def walker(x, y, kind=ActorKind.PEDESTRIAN, vx=0.0):
    rows = np.zeros(1, ACTOR_DTYPE)
    rows["id"], rows["kind"], rows["x"], rows["y"], rows["vx"], rows["length"], rows["width"] = 1, kind, x, y, vx, 0.5, 0.5
    return rows


# --- sizes -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("size", "millions", "vision"), [("nano", 0.949, 0.445), ("nano_teacher", 2.04, 0.74), ("full", 231.4, 90.4),
                                                          ("full_teacher", 770.2, 360.6)])
def test_parameters_are_those_of_the_published_checkpoints_and_of_the_nano_sizes(size, millions, vision):
    with torch.device("meta"):
        model = build_model(V2xVlmConfig(size=size))
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, rel=2e-3)
    assert sum(one.numel() for one in model.florence.vision.parameters()) / 1e6 == pytest.approx(vision, rel=2e-3)


@pytest.mark.parametrize("fields", [{"size": "huge"}, {"roadside": "radio"}, {"head": "both"}, {"view_height": 100},
                                    {"size": "full", "view_width": 768, "view_height": 768}, {"view_width": 1024},
                                    {"size": "full", "caption": True}])
def test_a_config_that_cannot_be_built_is_refused(fields):
    with pytest.raises(ConfigError):
        V2xVlmConfig(**fields)


def test_a_full_size_without_tokenizer_says_what_to_give():
    with pytest.raises(ConfigError, match="'tokenizer'"):
        build_processor(V2xVlmConfig(size="full"))


@pytest.fixture(scope="module")
def florence_words(tmp_path_factory):
    """A folder with a tokenizer.json that has Florence-2's ids of pictures and places; a letter is a token, so that words take several."""
    tokenizers = pytest.importorskip("tokenizers", reason="pip install tokenizers")
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3} | {chr(97 + one): 4 + one for one in range(26)}
    vocabulary |= {str(one): 40 + one for one in range(10)}
    vocabulary |= {f"<filler_{one}>": one for one in range(50, FLORENCE_LOCATION)}
    vocabulary |= {f"<loc_{one}>": FLORENCE_LOCATION + one for one in range(1000)} | {"<image>": FLORENCE_IMAGE}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    folder = tmp_path_factory.mktemp("florence")
    made.save(str(folder / "tokenizer.json"))
    return folder


def test_a_full_size_speaks_florence_s_tokens_and_sees_what_florence_was_trained_on(florence_words):
    config = V2xVlmConfig(size="full", tokenizer=str(florence_words), roadside="objects", view_height=64, view_width=64)
    processor, shown = build_processor(config), frame(config.rig, 0)
    picture = processor.encode([station(shown, objects=walker(20.0, 5.0))])
    ids = picture["words"][0].tolist()
    assert len(ids) == config.prompt and ids[:2] != [3, 3] and max(ids) < FLORENCE_LOCATION + 1000
    assert [one for one in ids if one >= FLORENCE_LOCATION], "the target point and the walker's place"
    assert processor.tokens.encode([FIRST_LOCATION + 7, END]) == [FLORENCE_LOCATION + 7, 2]
    assert len(processor.tokens.encode(ids_of("walker"))) > len(processor.tokens.encode(ids_of("car"))) > 1
    red = shown.images["front"].copy()
    red[:] = (255, 0, 0)
    image = processor.encode([dataclasses.replace(shown, images={"front": red})])["image"]
    assert image[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], abs=1e-5)
    assert build_processor(NANO).encode([dataclasses.replace(shown, images={"front": red})])["image"][0, :, 0, 0].tolist() == [1, -1, -1]


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="pip install tokenizers")
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0}, unk_token="<unk>")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match="location tokens <loc_0> to <loc_999> from id 50269"):
        build_processor(V2xVlmConfig(size="full", tokenizer=str(tmp_path)))


def test_transformers_is_imported_only_when_a_network_is_built():
    code = ("import sys; from kd_planner_ros.networks.registry import find_network; find_network('v2x_vlm'); "
            "assert 'transformers' not in sys.modules")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- words -------------------------------------------------------------------------------------------------------------

def test_every_word_has_an_id_of_its_own_below_the_vocabulary():
    assert FIRST_LOCATION + SIZES["nano"].bins <= SIZES["nano"].text.vocabulary
    names = [text_of([one]) for one in range(FIRST_LOCATION + 256) if one not in (PAD, END)]
    assert len(set(names)) == len(names)
    assert text_of(ids_of("veh walker")) == "veh walker" and text_of([number_id(37.4), END, 5]) == "37"
    assert number_id(1e9) == number_id(99) and number_id(-3) == number_id(0) and number_id(math.nan) == ids_of("unknown")[0]
    assert isinstance(tokens_of(NANO), Tokens) and tokens_of(NANO).encode([7, 300]) == [7, 300]


def test_locations_round_trip_within_half_a_bin_and_count_what_they_clamp():
    places = locations_of(NANO)
    points = np.random.default_rng(0).uniform((-4.0, -32.0), (60.0, 32.0), (500, 2))
    bins, clamped = places.bins(points)
    assert not clamped.any() and np.abs(places.points(bins) - points).max() <= 0.125 + 1e-9
    assert np.linalg.norm(places.points(bins) - points, axis=1).mean() == pytest.approx(0.10, abs=0.01)
    bins, clamped = places.bins(np.array([[70.0, 0.0], [0.0, -40.0], [np.nan, 1.0], [1.0, 1.0]]))
    assert clamped.tolist() == [True, True, True, False] and bins.min() >= 0 and bins.max() <= 255


def test_the_prompt_has_its_slots_in_order_and_nothing_from_outside():
    told = Told(5.0, Command.LEFT, np.array([10.0, 2.0]), np.array([3.0, -6.0, math.pi / 2]), np.array([[12.0, 8.0, 1.0, 2.0, 0.0]]),
                veh=ids_of("walker") + [number_id(40), number_id(9), END], view=False)
    text = " ".join(text_of([one]) for one in prompt_ids(told, locations_of(NANO)) if one not in (PAD, END))
    assert text == ("<TRAJ> veh walker 40 9 infra <NO_V2X> ego 51 48 25 speed 20 command left goal <loc_56> <loc_136> "
                    "signal unknown object walker <loc_48> <loc_132> 8 0 plan")
    free = prompt_ids(dataclasses.replace(told, free=True, view=True), locations_of(NANO))
    assert free[2:18] == [PAD] * 16 and free[19:20] == ids_of("<NO_CAPTION>")
    strange = prompt_ids(dataclasses.replace(told, speed_mps=math.nan, command=77, place=np.full(3, np.nan)), locations_of(NANO))
    assert ids_of("unknown")[0] in strange and ids_of("follow")[0] in strange


def test_the_prompt_tells_where_and_when_somebody_gets_in_the_way():
    standing, walking = [12.0, 8.0, 5.0, 0.0, 0.0], [12.0, 20.0, -7.0, 2.0, math.pi / 2]
    told = Told(5.0, Command.STRAIGHT, np.array([30.0, 0.0]), np.full(3, np.nan), np.array([walking, standing]), view=True, meets=True)
    text = " ".join(text_of([one]) for one in prompt_ids(told, locations_of(NANO)))
    assert text.endswith("object walker <loc_96> <loc_100> 8 25 20 10 object walker <loc_48> <loc_148> 0 0 unknown unknown plan"), (
        "7 m away at 2 m/s: 5 m of them in 2.5 s")
    assert "8 25 20 10" not in " ".join(text_of([one]) for one in prompt_ids(dataclasses.replace(told, meets=False), locations_of(NANO)))
    most = np.tile(walking, (OBJECTS, 1))
    config = V2xVlmConfig(roadside="objects", meets=True)
    assert len(prompt_ids(dataclasses.replace(told, objects=most), locations_of(NANO))) <= config.prompt


def test_the_station_s_objects_are_the_nearest_rolled_forward_by_their_age():
    shown = frame(NANO.rig, 0)
    rows = np.concatenate([walker(30.0, 5.0), walker(15.0, 5.0, ActorKind.CAR, vx=5.0), walker(900.0, 5.0),
                           walker(12.0, 5.0, ActorKind.STATIC)])
    found = station_objects(station(shown, objects=rows).roadside, shown.ego.pose)
    assert found[:, 0].tolist() == [ActorKind.CAR, ActorKind.PEDESTRIAN] and found[0, 1] == pytest.approx(15.0 + 1.0 - 10.0)
    assert station_objects((), shown.ego.pose).shape == (0, 5)


def test_who_gets_in_the_way_first_is_told_before_the_nearest_and_once_where_two_stations_report_him():
    shown = frame(NANO.rig, 0)
    here = shown.ego.pose
    near, crossing = walker(here.x + 5.0, here.y + 10.0), walker(here.x + 30.0, here.y - 8.0, ActorKind.CAR)
    crossing["vy"], crossing["yaw"] = 4.0, math.pi / 2
    one = RoadsideView("station_0", None, None, np.concatenate([near, crossing]), 0, 0.1)
    other = RoadsideView("station_1", None, None, crossing, 0, 0.0)
    told = station_objects((one, other), here, np.array([40.0, 0.0]))
    assert told[:, 0].tolist() == [ActorKind.CAR, ActorKind.PEDESTRIAN]
    assert station_objects((one, other), here)[:, 0].tolist() == [ActorKind.PEDESTRIAN, ActorKind.CAR]
    assert told[0, 2] == pytest.approx(-8.0), "the fresher row of the two that mean one car"


def test_a_list_that_nobody_checked_costs_its_broken_rows_and_no_plan():
    broken, sound = walker(10.0, 2.0), walker(12.0, 2.0)
    broken["x"] = np.nan
    views = [RoadsideView(name, None, None, np.concatenate([broken, sound]), 0, 0.0) for name in ("a", "b")]
    assert len(station_objects(views, Pose(), np.array([30.0, 0.0]))) == 1


def test_an_object_is_rolled_forward_by_the_age_of_its_list_and_not_of_the_picture():
    oncoming = walker(20.0, 0.0, ActorKind.CAR, vx=-10.0)
    picture = RoadsideView("s", POLE, np.zeros((4, 8, 3), np.uint8), oncoming, 0, 0.4, Pose(20.0, 8.0), objects_age_s=0.0)
    assert station_objects((picture,), Pose())[0, 1] == pytest.approx(20.0)
    assert station_objects((dataclasses.replace(picture, objects_age_s=None),), Pose())[0, 1] == pytest.approx(16.0)


# --- pictures ----------------------------------------------------------------------------------------------------------

def test_projection_of_a_camera_on_a_pole():
    level = CameraSpec("c", Pose(0.0, 0.0, 5.0), 200, 100, 90.0)
    assert pixels(np.array([10.0, 0.0, 5.0]), level) == pytest.approx([100.0, 50.0, 10.0])
    assert pixels(np.array([10.0, 5.0, 0.0]), level) == pytest.approx([50.0, 100.0, 10.0])  # left and down: 90 degrees are 100 px a unit
    assert np.isnan(pixels(np.array([-1.0, 0.0, 5.0]), level)).all()
    in_car = pixels(np.array([3.0, 10.0, 5.0]), CameraSpec("c", Pose(0.0, 0.0, 5.0), 200, 100, 90.0), Pose(3.0, 0.0, 0.0, math.pi / 2))
    assert in_car == pytest.approx([100.0, 50.0, 10.0])


def test_the_section_shows_the_way_ahead_and_stays_in_the_picture():
    ego, target = Pose(5.0, 0.0, yaw=0.0), np.array([15.0, 0.0])
    left, top, width, height = conflict_section(POLE, ego, target, 2.0)
    assert 0 <= left and 0 <= top and left + width <= POLE.width and top + height <= POLE.height and width < POLE.width
    ahead = pixels(np.array([10.0, 0.0, 0.0]), POLE)
    assert left <= ahead[0] <= left + width and top <= ahead[1] <= top + height
    assert conflict_section(POLE, Pose(300.0, 300.0), target, 2.0) is None


def test_a_view_that_did_not_come_is_a_pattern_with_finite_gradients():
    """An all-zero half gave gradient norms of 1e8 and more."""
    pattern = missing_view(64, 128)
    assert set(np.unique(pattern)) == {77, 178} and pattern[0, 0, 0] != pattern[0, 8, 0] != pattern[8, 8, 0]
    torch.manual_seed(0)
    model, processor = build_model(NANO).train(), build_processor(NANO)
    inputs = processor.encode([frame(NANO.rig, number) for number in range(2)])
    inputs["answer"] = torch.randint(FIRST_LOCATION, FIRST_LOCATION + 256, (2, 19))
    model(**inputs)["logits"].logsumexp(-1).mean().backward()
    norm = torch.stack([one.grad.norm() for one in model.parameters() if one.grad is not None]).norm()
    assert norm.isfinite() and norm < 1e3


def test_fresh_weights_look_at_both_halves(nano):
    """With first weights of 0.02 other pictures changed the logits by 0.3 % of their spread."""
    processor, shown = build_processor(NANO), frame(NANO.rig, 1)
    picture = np.random.default_rng(0).integers(0, 255, (216, 384, 3), dtype=np.uint8)
    inputs = [processor.encode([one]) for one in (station(shown, picture), station(shown, 255 - picture))]
    assert torch.equal(inputs[0]["words"], inputs[1]["words"])
    with torch.inference_mode():
        first, other = (nano(one["image"], one["words"], torch.tensor([[END, 200, 210]]))["logits"] for one in inputs)
    assert float((first - other).std() / first.std()) > 0.02


def test_the_processor_tells_what_it_got():
    processor, shown = build_processor(NANO), frame(NANO.rig, 0)
    picture = np.full((216, 384, 3), 9, np.uint8)
    alone, together = processor.encode([shown]), processor.encode([station(shown, picture)])
    assert alone["image"].shape == (1, 3, 64, 256) and torch.equal(alone["image"][..., :128], together["image"][..., :128])
    assert float(together["image"][0, 0, 0, 128]) == pytest.approx(9 / 127.5 - 1.0, abs=1e-6)
    assert "<NO_V2X>" in text_of([one for one in alone["words"][0] if one != PAD])
    assert "<NO_V2X>" not in text_of([one for one in together["words"][0] if one != PAD])
    outputs = {"points": torch.cumsum(torch.ones(1, 9, 2), 1) * torch.tensor([1.0, 0.0]), "chance": torch.full((1, 9), 0.5)}
    assert processor.decode(outputs, shown).mode == "ego_only"
    assert processor.decode(outputs, station(shown, picture)).mode == "coop_full"
    with pytest.raises(SensorError, match="front"):
        processor.encode([dataclasses.replace(shown, images={"front": np.zeros((10, 10, 3), np.uint8)})])


def test_objects_stand_in_place_of_the_picture():
    config = V2xVlmConfig(roadside="objects")
    processor, shown = build_processor(config), frame(config.rig, 0)
    inputs = processor.encode([station(shown, objects=walker(20.0, 5.0))])
    assert config.rig.roadside.objects and inputs["image"].shape == (1, 3, 64, 128)
    assert "object walker" in text_of([one for one in inputs["words"][0] if one != PAD])
    assert told_of(shown, config).view is False
    none = V2xVlmConfig(roadside="none")
    assert none.rig.roadside is None and none.image_tokens == 9


# --- refinement --------------------------------------------------------------------------------------------------------

def test_refinement_leaves_a_good_path_nearly_alone_and_replaces_what_no_car_drives():
    straight = np.stack([8.0 * TIMES_S, np.zeros(9)], 1)
    points, replaced = refine(straight, TIMES_S, 8.0)
    assert replaced == 0 and np.abs(points - straight).max() < 1e-6
    jumped = straight.copy()
    jumped[4] = (40.0, 20.0)
    points, replaced = refine(jumped, TIMES_S, 8.0)
    assert replaced == 1 and np.abs(points - straight).max() < 1e-6
    jumped = straight.copy()
    jumped[-2:] = (-4.0, -32.0)
    points, replaced = refine(jumped, TIMES_S, 8.0)
    assert replaced == 2 and np.abs(points - straight).max() < 1e-6
    broken = straight.copy()
    broken[3, 0] = np.nan
    assert np.isnan(refine(broken, TIMES_S, 8.0)[0]).any()
    standing = np.tile([0.125, 0.125], (9, 1))  # the bin that a stopped car repeats
    points, replaced = refine(standing, TIMES_S, 0.0)
    assert replaced == 0 and np.abs(points).max() < 0.2


# --- against transformers ----------------------------------------------------------------------------------------------

def inputs_of(batch=2):
    processor = build_processor(NANO)
    return processor.encode([frame(NANO.rig, number) for number in range(batch)])


def reference_inputs(inputs):
    batch = len(inputs["words"])
    ids = torch.cat([torch.full((batch, NANO.image_tokens), IMAGE), inputs["words"]], 1)
    return {"input_ids": ids, "pixel_values": inputs["image"], "attention_mask": (ids != PAD).long()}


def test_the_parts_compute_what_transformers_module_computes(nano):
    reference, inputs = as_florence(NANO, nano.florence.state_dict()).eval(), inputs_of()
    answer = torch.randint(FIRST_LOCATION, FIRST_LOCATION + 256, (2, 19))
    with torch.inference_mode():
        wanted = reference(**reference_inputs(inputs), decoder_input_ids=answer).logits
        found = nano(inputs["image"], inputs["words"], answer)["logits"]
    assert torch.allclose(found, wanted, atol=2e-4), float((found - wanted).abs().max())
    assert sum(one.numel() for one in nano.parameters()) == sum(one.numel() for one in build_florence(NANO).parameters())
    assert all(getattr(part, "loss_type", "") is not None for part in nano.modules()), "transformers warns of each export"


def test_decoded_tokens_are_those_that_transformers_generates(nano):
    reference, inputs = as_florence(NANO, nano.florence.state_dict()).eval(), inputs_of()
    legal = list(range(FIRST_LOCATION, FIRST_LOCATION + 256))
    with torch.inference_mode():
        ids = reference.generate(**reference_inputs(inputs), num_beams=1, do_sample=False, min_new_tokens=18, max_new_tokens=18,
                                 no_repeat_ngram_size=0, prefix_allowed_tokens_fn=lambda batch, so_far: legal)
        points = nano(**inputs)["points"]
    wanted = locations_of(NANO).points((ids[:, 1:] - FIRST_LOCATION).view(2, 9, 2).numpy())
    assert np.allclose(points.numpy(), wanted, atol=1e-4)


def test_a_validation_reads_the_network_s_own_caption_and_a_training_step_the_true_one():
    """The weights of a run are chosen by plans as the car will make them: nobody tells it what it sees."""
    torch.manual_seed(0)
    config = V2xVlmConfig(caption=True)
    model, processor = build_model(config), build_processor(config)
    inputs, answer = processor.encode([frame(config.rig, 0)]), torch.randint(FIRST_LOCATION, FIRST_LOCATION + 256, (1, 19))
    true = inputs["words"].clone()
    true[:, 2:2 + CAPTION_WORDS] = number_id(7)
    with torch.inference_mode():
        alone = model.eval()(inputs["image"], inputs["words"], inputs["answer"])
        told, free = (model(inputs["image"], words, answer) for words in (true, inputs["words"]))
        assert torch.equal(told["points"], alone["points"]) and torch.equal(told["logits"], free["logits"])
        model.free_running = False
        teacher = [model(inputs["image"], words, answer)["logits"] for words in (true, inputs["words"])]
        assert not torch.equal(*teacher), "a teacher reads what the student is told"


def test_the_network_s_own_caption_fills_the_free_places():
    config = V2xVlmConfig(caption=True)
    torch.manual_seed(0)
    model, processor = build_model(config).eval(), build_processor(config)
    inputs = processor.encode([frame(config.rig, 0)])
    assert (inputs["words"][0, 2:18] == PAD).all()
    with torch.inference_mode():
        seen = model.florence.see(inputs["image"])
        words = model._described(seen, inputs["words"])
        own = model(**inputs)["points"]
        told = model.plan(*model.read(seen, words))["points"]
    assert (words[0, 2:18] < FIRST_LOCATION).all() and torch.equal(words[0, 18:], inputs["words"][0, 18:]) and torch.equal(own, told)


def test_the_displacement_head_gives_waypoints_in_one_pass():
    config = V2xVlmConfig(head="displacement")
    torch.manual_seed(0)
    model = build_model(config).eval()
    with torch.inference_mode():
        found = model(**example_inputs(config, 2))
        teacher = model(*(example_inputs(config, 2)[name] for name in ("image", "words")), torch.full((2, 19), END))
    assert found["points"].shape == (2, 9, 2) and (found["chance"] == 1.0).all()
    assert torch.allclose(teacher["drawn"], found["points"], atol=1e-5), "what is trained is what drives"


@pytest.mark.parametrize("roadside", ["picture", "objects"])
def test_a_model_that_was_taught_captions_describes_its_front_view(tmp_path, roadside):
    save_seeded(tmp_path / "vlm", "v2x_vlm", V2xVlmConfig(roadside=roadside))
    with pytest.raises(ConfigError, match="taught captions; got 'vlm', whose training had no such loss; train one"):
        load_captioner("vlm", tmp_path)
    plans = {"name": "plans", "losses": {"trajectory": 1.0}}
    add_training(tmp_path / "vlm", {"recipe": {"stages": [plans]}})
    with pytest.raises(ConfigError, match="no such loss"):
        load_captioner("vlm", tmp_path)
    first = {"name": "captions", "losses": {"caption": 1.0}}
    for recipe in ({"network": "v2x_vlm"}, {"stages": [{"name": "all"}]}, {"stages": [first, plans]}):
        add_training(tmp_path / "vlm", {"recipe": recipe})
        assert load_captioner("vlm", tmp_path)
    captioner, (model, config, _) = load_captioner("vlm", tmp_path), load_model(tmp_path / "vlm")
    shown = frame(config.rig, 0)
    with torch.inference_mode():
        inputs = build_processor(config).encode([shown])
        ask = torch.full_like(inputs["words"], PAD)
        ask[0, :2] = torch.tensor(ids_of("<CAPTION> veh"))
        wanted = text_of(model.describe(model.florence.see(inputs["image"]), ask)[0].tolist())
    assert captioner.caption(shown) == wanted == load_captioner("vlm", tmp_path).caption(shown) and "<loc" not in wanted


def test_a_planner_that_describes_nothing_is_refused_in_one_line(tmp_path):
    save_seeded(tmp_path / "car", "tcp")
    for name, got in (("car", "'car', a network tcp"), ("constant_velocity", "'constant_velocity', which has no network")):
        with pytest.raises(ConfigError, match=f"describes what it sees.*got {got}; leave the parameter caption out"):
            load_captioner(name, tmp_path)


def test_it_runs_as_a_planner(tmp_path):
    from kd_planner_ros.runtime.load import load_planner

    save_seeded(tmp_path / "vlm", "v2x_vlm")
    planner = load_planner("vlm", engine="torch", models_dir=tmp_path, keep=False)
    assert planner.rate_hz == 2.0 and planner.rig.roadside is not None
    plan = planner.plan(station(frame(planner.rig, 0), np.zeros((216, 384, 3), np.uint8)))
    assert plan.trajectory.points.shape == (9, 2) and plan.trajectory.times_s[-1] == 4.5 and plan.mode == "coop_full"
    assert plan.candidates.shape == (2, 9, 2) and set(plan.notes) == {"replaced", "chance"}
    assert plan.scores[0] > 0.0 > plan.scores[1], "the supervisor follows no candidate below 0: not the points before refinement"
