"""The commands ``kg.load``, ``kg.explain``, ``kg.profile`` and ``kg.recommend``, as a person runs them."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import polars as pl
import pytest

from kg import explain as explain_command
from kg import load as load_command
from kg import profile as profile_command
from kg import recommend as recommend_command
from kg.build import graph_tables
from kg.load import finding_text, load_graph
from kg.store import GraphStore, address_of, open_store
from loaders.errors import run_command
from loaders.finding import Finding
from tests.kg.small_shop import DAY, FIRST_RUN, PRODUCTS, PURCHASES, small_shop

MAINS = {
    "load": load_command.main,
    "explain": explain_command.main,
    "profile": profile_command.main,
    "recommend": recommend_command.main,
}


def in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, *words: str
) -> tuple[int, str, str]:
    """Return exit code, output and errors of ``python -m kg.<name>``, without a second's wait for a new process."""
    monkeypatch.setattr(sys, "argv", [name, *words])
    try:
        run_command(MAINS[name])
        code = 0
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, *capsys.readouterr()


def refused(name: str, *words: str, cwd: Path) -> str:
    """Return the sentence that a real process ends in."""
    ended = subprocess.run(
        [sys.executable, "-m", f"kg.{name}", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    return ended.stderr


def test_an_unknown_user_ends_in_a_sentence(address: str, tmp_path: Path) -> None:
    told = refused("explain", "--user", "eve", "--product", "mug", "--store", address, cwd=tmp_path)
    assert "no user 'eve'" in told
    assert "for example 'ann', 'bob', 'cat', 'dan'" in told
    assert "no user 'eve'" in refused("profile", "--user", "eve", "--store", address, cwd=tmp_path)


def test_an_unknown_product_ends_in_a_sentence(address: str, tmp_path: Path) -> None:
    told = refused("explain", "--user", "ann", "--product", "hat", "--store", address, cwd=tmp_path)
    assert "no product 'hat'" in told
    assert "for example 'cup', 'jam'" in told


def test_a_missing_store_ends_in_a_sentence(tmp_path: Path) -> None:
    wanted = "no graph store at 'ladybug:data/complete-journey.lbug'; make it with: python -m kg.load"
    assert wanted in refused("explain", "--user", "ann", "--product", "mug", cwd=tmp_path)
    assert "ladybug:data/synthetic.lbug" in refused("profile", "--user", "a", "--shop", "synthetic", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_shop_leaves_no_store_behind(tmp_path: Path) -> None:
    assert "no shop 'nowhere'" in refused("load", "--shop", "nowhere", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_runs_says_to_train(tmp_path, monkeypatch, capsys) -> None:
    address = f"ladybug:{tmp_path / 'plain.lbug'}"
    with open_store(address) as store:
        store.replace_graph(graph_tables(small_shop()))
    words = ("--user", "ann", "--product", "mug", "--store", address)
    code, _, told = in_process(monkeypatch, capsys, "explain", *words)
    assert code == 2
    assert "no run has written results" in told
    assert "make one with python -m gnn.train" in told


def test_an_unknown_run_names_those_there_are(address, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--product", "mug", "--store", address, "--run", "third")
    code, _, told = in_process(monkeypatch, capsys, "explain", *words)
    assert code == 2
    assert "no run 'third'" in told
    assert "the last it has are 'first'" in told


def test_a_limit_below_one_is_refused(address, monkeypatch, capsys) -> None:
    for name, words in (("explain", ("--product", "mug")), ("profile", ()), ("recommend", ())):
        code, _, told = in_process(
            monkeypatch, capsys, name, "--user", "ann", *words, "--store", address, "--limit", "0"
        )
        assert (code, "--limit 0 shows nothing; give at least 1" in told) == (2, True)


def test_an_explanation_shows_score_shares_rows_and_evidence(address, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--product", "mug", "--store", address, "--limit", "1")
    code, shown, _ = in_process(monkeypatch, capsys, "explain", *words)
    assert code == 0
    assert "Mug (mug) for user ann: score 0.834242 (run first)" in shown
    # bought: 0.8660254 * 0.6 + 0.35355339 * 0.4 = 0.661037; network: 0.8660254 * 0.2 = 0.173205; no other share
    assert "Shares: bought 79.2 %, network 20.8 %\n" in shown
    assert re.search(r"Green Tea \(tea\) +2  1970-01-10 +0\.8660 +0\.8000 +0\.6928 +0\.5196 +0\.1732\n", shown)
    assert "and 1 more, which add 0.1414 together" in shown
    # The two rows of it, the second of which is not shown above: what is behind each in a line.
    assert (
        "\nGreen Tea (tea): related 0.8000 (bought 0.6000, network 0.2000); 2 people bought both (bob, cat); "
        "texts 0.25 near.\n"
        "Tea Pot (pot): related 0.4000 (bought 0.4000); the same brand Clay; the same category Home > Kitchen; "
        "1 people bought both (cat).\n"
    ) in shown
    assert "Same brand Clay: she bought Tea Pot (pot) 1 times, the last 1970-01-08." in shown
    assert "Same department Home: she made 1 purchases of 1 products there, the last 1970-01-08." in shown
    assert "2 other buyers of it bought Green Tea (tea), as she did." in shown


def test_the_cypher_that_is_shown_can_be_pasted(address, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--product", "mug", "--store", address)
    _, shown, _ = in_process(monkeypatch, capsys, "explain", *words)
    pasted = shown.partition("to paste:\n\n")[2]
    with open_store(address, read_only=True) as store:
        rows = store.query(pasted, {})
    assert rows["because"].to_list() == ["tea", "pot"]
    assert rows["contribution"].sum() == pytest.approx(0.8342416792648605, rel=1e-12)


def test_a_pair_without_a_path_scores_zero(address, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--product", "tea", "--store", address)
    code, shown, _ = in_process(monkeypatch, capsys, "explain", *words)
    assert code == 0
    assert "score 0 (run first)" in shown
    assert "None of her purchases leads to it." in shown


def test_recommendations_are_shown_with_the_purchase_that_speaks_most_for_each(address, monkeypatch, capsys) -> None:
    code, shown, _ = in_process(monkeypatch, capsys, "recommend", "--user", "ann", "--store", address, "--limit", "2")
    assert code == 0
    assert "For user ann (run first, purchases before 1970-01-11)\n2 of her purchases are not before that" in shown
    # 0.8660254 * 0.8 of 0.834242; the pot's 0.35355339 * 0.5, of which bought and network are half each.
    assert re.search(r"Mug \(mug\) +0\.8342  Green Tea \(tea\)  0\.6928  bought\n", shown)
    assert re.search(r"Plum Jam \(jam\) +0\.1768  Tea Pot \(pot\) +0\.1768  bought\n", shown)
    assert "MATCH (u:User {id: 'ann'})" in shown


def test_a_basket_is_recommended_to(address, monkeypatch, capsys) -> None:
    words = ("--basket", "tea", "pot", "tea", "--store", address)
    code, shown, _ = in_process(monkeypatch, capsys, "recommend", *words)
    assert code == 0
    assert "For a basket of 3 (run first)" in shown
    # 2 ^ 0.5 * 0.8 + 0.4
    assert re.search(r"Mug \(mug\) +1\.5314  Green Tea \(tea\) +1\.1314  bought\n", shown)
    assert "j.id IN ['tea', 'pot', 'tea']" in shown


def test_purchases_count_until_the_moment_that_is_given(address, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--store", address, "--now", "1970-01-13")
    code, shown, _ = in_process(monkeypatch, capsys, "recommend", *words)
    assert (code, "do not count" in shown) == (0, False)
    # By day 12 she has all that anything leads to but the mug.
    assert re.search(r"because of +adds  mostly\n  Mug \(mug\)[^\n]+\n\n", shown)


def test_whom_to_recommend_to_has_to_be_clear(address, monkeypatch, capsys) -> None:
    for words, sentence in (
        ((), "give either --user ID or --basket ID [ID ...]"),
        (("--user", "ann", "--basket", "tea"), "give either --user ID or --basket ID [ID ...]"),
        (("--basket", "hat"), "no product 'hat'"),
        (("--user", "eve"), "no user 'eve'"),
        (("--user", "ann", "--now", "soon"), "--now 'soon' is no moment; give one such as 2026-03-01T10:00:00"),
    ):
        code, _, told = in_process(monkeypatch, capsys, "recommend", *words, "--store", address)
        assert (code, sentence in told) == (2, True), words


def test_a_profile_is_shown(address, monkeypatch, capsys) -> None:
    code, shown, _ = in_process(monkeypatch, capsys, "profile", "--user", "ann", "--store", address)
    assert code == 0
    assert "User ann made 5 purchases of 4 products, the first 1970-01-08, the last 1970-01-12." in shown
    assert re.search(r"Food > Drinks +2 +1  1970-01-09  1970-01-10  2 × Green Tea \(tea\)\n", shown)


def test_a_shop_is_loaded_once(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    code, shown, _ = in_process(monkeypatch, capsys, "load", "--shop", "synthetic")
    assert code == 0
    assert re.search(r"200 User\n +120 Product\n", shown)
    assert "graph loaded into ladybug:data/synthetic.lbug after" in shown
    assert (tmp_path / "data" / "synthetic.lbug").exists()
    code, shown, _ = in_process(monkeypatch, capsys, "load", "--shop", "synthetic")
    assert code == 0
    assert "graph unchanged in ladybug:data/synthetic.lbug after" in shown


def test_findings_are_shown_one_a_line(tmp_path, monkeypatch, capsys) -> None:
    corner = tmp_path / "corner"
    corner.mkdir()
    (corner / "products.csv").write_text("product_id\ntea\n", encoding="utf-8")
    (corner / "purchases.csv").write_text("user_id,product_id,till\nann,tea,3\nann,tea,4\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, shown, _ = in_process(monkeypatch, capsys, "load", "--shop", "corner")
    assert code == 0
    assert shown.startswith("2 rows of purchases dropped: is in a column that is not kept (for example till)\n")


class CountingStore:
    """Passes everything on to a store and counts how often a graph is written."""

    def __init__(self, store: GraphStore) -> None:
        self.store, self.writes = store, 0

    def layout(self):
        return self.store.layout()

    def replace_graph(self, tables) -> None:
        self.writes += 1
        self.store.replace_graph(tables)


def test_an_unchanged_graph_is_not_written_again(store: GraphStore) -> None:
    counting = CountingStore(store)
    first, again = load_graph(small_shop(), counting), load_graph(small_shop(), counting)
    assert (first.written, again.written, counting.writes) == (True, False, 1)
    assert first.layout == again.layout == store.layout()
    changed = load_graph(small_shop(purchases=PURCHASES.head(3)), counting)
    assert (changed.written, changed.edges["BOUGHT"], counting.writes) == (True, 3, 2)
    assert changed.nodes == {"User": 1, "Product": 5, "Brand": 2, "Category": 7}


def test_loading_an_unchanged_graph_keeps_results(loaded: GraphStore) -> None:
    load_graph(small_shop(), loaded)
    assert loaded.run_record() == FIRST_RUN


def test_a_finding_is_one_line() -> None:
    finding = Finding("links", "links a product to itself", "dropped", 1234, "a\nb")
    assert finding_text(finding) == "1,234 rows of links dropped: links a product to itself (for example a b)"


def test_the_store_is_the_one_given_or_of_the_environment_or_named_after_the_shop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NEO4J_URI", raising=False)
    assert address_of(None, "complete-journey") == "ladybug:data/complete-journey.lbug"
    assert address_of(None, "/data/My shop/") == "ladybug:data/My-shop.lbug"
    monkeypatch.setenv("NEO4J_URI", "neo4j://graph.example")
    assert address_of(None, "complete-journey") == "neo4j://graph.example"
    assert address_of("ladybug:here.lbug", "complete-journey") == "ladybug:here.lbug"


PREFERRED = pl.DataFrame(
    [("ann", "Leaf", "Brand", 0.75, 1.5, 3, 10 * DAY), ("ann", "Food", "Category", 0.6, 1.2, 3, 10 * DAY)],
    schema=["source", "target", "kind", "weight", "lift", "purchases", "last_at"],
    orient="row",
)


def deliver(folder: Path, *, made_at: str = FIRST_RUN.made_at, now: int = FIRST_RUN.now) -> Path:
    """Write profiles as gnn.export does, of one user and one segment."""
    place = folder / "profiles"
    place.mkdir(parents=True)
    tables = {
        "users": pl.DataFrame(
            {"user": ["ann"], "segment": [0], "segment_name": ["Food <b>"], "top_brand": ["Leaf"]}
            | {"purchases": [4], "products": [3], "first_at": [7 * DAY], "last_at": [10 * DAY], "categories": [2]}
            | {"paid_purchases": [4], "priced_purchases": [3], "deal_purchases": [2], "labelled_purchases": [4]}
            | {"told_purchases": [3], "coupon_purchases": [1], "coupon_told_purchases": [2], "coupons": [0.5]}
            | {"brand_purchases": [4], "top_brand_purchases": [3], "own_label_purchases": [0]}
            | {name: [1.5] for name in ("recency_days", "days_a_week", "rhythm_days", "spend")}
            | {"shopping_days": [4]}
            | {name: [0.5] for name in ("spend_a_day", "deals", "loyalty", "variety", "own_label")}
        ),
        "price_bands": pl.DataFrame(
            [
                ("ann", "Food", 3, 8 * DAY, 10 * DAY, 2.5, 0.25, 12, "low"),
                ("ann", "Food > Wine", 3, 8 * DAY, 10 * DAY, 9.0, 0.9, 12, "high"),
            ],
            schema=[
                "user",
                "category",
                "purchases",
                "first_at",
                "last_at",
                "mean_paid",
                "quantile",
                "compared",
                "band",
            ],
            orient="row",
        ),
        "segments": pl.DataFrame({"segment": [0], "name": ["Food <b>"], "users": [3], "variety": [2.0]}),
        "segment_categories": pl.DataFrame(
            [(0, "Food", 0.5, 2.0, 9), (0, "Home > Baby", 0.4, 3.0, 9)],
            schema=["segment", "category", "weight", "lift", "purchases"],
            orient="row",
        ),
    }
    for name, frame in tables.items():
        frame.write_parquet(place / f"{name}.parquet")
    files = [{"file": f"{name}.parquet"} for name in tables]
    page = {"run": "first", "made_at": made_at, "now": now, "profiles": files}
    (place / "manifest.json").write_text(json.dumps(page), encoding="utf-8")
    return place


@pytest.fixture
def preferring(address: str) -> str:
    """Return the address of a store that also holds what the run ``first`` says ann prefers."""
    with open_store(address) as store:
        store.write_results("PREFERS", PREFERRED, run=FIRST_RUN)
    return address


def test_a_profile_shows_preferences_habits_price_bands_and_evidence(preferring, tmp_path, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--store", preferring, "--profiles", str(deliver(tmp_path)))
    code, shown, _ = in_process(monkeypatch, capsys, "profile", *words)
    assert code == 0
    # All her purchases are counted, and behind what the run says stand those before its moment: no jam.
    assert re.search(r"Leaf +brand +0\.7500 +1\.5000 +3  1970-01-11  2 × Green Tea \(tea\)\n", shown)
    assert re.search(r"Leaf +3 +2  1970-01-09  1970-01-11  2 × Green Tea \(tea\), 1 × Plum Jam \(jam\)\n", shown)
    for line in (
        "recency_days +1\\.5000? +from her last purchase, 1970-01-11, to 1970-01-11",
        "days_a_week +1\\.5000? +4 shopping days from 1970-01-08 to 1970-01-11",
        "rhythm_days +1\\.5000? +median of the 3 gaps between 4 shopping days, 1970-01-08 to 1970-01-11",
        "shopping_days +4 +4 purchases of 3 products, 1970-01-08 to 1970-01-11",
        "spend +1\\.5000? +4 purchases with a known spend, 1970-01-08 to 1970-01-11",
        "spend_a_day +0\\.5000? +her spend over 4 shopping days",
        "deals +0\\.5000? +2 of 3 purchases had a discount or a coupon",
        "coupons +0\\.5000? +1 of 2 purchases had a coupon",
        "loyalty +0\\.5000? +3 of 4 purchases that have a brand",
        "top_brand +Leaf +most often 2 × Green Tea \\(tea\\)",
        "variety +0\\.5000? +4 purchases in 2 categories",
        "own_label +0\\.5000? +0 of 4 purchases",
        "Food +low +0\\.2500 +2\\.5000 +3 +12  1970-01-09  1970-01-11  2 × Green Tea \\(tea\\)",
        "0  Food <b> +3",
    ):
        assert re.search(rf"  {line}\n", shown), line
    assert "Food <b>" in shown
    assert "Wine" not in shown


def test_a_page_of_a_shop_that_tells_no_discounts_counts_prices_and_is_silent_on_coupons(
    preferring, tmp_path, monkeypatch, capsys
) -> None:
    place = deliver(tmp_path)
    users = pl.read_parquet(place / "users.parquet")
    none = {"coupons": None, "told_purchases": 0, "coupon_purchases": 0, "coupon_told_purchases": 0}
    users.with_columns(pl.lit(value).alias(name) for name, value in none.items()).write_parquet(place / "users.parquet")
    words = ("--user", "ann", "--store", preferring, "--profiles", str(place))
    for kind, found in (("text", r"deals +0\.5000? +2 of 3 priced purchases\n"), ("json", '"2 of 3 priced purchases"')):
        _, shown, _ = in_process(monkeypatch, capsys, "profile", *words, "--format", kind)
        assert re.search(found, shown)
        assert "coupon" not in shown


def test_a_profile_as_json_holds_the_same_rows(preferring, tmp_path, monkeypatch, capsys) -> None:
    words = ("--user", "ann", "--store", preferring, "--profiles", str(deliver(tmp_path)), "--format", "json")
    _, shown, _ = in_process(monkeypatch, capsys, "profile", *words)
    page = json.loads(shown)
    sections = {section["title"]: section["rows"] for section in page["sections"]}
    assert sections["Brands"][0] | {"most often": ""} == {
        "brand": "Leaf", "purchases": 3, "products": 2, "first": "1970-01-09", "last": "1970-01-11", "most often": "",
    }  # fmt: skip
    assert [row["what"] for row in sections["Preferences"]] == ["Leaf", "Food"]
    assert [row["category"] for row in sections["Price bands"]] == ["Food"]
    assert {"what": "coupons", "number": 0.5, "made from": "1 of 2 purchases had a coupon"} in sections["Habits"]


def test_a_profile_as_html_is_one_escaped_file_without_scripts(tmp_path, monkeypatch, capsys) -> None:
    nasty = "<script>alert('x')</script>&\""
    products = PRODUCTS.with_columns(pl.col("name", "brand").replace({"Green Tea": nasty, "Leaf": nasty}))
    address = f"ladybug:{tmp_path / 'nasty.lbug'}"
    with open_store(address) as store:
        store.replace_graph(graph_tables(small_shop(products=products)))
    code, shown, _ = in_process(monkeypatch, capsys, "profile", "--user", "ann", "--store", address, "--format", "html")
    assert code == 0
    assert "<script" not in shown
    assert "http" not in shown
    assert html.escape(nasty) in shown
    # Three purchases of the first brand and one of the second: the bars are 160 and 53.3 wide.
    bars = re.findall(r'<svg [^>]*><rect width="([\d.]+)"', shown)
    assert bars[:2] == ["160.0", "53.3"]
    root = ET.fromstring(shown.removeprefix("<!DOCTYPE html>").replace('<meta charset="utf-8">', ""))  # noqa: S314
    assert root.find("body/h1").text == "User ann"


def test_what_is_sensitive_is_on_no_page(tmp_path, monkeypatch, capsys) -> None:
    products = PRODUCTS.with_columns(
        pl.col("category").replace("Food > Drinks > Tea", "Food > Drinks > Wine"),
        pl.col("brand").replace("Clay", "Family Planning House"),
    )
    address = f"ladybug:{tmp_path / 'plain.lbug'}"
    with open_store(address) as store:
        store.replace_graph(graph_tables(small_shop(products=products)))
        store.write_results(
            "PREFERS", PREFERRED.with_columns(target=pl.lit("Family Planning House")).head(1), run=FIRST_RUN
        )
    for kind in ("text", "json", "html"):
        _, shown, _ = in_process(monkeypatch, capsys, "profile", "--user", "ann", "--store", address, "--format", kind)
        # Tea and pot are gone with all that is known of them: she bought the cup and the jam.
        assert "2 purchases of 2 products" in shown
        assert not [word for word in ("Wine", "Planning", "Drinks", "Green Tea", "Tea Pot") if word in shown]
    words = ("--user", "ann", "--store", address, "--blocked", "jam*", "spreads")
    _, shown, _ = in_process(monkeypatch, capsys, "profile", *words)
    assert "Family Planning House" in shown
    assert "Plum Jam" not in shown


def test_a_segment_is_shown(preferring, tmp_path, monkeypatch, capsys) -> None:
    place = str(deliver(tmp_path))
    code, shown, _ = in_process(
        monkeypatch, capsys, "profile", "--segment", "0", "--store", preferring, "--profiles", place
    )
    assert code == 0
    assert "Segment 0, Food <b>, has 3 users (run first)." in shown
    assert "Baby" not in shown
    words = ("--segment", "7", "--store", preferring, "--profiles", place)
    code, _, told = in_process(monkeypatch, capsys, "profile", *words)
    assert (code, "no segment 7" in told, "it has 0 to 0" in told) == (2, True, True)


def test_profiles_that_are_missing_or_of_another_training_are_refused(
    preferring, tmp_path, monkeypatch, capsys
) -> None:
    words = ("--segment", "0", "--store", preferring, "--profiles")
    code, _, told = in_process(monkeypatch, capsys, "profile", *words, str(tmp_path / "none"))
    assert (code, "make them with: python -m gnn.export --run first --profiles" in told) == (2, True)
    other = deliver(tmp_path, made_at="2020-01-01T00:00:00+00:00")
    code, _, told = in_process(monkeypatch, capsys, "profile", *words, str(other))
    assert (code, "of the run 'first' made at 2020-01-01" in told) == (2, True)
    earlier = deliver(tmp_path / "earlier")
    pl.read_parquet(earlier / "users.parquet").drop("categories").write_parquet(earlier / "users.parquet")
    code, _, told = in_process(monkeypatch, capsys, "profile", "--user", "ann", *words[2:], str(earlier))
    assert (code, "lacks the column 'categories', as an earlier version made it; make them with" in told) == (2, True)
    (other / "manifest.json").write_text("{}", encoding="utf-8")
    code, _, told = in_process(monkeypatch, capsys, "profile", *words, str(other))
    assert (code, "is no manifest of profiles" in told) == (2, True)


def test_profiles_of_another_training_in_the_default_folder_are_left_out_and_said_so(
    preferring, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    place = deliver(tmp_path / "runs" / "first", made_at="2020-01-01T00:00:00+00:00")
    code, shown, _ = in_process(monkeypatch, capsys, "profile", "--user", "ann", "--store", preferring)
    assert code == 0
    assert "Habits, price bands and segment are left out: the profiles in 'runs/first/profiles' are of the run" in shown
    assert "made at 2020-01-01T00:00:00+00:00, and the graph's are of 'first' made at 2024-01-01" in shown
    assert "Preferences: " in shown
    assert "Habits: " not in shown
    # Who names the folder is told that it is the wrong one.
    words = ("--user", "ann", "--store", preferring, "--profiles", str(place))
    code, shown, told = in_process(monkeypatch, capsys, "profile", *words)
    assert (code, shown, "of the run 'first' made at 2020-01-01" in told) == (2, "", True)


def test_a_page_is_of_one_moment(preferring, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    place = deliver(tmp_path / "runs" / "first", now=9 * DAY)
    words = ("--user", "ann", "--store", preferring)
    _, shown, _ = in_process(monkeypatch, capsys, "profile", *words)
    apart = "know the purchases before 1970-01-10 00:00 UTC, and the graph's PREFERS those before 1970-01-11 00:00 UTC"
    assert (
        f"Habits, price bands and segment are left out: the profiles in 'runs/first/profiles' {apart}; renew" in shown
    )
    assert ("Preferences: " in shown, "Habits: " in shown) == (True, False)
    for kind in ("text", "html", "json"):
        _, shown, _ = in_process(monkeypatch, capsys, "profile", *words, "--profiles", str(place), "--format", kind)
        assert f"Preferences are left out: the profiles in {str(place)!r} {apart}." in html.unescape(shown)
        assert "Habits" in shown
        assert "lift is her share over theirs" not in shown


def test_a_user_or_a_segment_is_named_and_not_both(address, monkeypatch, capsys) -> None:
    for words in ((), ("--user", "ann", "--segment", "0")):
        code, _, told = in_process(monkeypatch, capsys, "profile", *words, "--store", address)
        assert (code, "give one of them" in told) == (2, True)
