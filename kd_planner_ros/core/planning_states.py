"""Names and classes of the eight planning states that PlanKD distils; ``world/planning_states.py`` labels them.

Source: PlanKD, ``interfuser/timm/data/carla_dataset.py``.
"""

STATE_NAMES = ("light", "junction", "stop_sign", "vehicle", "pedestrian", "brake", "steer", "throttle")
STATE_CLASSES = (3, 2, 2, 2, 2, 2, 2, 2)
LIGHT_NONE, LIGHT_GREEN, LIGHT_RED = 0, 1, 2
