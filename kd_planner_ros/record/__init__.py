"""The application that drives expert or student through the built-in world and records the drives."""
