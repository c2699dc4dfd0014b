"""Messages to core records and back, once for every family of message classes.

A function that makes a message takes ``make(kind, **fields)`` first: ``bags/messages.py`` has rosbags' maker, and
``ros/messages.py`` rclpy's. A function that reads a message needs its field names alone, and ends in ``_of``. Every flip of
handedness and every wrong field of CARLA's bridge is handled here and nowhere else. What cannot be read raises SensorError;
the caller adds the topic.
"""
