"""The student's loss."""

from stranger.perception.loss import WEIGHTS, dense_loss

__all__ = ["WEIGHTS", "dense_loss"]
