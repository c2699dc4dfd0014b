"""The topics of each node: what it listens to and what it publishes."""
