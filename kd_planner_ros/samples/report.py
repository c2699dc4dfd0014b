"""What was made of recordings, and what was left out, in lines for the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kd_planner_ros.samples.shards import Shard

MASKED = "waypoints masked"
"""A reason under which a sample stays, with a part of it unknown."""
TEXTS = {"end of route": "nearer than the horizon to the end or to a gap of odometry", "collision": "near a collision"}
MOST_NOTES = 5


def lines(shards: Sequence[Shard]) -> Iterator[str]:
    """One line with the numbers of samples and of instants that were left out, by reason; then what is odd about the recordings."""
    facts = [shard.facts for shard in shards]
    left: Counter[str] = Counter({"without every sensor or without odometry": sum(one["incomplete"] for one in facts)})
    for one in facts:
        left.update({reason: count for reason, count in one["left_out"].items() if reason != MASKED})
    instants = sum(one["frames"] + one["incomplete"] for one in facts)
    why = ", ".join(f"{count} {TEXTS.get(reason, reason)}" for reason, count in left.items() if count)
    yield f"{sum(one['samples'] for one in facts)} samples of {instants} instants in {len(facts)} recordings; left out: {why or 'none'}"
    if masked := sum(one["left_out"].get(MASKED, 0) for one in facts):
        yield f"{masked} samples without waypoints: the steering was disturbed ahead"
    unknown = sum(one["samples"] for one in facts) - sum(shard.known_actions for shard in shards)
    if unknown:
        yield f"{unknown} samples without a known control"
    notes = Counter(note for one in facts for note in one["notes"])
    examples = {note: one["bag"] for one in reversed(facts) for note in one["notes"]}
    for note, count in notes.most_common(MOST_NOTES):
        yield f"{examples[note]}: {note}" + (f" (and {count - 1} recordings more)" if count > 1 else "")
    if len(notes) > MOST_NOTES:
        yield f"{len(notes) - MOST_NOTES} notes more: see facts.json beside the samples, or 'kd-planner bags check'"
