"""One line for whatever ends a command or a node."""

import errno

import pytest

from kd_planner_ros.core.errors import ConfigError, is_foreseen, sentence_of


@pytest.mark.parametrize("error, foreseen, text", [
    (ConfigError("a", "b", "c"), True, "expected a; got b; c"),
    (OSError(errno.ENOSPC, "No space left on device"), True, "expected room to write a file; got No space left on device; free"),
    (OSError(errno.EFBIG, "File too large", "/out/x"), True, "expected room to write /out/x; got File too large; free"),
    (PermissionError(errno.EACCES, "Permission denied", "/out"), True, "expected to use /out; got Permission denied; give another path"),
    (OSError("no number"), False, "internal error, OSError: no number"),
    (KeyError("x"), False, "internal error, KeyError: 'x'"), (ValueError("two\nlines"), False, "internal error, ValueError: two lines")])
def test_the_sentence(error, foreseen, text):
    assert sentence_of(error).startswith(text) and is_foreseen(error) is foreseen
    assert "\n" not in sentence_of(error)
