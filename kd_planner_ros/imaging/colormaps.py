"""Names of colour maps, as users of RViz and matplotlib know them."""

from __future__ import annotations

TURBO = "turbo"
COLORMAPS = (TURBO, "magma", "inferno", "plasma", "viridis", "jet", "gray")
