"""What a gateway accepts: every limit with its default."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.car import Car

MAX_OBJECTS, MAX_PHASES = 255, 64


@dataclass(frozen=True)
class GatewaySettings:
    """Limits of one gateway; seconds, metres, bytes.

    Attributes:
        range_m: no station farther away is heard, whatever range it has itself.
        fresh_s, max_age_s: up to the first a message is fresh, up to the second it is used and counted as degraded.
        early_s: a stamp may be so far in the future.
        max_offset_s, max_drift_ppm: beyond them a station's clock is not trusted, and its messages are not used.
        expected_latency_s: what the radio link takes at least; a longer shortest time counts as the clock's offset.
        messages_per_s, bytes_per_s: of one station.
        wasted_per_s, wasted_bytes_per_s: of the messages in one station's name whose signature was verified and that were refused
            after all, about a tenth of one processor core; beyond them nothing in that name is verified.
        max_picture_bytes, max_picture_width: of one picture.
        reenter_frames, reenter_s: so many good frames over so long, without a gap longer than ``gap_s``, lead back to a better state.
        gap_s: no longer absence than this needs no way back: pictures of 2 Hz leave such gaps.
        ego_age_s: older odometry means that the car does not know where it is.
        max_speed_mps, max_acceleration_mps2: of an object.
        gate: a place off the track's by more standard deviations than this is a teleport.
        sigma_m, sigma_mps: standard deviation of a reported place and speed.
        fleeting_s, fleeting_m, fleeting_most, fleeting_memory_s: of a station that listed so many road users for less than the first, last
            within the second of the car, in the last of these times, a road user counts only once it was listed for the first.
        moved_alike, moved_pictures: a camera has moved once the edges of so many of its pictures in a row correlate less than this with
            those of its first one.
        track_s: a track without an accepted place for so long is forgotten.
        same_m: objects of two stations nearer than this to each other are one.
        car: the car's own box; the station sees the car, too, and the car is no object.
        silent_s: a station in range that sends no object list is silent after so long.
        cap_unheard: whether a station that nothing at all was accepted from is silent too. False: only one that has sent something else, a
            picture or signal phases, so that messages that are refused change nothing.
    """

    range_m: float = 150.0
    fresh_s: float = 0.2
    max_age_s: float = 0.5
    early_s: float = 0.05
    max_offset_s: float = 0.1
    max_drift_ppm: float = 50.0
    expected_latency_s: float = 0.0
    messages_per_s: float = 20.0
    bytes_per_s: float = 1_000_000.0
    wasted_per_s: float = 1_000.0
    wasted_bytes_per_s: float = 100_000_000.0
    max_picture_bytes: int = 1_000_000
    max_picture_width: int = 768
    reenter_frames: int = 3
    reenter_s: float = 1.5
    gap_s: float = 0.5
    ego_age_s: float = 0.5
    max_speed_mps: float = 70.0
    max_acceleration_mps2: float = 12.0
    gate: float = 4.0
    sigma_m: float = 0.5
    sigma_mps: float = 0.5
    fleeting_s: float = 1.5
    fleeting_m: float = 25.0
    fleeting_most: int = 3
    fleeting_memory_s: float = 10.0
    moved_alike: float = 0.65
    moved_pictures: int = 5
    track_s: float = 1.0
    same_m: float = 2.0
    car: Car = Car()
    silent_s: float = 1.0
    cap_unheard: bool = False
