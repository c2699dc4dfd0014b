"""The unified encoder's processor: the section that it sees, the frame before, what is unknown, wrong pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.unified import STEP_NS, TINY, frame

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.networks.unified_encoder.config import VOID, UnifiedEncoderConfig, named
from kd_planner_ros.networks.unified_encoder.model import build_model
from kd_planner_ros.networks.unified_encoder.panoptic import PER_CLASS, instance_masks, instances_of, semantic
from kd_planner_ros.networks.unified_encoder.panoptic import segments as cut
from kd_planner_ros.networks.unified_encoder.processor import build_processor

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(TINY).eval()


@pytest.fixture
def see(model):
    """frame -> Perception, as a node does it."""
    processor = build_processor(TINY)

    def look(one):
        with torch.inference_mode():
            return processor.decode(model(**processor.encode([one])), one)

    look.processor = processor
    return look


def test_the_shared_camera_is_cut_around_its_horizon():
    """448x336 at 352 columns has 264 rows, the horizon between rows 131 and 132; 128 rows from 81 on."""
    config = UnifiedEncoderConfig(size="nano")
    assert (config.scaled_height, config.cut_top) == (264, 81)
    intrinsics = config.intrinsics
    assert intrinsics[0, 0] == pytest.approx(352 / 2 / np.tan(np.radians(50.0)))
    assert (intrinsics[0, 2], intrinsics[1, 2]) == pytest.approx((175.5, 131.5 - 81))
    rows = np.repeat(np.arange(336, dtype=np.uint8)[:, None] // 2, 448, axis=1)
    cut = build_processor(config).prepare_labels(rows)
    assert cut.shape == (128, 352) and abs(2 * int(cut[51, 0]) - 168) <= 2  # the middle row of the camera


def test_outputs_lie_over_the_whole_picture(see):
    found = see(frame())
    kinds = {name: (one.kind, one.array.shape[:2]) for name, one in found.outputs.items()}
    assert kinds == {name: (kind, (48, 64)) for name, kind in (
        ("depth", "depth"), ("classes", "classes"), ("panoptic", "ids"), ("instances", "ids"), ("drivable", "mask"),
        ("lane_marking", "mask"), ("flow", "flow"), ("independent_flow", "flow"), ("motion", "probability"), ("moving", "mask"))}
    top = TINY.cut_top
    assert 0 < top < 16
    depth, classes = found.outputs["depth"].array, found.outputs["classes"].array
    assert np.isnan(depth[:top]).all() and np.isfinite(depth[top:top + 32]).all() and np.isnan(depth[top + 32:]).all()
    assert (classes[:top] == VOID).all() and (classes[top:top + 32] < 12).all()
    assert (found.calibration.width, found.calibration.height) == (64, 48)
    masks = found.outputs["instances"].masks()
    assert masks.masks.shape[1:] == (48, 64) and not masks.masks[:, :top].any() and len(masks) > 16


def test_the_first_frame_and_gaps_are_not_ready(see):
    """Nothing is invented without a frame before: the first one, after 0.3 s, backwards in time, at the same stamp, after a reset."""
    def ready(stamp):
        found = see(frame(stamp, seed=stamp % 7))
        flow, motion = found.outputs["flow"].array, found.outputs["motion"].array
        known = np.isfinite(flow).any()
        assert known == np.isfinite(motion).any() == np.isfinite(found.scalars["forward_mps"]) == bool(found.scalars["motion_ready"])
        return bool(known)

    first = see(frame(0))
    numbers = {f"{name}_mps" for name in ("forward", "left", "up")} | {f"{name}_rate_rps" for name in ("roll", "pitch", "yaw")}
    assert set(first.unknown) == {"flow", "independent_flow", "motion", "moving", *numbers}
    assert set(first.unknown.values()) == {"not ready: no frame within 0.25 s before this one"} and not first.outputs["moving"].array.any()
    see.processor.reset()
    steps = [0, STEP_NS, 4 * STEP_NS, 5 * STEP_NS, 5 * STEP_NS, 3 * STEP_NS, 4 * STEP_NS]
    assert [ready(stamp) for stamp in steps] == [False, True, False, True, False, False, True]
    see.processor.reset()
    assert not ready(5 * STEP_NS)


def test_only_road_users_are_moving_pixels(see, model):
    """A mask that says that everything moves, with a car on the left half and road on the right; without classes there is no such mask."""
    see(frame(0))
    inputs = see.processor.encode([frame(STEP_NS)])
    with torch.inference_mode():
        outputs = dict(model(**inputs))
    outputs["motion"] = torch.full_like(outputs["motion"], 9.0)
    kinds, masks = (torch.full_like(outputs[name], -9.0) for name in ("class_logits", "mask_logits"))
    middle = masks.shape[-1] // 2
    for query, (tag, columns) in enumerate((("Car", slice(0, middle)), ("Road", slice(middle, None)))):
        kinds[0, query, int(np.flatnonzero(named(TINY.classes, tag))[0])] = 9.0
        masks[0, query, :, columns] = 9.0
    whole = see.processor.decode({**outputs, "class_logits": kinds, "mask_logits": masks}, frame(STEP_NS)).outputs
    rows = slice(TINY.cut_top, TINY.cut_top + 32)
    assert (whole["motion"].array[rows] > 0.9).all()
    assert whole["moving"].array[rows, :28].all() and not whole["moving"].array[rows, 36:].any()
    see.processor.encode([frame(2 * STEP_NS)])
    alone = see.processor.decode({name: one for name, one in outputs.items() if "logits" not in name}, frame(2 * STEP_NS)).outputs
    assert set(alone) == {"depth", "flow", "independent_flow", "motion"} and (alone["motion"].array[rows] > 0.9).all()


def test_outputs_of_several_parts_say_which(see, model):
    """Each is there with all of its parts, and absent without any one of them."""
    tensors = {"segmentation": ("class_logits", "mask_logits")}
    see(frame(0))
    with torch.inference_mode():
        outputs = dict(model(**see.processor.encode([frame(STEP_NS)])))
    for name, parts in see.processor.made_of.items():
        assert name in see.processor.decode(outputs, frame(STEP_NS)).outputs
        for part in parts:
            rest = {one: value for one, value in outputs.items() if one not in tensors.get(part, (part,))}
            assert name not in see.processor.decode(rest, frame(STEP_NS)).outputs, part


def test_a_frame_that_was_not_decoded_is_no_frame_before(see):
    see(frame(0))
    see.processor.encode([frame(STEP_NS)])
    with torch.inference_mode():
        inputs = see.processor.encode([frame(2 * STEP_NS)])
    assert see.processor._given[2] == pytest.approx(0.2) and inputs["before_1"].abs().sum() > 0  # the one at 0 s


def test_cached_features_give_what_both_pictures_give(see, model):
    first, second = frame(0, 1), frame(STEP_NS, 2)
    see(first)
    found = see(second)
    processor = see.processor
    inputs = processor.encode([second])
    inputs |= {"before": processor.encode([first])["image"], **{name: torch.zeros(1, 0) for name in inputs if name.startswith("before_")}}
    with torch.inference_mode():
        flow = model(**inputs)["flow"][0].permute(1, 2, 0).numpy()
    assert np.allclose(found.outputs["flow"].array[TINY.cut_top:TINY.cut_top + 32], flow, atol=1e-4)


@pytest.mark.parametrize("image, words", [
    (np.zeros((48, 64), np.uint8), "RGB uint8"), (np.zeros((48, 64, 3), np.uint16), "uint16"), (np.zeros((32, 64, 3), np.uint8), "64x48")])
def test_wrong_pictures_are_refused(see, image, words):
    with pytest.raises(SensorError, match=words):
        see(frame(images={"front": image}))


def test_no_picture_and_another_camera_are_refused(see):
    with pytest.raises(SensorError, match="front"):
        see(frame(images={}))
    with pytest.raises(SensorError, match="field of view of 100 degrees.*60"):
        see(frame(calibrations={"front": replace(TINY.camera, fov_deg=60.0)}))


def test_a_black_picture_gives_finite_numbers(see):
    found = see(frame(images={"front": np.zeros((48, 64, 3), np.uint8)}))
    assert np.isfinite(found.outputs["depth"].array[TINY.cut_top:TINY.cut_top + 32]).all()


def test_ego_motion_by_hand(see, model):
    """One metre forward and a turn of 0.02 rad to the left in 0.1 s."""
    from kd_planner_ros.networks.unified_encoder.geometry import pose_of

    turn, c, s = 0.02, np.cos(0.02), np.sin(0.02)
    place = [[c, 0.0, -s, 0.0], [0.0, 1.0, 0.0, 0.0], [s, 0.0, c, 1.0], [0.0, 0.0, 0.0, 1.0]]  # of the target's camera in the source's
    see(frame(0))
    second = frame(STEP_NS, 1)
    with torch.inference_mode():
        outputs = model(**see.processor.encode([second])) | {"pose": pose_of(torch.tensor([place]))}
        scalars = see.processor.decode(outputs, second).scalars
    assert scalars["forward_mps"] == pytest.approx(10.0, abs=1e-4) and scalars["left_mps"] == pytest.approx(0.0, abs=1e-4)
    assert scalars["yaw_rate_rps"] == pytest.approx(turn / 0.1, abs=1e-4)


def test_a_network_without_metres_takes_them_from_the_ground(model):
    """The depth of a flat ground at half of its size is doubled; without a plane depth, flow and velocity are unknown."""
    config = replace(TINY, metric=False)
    processor, top = build_processor(config), TINY.cut_top
    inverse = np.linalg.inv(config.intrinsics)
    rays = inverse @ np.stack([*np.meshgrid(np.arange(64), np.arange(32)), np.ones((32, 64))]).reshape(3, -1)
    ground = (config.camera_z_m / np.clip(rays[1], 1e-3, None)).clip(max=90.0).reshape(1, 32, 64).astype(np.float32)
    rough = np.random.default_rng(0).uniform(1.0, 90.0, ground.shape).astype(np.float32)

    def look(stamp, depth):
        one = frame(stamp)
        with torch.inference_mode():
            return processor.decode(model(**processor.encode([one])) | {"depth": torch.from_numpy(depth)}, one)

    look(0, ground)
    seen = look(STEP_NS, 0.5 * ground)
    assert seen.scalars["scale"] == pytest.approx(2.0, rel=0.02) and np.isfinite(seen.scalars["forward_mps"])
    assert seen.scalars["plane_inliers"] > 0.9
    assert np.allclose(seen.outputs["depth"].array[top:top + 32], ground[0], rtol=0.02) and seen.outputs["depth"].raw is None
    seen = look(2 * STEP_NS, rough)
    assert np.isnan(seen.scalars["forward_mps"]) and seen.scalars["motion_ready"] == 1.0 and seen.scalars["plane_inliers"] < 0.5
    assert np.isnan(seen.outputs["depth"].array).all() and np.isnan(seen.outputs["flow"].array).all()
    assert set(seen.unknown) == {"depth", "flow", "independent_flow", "forward_mps", "left_mps", "up_mps"}
    assert "flat ground" in seen.unknown["depth"]
    assert np.array_equal(seen.outputs["depth"].raw[top:top + 32], rough[0]), "for figures that forgive the scale"


def segments():
    """Four queries on 4x4: a stuff class on the left half twice, a thing at the right top, a thing of low score."""
    classes = torch.full((4, 3), -9.0)
    classes[0, 0], classes[1, 0], classes[2, 1], classes[3, 1] = 9.0, 9.0, 9.0, 0.0
    classes[3, 2] = 0.0
    masks = torch.full((4, 4, 4), -9.0)
    masks[0, :2, :2], masks[1, 2:, :2], masks[2, :2, 2:], masks[3, 2:, 2:] = 9.0, 9.0, 9.0, 9.0
    return classes, masks


def test_panoptic_by_hand():
    """Stuff of one class is one segment, the thing has its own number, the unsure query is no segment."""
    ids, _ = cut(*segments(), np.array([False, True]))
    wanted = np.zeros((4, 4), np.int32)
    wanted[:, :2], wanted[:2, 2:] = PER_CLASS, 2 * PER_CLASS
    assert (ids == wanted).all()
    assert (instances_of(ids, np.array([False, True])) == np.where(wanted == 2 * PER_CLASS, wanted, 0)).all()


def test_instance_masks_overlap_and_have_the_scores_of_class_and_mask():
    classes, masks = segments()
    masks[3, :2, 2:] = 3.0  # the unsure query covers the thing too
    found = instance_masks(classes, masks, np.array([False, True]))
    assert found.of.tolist()[:2] == [2, 3] and found.classes.tolist() == [1, 1, 1, 1]
    chance, inside = classes.softmax(-1), masks.sigmoid()
    mean = (4 * inside[3, 2, 2] + 4 * inside[3, 0, 2]) / 8
    assert found.scores[:2] == pytest.approx([float(chance[2, 1] * inside[2, 0, 2]), float(chance[3, 1] * mean)])
    assert (found.masks[3] & found.masks[2]).sum() == 4 and found.masks[3].sum() == 8
    assert instance_masks(classes, masks, np.array([False, True]), most=3).of.tolist() == [2]
    masks[2] = -9.0
    assert instance_masks(classes, masks, np.array([False, True])).of.tolist()[:1] == [3]


def test_a_segment_that_is_mostly_covered_is_dropped():
    classes, masks = segments()
    masks[1] = masks[0] * 0.5  # the same place, less sure
    masks[1, 3, 3] = 9.0
    ids, _ = cut(classes, masks, np.array([True, True]))
    assert ids[3, 3] == 0 and set(np.unique(ids)) == {0, PER_CLASS, 2 * PER_CLASS}


def test_semantic_scores_weigh_masks_with_classes():
    classes, masks = segments()
    scores = semantic(classes[None], masks[None])[0]
    assert scores.shape == (2, 4, 4) and (scores.argmax(0)[:, :2] == 0).all() and (scores.argmax(0)[:2, 2:] == 1).all()
