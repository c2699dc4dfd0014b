"""Dense outputs and numbers of a perceiver against labels, by the kind of output: one measure a kind, trivial baselines beside each."""
