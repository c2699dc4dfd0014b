"""Named errors.

Every message is one line: what was expected, what came, what to do. The command line prints it and exits with
status 2; a node turns it into a diagnostic and a safe stop.
"""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room on the disk, over the user's quota, over the longest file that the shell allows."""


class KdPlannerError(Exception):
    """Base of all errors that a user can cause or correct. Never raised itself."""

    def __init__(self, expected: str, got: str, remedy: str):
        super().__init__(" ".join(f"expected {expected}; got {got}; {remedy}".splitlines()))  # a value from a file may have lines
        self.expected, self.got, self.remedy = expected, got, remedy

    def __reduce__(self) -> tuple:
        return type(self), (self.expected, self.got, self.remedy)  # so that a worker process can hand it back


class MapError(KdPlannerError):
    """A road network is missing, broken, or of a kind we cannot read."""


class RouteError(KdPlannerError):
    """A route file is broken, or a key point does not lie on the map."""


class PlannerError(KdPlannerError):
    """A planner is unknown, or its code breaks the planner contract."""


class PluginError(PlannerError):
    """An extension from another Python package cannot be used, or shares its name with another one."""


class CardError(KdPlannerError):
    """A model card, its weights and the code do not fit together."""


class BagError(KdPlannerError):
    """A recording is missing, truncated, or lacks a topic."""


class SensorError(KdPlannerError):
    """An image or a point cloud has the wrong encoding, size or content."""


class ConfigError(KdPlannerError):
    """A parameter, an argument or a settings file has a value that cannot be used."""


class TrainingError(KdPlannerError):
    """Training cannot go on: the loss is not finite, or a checkpoint does not belong to this run."""


def is_foreseen(error: BaseException) -> bool:
    """Whether a user can cause or correct ``error``: a named one, or the system's over a file or a full disk."""
    return isinstance(error, KdPlannerError) or (isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL))


def sentence_of(error: BaseException) -> str:
    """One line of ``expected; got; remedy`` for whatever ended a command or a node; a fault that nobody foresaw says so."""
    if not is_foreseen(error):
        text = f"internal error, {type(error).__name__}: {error}"
    elif isinstance(error, OSError):
        whose, got = error.filename or "a file", error.strerror or str(error)
        text = f"expected room to write {whose}; got {got}; free some space, or write to another folder" if error.errno in _FULL else \
            f"expected to use {whose}; got {got}; give another path or correct its permissions"
    else:
        text = str(error)
    return " ".join(text.split())
