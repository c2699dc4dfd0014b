"""PDMS and EPDMS: a plan is driven by a tracker through a recorded scene in which the others replay what they did, and judged by rules."""
