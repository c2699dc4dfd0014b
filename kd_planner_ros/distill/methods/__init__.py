"""Ways to train a student: plain imitation, PlanKD and its rivals, all behind ``base.Distiller``."""
