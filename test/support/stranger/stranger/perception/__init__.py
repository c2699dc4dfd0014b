"""Depth and classes from two pictures."""
