"""``python -m gnn.explain`` on the small shop: what is said, drawn and refused, against answers worked out by hand.

Ann's weights before day 10 (tests/kg/test_queries.py): tea 0.8660254, pot 0.35355339. So the mug scores
0.6928203 + 0.1414214 = 0.8342417, of which 0.173205 is of the network.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import gnn.evaluate
import gnn.explain
import gnn.export
from gnn.explain_group import explain_group
from gnn.explain_page import page
from gnn.explain_picture import draw_reasons, svg_of
from gnn.history import Weighing
from gnn.reason_words import moment_text
from gnn.run import Manifest, RunFolder
from gnn.why import Reason, Why, answer
from gnn.why_not import weighed_purchases, why_not
from kg.build import graph_tables
from kg.store import open_store
from loaders.errors import InputError, run_command
from loaders.synthetic import synthetic_shop
from tests.kg.small_shop import DAY, FIRST_RUN, RECOMMENDED, RELATED, run_record, small_shop

Command = Callable[..., tuple[int, str, str]]


def manifest_of(name: str, *, store: str, made_at: str = FIRST_RUN.made_at, graph: str = "small") -> Manifest:
    return Manifest(
        run=name, made_at=made_at, commit=None, versions={}, seed=0, store=store, graph=graph, split="by time",
        learned_before=9 * DAY, repeat=False, settings={}, weighing=Weighing(exponent=0.5, half_life=float(DAY)),
        epochs=0,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with the store of the small shop, where eve has bought nothing, and the folder of its run."""
    tables = graph_tables(small_shop())
    users = pl.concat([tables.nodes["User"], pl.DataFrame({"id": ["eve"]})])
    address = f"ladybug:{tmp_path / 'small.lbug'}"
    with open_store(address) as store:
        store.replace_graph(replace(tables, nodes={**tables.nodes, "User": users}))
        store.write_results("RELATED", RELATED, run=FIRST_RUN)
        store.write_results("RECOMMENDED", RECOMMENDED, run=FIRST_RUN)
    write_run(tmp_path, manifest_of("first", store=address))
    return tmp_path


def write_run(place: Path, manifest: Manifest) -> None:
    folder = place / "runs" / manifest.run
    folder.mkdir(parents=True)
    RunFolder(folder).write_manifest(manifest)


@pytest.fixture
def command(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str, module: Any = gnn.explain, name: str = "first") -> tuple[int, str, str]:
        """Return exit code, output and errors of ``python -m gnn.explain``, without the wait for a new process."""
        monkeypatch.setattr(sys, "argv", ["explain", "--run", name, "--runs", str(place / "runs"), *words])
        try:
            run_command(module.main)
            code = 0
        except SystemExit as ended:
            code = int(str(ended.code))
        return code, *capsys.readouterr()

    return run


def test_the_best_products_are_explained_in_words(command: Command) -> None:
    code, shown, _ = command("--user", "ann", "--k", "2")
    assert code == 0
    assert "User ann, run first\nPurchases before 1970-01-11 00:00 UTC count" in shown
    # Jam at the very moment and the cup a day after it.
    assert "2 purchases of hers are newer than that and not in the score" in shown
    assert "1 purchase of hers, of the 3 that count in the score, came after all that the run learned from." in shown
    mug, jam = shown.split("\n\n")[1:]
    assert mug.startswith("Mug (mug): score 0.834242\nShares: bought 79.2 %, network 20.8 %.\n")
    assert "It is in place 1 of her list.\n" in mug
    assert (
        "  - adds 0.6928 (83.0 %): because she bought Green Tea (tea) twice, last on 1970-01-10 (1 day before the "
        "run's moment); 2 other people bought both\n"
    ) in mug
    assert mug.endswith(
        "  - adds 0.1414 (17.0 %): because she bought Tea Pot (pot) once, on 1970-01-08 (3 days before the run's "
        "moment); it has the same brand, Clay; it is in the same category, Home > Kitchen; 1 other person bought both"
    )
    assert jam.startswith("Plum Jam (jam): score 0.176777")


def test_newer_purchases_are_counted_and_what_they_would_make(place: Path) -> None:
    with open_store(f"ladybug:{place / 'small.lbug'}", read_only=True) as store:
        found = answer(store, user="ann", product="mug", run=FIRST_RUN, k=1, reasons=3)
    # A second after day 11: tea (0.125 + 0.25) ^ 0.5 * 0.8, pot 0.0625 ^ 0.5 * 0.4, jam 0.5 ^ 0.5 * 7.
    assert found.newer == 2
    assert found.products[0].with_newer == pytest.approx(0.48989795 + 0.1 + 4.94974747, rel=1e-4)


def test_what_was_never_ranked_is_explained_and_said_so(command: Command) -> None:
    _, shown, _ = command("--user", "ann", "--product", "pot")
    # 0.8660254 * 0.9
    assert "Tea Pot (pot): score 0.779423" in shown
    assert "It was never ranked for her: she bought it herself (once)" in shown
    _, shown, _ = command("--user", "ann", "--product", "cup")
    assert (
        "It is in place 3 of her list by the graph as it is, and not among the 2 products that the last export" in shown
    )
    # -0.8660254 * 0.2, and parts that cancel out have no percentages.
    assert "Shares: bought -0.2598, network 0.0866." in shown
    assert "1 purchased product takes 0.1732 from the score." in shown


def test_a_user_without_purchases_gets_what_most_users_buy(command: Command) -> None:
    _, shown, _ = command("--user", "eve")
    assert "She bought nothing before that moment" in shown
    # The shop says nothing of its users.
    assert "what was bought before that moment by most of all 5 people in the shop." in shown
    # No edge leads to tea, which has the most buyers; mug and pot have two each before day 10.
    assert shown.endswith("Most bought\n  - Mug (mug): 2 buyers\n  - Tea Pot (pot): 2 buyers\n")


def test_the_most_bought_leave_out_what_she_has(command: Command, place: Path) -> None:
    run = run_record("lonely")
    write_run(place, manifest_of("lonely", store=f"ladybug:{place / 'small.lbug'}"))
    with open_store(f"ladybug:{place / 'small.lbug'}") as store:
        store.write_results("RELATED", RELATED.filter(pl.col("source") == "pot"), run=run)
    _, shown, _ = command("--user", "bob", name="lonely")
    # Of mug and jam, which the pot leads to, bob has the mug; nobody bought the jam before day 10.
    assert "Her 2 purchases lead to no product that she has not bought." in shown
    assert shown.endswith("Nobody bought another product that the run ranks before that moment.\n")


def test_a_product_that_no_edge_leads_to_is_said_so(command: Command) -> None:
    code, shown, _ = command("--user", "ann", "--product", "tea")
    assert code == 0
    assert "Green Tea (tea): score 0\n" in shown
    assert "No RELATED edge of the run leads to it" in shown


def test_json_has_the_numbers_and_the_words(command: Command) -> None:
    _, shown, _ = command("--user", "ann", "--product", "mug", "--format", "json")
    found = json.loads(shown)
    (mug,) = found["products"]
    assert mug["score"] == pytest.approx(sum(reason["contribution"] for reason in mug["reasons"]))
    assert mug["score"] == pytest.approx(sum(mug["parts"].values()))
    assert mug["reasons"][1]["brands"] == ["Clay"]
    assert any("because she bought Green Tea" in words for words in found["words"])


def test_markdown_shows_names_letter_for_letter(place: Path) -> None:
    with open_store(f"ladybug:{place / 'small.lbug'}", read_only=True) as store:
        found = answer(store, user="ann", product="mug", run=FIRST_RUN, k=1, reasons=1)
    why = replace(found.products[0], name="*Mug* [x](y)\n# no")
    shown = page(replace(found, products=(why,)), "markdown")
    assert "## \\*Mug\\* \\[x\\](y) \\# no (mug): score 0.834242\n\n" in shown
    assert "\n\n1 more purchased product adds 0.1414 together.\n\nWith her newer purchases" in shown
    assert "\n\n- adds 0.6928" in shown


def test_why_not_says_what_is_missing_and_where_it_is(command: Command) -> None:
    code, shown, _ = command("--user", "ann", "--why-not", "cup", "--k", "1", "--format", "json")
    assert code == 0
    found = json.loads(shown)
    # The mug has 0.8342417 and the cup -0.1732051; pot leads only to the mug, tea to both.
    assert (found["rank"], found["ranked"], found["at_k"]["product"]) == (3, 3, "mug")
    assert found["missing"] == pytest.approx(1.00744676)
    assert (found["only_there"], found["both"], found["only_here"]) == pytest.approx((0.14142136, 0.8660254, 0.0))
    assert [(each["because"], each["here"]) for each in found["lacks"]] == [
        ("tea", pytest.approx(-0.173205)),
        ("pot", None),
    ]
    assert found["above"] == [{"rank": 1, "product": "mug", "name": "Mug", "score": pytest.approx(0.8342417)}]
    assert found["wishes"] == []
    _, shown, _ = command("--user", "dan", "--why-not", "mug", "--k", "1")
    # Dan's tea of day 1 weighs 0.0441942: 0.9 of it for the pot, 0.8 for the mug. His mug of day 12 does not count.
    assert "Mug (mug) is in place 2 of 3; its score for her is 0.0353553." in shown
    assert "It lacks 0.00441942 to draw level: 0 purchased products of hers lead only to Tea Pot (pot)" in shown
    assert "  - Plum Jam (jam): 7.0000\n  - Tea Pot (pot): 0.4000" in shown


def test_why_not_of_what_is_left_out_says_why(command: Command) -> None:
    _, shown, _ = command("--user", "ann", "--why-not", "pot")
    assert "Tea Pot (pot) is left out. She bought it once, and the run ranks only what a user has not bought" in shown
    _, shown, _ = command("--user", "eve", "--why-not", "tea")
    assert (
        "Green Tea (tea) is not ranked: no RELATED edge of the run leads to it. It had 4 buyers before the end" in shown
    )
    _, shown, _ = command("--user", "eve", "--why-not", "mug")
    assert "Mug (mug) is in no place of her list: none of her purchases leads to it." in shown
    assert "Her list is empty." in shown
    _, shown, _ = command("--user", "ann", "--why-not", "mug")
    assert "So it is among her first 5." in shown


def test_a_group_is_explained_by_the_sum_over_its_users(place: Path, command: Command) -> None:
    (place / "group.txt").write_text("\ufeffann\nbob\n\ndan\nann\n", encoding="utf-8")
    code, shown, _ = command("--users", str(place / "group.txt"), "--product", "mug", "--format", "json")
    assert code == 0
    found = json.loads(shown)
    # Bob's tea of day 5 weighs 0.5 ^ 2.5 = 0.1767767, dan's of day 1 0.0441942.
    assert (found["users"], found["given"], found["mean_rank"]) == (3, 1, 1.0)
    assert (found["reached"], found["bought"]) == (3, 1)
    assert found["mean_score"] == pytest.approx((0.8342417 + 0.1414214 + 0.0353553) / 3)
    assert found["parts"] == pytest.approx({"bought": 0.7936192 / 3, "network": 0.2173993 / 3})
    carriers = [(each["because"], each["contribution"], each["users"]) for each in found["carriers"]]
    assert carriers == [("tea", pytest.approx(0.8695970), 3), ("pot", pytest.approx(0.1414214), 1)]
    _, shown, _ = command("--users", str(place / "group.txt"), "--product", "mug", "--k", "1")
    assert "The last export of run first gives it to 1 of 3 users, in place 1.0 on average." in shown
    assert "The purchases that carry most, 1 of 2\n  - Green Tea (tea): 0.8696 in all, bought by 3" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--user", "abe"), "no user 'abe'"),
        (("--user", "ann", "--product", "hat"), "no product 'hat'"),
        (("--user", "ann", "--why-not", "hat"), "no product 'hat'"),
        (("--user", "ann", "--product", "mug", "--k", "3"), "--k 3 is a number of her best products"),
        (("--user", "ann", "--why-not", "mug", "--reasons", "2"), "--reasons 2 is for what a user is given"),
        (("--users", "file", "--product", "mug", "--reasons", "2"), "--reasons 2 is for what a user is given"),
        ((), "give --user ID, or --users FILE for a group"),
        (("--user", "ann", "--users", "file"), "one of the two"),
        (("--users", "file"), "give it by --product ID"),
        (("--user", "ann", "--why-not", "mug", "--product", "mug"), "--why-not 'mug' names the product already"),
        (("--user", "ann", "--why-not", "mug", "--picture", "x.svg"), "--picture draws one user's reasons"),
        (("--user", "ann", "--k", "0"), "--k 0 shows nothing; give at least 1"),
        (("--user", "eve", "--picture", "x.svg"), "nothing that user 'eve' bought leads to a product"),
        (("--users", "nowhere.txt", "--product", "mug"), "No such file or directory at 'nowhere.txt'"),
    ],
)
def test_a_mistake_ends_in_a_sentence(command: Command, words: tuple[str, ...], sentence: str) -> None:
    code, shown, told = command(*words)
    assert (code, shown, told.count("\n")) == (2, "", 1)
    assert sentence in told


def test_a_group_with_somebody_unknown_or_nobody_is_refused(place: Path, command: Command) -> None:
    for content, sentence in (
        (b"ann\nabe\n", "no user 'abe'"),
        (b"\n \n", "names no user"),
        (b"\xff\xfe", "is no UTF-8"),
    ):
        (place / "group.txt").write_bytes(content)
        code, _, told = command("--users", str(place / "group.txt"), "--product", "mug")
        assert (code, sentence in told) == (2, True), told


def test_results_of_another_training_are_refused(place: Path, command: Command) -> None:
    address = f"ladybug:{place / 'small.lbug'}"
    write_run(place, manifest_of("gone", store=address))
    write_run(place, manifest_of("again", store=address))
    with open_store(address) as store:
        store.write_results("RELATED", RELATED, run=run_record("again", made_at="2030-01-01"))
    for words in (("--user", "ann"), ("--user", "ann", "--why-not", "mug")):
        assert "holds none of the RELATED edges that run 'gone' made" in command(*words, name="gone")[2]
        code, shown, told = command(*words, name="again")
        assert (code, shown) == (2, "")
        assert "holds those made at 2030-01-01 of the RELATED edges that run 'again' made" in told


def crowded(*, purchases: int) -> Why:
    """Return a made-up explanation by many purchases with long names, brands and categories."""
    reasons = tuple(
        Reason(
            because=f"p{nth}", name=f"A product number {nth} whose name is longer than anybody would ever read, really",
            purchases=1 + nth, last_at=DAY, contribution=1.0 / (1 + nth), parts={"bought": 1.0 / (1 + nth)},
            brands=(f"The Brand of the House {nth}",), people=3,
            categories=(f"Department > Wide Category > Narrow Category {nth}",),
        )
        for nth in range(purchases)
    )  # fmt: skip
    return Why(
        product="p", name="The recommended product, which has a long name too", score=3.0, parts={"bought": 3.0},
        reasons=reasons, more=0, more_adds=0.0, against=0, against_takes=0.0, rank=1, exported_rank=1, times_bought=0,
        leads_to_it=True, with_newer=None,
    )  # fmt: skip


@pytest.mark.parametrize("purchases", [1, 3, 8, 20])
def test_no_two_labels_of_the_picture_overlap(purchases: int) -> None:
    figure = draw_reasons(crowded(purchases=purchases), user="the user with the longest id of all")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    labels = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [label.get_bbox_patch().get_window_extent() for label in labels]  # type: ignore[union-attr]
    assert len(boxes) == 2 + min(purchases, 8) + min(2 * purchases, 6)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1) for box in boxes)


def test_the_same_input_gives_the_same_picture(place: Path, command: Command) -> None:
    pictures = []
    for name in ("one.svg", "two.svg"):
        code, _, _ = command("--user", "ann", "--product", "mug", "--picture", str(place / name))
        assert code == 0
        pictures.append((place / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"<?xml")
    assert svg_of(draw_reasons(crowded(purchases=2), user="ann")) != pictures[0]
    assert not list(place.glob(".*.part"))


def test_the_explanations_of_a_run_are_measured_and_written(place: Path, command: Command) -> None:
    write_run(place, manifest_of("other", store=f"ladybug:{place / 'small.lbug'}"))
    with open_store(f"ladybug:{place / 'small.lbug'}") as store:
        store.write_results("RELATED", RELATED, run=run_record("other"))
    words = ("--explanations", "--pairs", "9", "--judged", "2", "--other-run", "other", "--explained-by-pyg", "1")
    code, shown, told = command(*words, module=gnn.evaluate)
    assert code == 0, told
    found = json.loads((place / "runs" / "first" / "explanations.json").read_text(encoding="utf-8"))
    # Ann's mug and bob's pot; each loses all without its one or two purchases, and keeps all with them.
    assert (found["pairs"], found["recommended"], found["coverage"]) == (2, 4, 0.75)
    assert found["truths"][0]["explanation"] == "our contributions"
    assert found["truths"][0]["drop"]["value"] == found["truths"][0]["kept"]["value"] == pytest.approx(1.0)
    assert found["stability"]["value"] == 1.0
    assert found["part_counts"]["bought"] == 2
    assert [(each["judge"], each["explains"]) for each in found["agreements"][:2]] == [
        ("sampling Shapley", "score"),
        ("LIME", "score"),
    ]
    assert found["agreements"][0]["apart"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert [(each["explanation"], each["pairs"]) for each in found["truths"][3:]] == [
        ("shortest paths", 2),
        ("our contributions, on the pairs of PyG's explainers", 1),
        ("GNNExplainer (PyG)", 1),
        ("GNNExplainer (PyG), step 0.1, no entropy", 1),
        ("Integrated Gradients (PyG)", 1),
    ]
    assert all(each["drop"]["value"] == pytest.approx(1.0) for each in found["truths"][4:])
    assert "| our contributions | 2 | 100.0 ± 0.0 |" in shown
    assert "- Coverage: 75.0 % of 4 recommended pairs" in shown


def test_what_cannot_be_measured_ends_in_a_sentence_and_writes_nothing(place: Path, command: Command) -> None:
    address = f"ladybug:{place / 'small.lbug'}"
    write_run(place, manifest_of("elsewhere", store=address, graph="another"))
    write_run(place, manifest_of("bare", store=address))
    with open_store(address) as store:
        for name in ("elsewhere", "bare"):
            store.write_results("RELATED", RELATED, run=run_record(name))
    measure = {"module": gnn.evaluate}
    assert "--pairs is 0; give at least 1" in command("--explanations", "--pairs", "0", **measure)[2]
    assert "--explained-by-pyg is -1; give" in command("--explanations", "--explained-by-pyg", "-1", **measure)[2]
    assert (
        "'elsewhere' was made on another graph" in command("--explanations", "--other-run", "elsewhere", **measure)[2]
    )
    code, _, told = command("--explanations", name="bare", **measure)
    assert (code, "holds no RECOMMENDED of run 'bare'" in told) == (2, True)
    with open_store(address) as store:
        store.write_results("RECOMMENDED", RECOMMENDED.with_columns(pl.col("score") * 2), run=FIRST_RUN)
    assert "are not those of the purchases in the store; export anew" in command("--explanations", **measure)[2]
    assert not (place / "runs" / "first" / "explanations.json").exists()


def test_a_run_that_may_repeat_names_the_product_itself(place: Path) -> None:
    record = replace(run_record("again"), repeat=True)
    own = RELATED.filter(pl.col("source") == "tea", pl.col("target") == "mug").with_columns(
        target=pl.lit("tea"), weight=pl.lit(2.0), bought=pl.lit(0.0), network=pl.lit(0.0), repeat=pl.lit(2.0)
    )
    with open_store(f"ladybug:{place / 'small.lbug'}") as store:
        store.write_results("RELATED", pl.concat([RELATED, own]), run=record)
        found = answer(store, user="ann", product="tea", run=record, k=1, reasons=3)
    shown = page(found, "text")
    assert "because she bought the product itself twice, last on 1970-01-10" in shown
    assert "Shares: repeat 100.0 %." in shown
    assert "It is in place 1 of her list by the graph as it is" in shown


def test_a_run_whose_edges_are_gone_explains_nothing(place: Path, command: Command) -> None:
    with open_store(f"ladybug:{place / 'small.lbug'}") as store:
        store.write_results("RELATED", RELATED.clear(), run=FIRST_RUN)
    code, shown, told = command("--user", "ann")
    assert (code, shown) == (2, "")
    assert "holds no RELATED edge of run 'first' any more, so nothing can be explained; train again" in told


@pytest.mark.parametrize("name", ["why.png", ".", ""])
def test_a_picture_is_an_svg_file(place: Path, command: Command, name: str) -> None:
    code, _, told = command("--user", "ann", "--picture", name)
    assert (code, f"--picture {name!r} is no SVG file; give a name that ends in .svg" in told) == (2, True)
    assert not list(place.glob("*.part"))


@pytest.mark.parametrize(
    ("module", "words", "sentence"),
    [
        (gnn.evaluate, ("--explanations", "--profiles"), "--explanations and --profiles measure different things"),
        (gnn.export, ("--profiles", "--format", "csv"), "profiles are Parquet and are of all users"),
        (gnn.export, ("--profiles", "--k", "5"), "profiles are Parquet and are of all users"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    command: Command, module: Any, words: tuple[str, ...], sentence: str
) -> None:
    code, shown, told = command(*words, module=module)
    assert (code, shown, sentence in told) == (2, "", True)


def test_where_nobody_knows_times_no_moment_is_named(place: Path) -> None:
    with open_store(f"ladybug:{place / 'small.lbug'}", read_only=True) as store:
        found = answer(store, user="ann", product="mug", run=FIRST_RUN, k=1, reasons=3)
    timeless = replace(FIRST_RUN, now=1)
    assert moment_text(timeless, ranked_at=1) == "All purchases count, nobody knows their times."
    assert moment_text(found.run, ranked_at=10 * DAY).startswith("Purchases before 1970-01-11 00:00 UTC count")


def test_a_score_is_as_of_the_moment_asked_for(command: Command) -> None:
    _, shown, _ = command("--user", "ann", "--product", "mug", "--now", "1970-01-12T00:00:00")
    # At day 11, as worked out above for a second later; the jam of day 10 counts, the cup of day 11 itself does not.
    assert "Mug (mug): score 5.53965" in shown
    assert (
        "Purchases before 1970-01-12 00:00 UTC count: that is the run's moment here, in the place of its last "
        "ranking's, 1970-01-11 00:00 UTC.\n1 purchase of hers came after the run's last ranking and counts.\n"
        "1 purchase of hers is newer than that and not in the score; --now MOMENT counts them here"
    ) in shown
    _, shown, _ = command("--user", "ann", "--product", "mug", "--now", str(8 * DAY))
    # Only the pot of day 7 came before: 0.5 ^ 0.5 * 0.4.
    assert "Mug (mug): score 0.282843" in shown
    assert "came after the run's last ranking" not in shown
    _, shown, _ = command("--user", "ann", "--why-not", "mug", "--now", str(11 * DAY))
    assert "that is the run's moment here, in the place of its last ranking's" in shown
    assert "its score for her is 5.53965" in shown
    assert "--now 'soon' is no moment" in command("--user", "ann", "--now", "soon")[2]
    with pytest.raises(InputError, match="--now '5' has no effect: nobody knows when"):
        gnn.explain.as_of(replace(FIRST_RUN, now=1), "5")


def test_answers_are_the_same_to_the_last_digit_each_time(tmp_path: Path) -> None:
    # Of an unsorted key polars adds parts of a sum in any order, and a full join has its rows in any.
    tables = graph_tables(synthetic_shop(purchases_per_user=40))
    ids = tables.nodes["Product"]["id"]
    weight = np.random.default_rng(0).random((len(ids), len(ids)))
    source, target = np.nonzero((weight > 0.5) & ~np.eye(len(ids), dtype=bool))
    kinds = dict.fromkeys(RELATED.columns[4:], 0.0)
    ends = pl.DataFrame({"source": ids.gather(source), "target": ids.gather(target)})
    edges = ends.with_columns(
        *(pl.Series(name, weight[source, target]) for name in ("weight", "bought")),
        **{name: pl.lit(value) for name, value in kinds.items()},
    )
    users = tables.nodes["User"]["id"]
    run = replace(FIRST_RUN, now=int(tables.edges["BOUGHT"]["at"].to_numpy().max()), half_life=70.0 * DAY)
    with open_store(f"ladybug:{tmp_path / 'made-up.lbug'}") as store:
        store.replace_graph(tables)
        store.write_results("RELATED", edges, run=run)
        own = weighed_purchases(store, users=[users[3]], run=run)["because"]
        other = ids.filter(~ids.is_in(own.implode()))[0]
        lacking = [why_not(store, user=users[3], product=other, run=run, k=5) for _ in range(15)]
        groups = {explain_group(store, users=users.to_list(), product=other, run=run, k=5).carriers for _ in range(60)}
    # Scores are the database's own sums, by several threads.
    assert len({(each.only_there, each.only_here, each.both) for each in lacking}) == len(groups) == 1
