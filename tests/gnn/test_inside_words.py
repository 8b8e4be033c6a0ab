"""The sentences about the inside of an edge, each against values made up by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gnn.inside import Inside
from gnn.inside_facts import Fact, Messages, RelationMass
from gnn.inside_gate import Feature, Gate
from gnn.inside_split import Part, Split
from gnn.inside_words import feature_text, inside_texts, part_text
from gnn.network import ITSELF

GATE = Gate(
    proposed_by="closed form", start=0.02, proposal=1.0, unweighed=0.25, gate=1.5, weight=0.035, mean_gate=0.5,
    features=(
        Feature("near", 0.25, 2.0, math.log(6.0)), Feature("share brand", 0.1, -0.5, math.log(0.5)),
        *(Feature(f"alike {name}", 0.0, 0.0, 0.0) for name in ("brand", "words", "meaning")),
    ),
    missing=0.0000212,
)  # fmt: skip
SPLIT = Split(
    cosine=0.5, total=0.5, scaled=False,
    spoke=(Part(ITSELF, "id", 0.75), Part("has_brand", "text", -0.25)),
    answered=tuple(Part(f"co-purchase {layer}", "id", 0.1) for layer in range(1, 6)),
)  # fmt: skip
MESSAGES = Messages(
    explainer="ig", cosine=0.5, without=0.1, kept=None, missing=-0.003, co_buyers=1, co_buyers_mass=0.0625,
    relations=tuple(RelationMass(name, 2, 0.1) for name in ("bought", "has_brand", "viewed", "a", "b", "c")),
    facts=(Fact("mug", "Mug", "bought", None, 7, 0.25), Fact("mug", "Mug", "has_brand", "Clay\n", 2, -0.125)),
)  # fmt: skip


def test_a_gate_is_the_mean_gate_times_a_factor_for_each_feature() -> None:
    edge, gate = inside_texts(Inside(GATE, None, None))
    assert edge == "The edge weighs 0.035: the closed form's 0.02 times 1.75: 0.25 as for all, and a gate of 1.5."
    assert gate == (
        "The gate is 0.5 for mean features, times 6 by the network's q·k (0.25, 2.0 standard deviations above the "
        "mean), times 0.5 by the closed form's share of brand (0.1, 0.5 standard deviations below the mean), times "
        "1 by likeness in brand (0, 0.0 standard deviations above the mean), times 1 by likeness in words (0, 0.0 "
        "standard deviations above the mean), times 1 by the other 1 (Integrated Gradients of log gate, 2e-05 "
        "from their sum)."
    )
    by_network = replace(GATE, proposed_by="network", proposal=0.05, unweighed=0.0, weight=0.0015)
    assert inside_texts(Inside(by_network, None, None))[0] == (
        "The edge weighs 0.0015, and only the graph network proposed it: its p(i | j) of 0.02 times 0.05, as all that "
        "it proposes, times a gate of 1.5."
    )
    itself = replace(GATE, proposed_by="itself")
    assert inside_texts(Inside(itself, None, None))[0].startswith(
        "The edge weighs 0.035: the 0.02 of every product to it"
    )


def test_a_split_names_the_largest_parts_of_both_sides_and_says_what_they_are_of() -> None:
    first, spoke, answered = inside_texts(Inside(GATE, SPLIT, None))[2:]
    assert first == "The network's q·k, which the gate read, is 0.5."
    assert spoke == "Of 0.5 the purchased product said 0.75 through its own id, -0.25 through the texts of its brand."
    assert answered.endswith("0.1 through the ids of what was bought with it, 4 steps away, 0.1 through 1 more.")
    by_network = replace(GATE, proposed_by="network")
    scaled = replace(SPLIT, total=0.03, scaled=True)
    assert (
        inside_texts(Inside(by_network, scaled, None))[2] == "The network's share of the edge, 0.03, follows q·k = 0.5."
    )
    small = replace(SPLIT, cosine=0.01, total=0.01)
    assert inside_texts(Inside(by_network, small, None))[2].startswith(
        "The network's share of the edge is not split, for q·k = 0.01 is below 0.02: the share comes of how popular"
    )


def test_messages_are_said_by_relation_and_by_fact_and_how_far_they_add_up() -> None:
    own, relations, facts, people = inside_texts(Inside(GATE, None, MESSAGES))[2:]
    assert own.startswith(
        "The network's q·k is 0.5; by the two products' own ids and texts, without any edge of the graph"
    )
    assert relations == (
        "By relation Integrated Gradients adds bought 0.1 (2 edges), has_brand 0.1 (2 edges), viewed 0.1 (2 edges), "
        "a 0.1 (2 edges), 0.2 for 2 more relations; all of them miss the difference by 3e-03."
    )
    assert facts == "Most of it: the buyers of Mug (mug) 0.25 (7 edges); Mug (mug) has_brand Clay  -0.125."
    assert people == "1 user bought both: 0.0625 of it."
    by_gnn = replace(MESSAGES, explainer="gnn", kept=0.4, missing=None)
    assert inside_texts(Inside(GATE, None, by_gnn))[3].startswith(
        "By relation GNNExplainer gives weights, 0 to 1 an edge, that sum to bought 0.1 (2 edges)"
    )
    assert inside_texts(Inside(GATE, None, by_gnn))[3].endswith("; with edges of these weights q·k is 0.4.")
    alone = replace(MESSAGES, relations=(), facts=())
    assert len(inside_texts(Inside(GATE, None, alone))) == 3


@pytest.mark.parametrize(
    ("through", "words"),
    [
        ("in_category_2", "the texts of its category of level 2"),
        ("co-purchase 1", "the texts of what was bought with it, 1 step away"),
        ("also_viewed", "the texts of what it leads to by also_viewed"),
        ("also_viewed back", "the texts of what leads to it by also_viewed"),
        (ITSELF, "its own text"),
    ],
)
def test_what_was_propagated_in_words(through: str, words: str) -> None:
    assert part_text(Part(through, "text", 1.0)) == words


def test_a_feature_that_has_no_words_is_called_by_its_name() -> None:
    assert feature_text("share links") == "the closed form's share of links"
    assert feature_text("brand\nnew") == "brand new"
