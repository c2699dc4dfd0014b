"""What sensors a recording takes, and the table of sizes for inputs that the paper does not have."""

from kd_planner_ros.cli.main import main
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.record.drive_route import recording_facts
from kd_planner_ros.record.jobs import RecordConfig, plan_jobs, recording_rig
from kd_planner_ros.world.maps import load_map


def test_the_light_may_be_labelled_as_plankds_collector_did(tmp_path):
    for legacy in (False, True):
        config = RecordConfig(out=tmp_path, count=1, legacy_light=legacy)
        (job,), _ = plan_jobs(config, load_map("default"))
        assert job.legacy_light is legacy
        assert recording_facts(job, recording_rig(config))["legacy_light"] == str(legacy).lower()


def test_a_recording_notes_what_its_rig_leaves_out(tmp_path):
    def noted(config):
        (job,), _ = plan_jobs(config, load_map("default"))
        return {name: text for name, text in recording_facts(job, recording_rig(config)).items() if name in ("left_out", "labelled")}

    shared = noted(RecordConfig(out=tmp_path, count=1, rig="shared", labels=("all",)))
    own = noted(RecordConfig(out=tmp_path, count=1))
    assert shared == {"left_out": "LiDAR: record it with --network interfuser; labels of the cameras left, right", "labelled": "front"}
    assert own == {}  # all that the network asks for is recorded


def test_a_seldom_recorded_lidar_covers_what_it_covers_when_driving(tmp_path):
    rig = recording_rig(RecordConfig(out=tmp_path, network="interfuser", fps=2))
    driven = find_network("interfuser").configurations[0].rig
    assert [(lidar.every_s, lidar.period_s) for lidar in rig.lidars] == [(0.5, driven.lidars[0].period_s)]
    assert {camera.period_s for camera in rig.cameras} == {0.5}


def test_sizes_for_another_input_have_no_figures_of_the_paper(capsys):
    assert main(["models", "params", "tcp", "--tcp.input-height", "128", "--tcp.input-width", "448"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "7,599,073" in lines[3] and lines[3].split().count("-") == 2
