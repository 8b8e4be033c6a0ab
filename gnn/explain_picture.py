"""Draws why a product is recommended: the user, what she bought, what joins it to the product, and how much it adds."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass

import matplotlib as mpl
import networkx as nx
from matplotlib.figure import Figure

from gnn.reason_words import times_text
from gnn.why import Reason, Why
from kg.text_table import one_line

MOST_PURCHASES = 8
MOST_SHARED = 6
WIDEST_EDGE = 7.0
"""Points; the width of an edge is its part of the largest contribution."""

COLOURS = {"user": "#b7d7a8", "bought": "#9ecae9", "shared": "#d9d9d9", "product": "#f58518"}
COLUMN = {"user": 0.0, "bought": 1.0, "shared": 2.0, "product": 3.0}


@dataclass(frozen=True)
class Node:
    """What a node of the drawing is and is called."""

    kind: str
    """One of :data:`COLOURS`."""

    label: str
    row: float
    """Where it stands, from the top."""


def reasons_graph(why: Why, *, user: str) -> nx.DiGraph:
    """Return the graph to draw: nodes with ``node`` (:class:`Node`), edges with ``adds`` (0 where nothing is added).

    The purchases that add most, at most :data:`MOST_PURCHASES`; of the brands and categories that they have in common
    with the product, those of the most purchases, at most :data:`MOST_SHARED`.
    """
    reasons = why.reasons[:MOST_PURCHASES]
    middle = (max(len(reasons), 1) - 1) / 2
    graph = nx.DiGraph()
    graph.add_node("user", node=Node("user", _wrapped(f"user {user}"), middle))
    label = f"{_wrapped(why.name or why.product)}\nscore {why.score:.4f}"
    graph.add_node("product", node=Node("product", label, middle))
    for row, reason in enumerate(reasons):
        bought = f"bought {reason.because}"
        times = f"{times_text(reason.purchases)}, adds {reason.contribution:.4f}"
        label = f"{_wrapped(reason.name or reason.because)}\n{times}"
        graph.add_node(bought, node=Node("bought", label, float(row)))
        graph.add_edge("user", bought, adds=reason.contribution)
        graph.add_edge(bought, "product", adds=reason.contribution)
    for row, (shared, label) in enumerate(_shared(reasons)):
        # Below the purchases, so that no edge to the product runs through it.
        graph.add_node(shared, node=Node("shared", label, len(reasons) + float(row)))
        for reason in reasons:
            if shared in _joins(reason):
                graph.add_edge(f"bought {reason.because}", shared, adds=0.0)
        graph.add_edge(shared, "product", adds=0.0)
    return graph


def draw_reasons(why: Why, *, user: str) -> Figure:
    """Return the drawing of one product's reasons; an edge is as wide as what the purchase adds."""
    graph = reasons_graph(why, user=user)
    nodes: dict[str, Node] = dict(graph.nodes(data="node"))
    places = {name: (COLUMN[node.kind], -node.row) for name, node in nodes.items()}
    rows = 1 + max(node.row for node in nodes.values())
    figure = Figure(figsize=(11, 1.2 + 0.75 * rows), layout="constrained")
    axes = figure.subplots()
    adds = {(tail, head): value for tail, head, value in graph.edges(data="adds")}
    most = max([*adds.values(), 1e-30])
    for edges, style in (
        ([edge for edge in adds if adds[edge]], "solid"),
        ([edge for edge in adds if not adds[edge]], "dotted"),
    ):
        nx.draw_networkx_edges(
            graph, places, ax=axes, edgelist=edges, style=style, arrows=False,
            width=[max(WIDEST_EDGE * adds[edge] / most, 1.0) for edge in edges],
            edge_color=COLOURS["product"] if style == "solid" else "#777777", alpha=0.6,
        )  # fmt: skip
    for name, (x, y) in places.items():
        box = {"boxstyle": "round", "facecolor": COLOURS[nodes[name].kind], "edgecolor": "white"}
        axes.text(x, y, nodes[name].label, ha="center", va="center", fontsize=8, bbox=box, parse_math=False)
    axes.set_xlim(-0.5, 3.5)
    axes.set_ylim(-rows + 0.5, 0.5)
    axes.set_axis_off()
    return figure


def svg_of(figure: Figure) -> bytes:
    """Return the figure as SVG: the same figure, the same bytes."""
    content = io.BytesIO()
    # Ids are drawn by chance without a salt, and the date would be that of now.
    with mpl.rc_context({"svg.hashsalt": "cartograph"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def _shared(reasons: tuple[Reason, ...]) -> list[tuple[str, str]]:
    """Return node and label of the brands and categories that most of ``reasons`` share with the product."""
    count: dict[str, int] = {}
    for reason in reasons:
        for shared in _joins(reason):
            count[shared] = count.get(shared, 0) + 1
    best = sorted(count, key=lambda shared: (-count[shared], shared))[:MOST_SHARED]
    return [(shared, _wrapped(shared)) for shared in sorted(best)]


def _joins(reason: Reason) -> list[str]:
    return [
        *(f"brand {brand}" for brand in reason.brands),
        *(f"category {category}" for category in reason.categories[:1]),
    ]


def _wrapped(text: str) -> str:
    """Return ``text`` in at most two lines that fit beside a neighbour."""
    return "\n".join(textwrap.wrap(one_line(text), width=26, max_lines=2, placeholder=" …"))
