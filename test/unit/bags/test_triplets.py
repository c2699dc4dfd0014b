"""Triplets of small files in the true layouts of KITTI's raw data and of Cityscapes' snippets."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.datasets import DRIVE, HEIGHT, PROJECTION, WIDTH, noise, write_kitti, write_png

from kd_planner_ros.bags.kitti import read_split
from kd_planner_ros.bags.triplets import CityscapesTriplets, KittiTriplets, read_static, triplets
from kd_planner_ros.core.errors import BagError


def listed(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_kittis_list_gives_targets_with_both_neighbours_and_without_standing_frames(tmp_path):
    folder = write_kitti(tmp_path / "kitti", frames=(0, 1, 2, 3, 4, 7, 8, 9), scans=())
    split = listed(tmp_path / "train_files.txt", *(f"{DRIVE} {number} l" for number in (1, 2, 3, 4, 7, 8)), f"{DRIVE} 2 r")
    static = listed(tmp_path / "static_frames.txt", f"2011_09_26 {DRIVE.split('/')[1]} 0000000003", "")
    found = KittiTriplets(folder, split, static)
    assert [frame.number for frame in found.frames] == [1, 2, 8] and found.left_out == {
        "the car stands": 1, "picture or neighbour missing": 3}  # 4 and 7 lack a neighbour, the right camera all
    one = found[1]
    assert (one.sequence, one.name, one.step_s) == (DRIVE.split("/")[1], "0000000002", 0.1)
    assert one.pictures.shape == (3, HEIGHT, WIDTH, 3) and all((one.pictures[n] == noise(HEIGHT, WIDTH, 1 + n)).all() for n in range(3))
    np.testing.assert_allclose(one.intrinsics, PROJECTION[:, :3])
    assert found.runs() == [[0, 1], [2]] and len(list(triplets(found))) == 3
    assert len(KittiTriplets(folder, split)) == 4, "without the list nobody stands"


@pytest.mark.parametrize("line, words", [("2011_09_26 drive", "'DATE DRIVE NUMBER' in line 1 of"), ("a b c", "'DATE DRIVE NUMBER'")])
def test_a_list_of_standing_frames_of_another_form_is_refused(tmp_path, line, words):
    folder = write_kitti(tmp_path / "kitti", frames=(0, 1, 2), scans=())
    split = listed(tmp_path / "files.txt", f"{DRIVE} 1 l")
    with pytest.raises(BagError, match=words):
        KittiTriplets(folder, split, listed(tmp_path / "static.txt", line))


@given(st.binary(max_size=60) | st.text("0123456789 _a2drivesync\n/lr\u00b2\u0663", max_size=80).map(str.encode))
def test_lists_of_any_content_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "list.txt"
    path.write_bytes(content)
    for read, kind in ((read_static, frozenset), (read_split, list)):
        try:
            assert isinstance(read(path), kind)
        except BagError as error:
            assert "list.txt" in str(error) and "\n" not in str(error)


def test_what_is_not_there_is_named(tmp_path):
    folder = write_kitti(tmp_path / "kitti", frames=(0, 5), scans=())
    split = listed(tmp_path / "files.txt", f"{DRIVE} 5 l")
    with pytest.raises(BagError, match="with the pictures before and after them; got 1 picture or neighbour missing"):
        KittiTriplets(folder, split)
    with pytest.raises(BagError, match="static_frames.txt"):
        KittiTriplets(folder, split, tmp_path / "none.txt")
    for make in (lambda: KittiTriplets(tmp_path / "none", split), lambda: CityscapesTriplets(tmp_path), lambda: CityscapesTriplets(
            tmp_path, "training")):
        with pytest.raises(BagError):
            make()


def snippet(folder, name, numbers, size=(32, 64)):
    for number in numbers:
        write_png(folder / "leftImg8bit_sequence" / "train" / name.split("_")[0] / f"{name}_{number:06d}_leftImg8bit.png",
                  noise(*size, number))


def test_cityscapes_sources_are_two_pictures_away_within_the_snippet_and_the_bonnet_is_cut_off(tmp_path):
    snippet(tmp_path, "aachen_000000", range(10, 20))
    snippet(tmp_path, "aachen_000001", range(20, 24))  # too short for a triplet
    path = tmp_path / "camera" / "train" / "aachen" / "aachen_000000_000019_camera.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 70.0, "fy": 71.0, "u0": 31.5, "v0": 15.5}}))
    found = CityscapesTriplets(tmp_path)
    assert [number for _, number in found.targets] == [*range(12, 18)] and found.left_out == {"at an end of its snippet": 8}
    one = found[3]
    assert (one.sequence, one.name) == ("aachen_000000", "000015") and one.step_s == pytest.approx(2 / 17)
    assert one.pictures.shape == (3, 24, 64, 3) and all((one.pictures[n] == noise(32, 64, 13 + 2 * n)[:24]).all() for n in range(3))
    assert one.intrinsics[1].tolist() == [0.0, 71.0, 15.5]
    assert sorted(map(tuple, found.runs())) == [(0, 2, 4), (1, 3, 5)]
    for broken in ("{}", "{", '{"intrinsic": {"fx": 1, "fy": 1, "u0": 1}}', '{"intrinsic": {"fx": NaN, "fy": 1, "u0": 1, "v0": 1}}'):
        path.write_text(broken)
        with pytest.raises(BagError, match="fx, fy, u0 and v0 under 'intrinsic' in"):
            found[0]
    path.unlink()
    assert found[0].intrinsics[0, 0] == pytest.approx(2262.52 * 64 / 2048), "the usual camera where its file was not fetched"


def test_pictures_of_different_sizes_in_a_snippet_are_refused(tmp_path):
    snippet(tmp_path, "aachen_000000", (0, 2))
    snippet(tmp_path, "aachen_000000", (4,), (16, 64))
    with pytest.raises(BagError, match="one size in snippet aachen_000000; got 64x32, 64x32, 64x16"):
        CityscapesTriplets(tmp_path)[0]
