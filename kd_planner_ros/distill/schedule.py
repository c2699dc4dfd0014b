"""Learning rate as a pure function of progress, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

WARM_UP = 0.05
HOLD_WARM_UP, HOLD_FALL = 0.01, 0.75
FIRST, LAST = 0.1, 0.01


def learning_rate(schedule: str, peak: float, progress: float) -> float:
    """Rate at ``progress`` in [0, 1] of the run.

    onecycle: from peak / 10 linearly to the peak within the first 5 %, then half a cosine down to peak / 100 (Smith and
    Topin 2018, with linear rise). cosine: the second part alone. hold: a rise in the first
    1 %, the peak, and half a cosine down in the last quarter: while the rate is held, a longer run is the same run. constant: the
    peak.
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "constant":
        return peak
    rise, begins = {"onecycle": (WARM_UP, WARM_UP), "hold": (HOLD_WARM_UP, HOLD_FALL)}.get(schedule, (0.0, 0.0))
    if progress < rise:
        return peak * (FIRST + (1.0 - FIRST) * progress / rise)
    fall = max(progress - begins, 0.0) / (1.0 - begins)
    return peak * (LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * fall)))
