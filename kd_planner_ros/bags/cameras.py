"""A model's cameras in a recording: a single camera may have another name there, and each must be the camera that the model declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kd_planner_ros.bags.drive import drive_of, scene_of
from kd_planner_ros.bags.instants import Labels, kinds_of
from kd_planner_ros.bags.reader import Recording, Sample
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.geometry.calibration import Gap, Limits, intrinsics_gap, mount_gap

REMEDY = "choose a model made for this camera, say which camera is which with --camera NAME=RECORDED, or record with the model's camera"
TRAIN_REMEDY = "train on recordings of one kind of camera, mounted as the network declares ('kd-planner record --network' does)"


def recorded_names(recording: Recording, cameras: tuple[str, ...]) -> tuple[str, ...]:
    """What ``recording`` calls each of ``cameras``: the same, but where one is asked for and one was recorded, that is it,
    whatever its name (CARLA's agents say ``rgb_front``)."""
    return recording.cameras if len(cameras) == len(recording.cameras) == 1 else cameras


def recorded_mounts(recording: Recording, cameras: tuple[str, ...]) -> dict[str, Pose]:
    """The pose in ``base_link`` of each of ``cameras`` that ``recording`` tells, for a model that reads it (``SensorRig.placed``)."""
    names = zip(cameras, recorded_names(recording, cameras), strict=True)
    found = {own: recording.camera_place(name, moving=True) for own, name in names if name in recording.cameras}
    return {name: place[0] for name, place in found.items() if place is not None}


def triggering(recording: Recording, cameras: tuple[str, ...]) -> tuple[str, ...]:
    """``cameras``; where there is none, the recording's first one, whose stamps then say which instants there are."""
    return cameras or recording.cameras[:1]


def samples_for(recording: Recording, cameras: tuple[str, ...], clouds: tuple[str, ...] = (),
                wants: SensorRig | None = None, labels: Labels = ()) -> Iterator[Sample]:
    """``recording.samples`` with pictures, calibrations, labels and ages under the names of ``cameras``; ``wants`` as there,
    ``labels`` of every camera, or by camera. A rig that reads the scene itself gets it as ``frame.scene``.

    Raises:
        BagError: a topic is missing, a camera has another calibration than ``wants`` declares, the route that it wants cannot be read, or
            the file is broken.
    """
    if wants is not None:
        require_calibration(recording, wants)
    recorded = recorded_names(recording, cameras)
    own = dict(zip(recorded, cameras, strict=True))
    wanted = {name: kinds_of(labels, camera) for name, camera in own.items()}
    mounts = recorded_mounts(recording, cameras) if wants is not None and wants.placed else {}
    drive = drive_of(recording) if wants is not None and wants.scene else None
    for sample in recording.samples(recorded, clouds, wanted, wants):
        frame = sample.frame
        images = {own[name]: image for name, image in frame.images.items()}
        ages_s = {own.get(name, name): age_s for name, age_s in frame.ages_s.items()}
        specs = {own[name]: replace(spec, id=own[name], pose=mounts.get(own[name], spec.pose)) for name, spec in frame.calibrations.items()}
        truth = replace(sample.truth, labels={own[name]: shot for name, shot in sample.truth.labels.items()})
        scene = scene_of(drive, truth.actors, truth.signals) if drive is not None else None
        yield replace(sample, frame=replace(frame, images=images, ages_s=ages_s, calibrations=specs, scene=scene), truth=truth)


def require_calibration(recording: Recording, rig: SensorRig, remedy: str = REMEDY, limits: Limits = Limits()) -> None:
    """Refuse ``recording`` where a camera of ``rig`` has another calibration there, by its camera_info or by its mounting
    (``Recording.camera_place``); smaller differences go to ``recording.notes``, and of a rig that is ``placed`` all those of
    cameras behind the first. Cameras that were not recorded are passed over.

    Raises:
        BagError: a difference above ``limits``, or a calibration that cannot be; camera and both numbers are named.
    """
    names = recorded_names(recording, tuple(spec.id for spec in rig.cameras))
    for declared, name in zip(rig.cameras, names, strict=True):
        read = rig.placed and declared is not rig.cameras[0]
        for gap in _gaps(recording, declared, name, limits, read):
            if gap.size > 1.0 and not read:
                raise BagError(f"camera '{name}' of {recording.path} as the model declares it", gap.text, remedy)
            note = f"camera '{name}': {gap.text}"
            recording.notes += [note] if note not in recording.notes else []


def _gaps(recording: Recording, declared: CameraSpec, name: str, limits: Limits, moving: bool) -> Iterator[Gap]:
    if name not in recording.cameras:
        return
    if (found := recording.camera_spec(name)) is not None:  # a network may take pictures that are scaled: the field of view counts
        own = replace(declared, width=found.width, height=found.height)
        gap = intrinsics_gap(own, recording.camera_info(name), limits.focal_share)
        yield from (gap,) if gap is not None else ()
    if (place := recording.camera_place(name, moving)) is not None:
        gap = mount_gap(declared.pose, place[0], limits.mount_m, limits.mount_deg, place[1])
        yield from (gap,) if gap is not None else ()
