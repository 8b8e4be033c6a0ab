"""Puts into sentences what is inside an edge: the gate, and the split or the messages of the graph network."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from gnn.inside import Inside
from gnn.inside_facts import Fact, Messages
from gnn.inside_gate import Feature, Gate
from gnn.inside_split import LEAST_COSINE, Part, Split
from gnn.network import ITSELF
from kg.text_table import one_line, product_text

FEW = 4
"""Features, parts and relations that are named; the others are added up."""

FEATURES = {
    "closed": "the closed form's value",
    "reverse": "the closed form's value the other way round",
    "together": "how many bought both",
    "cosine": "the cosine of their buyers",
    "walk": "walks over a buyer from the one to the other",
    "walk back": "walks over a buyer back",
    "buyers here": "how many bought the purchased product",
    "buyers there": "how many bought the other",
    "network": "the network's log p(i | j)",
    "near": "the network's q·k",
    "by network": "whether only the network proposed it",
    "itself": "whether it is the product itself",
    "trend": "the trend",
    "bought again": "how often it is bought again",
    "content alone": "the closed form without purchases",
}
PREFIXES = {"share ": "the closed form's share of", "alike ": "likeness in"}


def inside_texts(inside: Inside) -> list[str]:
    """Return how the networks made an edge, each a sentence."""
    texts = [_gate_text(inside.gate), _features_text(inside.gate)]
    if inside.split:
        texts += _split_texts(inside.split, proposed=inside.gate.proposed_by == "network")
    if inside.messages:
        texts += _messages_texts(inside.messages)
    return texts


def feature_text(name: str) -> str:
    """Return what a feature of :func:`gnn.candidates.gather_candidates` is, in words."""
    for prefix, words in PREFIXES.items():
        if name.startswith(prefix):
            return one_line(f"{words} {name.removeprefix(prefix)}")
    return FEATURES.get(name, one_line(name))


def part_text(part: Part) -> str:
    """Return whose ids or texts were propagated, in words: see :meth:`gnn.network.QueryKeyNetwork.parts`."""
    if part.through == ITSELF:
        return f"its own {part.of}"
    return f"the {part.of}s of {_others_text(part.through)}"


def _others_text(through: str) -> str:
    level = re.fullmatch(r"in_category_(\d+)", through)
    rounds = re.fullmatch(r"co-purchase (\d+)", through)
    if level:
        return f"its category of level {level[1]}"
    if rounds:
        return f"what was bought with it, {rounds[1]} step{'' if rounds[1] == '1' else 's'} away"
    if through == "has_brand":
        return "its brand"
    link = one_line(through.removesuffix(" back"))
    return f"what leads to it by {link}" if through.endswith(" back") else f"what it leads to by {link}"


def _gate_text(gate: Gate) -> str:
    factor = f"{gate.unweighed + gate.gate:.4g}: {gate.unweighed:.4g} as for all, and a gate of {gate.gate:.4g}"
    if gate.proposed_by == "closed form":
        return f"The edge weighs {gate.weight:.6g}: the closed form's {gate.start:.6g} times {factor}."
    if gate.proposed_by == "network":
        return (
            f"The edge weighs {gate.weight:.6g}, and only the graph network proposed it: its p(i | j) of "
            f"{gate.start:.6g} times {gate.proposal:.4g}, as all that it proposes, times a gate of {gate.gate:.4g}."
        )
    return f"The edge weighs {gate.weight:.6g}: the {gate.start:.6g} of every product to itself times {factor}."


def _features_text(gate: Gate) -> str:
    named, others = gate.features[:FEW], gate.features[FEW:]
    factors = [f"{math.exp(each.adds):.3g} by {feature_text(each.name)} ({_standing(each)})" for each in named]
    if others:
        factors.append(f"{math.exp(sum(each.adds for each in others)):.3g} by the other {len(others)}")
    return (
        f"The gate is {gate.mean_gate:.4g} for mean features, times {', times '.join(factors)} (Integrated Gradients "
        f"of log gate, {abs(gate.missing):.0e} from their sum)."
    )


def _standing(feature: Feature) -> str:
    side = "above" if feature.standard >= 0 else "below"
    return f"{feature.value:.4g}, {abs(feature.standard):.1f} standard deviations {side} the mean"


def _split_texts(split: Split, *, proposed: bool) -> list[str]:
    if split.scaled:
        first = f"The network's share of the edge, {split.total:.6g}, follows q·k = {split.cosine:.4g}."
    elif proposed:
        first = (
            f"The network's share of the edge is not split, for q·k = {split.cosine:.4g} is below {LEAST_COSINE}: the "
            "share comes of how popular the other is. What follows is of q·k."
        )
    else:
        first = f"The network's q·k, which the gate read, is {split.cosine:.4g}."
    return [
        first,
        f"Of {split.total:.4g} the purchased product said {_parts_text(split.spoke)}.",
        f"Of {split.total:.4g} the other answered {_parts_text(split.answered)}.",
    ]


def _parts_text(parts: Sequence[Part]) -> str:
    texts = [f"{part.adds:.4g} through {part_text(part)}" for part in parts[:FEW]]
    rest = parts[FEW:]
    if rest:
        texts.append(f"{sum(part.adds for part in rest):.4g} through {len(rest)} more")
    return ", ".join(texts)


def _messages_texts(found: Messages) -> list[str]:
    by_ig = found.explainer == "ig"
    how = "Integrated Gradients" if by_ig else "GNNExplainer"
    texts = [
        f"The network's q·k is {found.cosine:.4g}; by the two products' own ids and texts, without any edge of the "
        f"graph, {found.without:.4g}."
    ]
    if not found.relations:
        return texts
    relations = ", ".join(
        f"{one_line(each.relation)} {each.mass:.4g} ({each.edges} edges)" for each in found.relations[:FEW]
    )
    rest = found.relations[FEW:]
    others = f", {sum(each.mass for each in rest):.4g} for {len(rest)} more relations" if rest else ""
    said = "adds" if by_ig else "gives weights, 0 to 1 an edge, that sum to"
    texts.append(f"By relation {how} {said} {relations}{others}{_check_text(found)}.")
    texts.append("Most of it: " + "; ".join(_fact_text(fact) for fact in found.facts) + ".")
    people = "user" if found.co_buyers == 1 else "users"
    texts.append(f"{found.co_buyers} {people} bought both: {found.co_buyers_mass:.4g} of it.")
    return texts


def _check_text(found: Messages) -> str:
    if found.missing is not None:
        return f"; all of them miss the difference by {abs(found.missing):.0e}"
    return "" if found.kept is None else f"; with edges of these weights q·k is {found.kept:.4g}"


def _fact_text(fact: Fact) -> str:
    product = product_text(fact.product, fact.name)
    if fact.other is None:
        return f"the buyers of {product} {fact.mass:.4g} ({fact.edges} edges)"
    return f"{product} {one_line(fact.relation)} {one_line(fact.other)} {fact.mass:.4g}"
