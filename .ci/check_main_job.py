"""Fails unless the main job left all its outputs, and ranks clearly better than popularity on the test weeks."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import polars as pl

from gnn.run import RunFolder
from kg.cypher import parameters_of, query_names, read_query
from kg.explain import explain, recommend
from kg.store import open_store
from tests.kg.answers import ANSWERS, Known, same_rows

EXPECTED = ("config.json", "manifest.json", "metrics.jsonl", "model.safetensors", "report.json", "report.md")


def main(folder: Path) -> None:
    """Exit with a sentence for the first thing that is missing or wrong."""
    for name in (*EXPECTED, "ranked_edges/manifest.json"):
        if not (folder / name).is_file():
            sys.exit(f"the main job left no {folder / name}")
    delivery = json.loads((folder / "ranked_edges" / "manifest.json").read_text())
    for shard in delivery["shards"]:
        digest = hashlib.sha256((folder / "ranked_edges" / shard["file"]).read_bytes()).hexdigest()
        if digest != shard["sha256"]:
            sys.exit(f"{shard['file']} is not what the delivery's manifest says")
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
    delivered = pl.read_parquet(folder / "ranked_edges" / "*.parquet").sort("user_id", "rank")
    lists = delivered.partition_by("user_id", as_dict=True, maintain_order=True)
    with open_store(manifest.store, read_only=True) as store:
        run = manifest.require_own_results(store)
        related, preferred = (store.read_results(relation, run.name) for relation in ("RELATED", "PREFERS"))
        known = Known.of(store.read_graph(), related, run, preferred=preferred)
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
            if place % 5:
                continue
            values = {"user": user, "product": best, "run": run.name, "now": float(run.now), "level": 2, "limit": 10}
            values |= {"half_life": run.half_life, "exponent": run.exponent, "repeat": run.repeat}
            for name, text in texts.items():
                found = store.query(text, {key: values[key] for key in parameters_of(text)})
                if not same_rows(found, ANSWERS[name](known, values).head(10)):
                    sys.exit(f"{name} for user {user} and product {best} is not what the tables say")
    print("Cypher finds the delivered lists, their explanations add up, and every query file answers as the tables do")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
