"""Where compiled kernels are kept: one folder of the user's cache per state of this package's sources.

numba looks at the date of the file that defines a kernel, not at the files whose functions it inlines, so an update
of a helper would leave a stale kernel. The folder's name therefore holds a hash of every source beside this one.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numba

from kd_planner_ros.world.sumo_tools import cache_folder


def sources_hash() -> str:
    """Twelve hexadecimal digits that change with any source file of the renderer."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def has_kernels() -> bool:
    """Whether kernels of these sources were compiled before, and are kept."""
    return next(Path(numba.config.CACHE_DIR).rglob("*.nbc"), None) is not None


numba.config.CACHE_DIR = str(cache_folder() / f"kernels-{sources_hash()}")

# kernels allocate nothing, so reference counting is off: it costs more than the shading itself
kernel = partial(numba.njit, cache=True, fastmath=True, nogil=True, _nrt=False)
helper = partial(numba.njit, cache=True, fastmath=True, nogil=True, _nrt=False, forceinline=True)
