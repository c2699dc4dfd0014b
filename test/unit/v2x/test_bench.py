"""What the gateway is measured with is honest traffic: nothing of it is refused, whenever the measurement begins."""

from kd_planner_ros.v2x.bench import bench_stream


def test_walkers_who_start_again_after_a_minute_are_others():
    found = bench_stream(1, 62)
    assert found["messages"] == 62 * 12 and found["refused"] == 0
