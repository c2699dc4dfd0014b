"""What can be set about the simulated channel. No numpy: launch files read these settings in an environment that has none."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

V2X = "v2x_"
"""Beginning of the fields of a config that set a radio; the rest is the name of a field of ``ChannelSettings``."""
RECORDED = "roadside topics by a simulated radio"
"""What the options of a reader of recordings are about."""


@dataclass(frozen=True)
class ChannelSettings:
    """Everything that can be set about the channel. Each field is an option and a key of a profile file."""

    seed: int = field(default=0, metadata={"help": "seed of everything that the channel draws", "low": 0})
    latency_ms: float = field(default=0.0, metadata={
        "help": "least time in milliseconds from a measurement to its arrival", "low": 0.0, "high": 10_000.0})
    jitter_ms: float = field(default=0.0, metadata={
        "help": "mean of the further delay in milliseconds, exponentially distributed: messages may overtake one another",
        "low": 0.0, "high": 10_000.0})
    loss: float = field(default=0.0, metadata={"help": "share of the messages that never arrive, from 0 to 1", "low": 0.0, "high": 1.0})
    burst: float = field(default=1.0, metadata={
        "help": "mean number of messages lost in a row (Gilbert-Elliott); 1: each is lost by itself", "low": 1.0, "high": 1000.0})
    bandwidth_kbps: float = field(default=0.0, metadata={
        "help": "bandwidth of each station in kbit/s, 0: not limited; what waits longer than --queue-ms is dropped", "low": 0.0})
    queue_ms: float = field(default=500.0, metadata={
        "help": "longest time in milliseconds that a message waits for the messages before it", "low": 0.0, "high": 10_000.0})
    clock_offset_ms: float = field(default=0.0, metadata={
        "help": "how far the stations' clocks are ahead of the car's at time 0, milliseconds", "low": -60_000.0, "high": 60_000.0})
    clock_drift_ppm: float = field(default=0.0, metadata={
        "help": "how much faster the stations' clocks run, parts per million", "low": -10_000.0, "high": 10_000.0})
    position_noise_m: float = field(default=0.0, metadata={
        "help": "standard deviation of an object's x and of its y, metres", "low": 0.0, "high": 50.0})
    velocity_noise_mps: float = field(default=0.0, metadata={
        "help": "standard deviation of an object's velocity along x and along y, m/s", "low": 0.0, "high": 50.0})
    heading_noise_deg: float = field(default=0.0, metadata={
        "help": "standard deviation of an object's heading, degrees", "low": 0.0, "high": 180.0})
    missed: float = field(default=0.0, metadata={
        "help": "probability that a station misses an object in one list, from 0 to 1", "low": 0.0, "high": 1.0})


def channel_field(name: str, about: str) -> Any:
    """The field of ChannelSettings called ``name`` as a field of another config; its help begins with what it is ``about``."""
    there = next(one for one in fields(ChannelSettings) if one.name == name)
    text = there.metadata["help"].replace("--queue-ms", "--v2x-queue-ms")
    return field(default=there.default, metadata={**there.metadata, "help": f"{about}: {text}"})


@dataclass(frozen=True, kw_only=True)
class RecordedRadio:
    """Options of a command that reads recordings: how late, or not at all, what roadside stations sent comes."""

    v2x_seed: int = channel_field("seed", RECORDED)
    v2x_latency_ms: float = channel_field("latency_ms", RECORDED)
    v2x_jitter_ms: float = channel_field("jitter_ms", RECORDED)
    v2x_loss: float = channel_field("loss", RECORDED)
    v2x_burst: float = channel_field("burst", RECORDED)


def recorded_radio(config: Any) -> ChannelSettings | None:
    """The channel that ``config``, with the fields of ``RecordedRadio``, asks for; None: the roadside topics as they were recorded."""
    given = {one.name: getattr(config, one.name) for one in fields(RecordedRadio)}
    if all(given[one.name] == one.default for one in fields(RecordedRadio)):
        return None
    return ChannelSettings(**{name.removeprefix(V2X): value for name, value in given.items()})
