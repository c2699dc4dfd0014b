"""PlanKD's benchmark: train what is missing, drive every model over a suite with several seeds, make one table."""
