"""The queries against answers worked out by hand on the small shop, on each store.

Run ``first``: now is day 10, half-life one day, exponent 0.5. Ann's purchases before day 10:
tea on days 8 and 9, so 2 ^ 0.5 * 0.5 ^ 1 = 0.70710678; pot on day 7, so 1 ^ 0.5 * 0.5 ^ 3 = 0.125.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import polars as pl
import pytest

from kg.build import graph_tables
from kg.cypher import parameters_of, purpose, query_names, read_query
from kg.explain import drill_down, explain
from kg.profile import profile
from kg.recommend import page_for_user, page_text, recommend, recommend_with_basket
from kg.schema import SHARES
from kg.store import GraphStore
from loaders.errors import InputError
from tests.kg.small_shop import DAY, FIRST_RUN, PRODUCTS, RECOMMENDED, RELATED, run_record, small_shop

# Two purchases, 2 days and 1 day old, and one of 3 days, with an exponent of a half.
HOME = ("Home", "Home > Kitchen")
TEA, POT = sqrt(0.25 + 0.5), sqrt(0.125)
VALUES = {"user": "ann", "product": "mug", "run": "first", "now": 10.0 * DAY, "half_life": 1.0 * DAY} | {
    "because": "tea",
    "basket": ["tea", "pot", "tea"],
    "sample": 1,
    "exponent": 0.5,
    "users": ["ann", "bob"],
    "repeat": False,
    "level": 1,
    "limit": 10,
}


def test_the_contributions_are_weight_times_related_and_add_up_to_the_score(loaded: GraphStore) -> None:
    found = explain(loaded, user="ann", product="mug", run=FIRST_RUN, limit=10)
    assert found.rows.select("because", "name", "purchases", "last_at").rows() == [
        ("tea", "Green Tea", 2, 9 * DAY),
        ("pot", "Tea Pot", 1, 7 * DAY),
    ]
    numbers = found.rows.select("weight", "related", "contribution", "bought", "network").rows()
    assert numbers[0] == pytest.approx((TEA, 0.8, TEA * 0.8, TEA * 0.6, TEA * 0.2), rel=1e-12)
    assert numbers[1] == pytest.approx((POT, 0.4, POT * 0.4, POT * 0.4, 0.0), rel=1e-12)
    # 0.8660254 * 0.8 + 0.35355339 * 0.4
    assert found.score == pytest.approx(0.8342416792648605, rel=1e-12)
    assert found.rows["contribution"].sum() == pytest.approx(found.score, rel=1e-12)
    assert found.rows.select(pl.col("bought") + pl.col("network")).sum().item() == pytest.approx(found.score, rel=1e-12)


def test_exponent_one_counts_every_purchase(loaded: GraphStore) -> None:
    run = run_record("linear", exponent=1.0)
    loaded.write_results("RELATED", RELATED, run=run)
    # (0.25 + 0.5) * 0.8 + 0.125 * 0.4
    assert explain(loaded, user="ann", product="mug", run=run, limit=1).score == pytest.approx(0.65, rel=1e-12)


def test_recommend_ranks_what_she_has_not_bought_before_now(loaded: GraphStore) -> None:
    found = recommend(loaded, user="ann", run=FIRST_RUN, limit=10)
    # She has the pot. Her jam of day 10 and her cup of day 11 do not count, neither as seen nor as a reason.
    assert found.select("product", "name").rows() == [("mug", "Mug"), ("jam", "Plum Jam"), ("cup", None)]
    assert found["score"].to_list() == pytest.approx([TEA * 0.8 + POT * 0.4, POT * 0.5, -TEA * 0.2], rel=1e-12)


def test_recommend_and_explain_agree_on_every_pair(loaded: GraphStore) -> None:
    pairs = [
        (user, *row)
        for user in ("ann", "bob", "cat", "dan")
        for row in recommend(loaded, user=user, run=FIRST_RUN, limit=10).rows()
    ]
    assert len(pairs) > 5
    for user, product, _, score in pairs:
        assert explain(loaded, user=user, product=product, run=FIRST_RUN, limit=1).score == pytest.approx(score)


def test_recommend_gives_equal_scores_in_the_order_of_ids_and_stops_at_the_limit(loaded: GraphStore) -> None:
    run = run_record("even")
    level = RELATED.filter(pl.col("source") == "tea").with_columns(
        target=pl.Series(["mug", "jam", "cup"]), weight=pl.lit(1.0)
    )
    loaded.write_results("RELATED", level, run=run)
    assert recommend(loaded, user="bob", run=run, limit=10)["product"].to_list() == ["cup", "jam"]
    assert recommend(loaded, user="ann", run=run, limit=2)["product"].to_list() == ["cup", "jam"]


def test_a_run_that_wrote_nothing_recommends_nothing(loaded: GraphStore) -> None:
    assert recommend(loaded, user="ann", run=run_record("silent"), limit=10).is_empty()


def test_the_limit_cuts_evidence_but_never_the_score(loaded: GraphStore) -> None:
    found = explain(loaded, user="ann", product="mug", run=FIRST_RUN, limit=1)
    assert found.score == pytest.approx(TEA * 0.8 + POT * 0.4)
    assert (len(found.rows), len(found.buyers)) == (2, 1)


def test_every_row_of_an_explanation_is_an_edge_of_the_graph(loaded: GraphStore) -> None:
    graph = loaded.read_graph()
    related = loaded.read_results("RELATED", "first").select("source", "target", "weight").rows()
    bought = graph.edges["BOUGHT"].select("source", "target", "at").rows()
    for product in graph.nodes["Product"]["id"]:
        for row in explain(loaded, user="ann", product=product, run=FIRST_RUN, limit=9).rows.iter_rows(named=True):
            assert (row["because"], product, row["related"]) in related
            assert ("ann", row["because"], row["last_at"]) in bought


def test_the_same_brand(loaded: GraphStore) -> None:
    found = explain(loaded, user="ann", product="mug", run=FIRST_RUN, limit=10)
    assert found.brand.rows() == [("Clay", "pot", "Tea Pot", 1, 7 * DAY)]


def test_the_same_category_below_the_department(loaded: GraphStore) -> None:
    found = explain(loaded, user="ann", product="mug", run=FIRST_RUN, limit=10)
    assert found.category.rows() == [("Home > Kitchen", 2, "pot", "Tea Pot", 1, 7 * DAY)]


def test_the_same_department_leaves_out_the_product_itself(loaded: GraphStore) -> None:
    found = explain(loaded, user="ann", product="jam", run=FIRST_RUN, limit=10)
    assert found.department.rows() == [("Food", 2, 1, 9 * DAY)]


def test_other_buyers_are_counted_once_each_and_only_before_now(loaded: GraphStore) -> None:
    found = explain(loaded, user="ann", product="mug", run=FIRST_RUN, limit=10)
    # Bob and cat bought tea and mug, cat pot and mug; dan bought his mug after now.
    assert found.buyers.rows() == [("tea", "Green Tea", 2), ("pot", "Tea Pot", 1)]


def test_an_edge_is_explained_by_what_its_products_share(loaded: GraphStore) -> None:
    found = drill_down(loaded, because="tea", product="mug", run=FIRST_RUN, sample=1)
    # Bob and cat bought both; ann's mug is none, and dan's is of day 12.
    assert (found.brand, found.categories, found.people, found.some_people) == (None, (), 2, ("bob",))
    assert (found.weight, found.near) == (0.8, 0.25)
    assert {share: part for share, part in found.shares.items() if part} == {"bought": 0.6, "network": 0.2}
    found = drill_down(loaded, because="pot", product="mug", run=FIRST_RUN)
    assert (found.brand, found.categories, found.people, found.some_people) == ("Clay", HOME, 1, ("cat",))
    assert (found.weight, found.near) == (0.4, 0.0)


def test_a_product_that_leads_to_itself_shares_all_with_itself_and_one_purchase_is_both(loaded: GraphStore) -> None:
    run = run_record("again")
    edge = RELATED.head(1).with_columns(target=pl.lit("tea"))
    loaded.write_results("RELATED", edge, run=run)
    found = drill_down(loaded, because="tea", product="tea", run=run, sample=9)
    paths = ("Food", "Food > Drinks", "Food > Drinks > Tea")
    assert (found.brand, found.categories, found.some_people) == ("Leaf", paths, ("ann", "bob", "cat", "dan"))


def test_what_the_run_does_not_relate_is_not_explained(loaded: GraphStore) -> None:
    sentence = "the run 'first' has no RELATED edge from 'mug' to 'tea'; give the two products of a row"
    with pytest.raises(InputError, match=sentence):
        drill_down(loaded, because="mug", product="tea", run=FIRST_RUN)


def test_a_basket_is_bought_now_and_a_product_in_it_twice_counts_as_two(loaded: GraphStore) -> None:
    found = recommend_with_basket(loaded, basket=["tea", "pot", "tea"], run=FIRST_RUN, limit=10)
    assert found.select("product", "name").rows() == [("mug", "Mug"), ("jam", "Plum Jam"), ("cup", None)]
    two = sqrt(2)
    assert found["score"].to_list() == pytest.approx([two * 0.8 + 0.4, 0.5, -two * 0.2], rel=1e-12)
    again = recommend_with_basket(loaded, basket=["tea"], run=replace(FIRST_RUN, repeat=True), limit=1)
    assert again.rows() == [("pot", "Tea Pot", 0.9)]


def test_a_product_of_the_basket_is_given_back_only_by_a_run_that_repeats(loaded: GraphStore) -> None:
    for repeat, wanted in ((False, ["mug", "jam", "cup"]), (True, ["mug", "pot", "jam", "cup"])):
        run = replace(FIRST_RUN, repeat=repeat)
        found = recommend_with_basket(loaded, basket=["tea", "pot"], run=run, limit=10)
        assert found["product"].to_list() == wanted


def test_a_basket_that_is_empty_or_holds_what_nobody_knows_is_refused(loaded: GraphStore) -> None:
    with pytest.raises(InputError, match="the basket is empty; give the id of at least one product"):
        recommend_with_basket(loaded, basket=[], run=FIRST_RUN, limit=10)
    with pytest.raises(InputError, match="no product 'hat'"):
        recommend_with_basket(loaded, basket=["tea", "hat"], run=FIRST_RUN, limit=10)


def test_the_rows_of_a_basket_add_up_to_its_score(loaded: GraphStore) -> None:
    basket = ["tea", "pot", "tea"]
    values = {"basket": basket, "run": "first", "exponent": 0.5, "limit": 10}
    why = read_query("explain_with_basket", dialect=loaded.dialect)
    for product, _, score in recommend_with_basket(loaded, basket=basket, run=FIRST_RUN, limit=10).rows():
        rows = loaded.query(why, {**values, "product": product})
        assert rows["contribution"].sum() == pytest.approx(score, rel=1e-12)
        assert rows.select(pl.sum_horizontal(SHARES)).sum().item() == pytest.approx(score, rel=1e-12)


def test_a_user_whose_purchases_lead_nowhere_is_shown_what_most_people_bought(loaded: GraphStore) -> None:
    # Before day 0 nobody has bought anything; before day 6, dan has his tea. The run recommends no tea.
    nobody = page_text(page_for_user(loaded, user="dan", run=replace(FIRST_RUN, now=DAY), limit=2))
    assert "No purchase of hers leads to a product, so these are the products that were bought by most of all" in nobody
    lonely = replace(FIRST_RUN, name="lonely", now=7 * DAY)
    loaded.write_results("RELATED", RELATED.filter(pl.col("source") == "pot"), run=lonely)
    page = page_for_user(loaded, user="dan", run=lonely, limit=2)
    assert page.rows.rows() == [("mug", "Mug", 2)]
    assert loaded.query(page.query, {}).rows() == page.rows.rows()


def test_the_pasted_query_gives_the_list(loaded: GraphStore) -> None:
    page = page_for_user(loaded, user="ann", run=FIRST_RUN, limit=2)
    assert loaded.query(page.query, {}).rows() == page.rows.rows()
    assert len(page.rows) == 2


def test_a_profile_counts_purchases_by_brand_and_level(loaded: GraphStore) -> None:
    found = profile(loaded, user="ann", limit=10)
    assert (found.purchases, found.products, found.first_at, found.last_at) == (5, 4, 7 * DAY, 11 * DAY)
    assert found.brands.drop("evidence", "first_at").rows() == [("Leaf", 3, 2, 10 * DAY), ("Clay", 1, 1, 7 * DAY)]
    assert found.brands["first_at"].to_list() == [8 * DAY, 7 * DAY]
    assert found.categories[1].drop("evidence", "first_at").rows() == [
        ("Food", 3, 2, 10 * DAY),
        ("Home", 2, 2, 11 * DAY),
    ]
    assert found.categories[2].drop("evidence", "first_at").rows() == [
        ("Food > Drinks", 2, 1, 9 * DAY),
        ("Home > Kitchen", 2, 2, 11 * DAY),
        ("Food > Spreads", 1, 1, 10 * DAY),
    ]


def test_a_product_with_a_sensitive_name_counts_nowhere_in_a_profile(loaded: GraphStore) -> None:
    whole = profile(loaded, user="ann", limit=10, blocked=())
    found = profile(loaded, user="ann", limit=10, blocked=("jam",))
    assert (whole.purchases, found.purchases) == (5, 4)
    assert "Plum Jam (jam)" in str(whole.brands["evidence"].to_list())
    assert "Jam" not in str([found.brands["evidence"].to_list(), found.categories[1]["evidence"].to_list()])


def test_a_profile_at_a_moment_knows_nothing_later(loaded: GraphStore) -> None:
    found = profile(loaded, user="ann", limit=10, now=10.0 * DAY)
    assert (found.purchases, found.products, found.last_at) == (3, 2, 9 * DAY)
    assert profile(loaded, user="ann", limit=10, now=0.0).purchases == 0


def test_the_lists_and_lookups(loaded: GraphStore) -> None:
    assert loaded.query(read_query("list_users"), {"limit": 2}).rows() == [("ann",), ("bob",)]
    assert loaded.query(read_query("list_products"), {"limit": 2}).rows() == [("cup", None), ("jam", "Plum Jam")]
    loaded.write_results("RELATED", RELATED, run=run_record("later", made_at="2030-01-01"))
    assert loaded.query(read_query("list_runs"), {"limit": 5})["run"].to_list() == ["later", "first"]
    assert loaded.query(read_query("find_user"), {"user": "eve", "limit": 1}).is_empty()
    assert loaded.query(read_query("find_product"), {"product": "mug", "limit": 1}).rows() == [("mug", "Mug")]


def test_a_product_without_brand_or_category_has_no_such_evidence(store: GraphStore) -> None:
    plain = PRODUCTS.select("product_id", "name")
    store.replace_graph(graph_tables(small_shop(products=plain)))
    found = explain(store, user="ann", product="mug", run=FIRST_RUN, limit=10)
    assert [len(frame) for frame in (found.rows, found.brand, found.category, found.department)] == [0, 0, 0, 0]
    assert found.score == 0.0


@pytest.fixture
def whole(loaded: GraphStore) -> GraphStore:
    """Return the store with edges of every kind that a run writes."""
    preferred = pl.DataFrame({"source": ["ann"], "target": ["Leaf"], "kind": ["Brand"], "weight": [0.5], "lift": [2.0]})
    loaded.write_results("RECOMMENDED", RECOMMENDED, run=FIRST_RUN)
    loaded.write_results("PREFERS", preferred.with_columns(purchases=1, last_at=0), run=FIRST_RUN)
    return loaded


@pytest.mark.parametrize("name", query_names())
def test_every_query_says_its_purpose_and_parameters_and_runs(whole: GraphStore, name: str) -> None:
    text = read_query(name, dialect=whole.dialect)
    first, second = text.split("\n")[:2]
    assert first.startswith("// ")
    assert purpose(text).endswith(".")
    assert second.startswith("// $")
    parameters = parameters_of(text)
    assert {word.strip("$,.;()") for word in second.split() if word.startswith("$")} == parameters
    rows = whole.query(text, {parameter: VALUES[parameter] for parameter in parameters})
    assert len(rows) > 0
    assert "ORDER BY" in text
    assert text.rstrip().endswith("LIMIT $limit")


@pytest.mark.parametrize("name", query_names())
def test_an_answer_without_rows_has_the_types_of_one_with_rows(whole: GraphStore, name: str) -> None:
    text = read_query(name, dialect=whole.dialect)
    values = {key: VALUES[key] for key in parameters_of(text)}
    nobody = {key: "nobody" for key in ("user", "product", "because", "run") if key in values}
    nobody |= {key: ["nobody"] for key in ("users", "basket") if key in values}
    full = whole.query(text, values)
    empty = whole.query(text, {**values, **nobody})
    # The lists of users, products and runs ask for nobody, and are never empty.
    assert dict(empty.schema) == dict(full.schema)
    assert pl.Null not in full.schema.values()
