"""The baseline without eyes that is trained: speed and command to waypoints. Whatever beats it has seen something."""
