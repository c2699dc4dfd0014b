"""Where traffic starts and where it goes: random walks over lanes that never run into a dead end or an impossible
turn."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.lane_graph import LaneGraph

START_ROOM_M = 25.0  # streets shorter than this are no place to begin
CHANGE_ROOM_M = 45.0
CHANGE_CHANCE = 0.3


class Demand:
    """Random starts and routes on the lanes of one map."""

    def __init__(self, graph: LaneGraph):
        self.graph = graph
        self.onward = self._endless()
        self.starts = sorted(name for name in self.onward if not graph.lanes[name].junction
                             and graph.lengths[name] >= START_ROOM_M)
        lengths = np.array([graph.lengths[name] for name in self.starts])
        self._weights = lengths / lengths.sum() if len(lengths) else lengths

    def _endless(self) -> dict[str, tuple[str, ...]]:
        """Successors of each lane from which one can drive on for ever; lanes that end somewhere are left out."""
        onward = {name: tuple(s for s in after if self.graph.lanes[s].turn != "t")
                  for name, after in self.graph.successors.items()}
        while True:
            ends = {name for name, after in onward.items() if not after}
            if not ends:
                return onward
            onward = {name: tuple(s for s in after if s not in ends) for name, after in onward.items()
                      if name not in ends}

    def start(self, rng: np.random.Generator) -> tuple[str, float]:
        """A lane drawn by length, and a distance in metres along it."""
        lane = self.starts[int(rng.choice(len(self.starts), p=self._weights))]
        return lane, float(rng.uniform(6.0, self.graph.lengths[lane] - 6.0))

    def walk(self, lane: str, metres: float, rng: np.random.Generator) -> tuple[list[str], str]:
        """Edges (without inner ones) of a random drive of about ``metres`` from ``lane``, and the lane it ends on.

        Every step follows a lane's own connections, so that a vehicle is never asked for a turn its lane has not.
        """
        edges, driven = [self.graph.lanes[lane].edge], 0.0
        while (driven < metres or self.graph.lanes[lane].junction) and lane in self.onward:
            length = self.graph.lengths[lane]
            beside = [other for _, other in self.graph.beside[lane] if other in self.onward]
            if beside and length > CHANGE_ROOM_M and rng.random() < CHANGE_CHANCE:
                lane = beside[int(rng.integers(len(beside)))]
            options = self.onward[lane]
            lane = options[int(rng.integers(len(options)))]
            driven += length
            if not self.graph.lanes[lane].junction:
                edges.append(self.graph.lanes[lane].edge)
        return edges, lane
