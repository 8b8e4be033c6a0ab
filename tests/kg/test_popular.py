"""What is shown to whom nothing of her own speaks for: what people like her bought, on each store, worked by hand.

Before day 10, 25 young people bought the mug and 9 of them the cup, and 30 old ones the pot; a young one more bought
nothing. Eve, who has just come, is young and rich, as are 4 of the young and 6 of the old. Tea is not ranked.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from gnn.why import answer
from kg.build import graph_tables
from kg.popular import Group, group_text, known_facts, most_bought
from kg.recommend import page_for_user, page_text
from kg.store import GraphStore
from loaders.tables import check_shop
from tests.kg.small_shop import DAY, FIRST_RUN, PRODUCTS, RELATED

YOUNG, OLD = [f"y{nth:02}" for nth in range(25)], [f"z{nth:02}" for nth in range(30)]
USERS = pl.DataFrame(
    [("eve", "young", "rich", True), ("idle", "young", "poor", None), ("odd", None, None, None)]
    + [(user, "young", "rich" if nth < 4 else "poor", None) for nth, user in enumerate(YOUNG)]
    + [(user, "old", "rich" if nth < 6 else "poor", None) for nth, user in enumerate(OLD)],
    schema=["user_id", "age", "income", "pregnant"],
    orient="row",
)
PURCHASES = pl.DataFrame(
    [(user, "mug", DAY) for user in YOUNG]
    + [(user, "tea", DAY) for user in YOUNG]
    + [(user, "cup", 2 * DAY) for user in YOUNG[:9]]
    # The second jar does not make a second buyer, and what is bought at the moment itself does not count.
    + [("y00", "jam", 3 * DAY), ("y00", "jam", 4 * DAY), ("y01", "cup", 10 * DAY), ("odd", "mug", 11 * DAY)]
    + [(user, "pot", DAY) for user in OLD],
    schema=["user_id", "product_id", "at"],
    orient="row",
)
# Nothing leads on from what eve or y00 may have bought.
EDGES = RELATED.filter(pl.col("source") == "tea").with_columns(
    source=pl.lit("mug"), target=pl.Series(["cup", "pot", "jam"])
)
EDGES = pl.concat([EDGES, EDGES.head(1).with_columns(source=pl.lit("cup"), target=pl.lit("mug"))])
RUN = replace(FIRST_RUN, name="alike")


@pytest.fixture
def full(store: GraphStore) -> GraphStore:
    store.replace_graph(graph_tables(check_shop("alike", products=PRODUCTS, purchases=PURCHASES, users=USERS)))
    store.write_results("RELATED", EDGES, run=RUN)
    return store


def test_the_nodes_of_a_label_are_those_of_the_graph(full: GraphStore) -> None:
    assert full.read_nodes("User").equals(full.read_graph().nodes["User"])


def test_a_user_without_purchases_gets_what_those_bought_who_share_most_with_her(full: GraphStore) -> None:
    found = most_bought(full, user="eve", run=RUN, limit=10)
    # Only 4 of the young are rich too; all 25 and 6 of the old share at least one of two, and idle bought nothing.
    # That she may be pregnant is not spoken of.
    assert found.group == Group(people=31, shared=1, facts={"age": "young", "income": "rich"})
    assert found.rows.rows() == [("mug", "Mug", 25), ("cup", None, 9), ("pot", "Tea Pot", 6), ("jam", "Plum Jam", 1)]
    assert full.query(found.query, {}).rows() == found.rows.rows()


def test_people_who_bought_nothing_do_not_stand_in_the_way_of_those_who_did(
    full: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the first 20 who are like eve, idle among them, only 19 bought anything.
    monkeypatch.setattr("kg.popular.MOST", 20)
    found = most_bought(full, user="eve", run=RUN, limit=10)
    assert (found.group.people, found.group.shared) == (20, 1)


def test_who_shares_all_is_enough_where_there_are_enough(full: GraphStore) -> None:
    found = most_bought(full, user="idle", run=RUN, limit=1)
    # 21 of the young are poor as idle is.
    assert found.group == Group(people=21, shared=2, facts={"age": "young", "income": "poor"})
    assert found.rows.rows() == [("mug", "Mug", 21)]
    assert group_text(found.group) == "21 people who share what the shop says of her: age young, income poor"


def test_of_whom_the_shop_says_nothing_everybody_is_asked(full: GraphStore) -> None:
    found = most_bought(full, user="odd", run=RUN, limit=2)
    assert found.group == Group(people=58, shared=0, facts={})
    # Her own mug came after the moment.
    assert found.rows.rows() == [("pot", "Tea Pot", 30), ("mug", "Mug", 25)]
    assert full.query(found.query, {}).rows() == found.rows.rows()
    assert group_text(found.group) == "all 58 people in the shop"


def test_where_too_few_are_like_her_everybody_is_asked(full: GraphStore) -> None:
    # On the first day nobody has bought anything yet.
    assert most_bought(full, user="eve", run=replace(RUN, now=DAY), limit=2).group.shared == 0


@pytest.mark.parametrize("repeat", [False, True])
def test_what_she_owns_is_left_out_unless_the_run_repeats(full: GraphStore, *, repeat: bool) -> None:
    run = replace(RUN, repeat=repeat)
    # y00 has the mug, the cup and the jam.
    found = most_bought(full, user="y00", run=run, limit=10)
    # Nobody else has the jam.
    wanted = ["mug", "pot", "cup"] if repeat else ["pot"]
    # y00's like are 3 of the young and rich, so whoever shares one of two: 24 young and 6 old.
    assert found.group.people == 30
    assert sorted(found.rows["product"].to_list()) == sorted(wanted)
    # z20 has the pot; all others are old and poor as z20 is, and have nothing else: so everybody is asked.
    assert most_bought(full, user="z20", run=run, limit=1).rows["product"].to_list() == (["pot"] if repeat else ["mug"])


def test_both_commands_say_whose_purchases_they_were(full: GraphStore) -> None:
    page = page_text(page_for_user(full, user="eve", run=RUN, limit=2))
    words = "31 people who share at least 1 of what the shop says of her: age young, income rich"
    assert (
        "No purchase of hers leads to a product, so these are the products that were bought by most of "
        f"{words}.\n" in page
    )
    found = answer(full, user="eve", product=None, run=RUN, k=2, reasons=1)
    assert [each.product for each in found.popular] == ["mug", "cup"]
    assert found.group is not None
    assert found.group.people == 31
    assert answer(full, user="y05", product=None, run=RUN, k=2, reasons=1).group is None


def test_a_long_list_of_facts_is_cut_and_unknown_ones_do_not_count() -> None:
    users = pl.DataFrame({"id": ["a", "b"], "x": [1.5, 2.0], "y": [None, "k"], "allergies": ["nuts", None]})
    assert known_facts(users, "a") == {"x": "1.5"}
    many = Group(people=30, shared=7, facts={f"f{nth}": "yes" for nth in range(7)})
    assert group_text(many).endswith("says of her: f0 yes, f1 yes, f2 yes, f3 yes, f4 yes and 2 more")
