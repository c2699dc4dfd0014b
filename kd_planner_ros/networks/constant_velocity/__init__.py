"""The baseline without eyes, and the tutorial: the shortest planner that keeps the whole contract."""
