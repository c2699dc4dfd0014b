"""A perceiver on pictures and recordings from anywhere."""
