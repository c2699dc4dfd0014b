"""Ways to train a student: one folder each, with ``config.py`` and ``method.py``; ``registry.py`` finds them."""
