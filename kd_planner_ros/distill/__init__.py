"""From recordings to weights: sample cache, losses, training loop, checkpoints. Offline; knows no ROS."""
