"""Parts of the network that stay in float32 under autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def unrounded(kind: str) -> AbstractContextManager:
    """A context without autocast for devices of ``kind``. Where there is none already it does nothing, so that an exported graph
    does not contain it."""
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
