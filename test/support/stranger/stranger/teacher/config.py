"""The teacher is mounted like its student."""

from stranger.perception.config import ENGINES, ROLE, Config

__all__ = ["CONFIGURATIONS", "ENGINES", "ROLE", "Config"]
CONFIGURATIONS = (Config(),)
