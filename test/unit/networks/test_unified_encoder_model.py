"""The unified encoder: parameters and multiply-accumulates of the table, shapes, one encoder pass a frame, steering heads."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from support.unified import TINY
from torch.utils.flop_counter import FlopCounterMode

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.unified_encoder import segmentation
from kd_planner_ros.networks.unified_encoder.config import CITYSCAPES, VOID, WORLD, UnifiedEncoderConfig, class_of_tag, named, things
from kd_planner_ros.networks.unified_encoder.depth import DepthDecoder, depth_of
from kd_planner_ros.networks.unified_encoder.model import BEFORE, FEATURES, INPUTS, OUTPUTS, build_model, example_inputs, feature_shapes
from kd_planner_ros.networks.unified_encoder.segmentation import TASKS, TextBranch, task_ids, text_ids
from kd_planner_ros.networks.unified_encoder.steering import WINDOW, build_steering
from kd_planner_ros.runtime.params import count_macs, count_parameters

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def full():
    with torch.device("meta"):
        return build_model(UnifiedEncoderConfig(size="full"))


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_model(TINY).eval()


def noise(config, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = example_inputs(config, batch)
    return {name: one if name == "task" else torch.randn(one.shape, generator=generator) for name, one in inputs.items()}


def without_features(inputs):
    """The same call, but with the features of the sources left to the network."""
    return inputs | {name: torch.zeros(len(inputs["before"]), 0) for name in BEFORE}


def test_parameters_of_the_full_size_are_those_of_the_table(full):
    seg = full.segmentation
    parts = {"encoder": full.encoder, "pixels": seg.pixels, "depth": full.depth, "pose": full.pose, "flow": full.flow,
             "motion": full.motion}
    found = {name: count_parameters(part) / 1e6 for name, part in parts.items()}
    found["queries and task"] = (count_parameters(seg.queries) + count_parameters(seg.task)) / 1e6
    with torch.device("meta"):
        found["text"] = count_parameters(TextBranch(UnifiedEncoderConfig(size="full").widths, ())) / 1e6
    assert found == pytest.approx({"encoder": 27.52, "pixels": 5.42, "queries and task": 17.76, "text": 17.54, "depth": 12.91,
                                   "pose": 15.42, "flow": 56.74, "motion": 56.67}, rel=0.01)


def counted(config, model):
    """GMAC of each operation in each part of ``model`` for one frame, on the meta device."""
    model = model.to("meta").eval().requires_grad_(False)
    counter = FlopCounterMode(display=False, depth=3)
    with counter, torch.no_grad():
        model(**{name: one.to("meta") for name, one in example_inputs(config).items()})
    return {name.split(".", 1)[-1]: {str(one): cost / 2e9 for one, cost in costs.items()} for name, costs in counter.flop_counts.items()}


@pytest.mark.slow
def test_operations_of_the_full_size_are_those_of_the_table(full):
    operations = counted(UnifiedEncoderConfig(size="full"), full)
    costs = {name: sum(of.values()) for name, of in operations.items()}
    table = {"encoder": 9.3, "segmentation.pixels": 13.1, "segmentation.queries": 9.4, "depth": 131.4, "pose": 1.3, "flow": 22.3,
             "motion": 22.3}
    products = operations["encoder"]["aten.bmm"]  # of queries with keys and of weights with values: no layer, and not in the table's row
    assert products == pytest.approx(0.33, abs=0.01)
    assert {**{name: costs[name] for name in table}, "encoder": costs["encoder"] - products} == pytest.approx(table, rel=0.01)


def test_the_nano_size_costs_less_than_three_gmac_with_every_decoder():
    config = UnifiedEncoderConfig(size="nano")
    with torch.device("meta"):
        model = build_model(config)
    assert (config.input_height, config.input_width) == (128, 352)
    assert 1.5e9 < count_macs(model, example_inputs(config)) <= 3.0e9
    assert count_parameters(model) * 2 <= 12e6  # bytes in 16 bits


@pytest.mark.parametrize("height, width", [(192, 512), (192, 640), (128, 352)])
def test_shapes(height, width):
    config = UnifiedEncoderConfig(size="tiny", input_height=height, input_width=width)
    with torch.device("meta"):
        model = build_model(config).to("meta").eval()
    inputs = {name: one.to("meta") for name, one in example_inputs(config, 2).items()}
    with torch.no_grad():
        found = model(**inputs)
    assert set(INPUTS) == set(inputs) and set(OUTPUTS) <= set(found)
    assert [tuple(found[name].shape[1:]) for name in FEATURES] == feature_shapes(config)
    assert found["depth"].shape == (2, height, width) and found["flow"].shape == (2, 3, height, width)
    assert found["motion"].shape == (2, height, width) and found["pose"].shape == (2, 6)
    assert found["mask_logits"].shape == (2, 16, height // 4, width // 4) and found["class_logits"].shape == (2, 16, len(WORLD) + 1)
    for scale in range(4):
        size = (height >> scale, width >> scale)
        assert found[f"disparity_{scale}"].shape == (2, 1, *size)
        assert found[f"flow_{scale}"].shape == (2, 3, *size) and found[f"motion_{scale}"].shape == (2, 1, *size)


def test_the_full_size_has_swin_ts_maps():
    """Swin-T on 192x640: 96, 192, 384 and 768 channels at strides 4 to 32, from the published table."""
    config = UnifiedEncoderConfig(size="full", input_height=192, input_width=640)
    with torch.device("meta"):
        model = build_model(config).to("meta").eval()
    with torch.no_grad():
        found = model(**{name: one.to("meta") for name, one in example_inputs(config).items()})
    assert [tuple(found[name].shape) for name in FEATURES] == [(1, 96, 48, 160), (1, 192, 24, 80), (1, 384, 12, 40), (1, 768, 6, 20)]
    assert found["disparity_3"].shape == (1, 1, 24, 80) and found["mask_logits"].shape[-2:] == (48, 160)


def test_features_of_the_frame_before_give_what_two_frames_give(tiny):
    inputs = noise(TINY)
    with torch.no_grad():
        earlier = tiny(**(inputs | {"image": inputs["before"]}))
        cached = tiny(**(inputs | {name: earlier[one] for name, one in zip(BEFORE, FEATURES, strict=True)}))
        whole = tiny(**without_features(inputs))
    for name in OUTPUTS:
        assert torch.allclose(cached[name], whole[name], atol=1e-4, rtol=1e-4), name


def test_several_sources_give_what_each_gives_alone(tiny, monkeypatch):
    """Where the source stands first in each pair."""
    monkeypatch.setattr(tiny, "ordered", False)
    inputs, other = without_features(noise(TINY, 2)), noise(TINY, 2, 1)["image"]
    with torch.no_grad():
        both = tiny(**without_features(inputs | {"before": torch.cat([inputs["before"], other])}))
        first, second = tiny(**inputs), tiny(**(inputs | {"before": other}))
    for name in ("pose", "flow", "motion"):
        assert torch.allclose(both[name], torch.cat([first[name], second[name]]), atol=1e-4, rtol=1e-4), name


def test_depth_begins_in_the_middle_and_is_metric(tiny):
    """A disparity near 0.5 is 0.2 units, so 2 m; the farthest that the bins reach is 91 m."""
    with torch.no_grad():
        depth = tiny(**noise(TINY))["depth"]
    assert 1.0 < float(depth.median()) < 5.0
    assert float(depth_of(torch.tensor(0.01))) == pytest.approx(9.099, abs=0.001)


def test_no_gradient_of_the_flow_reaches_the_pose(tiny):
    """The pose that seeds the flow is detached; the encoder learns from the flow."""
    found = tiny(**without_features(noise(TINY)))
    found["flow"].sum().backward()
    assert all(one.grad is None for one in tiny.pose.parameters())
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in tiny.encoder.parameters())
    tiny.zero_grad(set_to_none=True)


def test_the_order_of_interpolation_and_convolution_changes_nothing():
    torch.manual_seed(0)
    ours, published = (DepthDecoder((8, 16, 32, 64), (16, 16, 12, 8, 8), published=one) for one in (False, True))
    published.load_state_dict(ours.state_dict())
    features = [torch.randn(1, channels, 16 >> level, 24 >> level) for level, channels in enumerate((8, 16, 32, 64))]
    with torch.no_grad():
        for one, other in zip(ours(features), published(features), strict=True):
            assert torch.allclose(one, other, atol=1e-5)


def test_sources_can_be_left_out_of_the_encoders_gradient(tiny):
    """The target's picture still gets one from what is said of the pair."""
    inputs = without_features(noise(TINY))
    shown = {name: inputs[name].clone().requires_grad_() for name in ("image", "before")}
    tiny.learns_from_sources = False
    try:
        tiny(**(inputs | shown))["pose"].sum().backward()
        found = tiny(**inputs)["flow"].detach()
    finally:
        tiny.learns_from_sources = True
    assert shown["image"].grad is not None and shown["before"].grad is None
    assert torch.allclose(found, tiny(**inputs)["flow"], atol=1e-5)
    tiny.zero_grad(set_to_none=True)


def test_autocast_leaves_segmentation_and_pose_in_float32(tiny):
    rounded = set()
    hooks = [module.register_forward_hook(lambda _, __, out, part=name.split(".")[0]: rounded.add((part, out.dtype)))
             for name, module in tiny.named_modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = tiny(**without_features(noise(TINY)))
    for hook in hooks:
        hook.remove()
    assert {part for part, kind in rounded if kind == torch.bfloat16} == {"encoder", "depth", "flow", "motion"}
    assert all(found[name].dtype == torch.float32 for name in ("mask_logits", "class_logits", "pose", "depth"))


def test_encoder_and_decoders_hold_each_weight_once(tiny):
    names = list(tiny.state_dict())
    assert len(names) == len(set(names))
    assert {name.split(".")[0] for name in names} == {"encoder", "segmentation", "depth", "pose", "flow", "motion"}
    assert len({value.data_ptr() for value in tiny.parameters()}) == len(list(tiny.parameters()))


@pytest.mark.parametrize("reading", ["probe", "pooling"])
def test_steering_heads_give_one_angle_a_window(reading):
    torch.manual_seed(0)
    head = build_steering(reading, 24, (2, 3)).eval()
    window = torch.randn(2, WINDOW, 24, 2, 3)
    angle = head(window)
    assert angle.shape == (2,) and not torch.allclose(angle, head(window.flip(1)))  # the order of the pictures counts
    with pytest.raises(ConfigError, match="probe, pooling"):
        build_steering("mean", 24, (2, 3))


def test_steering_heads_have_the_sizes_of_the_paper():
    with torch.device("meta"):
        sizes = [count_parameters(build_steering("probe", 768, (6, 16), small)) / 1e6 for small in (False, True)]
    assert sizes == pytest.approx([7.2, 1.0], rel=0.08)


def test_task_and_text_ids():
    """Three different tasks; in each text the end has the largest id, which the text branch looks for."""
    rows = [task_ids(task, 8) for task in TASKS]
    assert len({tuple(row.tolist()) for row in rows}) == 3
    texts = text_ids([0, 11], "panoptic", 5, 8)
    assert texts.shape == (5, 8) and len(torch.unique(texts, dim=0)) == 3
    assert (texts.gather(1, texts.argmax(1, keepdim=True))[:, 0] == 63).all()


def test_texts_of_the_task_instance_name_road_users_alone(monkeypatch):
    text, named = TextBranch(TINY.widths, (False, True, False)), []
    monkeypatch.setattr(segmentation, "text_ids", lambda classes, task, *a: named.append(list(classes)) or text_ids(classes, task, *a))
    text(torch.randn(3, 16, 64), [[0, 1], [0, 1, 2], [0, 2]], ["panoptic", "instance", "instance"])
    assert named == [[0, 1], [1], []]


def test_contrast_needs_two_samples():
    torch.manual_seed(0)
    text = TextBranch(TINY.widths, (False, False, True, True))
    queries = torch.randn(3, 16, 64)
    assert float(text(queries, [[0], [1, 2], [3]], ["panoptic"] * 3).detach()) > 0.0
    assert float(text(queries[:1], [[0]], ["panoptic"]).detach()) == 0.0


def test_classes_cover_the_tags():
    for classes in (CITYSCAPES, WORLD):
        table = class_of_tag(classes)
        assert set(table[table != VOID]) == set(range(len(classes)))
    table = class_of_tag(WORLD)
    assert (table[1], table[24], table[0]) == (0, 1, VOID)
    assert things(CITYSCAPES).sum() == 8 and [WORLD[i] for i in things(WORLD).nonzero()[0]] == list(WORLD[-3:])
    assert named(CITYSCAPES, "RoadLine").tolist() == [True] + [False] * 18


@pytest.mark.parametrize("fields, words", [
    ({"size": "huge"}, "full, nano"), ({"input_height": 100}, "multiple of 32"), ({"camera_height": 100}, "rows high"),
    ({"metres_per_unit": 0.0}, "metres_per_unit")])
def test_bad_configs_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        UnifiedEncoderConfig(**fields)


@pytest.mark.slow
def test_transformers_is_imported_only_when_a_network_is_built():
    code = ("import sys; from kd_planner_ros.networks.registry import find_network, find_training; "
            "find_network('unified_encoder'); assert 'transformers' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_transformers_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None)
    with pytest.raises(ConfigError, match="pip install transformers"):
        build_model(TINY)
