"""Records, units and named errors shared by every room. numpy only; imports nothing from the package."""
