"""Losses of flow and motion mask against values by hand."""

import pytest
import torch

from kd_planner_ros.networks.unified_encoder.loss import motion_loss, pixel_loss
from kd_planner_ros.networks.unified_encoder.model import SCALES

FOCAL, DEPTH = 20.0, 10.0
INTRINSICS = torch.tensor([[[FOCAL, 0.0, 15.5], [0.0, FOCAL, 7.5], [0.0, 0.0, 1.0]]])


def flows(shift):
    """Outputs whose flow is ``shift`` (metres) everywhere."""
    return {f"flow_{scale}": torch.tensor(shift).view(1, 3, 1, 1).expand(1, 3, 16 >> scale, 32 >> scale) for scale in SCALES}


def truth(shift=(0.0, 0.0, 0.0)):
    moving = torch.zeros(1, 16, 32, dtype=torch.bool)
    moving[:, 4:8, 10:14] = True
    return {"depth": torch.full((1, 16, 32), DEPTH), "flow": torch.tensor(shift).view(1, 3, 1, 1).expand(1, 3, 16, 32),
            "flow_known": torch.ones_like(moving), "moving": moving, "moving_known": torch.ones_like(moving)}


@pytest.mark.parametrize("found, pixels", [((0.25, 0.0, 0.0), 0.5), ((1.0, 0.0, 0.0), 2.0)])
def test_the_flow_counts_in_pixels_of_the_picture_before(found, pixels):
    """x of 0.25 m at 10 m with a focal length of 20 pixels is half a pixel: Huber gives its half square, and 1.5 for two pixels; the mean
    over both components is half of that."""
    huber = 0.5 * pixels ** 2 if pixels < 1.0 else pixels - 0.5
    assert float(pixel_loss(flows(found), truth(), INTRINSICS)) == pytest.approx(huber / 2.0, rel=1e-4)
    assert float(pixel_loss(flows(found), truth(found), INTRINSICS)) == pytest.approx(0.0, abs=1e-6)


def test_an_error_along_the_line_of_sight_costs_little():
    along, across = (float(pixel_loss(flows(shift), truth(), INTRINSICS)) for shift in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0)))
    assert along < 0.1 * across


def test_points_that_come_to_the_camera_count_for_nothing_and_stay_finite():
    outputs = {name: one.clone().requires_grad_() for name, one in flows((0.0, 0.0, -20.0)).items()}
    value = pixel_loss(outputs, truth(), INTRINSICS)
    value.backward()
    assert value.isfinite() and all(one.grad.isfinite().all() for one in outputs.values())
    assert float(pixel_loss(flows((0.0, 0.0, 0.0)), truth((0.0, 0.0, -9.8)), INTRINSICS)) == 0.0


def masks(said, sure=6.0):
    """Outputs whose mask is ``said`` (bool [1, 16, 32])."""
    logits = torch.where(said, sure, -sure)[:, None]
    return {f"motion_{scale}": torch.nn.functional.avg_pool2d(logits, 1 << scale) for scale in SCALES}


def test_the_mask_that_is_right_costs_least():
    """A mask of sixteen times the area found every moving pixel; a balanced cross entropy rates it nearly as well as the right one."""
    wanted = truth()
    large = torch.zeros_like(wanted["moving"])
    large[:, :8] = True
    right, wide, empty = (float(motion_loss(masks(said), wanted))
                          for said in (wanted["moving"], large, torch.zeros_like(large)))
    assert right < 0.5 * empty and right < 0.3 * wide


def test_nothing_moves():
    """The empty mask costs nearly nothing; pixels of which nothing is known count for nothing."""
    wanted = truth() | {"moving": torch.zeros(1, 16, 32, dtype=torch.bool)}
    empty = float(motion_loss(masks(wanted["moving"], 12.0), wanted))
    assert empty < 0.01
    said = torch.zeros_like(wanted["moving"])
    said[:, 4:8, 10:14] = True
    assert float(motion_loss(masks(said, 12.0), wanted)) > 0.5
    assert float(motion_loss(masks(said, 12.0), wanted | {"moving_known": ~said})) < 0.5 * float(motion_loss(masks(said, 12.0), wanted))
