"""InterFuser: cameras and LiDAR fused by a transformer (Shao et al., CoRL 2022), in the four sizes of PlanKD's Table 5."""
