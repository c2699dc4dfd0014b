"""DistillDrive's student: eighteen candidate trajectories from cameras, by sparse agent and map queries with a memory."""
