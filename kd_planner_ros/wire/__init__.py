"""The topics of the CARLA contract and our own, and the tables that travel on them. No ROS package is imported here."""
