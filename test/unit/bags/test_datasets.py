"""KITTI and Cityscapes from small files in the true layouts: what is read, what is left out, and what is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from support.datasets import DAY, DRIVE, HEIGHT, LIDAR, PROJECTION, WIDTH, noise, write_cityscapes, write_kitti, write_png

from kd_planner_ros.bags.cityscapes import VOID, Cityscapes, depth_of, intrinsics_of, tags_of
from kd_planner_ros.bags.kitti import GARG, Kitti, KittiFrame, garg_crop, read_scan, read_split
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.imaging.palette import TAGS

NUMBER = {name: number for number, (name, _) in enumerate(TAGS)}


def slow_depth(points):
    """The published projection point by point: pixels counted from 1, the nearest point of a pixel, its distance ahead of the LiDAR."""
    out = np.full((HEIGHT, WIDTH), np.nan)
    for ahead, left, up, _ in points.tolist():
        if ahead < 0.0:
            continue
        camera = LIDAR[0] @ (ahead, left, up) + LIDAR[1]
        x, y, z = PROJECTION @ (*camera, 1.0)
        if z <= 0.0:
            continue
        column, row = round(x / z) - 1, round(y / z) - 1
        if 0 <= column < WIDTH and 0 <= row < HEIGHT:
            out[row, column] = np.fmin(out[row, column], ahead)
    return out


def test_kitti_depth_is_the_published_projection(tmp_path):
    data = Kitti(write_kitti(tmp_path, points=4000))
    pictures = list(data)
    assert len(data) == 3 and data.sequences == ("2011_09_26_drive_0002_sync",) and data.notes() == {}
    assert [one.stamp_ns for one in pictures] == [0, 100_000_000, 500_000_000]
    for one, number in zip(pictures, (0, 1, 5)):
        assert (one.rgb == noise(HEIGHT, WIDTH, number)).all() and one.tags is None
        wanted = slow_depth(read_scan(tmp_path / DRIVE / "velodyne_points" / "data" / f"{number:010d}.bin"))
        cropped = np.full_like(wanted, np.nan)
        rows, columns = (slice(int(GARG[at] * size), int(GARG[at + 1] * size)) for at, size in ((0, HEIGHT), (2, WIDTH)))
        cropped[rows, columns] = wanted[rows, columns]
        assert one.depth == pytest.approx(cropped, rel=1e-6, nan_ok=True) and np.isfinite(one.depth).sum() > 100
    assert (pictures[0].intrinsics == PROJECTION[:, :3]).all()


def test_the_section_of_garg_in_kittis_size():
    """Rows 153 to 370 and columns 44 to 1196 of a picture of 1242x375, as every published evaluation has them."""
    kept = np.isfinite(garg_crop(np.ones((375, 1242), np.float32)))
    assert (np.nonzero(kept.any(1))[0][[0, -1]] == (153, 370)).all() and (np.nonzero(kept.any(0))[0][[0, -1]] == (44, 1196)).all()


def test_a_list_as_published(tmp_path):
    write_kitti(tmp_path, scans=(0, 1))
    lines = tmp_path / "test_files.txt"
    lines.write_text(f"{DRIVE} 0000000005 l\n{DRIVE} 1 l\n\n{DRIVE}/image_02/data/0000000001.png other.png\n")
    assert read_split(lines) == [KittiFrame(DRIVE, 5, "02"), KittiFrame(DRIVE, 1, "02")]
    data = Kitti(tmp_path, lines)
    first, second = data
    assert (first.name, second.name) == ("0000000001", "0000000005") and second.depth is None
    assert data.notes() == {"2011_09_26_drive_0002_sync": ["1 frames have no scan in velodyne_points"]}


def test_what_is_wrong_with_kitti_is_one_line(tmp_path):
    def refused(match, split=None, folder=tmp_path / "k"):
        with pytest.raises(BagError, match=match):
            list(Kitti(folder, split))

    lines, folder = tmp_path / "list.txt", write_kitti(tmp_path / "k")
    refused("no such folder", folder=tmp_path / "none")
    refused(r"got none; give the folder that holds the folders of dates", folder=tmp_path / "k" / DAY)
    refused("no such file; correct --split", tmp_path / "gone.txt")
    lines.write_text(f"{DRIVE} 0 l\nnonsense\n")
    refused("line 2 of .*list.txt; got 'nonsense'", lines)
    lines.write_text(f"{DRIVE} 0 l\n{DRIVE} 7 l\n{DRIVE} 0 r\n")
    refused(r"of the 3 frames .* got none of .*image_02/data/0000000007 and 1 more", lines)
    scan = folder / DRIVE / "velodyne_points" / "data" / "0000000000.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    refused(r"points of 16 bytes in .*0000000000.bin")
    picture = folder / DRIVE / "image_02" / "data" / "0000000000.png"
    picture.write_bytes(b"no picture")
    refused(r"a picture at .*0000000000.png; got a broken file")
    write_png(picture, noise(10, 20))
    refused(r"a picture of 124x37 at .*calib_cam_to_cam.txt says; got 20x10")
    other = write_kitti(tmp_path / "other", drive="2011_09_28/2011_09_28_drive_0001_sync")
    calibration = other / "2011_09_28" / "calib_velo_to_cam.txt"
    calibration.write_text("R: 1 2 x\n")
    refused("R with 9 numbers in .*calib_velo_to_cam.txt; got 1 2 x", folder=other)
    calibration.unlink()
    refused("calib_velo_to_cam.txt in .*; got no such file", folder=other)


def test_cityscapes_labels_members_and_depth(tmp_path):
    data = Cityscapes(write_cityscapes(tmp_path))
    pictures = list(data)
    assert len(data) == 2 and data.sequences == ("frankfurt",) and data.notes() == {}
    for number, one in enumerate(pictures):
        assert one.name == f"frankfurt_{number:06d}_000019" and one.rgb.shape == (32, 64, 3)
        assert [one.tags[row, column] for row, column in ((0, 0), (25, 5), (15, 25), (15, 55), (31, 0))] == [
            NUMBER["Sky"], NUMBER["Road"], NUMBER["Car"], NUMBER["Pedestrian"], VOID]
        assert one.single[15, 25] == 26_000 + number and one.single[15, 55] == 0  # a group has no members
        known = np.isfinite(one.depth)
        assert known[8:24, 6:58].all() and known.sum() == 16 * 52 and one.depth[known] == pytest.approx(70.0 * 0.2 / 7.0)
    assert one.joined == (("Road", "RoadLine"),)


def test_cityscapes_disparity_by_hand():
    raw = np.zeros((4, 32), np.uint16)
    raw[1, 3:6], raw[2, 3:6] = (1, 257, 513), (0, 65535, 256)
    found = depth_of(raw, 100.0, 0.5)
    assert found[1, 3:6] == pytest.approx([np.nan, 50.0, 25.0], nan_ok=True) and np.isnan(found[2, 3]) and np.isnan(found[0]).all()
    assert intrinsics_of(None, (1024, 2048))[:2, 2] == pytest.approx((1096.98, 513.137))
    assert sorted(set(tags_of(np.arange(35)).tolist()) - {VOID}) == sorted(NUMBER[name] for name in (
        "Road", "Sidewalk", "Building", "Wall", "Fence", "Pole", "TrafficLight", "Sign", "Vegetation", "Terrain", "Sky", "Pedestrian",
        "Rider", "Car", "Truck", "Bus", "Train", "Motorcycle", "Bicycle"))


def test_what_was_not_fetched_of_cityscapes_is_noted_and_what_is_wrong_is_one_line(tmp_path):
    data = Cityscapes(write_cityscapes(tmp_path / "a", depth=False, labels=False))
    assert all(one.depth is None and one.tags is None and one.single is None for one in data)
    assert data.notes() == {"frankfurt": [f"2 pictures have no {end}" for end in (
        "camera.json", "gtFine_labelIds.png", "gtFine_instanceIds.png", "disparity.png")]}
    folder = write_cityscapes(tmp_path / "b")
    for split, match in (("eval", "--split train, val, test of Cityscapes; got 'eval'"), ("train", "no such folder; correct --cityscapes")):
        with pytest.raises(BagError, match=match):
            Cityscapes(folder, split)
    name = "frankfurt_000000_000019"
    camera = folder / "camera" / "val" / "frankfurt" / f"{name}_camera.json"
    bare = '{"intrinsic": {"fx": 1}, "extrinsic": {"baseline": 1}}'
    for text, match in (("{", "'intrinsic' and 'extrinsic'"), (bare, "fx, fy, u0 and v0")):
        camera.write_text(text)
        with pytest.raises(BagError, match=match):
            list(Cityscapes(folder))
    write_png(folder / "gtFine" / "val" / "frankfurt" / f"{name}_gtFine_labelIds.png", np.zeros((16, 64), np.uint8))
    with pytest.raises(BagError, match=r"labels of 64x32 at .* got 64x16"):
        camera.unlink()
        list(Cityscapes(folder))
