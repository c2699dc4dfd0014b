"""The application that drives expert or student through the built-in world and records what comes of it."""
