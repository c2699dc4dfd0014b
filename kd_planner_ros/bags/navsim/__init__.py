"""NAVSIM's logs as published (OpenScene's): pickles of numpy and builtin containers, and turned into recordings."""
