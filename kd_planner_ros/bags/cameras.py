"""A planner's cameras in a recording, in which a single camera may have another name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kd_planner_ros.bags.instants import Labels, kinds_of
from kd_planner_ros.bags.reader import Recording, Sample
from kd_planner_ros.core.sensors import SensorRig


def recorded_names(recording: Recording, cameras: tuple[str, ...]) -> tuple[str, ...]:
    """What ``recording`` calls each of ``cameras``: the same, but where one is asked for and one was recorded, that is it,
    whatever its name (CARLA's agents say ``rgb_front``)."""
    return recording.cameras if len(cameras) == len(recording.cameras) == 1 else cameras


def samples_for(recording: Recording, cameras: tuple[str, ...], clouds: tuple[str, ...] = (),
                wants: SensorRig | None = None, labels: Labels = ()) -> Iterator[Sample]:
    """``recording.samples`` with pictures, calibrations, labels and ages under the names of ``cameras``; ``wants`` as there,
    ``labels`` of every camera, or by camera.

    Raises:
        BagError: a topic is missing, or the file is broken.
    """
    recorded = recorded_names(recording, cameras)
    own = dict(zip(recorded, cameras, strict=True))
    wanted = {name: kinds_of(labels, camera) for name, camera in own.items()}
    for sample in recording.samples(recorded, clouds, wanted, wants):
        frame = sample.frame
        images = {own[name]: image for name, image in frame.images.items()}
        ages_s = {own.get(name, name): age_s for name, age_s in frame.ages_s.items()}
        specs = {own[name]: replace(spec, id=own[name]) for name, spec in frame.calibrations.items()}
        truth = replace(sample.truth, labels={own[name]: shot for name, shot in sample.truth.labels.items()})
        yield replace(sample, frame=replace(frame, images=images, ages_s=ages_s, calibrations=specs), truth=truth)
