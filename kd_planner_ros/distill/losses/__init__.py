"""Losses of the trainer that are not a network's own imitation loss: one file each."""
