"""What is told once: on stderr, and warnings in the diagnostics of a node too."""

from kd_planner_ros.core.notices import report, reported, say_once


def test_each_line_is_printed_once_and_warnings_are_kept(capsys):
    for _ in range(2):
        report("a plugin of this test is broken")
        say_once("2 recordings of this test found")
    assert capsys.readouterr().err == "kd_planner_ros: warning: a plugin of this test is broken\n2 recordings of this test found\n"
    assert reported().count("a plugin of this test is broken") == 1
    assert not any("recordings of this test" in one for one in reported())
