"""Pictures: wire encodings to arrays and back, palettes of class ids, scaling. Pure functions; no messages."""
