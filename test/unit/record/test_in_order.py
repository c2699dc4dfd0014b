"""Work handed to the recorder's thread is done in order, and its exceptions come back."""

from __future__ import annotations

import threading
import time

import pytest

from kd_planner_ros.record.in_order import InOrder


def test_all_is_done_in_order_before_it_is_left():
    done = []
    with InOrder(3) as thread:
        for number in range(20):
            thread.put(lambda n=number: (time.sleep(0.001), done.append((n, threading.current_thread().name))))
    assert done == [(number, "in order") for number in range(20)]


def test_an_exception_of_the_work_comes_back_and_nothing_after_it_is_done():
    done = []

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), InOrder(2) as thread:
        thread.put(fail)
        for number in range(100):
            thread.put(lambda n=number: done.append(n))
    assert done == []


def test_leaving_by_an_exception_drops_what_waits():
    done, begun, go = [], threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go.wait(5.0)

    with pytest.raises(KeyboardInterrupt), InOrder(10) as thread:
        thread.put(slow)
        begun.wait(5.0)
        for number in range(5):
            thread.put(lambda n=number: done.append(n))
        threading.Timer(0.1, go.set).start()
        raise KeyboardInterrupt
    assert done == []
