"""InterFuser's processor: views, histogram, half turns of the LiDAR, decoding, and every refusal."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.networks.interfuser import bev
from kd_planner_ros.networks.interfuser.config import SMALL_INPUTS, InterFuserConfig
from kd_planner_ros.networks.interfuser.processor import InterFuserProcessor, path_times

torch.set_num_threads(1)
CONFIG = InterFuserConfig(size="3.8m")


@pytest.fixture()
def processor():
    return InterFuserProcessor(CONFIG)


def pictures(**changed):
    sizes = {"front": (600, 800), "left": (300, 400), "right": (300, 400)}
    return {name: np.full((*size, 3), 90, np.uint8) for name, size in sizes.items()} | changed


def around(forward, left, up):
    """One point of base-like axes at the sensor, in the frame of a sensor turned a quarter to the left."""
    return [left, -forward, up, 1.0]


def cloud(*points):
    return np.array([around(*point) for point in points], np.float32).reshape(-1, 4)


def frame(stamp=5, points=((10.0, 0.0, 0.0),), target=(20.0, 3.0), command=Command.LEFT, speed=6.0, images=None):
    return Frame(stamp, EgoState(stamp, Pose(), speed), NavigationGoal(np.array(target), command),
                 pictures() if images is None else images, {"lidar": cloud(*points)})


def test_measurements_and_target_by_hand(processor):
    """6 m/s as it is; LEFT is the first command; 20 m ahead and 3 m left is (-3, -20) in frame P."""
    inputs = processor.encode([frame(), frame(command=Command.VOID)])
    assert inputs["measurements"].tolist() == [[1, 0, 0, 0, 0, 0, 6.0], [0, 0, 0, 1, 0, 0, 6.0]]
    assert inputs["target_point"][0].tolist() == [-3.0, -20.0]
    assert {name: tuple(inputs[name].shape) for name in ("front", "left", "focus", "lidar")} == {
        "front": (2, 3, 224, 224), "left": (2, 3, 128, 128), "focus": (2, 3, 128, 128), "lidar": (2, 3, 224, 224)}


def test_views_are_the_middle_of_the_scaled_pictures(processor):
    """800 x 600 becomes 341 x 256; of it columns 58 to 282 are kept, hence 136 to 660 of the camera's."""
    image = np.zeros((600, 800, 3), np.uint8)
    image[:, :400] = 200
    views = processor.views(pictures(front=image))
    assert {name: view.shape for name, view in views.items()} == {
        "front": (224, 224, 3), "left": (128, 128, 3), "right": (128, 128, 3), "focus": (128, 128, 3)}
    assert views["front"][:, :110].min() == 200 and views["front"][:, 115:].max() == 0  # 400 / 800 * 341 - 58 = 112.5
    assert views["focus"][:, :64].min() == 200 and views["focus"][:, 64:].max() == 0


def test_focus_is_unscaled(processor):
    image = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    assert np.array_equal(processor.views(pictures(front=image))["focus"], image[236:364, 336:464])


def test_recorded_and_driven_sizes_show_the_same(processor):
    """Side cameras are recorded at 800 x 600 and driven at 400 x 300."""
    ramp = np.tile(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], (600, 1, 3))
    large, small = (processor.views(pictures(left=image))["left"] for image in (ramp, ramp[::2, ::2]))
    assert np.abs(large.astype(int) - small.astype(int)).max() <= 2


def test_small_inputs_keep_the_field_of_view():
    small = InterFuserProcessor(InterFuserConfig(size="3.8m", **SMALL_INPUTS))
    image = np.zeros((300, 400, 3), np.uint8)
    image[:, :200] = 200
    view = small.views({"front": image, "left": image[:150, :200], "right": image[:150, :200]})
    assert view["front"].shape == (128, 128, 3) and view["focus"].shape == (64, 64, 3)
    assert view["front"][:, :62].min() == 200 and view["front"][:, 67:].max() == 0


def test_synthetic_point_falls_where_it_should(processor):
    """14.06 m ahead, 0.4 m to the left, on the ground: 28.4 / 57 * 224 = 111.6 and (28 - 14.06) / 28 * 224 = 111.5."""
    counts = processor.lidar_counts(cloud((14.06, 0.4, -2.5)))
    assert np.argwhere(counts).tolist() == [[0, 111, 111]]
    above = processor.lidar_counts(cloud((14.06, 0.4, -1.9)))
    assert np.argwhere(above).tolist() == [[1, 111, 111]]
    flipped = InterFuserProcessor(replace(CONFIG, lidar_flip=True)).lidar_counts(cloud((14.06, 0.4, -2.5)))
    assert np.argwhere(flipped).tolist() == [[0, 108, 111]]  # (-0.4 + 28) / 57 * 224 = 108.5


def test_histogram_equals_numpys():
    rng = np.random.default_rng(0)
    points = rng.uniform((-5, -35, -3), (35, 35, 3), (20_000, 3))
    edges = np.linspace(-28.0, 29.0, 225), np.linspace(-28.0, 0.0, 225)
    for channel, part in enumerate((points[points[:, 2] <= -2.0], points[points[:, 2] > -2.0])):
        wanted = np.minimum(np.histogram2d(part[:, 1], -part[:, 0], edges)[0], 5)
        assert np.array_equal(bev.counts(points, CONFIG)[channel], wanted)


def test_histogram_channels_cap_and_bad_values(processor):
    """Seven points in one cell count as five; the third channel is the sum; NaN and infinity fall nowhere."""
    points = [(10.0, 0.0, -2.5)] * 7 + [(10.0, 0.0, 0.0)] * 2 + [(math.nan, 0.0, 0.0), (10.0, math.inf, 0.0),
                                                                (10.0, 0.0, math.nan), (-3.0, 0.0, 0.0)]
    tensor = processor.lidar_tensor(processor.lidar_counts(cloud(*points))[None])[0]
    where = tensor[2].nonzero().tolist()
    assert len(where) == 1
    assert tensor[:, where[0][0], where[0][1]].tolist() == pytest.approx([1.0, 0.4, 1.4])
    assert processor.lidar_counts(np.zeros((0, 4), np.float32)).max() == 0


def test_rear_half_turns_give_way_to_the_last_front_half(processor):
    front, rear = ((12.0, 1.0, 0.0),) * 5, ((-12.0, 1.0, 0.0),) * 5
    shown = processor.encode([frame(0, front)])["lidar"]
    assert shown.max() > 0.0
    assert torch.equal(processor.encode([frame(50_000_000, rear)])["lidar"], shown)
    assert processor.encode([frame(250_000_000, rear)])["lidar"].max() == 0.0  # too old to stand in
    processor.encode([frame(300_000_000, front)])
    assert processor.encode([frame(0, rear)])["lidar"].max() == 0.0  # time was set back
    processor.encode([frame(300_000_000, front)])
    processor.reset()
    assert processor.encode([frame(350_000_000, rear)])["lidar"].max() == 0.0


def test_a_whole_turn_is_as_good_as_its_front_half(processor):
    front = [(12.0, y, 0.0) for y in (-3.0, 0.0, 3.0)]
    whole = front + [(-12.0, y, 0.0) for y in (-3.0, 0.0, 3.0)]
    assert np.array_equal(processor.lidar_counts(cloud(*front)), processor.lidar_counts(cloud(*whole)))


@pytest.mark.parametrize("images, words", [
    ({"front": np.zeros((256, 900, 3), np.uint8)}, "900x256"), ({"left": np.zeros((300, 400), np.uint8)}, "'left'"),
    ({"right": np.zeros((300, 400, 3), np.float32)}, "float32"), ({"front": np.zeros((12, 16, 3), np.uint8)}, "16x12")])
def test_wrong_pictures_are_refused(processor, images, words):
    with pytest.raises(SensorError, match=words):
        processor.encode([frame(images=pictures(**images))])


def test_missing_sensors_are_named(processor):
    with pytest.raises(SensorError, match="'right'.*front"):
        processor.encode([frame(images={k: v for k, v in pictures().items() if k != "right"})])
    with pytest.raises(SensorError, match="LiDAR 'lidar'"):
        processor.encode([replace(frame(), clouds={})])
    with pytest.raises(SensorError, match=r"\[3\]"):
        processor.encode([replace(frame(), clouds={"lidar": np.zeros(3, np.float32)})])
    with pytest.raises(SensorError, match="finite"):
        processor.encode([frame(speed=math.nan)])


def outputs(points=None, cells=(), junction=(0.0, 0.0), light=(0.0, 0.0), stop=(0.0, 0.0)):
    points = [(0.1 * t, -3.0 - t) for t in range(10)] if points is None else points
    grid = torch.zeros(1, 400, 7)
    for row, column, values in cells:
        grid[0, 20 * row + column] = torch.tensor(values)
    return {"waypoints": torch.tensor([points], dtype=torch.float32), "traffic_map": grid,
            **{name: torch.tensor([logits]) for name, logits in (("junction", junction), ("light", light), ("stop", stop))}}


def test_decoded_path_is_in_base_link(processor):
    """(0.1, -4) in frame P is 4 m ahead and 0.1 m to the right."""
    plan = processor.decode(outputs(), frame(stamp=7))
    assert plan.trajectory.points[:2] == pytest.approx(np.array([[3.0, 0.0], [4.0, -0.1]]))
    assert plan.stamp_ns == plan.trajectory.stamp_ns == 7 and plan.follow == "safety" and plan.control is None
    assert (np.diff(plan.trajectory.times_s) > 0.0).all() and len(plan.detections) == 0


def test_times_are_those_of_driving_on():
    points = np.array([[2.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    assert path_times(points, 4.0) == pytest.approx([0.5, 1.0, 1.001])
    assert path_times(points, 0.0)[0] == pytest.approx(1.0) and path_times(points, 30.0)[0] == pytest.approx(0.4)


def test_decoded_road_user_by_hand(processor):
    """Cell (7, 12): 10.5 m ahead, 2.5 m right; 0.7 m further right and 0.35 m ahead; heading as the car (3/4 turn)."""
    plan = processor.decode(outputs(cells=[(7, 12, (0.95, 0.2, 0.1, 0.75, 0.7, 0.5, 0.5))]), frame())
    (seen,) = plan.detections.rows
    assert seen["kind"] == ActorKind.CAR and (seen["length"], seen["width"]) == pytest.approx((4.9, 2.0))
    assert (seen["x"], seen["y"], seen["yaw"]) == pytest.approx((10.85, -3.2, 0.0), abs=1e-6)
    assert (seen["vx"], seen["vy"], seen["probability"]) == pytest.approx((4.0, 0.0, 0.95), abs=1e-6)


def test_decoded_heading_to_the_left_is_a_quarter_turn(processor):
    """Half a turn of frame P points along -x there: to the left, +90 degrees in base_link."""
    plan = processor.decode(outputs(cells=[(7, 12, (0.95, 0.0, 0.0, 0.5, 0.7, 0.5, 0.5))]), frame())
    assert plan.detections.rows[0]["yaw"] == pytest.approx(math.pi / 2)


def test_decoded_rules(processor):
    """Class 0 is: no junction, red, no stop sign."""
    high = math.log(9.0)
    notes = processor.decode(outputs(junction=(0.0, high), light=(high, 0.0), stop=(high, 0.0)), frame()).notes
    assert notes == pytest.approx({"p_junction": 0.9, "p_red": 0.9, "p_stop": 0.1})


def test_nan_outputs_reach_the_plan(processor):
    plan = processor.decode(outputs(points=[(math.nan, 0.0)] * 10, light=(math.nan, 0.0)), frame())
    assert np.isnan(plan.trajectory.points).any() and math.isnan(plan.notes["p_red"])


def test_targets_and_decode_are_inverse(processor):
    path = np.stack([np.linspace(3, 12, 10), np.linspace(0, 2, 10)], axis=1)
    path[8:] = np.nan
    targets = processor.targets(path[None], np.zeros((1, 400, 7)), np.array([[1, 0, -1]]))
    assert targets["waypoints_mask"].tolist() == [[True] * 8 + [False] * 2]
    assert targets["waypoints"].isfinite().all()
    back = processor.decode(outputs(points=targets["waypoints"][0].tolist()), frame()).trajectory.points
    assert back[:8] == pytest.approx(path[:8], abs=1e-6)
    assert [int(targets[name]) for name in ("junction", "light", "stop")] == [1, 0, -1]
