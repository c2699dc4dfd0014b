"""Small distributions for tests: a package with its metadata, as an installer leaves them."""

import itertools
from textwrap import dedent

_number = itertools.count()


def distribution(monkeypatch, folder, name, entries, files):
    """Install distribution ``name`` into a new folder below ``folder`` and put that on the module search path.

    ``entries`` maps a group to {entry point's name: target}; ``files`` maps a path to its text.
    """
    root = folder / f"site{next(_number)}"
    info = root / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(
        f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in points.items()) for group, points in entries.items()))
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        for package in place.relative_to(root).parents:
            if package.parts and not (root / package / "__init__.py").exists():
                (root / package / "__init__.py").write_text("")
        place.write_text(dedent(text))
    monkeypatch.syspath_prepend(str(root))
    return root
