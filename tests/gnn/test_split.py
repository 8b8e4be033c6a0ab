"""Where the past ends: by given moments, by the shop's own, by shares, by fold and by chance."""

from __future__ import annotations

import polars as pl
import pytest

from gnn.config import SplitConfig
from gnn.split import Split, split_purchases
from kg.graph import Graph
from loaders.errors import InputError
from tests.gnn.shops import DAY, graph_of, shop_of

# One purchase a day from day 1 to day 10, by one user.
TEN = [("ann", f"p{day:02}", day) for day in range(1, 11)]


def days(split: Split) -> list[list[int]]:
    return [(part["at"] // DAY).to_list() for part in (split.past, split.validation, split.test)]


def ten(**cutoffs: int) -> Graph:
    return graph_of(shop_of(*TEN, **cutoffs))


def test_purchases_at_a_given_moment_belong_to_the_part_that_begins_there() -> None:
    config = SplitConfig(validation_from="1970-01-05", test_from="1970-01-08T00:00:00")
    split = split_purchases(ten(), config, seed=0)
    assert days(split) == [[1, 2, 3], [4, 5, 6], [7, 8, 9, 10]]
    assert (split.way, split.validation_from, split.test_from) == ("by time", 4 * DAY, 7 * DAY)
    assert split.now == 10 * DAY + 1


def test_a_moment_with_an_offset_is_another_moment_in_utc() -> None:
    config = SplitConfig(validation_from="1970-01-05T02:00:00+02:00", test_from="1970-01-08T00:00:01")
    assert days(split_purchases(ten(), config, seed=0)) == [[1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_the_shops_own_moments_hold_unless_others_are_given() -> None:
    shop = ten(validation_from=6 * DAY, test_from=9 * DAY)
    assert days(split_purchases(shop, SplitConfig(), seed=0)) == [[1, 2, 3, 4, 5], [6, 7, 8], [9, 10]]
    given = SplitConfig(validation_from="1970-01-03")
    assert days(split_purchases(shop, given, seed=0)) == [[1], [2, 3, 4, 5, 6, 7, 8], [9, 10]]


def test_shares_split_where_no_moment_is_known() -> None:
    config = SplitConfig(validation_share=0.2, test_share=0.3)
    assert days(split_purchases(ten(), config, seed=0)) == [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]]


def test_a_test_share_of_zero_leaves_the_test_part_empty() -> None:
    config = SplitConfig(validation_share=0.2, test_share=0.0)
    assert days(split_purchases(ten(), config, seed=0)) == [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10], []]


def test_a_published_split_goes_before_all_moments() -> None:
    folds = ["test", "train", "validation", "train"]
    shop = shop_of(*TEN[:4], folds=folds, validation_from=2 * DAY, test_from=3 * DAY)
    split = split_purchases(graph_of(shop), SplitConfig(validation_from="1970-01-02"), seed=0)
    assert (days(split), split.way) == ([[2, 4], [3], [1]], "by fold")


def test_without_times_chance_splits_and_the_seed_alone_says_how() -> None:
    graph = graph_of(shop_of(*((f"u{user}", f"p{product}", None) for user in range(20) for product in range(20))))
    config = SplitConfig(validation_share=0.2, test_share=0.3)
    first, again, other = (split_purchases(graph, config, seed=seed) for seed in (1, 1, 2))
    assert first.way == "by chance"
    assert first.past.equals(again.past)
    assert not first.past.equals(other.past)
    # 400 draws of probability 0.3 and 0.2 have standard deviations of 9 and 8.
    assert len(first.test) == pytest.approx(120, abs=36)
    assert len(first.validation) == pytest.approx(80, abs=32)


def test_the_parts_are_all_purchases_each_once() -> None:
    graph = ten(validation_from=6 * DAY, test_from=9 * DAY)
    split = split_purchases(graph, SplitConfig(), seed=0)
    assert split.everything.sort(pl.all()).equals(graph.bought.select("user", "product", "at").sort(pl.all()))
    assert (split.before_test["at"] // DAY).to_list() == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            SplitConfig(validation_from="1970-01-01", test_from="1970-01-05"),
            r"no purchase is in the past of validation \(1970-01-01T00:00:00\): purchases run from 1970-01-02T00:00:00 "
            r"to 1970-01-11T00:00:00; give a later --split.validation-from",
        ),
        (
            SplitConfig(validation_from="1971-01-01", test_from="1971-02-01"),
            r"no purchase is in the validation part \(1971-01-01T00:00:00 to 1971-02-01T00:00:00\): purchases run from "
            "1970-01-02T00:00:00 to 1970-01-11T00:00:00; give an earlier --split.validation-from",
        ),
        (
            SplitConfig(validation_from="1970-01-08", test_from="1970-01-05"),
            "validation begins at 1970-01-08T00:00:00, after test at 1970-01-05T00:00:00; give --split.validation-from "
            "and --split.test-from in this order",
        ),
        (
            SplitConfig(validation_from="last monday"),
            "split.validation_from is 'last monday', which is no date; write it like 2017-11-27",
        ),
        (SplitConfig(test_from="2017-13-01"), "split.test_from is '2017-13-01', which is no date"),
        (SplitConfig(validation_share=0.0), "no purchase is in the validation part"),
    ],
)
def test_a_split_that_leaves_nothing_to_learn_from_is_refused(config: SplitConfig, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        split_purchases(ten(), config, seed=0)


def test_a_published_split_without_validation_gives_a_part_of_each_users_train_purchases() -> None:
    # User a has 20 train purchases (15 % are 3), b has 4 (1, at least), c has 2 (none); test stays as it is.
    rows = [("a", f"p{n:02}", None) for n in range(20)] + [("b", f"p{n:02}", None) for n in range(6)]
    rows += [("c", "p00", None), ("c", "p01", None)]
    folds = ["train"] * 20 + ["train"] * 4 + ["test"] * 2 + ["train"] * 2
    graph = graph_of(shop_of(*rows, folds=folds))
    first, again, other = (split_purchases(graph, SplitConfig(), seed=seed) for seed in (0, 0, 1))
    parts = {"past": first.past, "validation": first.validation, "test": first.test}
    counts = {name: dict(part.group_by("user").len().iter_rows()) for name, part in parts.items()}
    assert counts == {"past": {0: 17, 1: 3, 2: 2}, "validation": {0: 3, 1: 1}, "test": {1: 2}}
    assert first.validation.equals(again.validation)
    assert not first.validation.equals(other.validation)
    assert first.way == "by fold"


def test_published_folds_that_follow_each_other_in_time_are_a_split_by_time() -> None:
    folds = ["train", "train", "validation", "test"]
    rows = (("ann", "a", 1), ("bob", "b", 2), ("ann", "b", 3), ("bob", "c", 4))
    split = split_purchases(graph_of(shop_of(*rows, folds=folds)), SplitConfig(), seed=0)
    assert (split.way, split.validation_from, split.test_from) == ("by time", 3 * DAY, 4 * DAY)
    assert days(split) == [[1, 2], [3], [4]]


def test_published_folds_that_overlap_in_time_stay_a_split_by_fold() -> None:
    folds = ["train", "validation", "train", "test"]
    rows = (("ann", "a", 1), ("bob", "b", 2), ("ann", "b", 3), ("bob", "c", 4))
    assert split_purchases(graph_of(shop_of(*rows, folds=folds)), SplitConfig(), seed=0).way == "by fold"
