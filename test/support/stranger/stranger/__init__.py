"""A package that edits nothing in kd_planner_ros: a perception network, its teacher, a method, and a planner."""
