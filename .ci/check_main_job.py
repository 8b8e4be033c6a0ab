"""Fails unless the main job left all its outputs, and ranks clearly better than popularity on the test weeks."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
