"""The aligner a node uses: message_filters' synchroniser where it is installed, our own elsewhere. One interface.

Two faults of message_filters' Python side are kept away from its users here: an exception in its callback leaves its
lock held for ever (our callback only stores), and after a backward jump in time it matches nothing any more (it is
built anew on ``reset``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from kd_planner_ros.ros.stamps import to_stamp
from kd_planner_ros.sync.aligner import KEPT, AlignedSet, Aligner, InputSpec


def message_filters_installed() -> bool:
    """Whether message_filters can be imported here."""
    try:
        import message_filters  # noqa: F401
    except ImportError:
        return False
    return True


class MessageFiltersAligner(Aligner):
    """``Aligner`` whose matching is done by ``message_filters.ApproximateTimeSynchronizer``.

    Only required inputs with a header go through it; its slop is the largest ``max_age_s`` among them. Optional and
    headerless inputs are added to its sets afterwards, as ``Aligner`` does.
    """

    def _clear(self) -> None:
        super()._clear()
        from message_filters import ApproximateTimeSynchronizer, SimpleFilter

        timed = [spec for spec in self.inputs.values() if spec.required and not spec.headerless]
        slop_s = max(spec.max_age_s for spec in timed)
        self._filters = {spec.name: SimpleFilter() for spec in timed}
        self._matched: list[tuple] = []
        # message_filters compares with "<", the aligner with "<=".
        self._synchroniser = ApproximateTimeSynchronizer(list(self._filters.values()), KEPT, slop_s + 1e-6)
        self._synchroniser.registerCallback(lambda *samples: self._matched.append(samples))

    def _match(self, name: str, stamp_ns: int, item: Any) -> AlignedSet | None:
        if name in self._filters:
            header = SimpleNamespace(stamp=to_stamp(stamp_ns))
            self._filters[name].signalMessage(SimpleNamespace(header=header, name=name, stamp_ns=stamp_ns, item=item))
        if not self._matched:
            return None
        samples, self._matched = self._matched[-1], []
        chosen = {sample.name: (sample.stamp_ns, sample.item) for sample in samples}
        trigger_ns = chosen[self.trigger][0]
        for spec in self.inputs.values():
            near = self._nearest(spec.name, trigger_ns)
            if spec.name not in chosen and near is not None:
                chosen[spec.name] = near
            elif spec.name not in chosen and spec.required:
                return None
        return self._assemble(trigger_ns, chosen)


def make_aligner(inputs: Sequence[InputSpec], trigger: str, on_set: Callable[[AlignedSet], None],
                 offered: Callable[[str], bool] = lambda name: True) -> Aligner:
    """The aligner for this machine; ``type(...).__name__`` of the result goes into the diagnostics. Optional inputs that are waited for
    need our own."""
    needs_partner = sum(spec.required and not spec.headerless for spec in inputs) > 1 and not any(spec.wait_sets for spec in inputs)
    kind = MessageFiltersAligner if message_filters_installed() and needs_partner else Aligner
    return kind(inputs, trigger, on_set, offered)
