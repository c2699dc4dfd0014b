"""Learning rate as a pure function of progress, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

WARM_UP = 0.05
FIRST, LAST = 0.1, 0.01


def learning_rate(schedule: str, peak: float, progress: float) -> float:
    """Rate at ``progress`` in [0, 1] of the run.

    onecycle: from peak / 10 linearly to the peak within the first 5 %, then half a cosine down to peak / 100 (Smith and
    Topin 2018, with linear rise). cosine: the second part alone. constant: the peak.
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "constant":
        return peak
    if schedule == "onecycle" and progress < WARM_UP:
        return peak * (FIRST + (1.0 - FIRST) * progress / WARM_UP)
    fall = (progress - WARM_UP) / (1.0 - WARM_UP) if schedule == "onecycle" else progress
    return peak * (LAST + (1.0 - LAST) * 0.5 * (1.0 + math.cos(math.pi * fall)))
