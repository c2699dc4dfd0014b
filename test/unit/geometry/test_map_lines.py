"""Map lines around a car."""

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.geometry.map_lines import lines_around


def test_lines_are_cut_to_the_range_and_come_nearest_first():
    rows = np.zeros(6, MAP_LINE_DTYPE)
    rows["line"], rows["kind"] = [0, 0, 1, 1, 2, 2], [1, 1, 0, 0, 3, 3]
    rows["x"], rows["y"] = [-100, 100, 0, 100, 0, 0], [13, 13, 9, 9, 500, 600]
    found = lines_around(rows, Pose(x=0.0, y=10.0), 5.0, 3)
    assert found.kinds.tolist() == [0, 1] and found.points.shape == (2, 3, 2)  # 1 m and 3 m away; the third is far
    np.testing.assert_allclose(found.points[0], [[0.0, -1.0], [2.0, -1.0], [4.0, -1.0]], atol=0.6)
    np.testing.assert_allclose(found.points[1], [[-4.0, 3.0], [0.0, 3.0], [4.0, 3.0]], atol=1e-6)
    turned = lines_around(rows, Pose(x=0.0, y=10.0, yaw=np.pi / 2), 5.0, 3)
    np.testing.assert_allclose(turned.points[1], [[3.0, 4.0], [3.0, 0.0], [3.0, -4.0]], atol=1e-6)
    assert len(lines_around(rows[:0], Pose(), 5.0, 3)) == 0
