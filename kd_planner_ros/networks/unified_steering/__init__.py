"""A perceiver that sees what the unified encoder sees, and says how it would steer."""
