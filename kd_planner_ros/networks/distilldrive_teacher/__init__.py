"""DistillDrive's teacher: the student's planner on the scene itself, road users and map lines as they truly are."""
