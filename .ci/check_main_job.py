"""Fails unless the main job left all its outputs, ranks better than popularity, and Cypher agrees with all of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from gnn.run import RunFolder
from gnn.verify import print_faults
from kg.cypher import parameters_of, query_names, read_query
from kg.explain import ALL_ROWS, explain, score_parameters
from kg.graph import RunRecord
from kg.recommend import recommend
from kg.schema import SHARES
from kg.store import GraphStore, open_store
from tests.kg.answers import ANSWERS, Known, same_rows

EXPECTED = (
    "calibration.json",
    "config.json",
    "manifest.json",
    "metrics.jsonl",
    "model.safetensors",
    "reliability.png",
    "report.json",
    "report.md",
)


def main(folder: Path) -> None:
    """Exit with a sentence for the first thing that is missing or wrong."""
    for name in (*EXPECTED, "ranked_edges/manifest.json"):
        if not (folder / name).is_file():
            sys.exit(f"the main job left no {folder / name}")
    # Each fault is printed, and an error raised.
    print_faults(folder / "ranked_edges", store=None, runs=str(folder.parent), password_file=None)
    delivery = json.loads((folder / "ranked_edges" / "manifest.json").read_text())
    rows = json.loads((folder / "report.json").read_text())["test"]
    ndcg = {row["recommender"]: row["measures"]["NDCG@10"]["value"] for row in rows}
    for name, value in ndcg.items():
        print(f"{name}: NDCG@10 {100 * value:.2f} %")
    ours = ndcg["Cartograph"]
    best = max(value for name, value in ndcg.items() if name.startswith("popularity"))
    if not ours > best:
        sys.exit(f"NDCG@10 {ours:.4f} is not above popularity's {best:.4f}")
    if ours < ndcg["ItemKNN"]:
        sys.exit(f"NDCG@10 {ours:.4f} is below ItemKNN's {ndcg['ItemKNN']:.4f}")
    print(f"{delivery['rows']} ranked edges for {delivery['users']} users")
    check_cypher(folder)


def check_cypher(folder: Path) -> None:
    """Exit unless Cypher finds the delivered lists and scores, and what the tables say, on the real graph."""
    manifest = RunFolder(folder).manifest()
    delivered = pl.read_parquet(folder / "ranked_edges" / "*.parquet").filter(~pl.col("filled")).sort("user_id", "rank")
    lists = delivered.partition_by("user_id", as_dict=True, maintain_order=True)
    with open_store(manifest.store, read_only=True) as store:
        run = manifest.require_own_results(store)
        tables = store.read_graph()
        related, given, preferred = (
            store.read_results(relation, run.name) for relation in ("RELATED", "RECOMMENDED", "PREFERS")
        )
        known = Known.of(tables, related, run, recommended=given, preferred=preferred)
        texts = {name: read_query(name, dialect=store.dialect) for name in query_names()}
        for place, (user,) in enumerate(list(lists)[:: len(lists) // 100]):
            rows = recommend(store, user=user, run=run, limit=len(lists[(user,)]))
            apart = float((rows["score"] - lists[(user,)]["score"]).abs().max())
            if apart > 1e-5 or set(rows["product"]) != set(lists[(user,)]["product_id"]):
                sys.exit(f"Cypher recommends other products than the delivery to user {user} (scores {apart} apart)")
            best = rows["product"][0]
            why = explain(store, user=user, product=best, run=run, limit=1)
            if abs(why.score - rows["score"][0]) > 1e-5:
                sys.exit(f"the explanation of {best} for user {user} adds up to {why.score}, not {rows['score'][0]}")
            if place % 2 == 0:
                check_reason(store, lists[(user,)].row(place % len(lists[(user,)]), named=True), run)
            if place % 5:
                continue
            values = {
                "user": user,
                "users": [user],
                "product": best,
                "because": why.rows["because"][0],
                "basket": why.rows["because"].head(3).to_list() * 2,
                "sample": 3,
                "run": run.name,
                "now": float(run.now),
                "level": 2,
                "limit": 10,
            }
            values |= {"half_life": run.half_life, "exponent": run.exponent, "repeat": run.repeat}
            for name, text in texts.items():
                found = store.query(text, {key: values[key] for key in parameters_of(text)})
                if not same_rows(found, ANSWERS[name](known, values).head(10)):
                    sys.exit(f"{name} for user {user} and product {best} is not what the tables say")
    print("Cypher finds the delivered lists, and every query file answers as the tables do")


def check_reason(store: GraphStore, edge: dict[str, Any], run: RunRecord) -> None:
    """Exit unless the reason of a delivered edge is the first row of its explanation."""
    text = read_query("explain_score", dialect=store.dialect)
    rows = store.query(text, score_parameters(edge["user_id"], edge["product_id"], run, limit=ALL_ROWS))
    found = rows.filter(pl.col("because") == edge["reason_via"])
    whole = f"the reason of {edge['product_id']} for user {edge['user_id']}"
    if found.is_empty() or rows["contribution"].max() - found["contribution"][0] > 1e-9:
        sys.exit(f"{whole} is {edge['reason_via']}, and {rows['because'][0]} adds more")
    row = found.row(0, named=True)
    if abs(row["contribution"] / edge["score"] - edge["reason_share"]) > 1e-5:
        sys.exit(f"{whole} adds {row['contribution'] / edge['score']} of the score, not {edge['reason_share']}")
    if row[edge["reason_kind"]] < max(row[share] for share in SHARES) - 1e-9:
        sys.exit(f"{whole} is of the kind {edge['reason_kind']}, and another share is larger")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
