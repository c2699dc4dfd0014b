"""Recordings to samples on disk to batches."""
