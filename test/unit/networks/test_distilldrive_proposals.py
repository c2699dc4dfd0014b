"""First boxes of road users that come from the pictures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import noise

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.distilldrive.config import KINDS, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.heat import zoom
from kd_planner_ros.networks.distilldrive.model import build_model, example_inputs
from kd_planner_ros.networks.distilldrive.options import TrainOptions
from kd_planner_ros.networks.distilldrive.processor import build_processor, projection
from kd_planner_ros.networks.distilldrive.proposals import USUAL_SIZE_M, Proposals, lifted
from kd_planner_ros.networks.distilldrive.reframe import ZOOM, reframed
from kd_planner_ros.networks.distilldrive.training import build_task

CONFIG = DistillDriveConfig()
CAMERAS = torch.from_numpy(np.stack([projection(spec, CONFIG) for spec in CONFIG.camera_specs]))[None]
ROWS, COLUMNS = 16, 44


class Told(torch.nn.Module):
    """A heat head that sees what it is told."""

    def __init__(self, *users):
        super().__init__()
        self.users = users

    def forward(self, maps):
        logits, depths = torch.full((1, 3, len(KINDS), ROWS, COLUMNS), -9.0), torch.zeros(1, 3, ROWS, COLUMNS)
        for camera, kind, row, column, depth, sure in self.users:
            logits[0, camera, kind, row, column], depths[0, camera, row, column] = sure, math.log(depth)
        return logits, depths


def proposals(*users, count=4):
    torch.manual_seed(0)
    module = Proposals(CONFIG.spec, count)
    module.heat = Told(*users)
    return module


def found(module, seen=(True, True, True)):
    return module(torch.randn(1, 3, CONFIG.spec.width, ROWS, COLUMNS), CAMERAS, torch.tensor([seen]))


@settings(deadline=None)
@given(camera=st.integers(0, 2), x=st.floats(3.0, 60.0), y=st.floats(-20.0, 20.0), z=st.floats(-1.0, 4.0))
def test_a_point_comes_back_from_its_picture_and_its_depth(camera, x, y, z):
    shown = CAMERAS[0, camera] @ torch.tensor([x, y, z, 1.0])
    if float(shown[2]) < 1.0:
        return
    point = lifted((shown[:2] / shown[2])[None], shown[2:], CAMERAS[0, camera][None])
    assert point[0].tolist() == pytest.approx([x, y, z], abs=0.02)


def test_boxes_begin_where_the_heat_is_with_the_size_of_their_kind():
    module = proposals((0, 5, 8, 22, 20.0, 3.0), (1, 0, 8, 22, 10.0, 2.0))
    contents, boxes = found(module)
    assert contents.shape == (1, 4, CONFIG.spec.width) and boxes.shape == (1, 4, 10)
    walker, car = boxes[0, 0], boxes[0, 1]
    assert walker[:2].tolist() == pytest.approx([CONFIG.camera_x_m + 20.0, 0.0], abs=0.6), "within half a cell"
    assert walker[3:6].exp().tolist() == pytest.approx(USUAL_SIZE_M[5]) and car[3:6].exp().tolist() == pytest.approx(USUAL_SIZE_M[0])
    angle = math.atan2(float(car[1]), float(car[0]) - CONFIG.camera_x_m)
    assert math.degrees(angle) == pytest.approx(60.0, abs=2.0), "the left camera looks 60 degrees to the left"
    assert walker[6:].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_what_is_as_large_in_a_zoomed_picture_is_further_away():
    assert zoom(CAMERAS).tolist()[0] == pytest.approx([1.0] * 3, abs=0.01) and float(zoom(torch.zeros(3, 4))) == pytest.approx(0.01)
    pictures, many = np.zeros((200, 64, 176, 3), np.uint8), CAMERAS[0, :1].expand(200, -1, -1).numpy()
    zooms = zoom(torch.from_numpy(reframed(pictures, many, np.random.default_rng(0))[1]))
    assert (float(zooms.min()), float(zooms.max())) == pytest.approx(ZOOM, abs=0.02), "a turn and a shift change nothing"
    module, closer = proposals((0, 0, 8, 22, 20.0, 3.0)), CAMERAS.clone()
    closer[0, 0, 0] = 1.2 * (CAMERAS[0, 0, 0] - 0.5 * CAMERAS[0, 0, 2]) + 0.5 * CAMERAS[0, 0, 2]
    maps = torch.randn(1, 3, CONFIG.spec.width, ROWS, COLUMNS)
    usual, zoomed = (module(maps, one, torch.ones(1, 3, dtype=torch.bool))[1][0, 0, 0] - CONFIG.camera_x_m for one in (CAMERAS, closer))
    assert float(zoomed) == pytest.approx(1.2 * float(usual), rel=1e-3)


def test_neighbouring_cells_give_one_box_and_a_camera_without_picture_none():
    users = (0, 0, 8, 22, 20.0, 3.0), (0, 0, 8, 23, 20.0, 2.9), (2, 0, 8, 10, 5.0, 8.0)
    all_seen, one_blind = (found(proposals(*users, count=2), (True, True, seen))[1][0] for seen in (True, False))
    right = all_seen[0, :2]
    assert math.degrees(math.atan2(float(right[1]), float(right[0]) - CONFIG.camera_x_m)) < -20.0, "the surest one, of the right camera"
    ahead = torch.tensor([CONFIG.camera_x_m + 20.0, -20.0 * (0.5 / COLUMNS) * 2.0 * math.tan(math.radians(50.0))])
    for boxes in (all_seen, one_blind):
        assert int(((boxes[:, :2] - ahead).norm(dim=-1) < 1.0).sum()) == 1, "the surer one of two neighbours"
    assert ((one_blind[:, :2] - right).norm(dim=-1) > 1.0).all()


def test_where_maxima_are_few_other_cells_of_cameras_that_see_follow():
    class Hill(Told):
        def forward(self, maps):
            far = torch.cdist(torch.tensor([[8.0, 22.0]]), torch.stack(torch.meshgrid(
                torch.arange(16.0), torch.arange(44.0), indexing="ij"), -1).flatten(0, 1)).view(ROWS, COLUMNS)
            return (-far).expand(1, 3, len(KINDS), ROWS, COLUMNS), torch.full((1, 3, ROWS, COLUMNS), math.log(10.0))

    module = proposals(count=12)
    module.heat = Hill()
    boxes = found(module, seen=(False, True, False))[1][0]
    angles = torch.atan2(boxes[:, 1], boxes[:, 0] - CONFIG.camera_x_m).rad2deg()
    assert ((angles > 45.0) & (angles < 75.0)).all() and len(boxes.unique(dim=0)) == 12


def test_an_unknown_camera_gives_no_place_and_nothing_infinite():
    module = proposals((0, 0, 8, 22, 20.0, 3.0))
    maps = torch.randn(1, 3, CONFIG.spec.width, ROWS, COLUMNS)
    contents, boxes = module(maps, torch.zeros(1, 3, 3, 4), torch.ones(1, 3, dtype=torch.bool))
    assert boxes[..., :3].abs().max() == 0.0 and contents.isfinite().all()


def test_the_loss_of_the_heat_teaches_the_networks_own_map_and_boxes_bring_it_no_gradient():
    config = DistillDriveConfig()
    torch.manual_seed(0)
    model = build_model(config)
    task = build_task(build_processor(config))
    assert "heat" not in task.modules(model)
    outputs = model(**noise(example_inputs(config)))
    assert outputs["agent_anchors_0"].shape[1] == config.spec.agents + config.proposals
    assert outputs["boxes"].shape[1] == config.spec.agents
    own = model.agents.kind.proposals
    outputs["boxes"].sum().backward(retain_graph=True)
    assert all(one.grad is None for one in own.heat.parameters()) and own.lift.weight.grad.abs().sum() > 0
    model.zero_grad(set_to_none=True)
    boxes = torch.zeros(1, 1, 10)
    boxes[0, 0, :2] = torch.tensor([20.0, 0.0])
    targets = {"boxes": boxes, "kinds": torch.zeros(1, 1, dtype=torch.long), "shown": torch.ones(1, 1, dtype=torch.bool),
               "projection": CAMERAS, "seen": torch.ones(1, 3)}
    parts = task.parts(outputs, targets, {"heat", "heat_depth"})
    (parts["heat"] + parts["heat_depth"]).backward()
    assert all(one.grad.abs().sum() > 0 for one in own.heat.parameters()) and own.lift.weight.grad is None


def test_without_proposals_the_map_is_not_in_the_network():
    config = DistillDriveConfig(proposals=0)
    model = build_model(config)
    beside = build_task(build_processor(config)).modules(model)
    assert "heat" in beside and not any("proposals" in name for name in model.state_dict())


def test_proposals_need_the_map():
    with pytest.raises(ConfigError, match="--distilldrive.proposals 0"):
        build_task(build_processor(DistillDriveConfig()), TrainOptions(heat=False))
    with pytest.raises(ConfigError, match="proposals from 0 to 48"):
        DistillDriveConfig(proposals=49)
