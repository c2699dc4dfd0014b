"""A distillation method of another package: the student says what the privileged teacher says."""
