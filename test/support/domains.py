"""ROS domains that no other test process on this machine uses."""

import fcntl
import os
import random
import tempfile
from pathlib import Path

HIGHEST = 100
"""From domain 102 on the ports of a domain are among those that Linux lends to anybody."""
_held = []


def claim_domain() -> int:
    """A domain from 1 to ``HIGHEST`` that is this process's alone until it ends: a locked file in the temporary folder marks it.

    Two test workers, or two test runs beside each other, never get the same one.
    """
    folder = Path(tempfile.gettempdir()) / f"kd_planner_ros_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in random.SystemRandom().sample(range(1, HIGHEST + 1), HIGHEST):
        file = (folder / str(domain)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _held.append(file)
        return domain
    raise RuntimeError(f"expected a free ROS domain from 1 to {HIGHEST}; got none; end the other test runs on this machine")
