"""TCP: trajectory-guided control prediction (Wu et al., NeurIPS 2022), in the four sizes of PlanKD's Table 5."""
