"""The graph: what runs, how it is started, watched and replayed."""
