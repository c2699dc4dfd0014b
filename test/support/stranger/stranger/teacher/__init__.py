"""A privileged teacher: it reads the labels and gives them back as the student would say them."""
