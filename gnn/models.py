"""Lists all models that are compared and searched: the baselines, the closed form alone, and ours."""

from __future__ import annotations

from gnn.baselines import baselines
from gnn.cartograph import Cartograph
from gnn.model import Model
from kg.graph import Graph


def models(graph: Graph, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
    """Return the models for a shop's graph, the plainest first and ours last."""
    ours = Cartograph(repeat=repeat).for_graph(graph, timed=times_known)
    return (*baselines(times_known=times_known, repeat=repeat, links=bool(graph.links)), ours.closed_form_alone, ours)
