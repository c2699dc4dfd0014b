"""A sheet of pictures of the built-in world, for the documentation."""
