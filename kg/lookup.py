"""Finds the user, product or run a person named in a store, or says which there are."""

from __future__ import annotations

from kg.cypher import read_query
from kg.graph import RunRecord
from kg.store import GraphStore
from loaders.errors import InputError

SOME = 5


def require_user(store: GraphStore, user: str) -> None:
    """Raise unless the graph has this user."""
    if store.query(read_query("find_user"), {"user": user, "limit": 1}).is_empty():
        some = store.query(read_query("list_users"), {"limit": SOME})["user"].to_list()
        raise InputError(
            f"no user {user!r} in {store.address!r}; it has for example {_listed(some)}, "
            "and kg/queries/list_users.cypher lists more"
        )


def require_product(store: GraphStore, product: str) -> str | None:
    """Return the name of a product, None where it has none; raise unless the graph has the product."""
    found = store.query(read_query("find_product"), {"product": product, "limit": 1})
    if found.is_empty():
        some = store.query(read_query("list_products"), {"limit": SOME})["product"].to_list()
        raise InputError(
            f"no product {product!r} in {store.address!r}; it has for example {_listed(some)}, "
            "and kg/queries/list_products.cypher lists more"
        )
    name: str | None = found["name"][0]
    return name


def require_run(store: GraphStore, name: str | None) -> RunRecord:
    """Return the record of the run ``name``, by default of the one made last; raise where there is none."""
    run = store.run_record(name)
    if run is not None:
        return run
    known = store.query(read_query("list_runs"), {"limit": SOME})["run"].to_list()
    if not known:
        raise InputError(f"no run has written results to {store.address!r}; make one with python -m gnn.train")
    raise InputError(f"no run {name!r} in {store.address!r}; the last it has are {_listed(known)}")


def require_limit(limit: int) -> None:
    """Raise unless at least one row is asked for."""
    if limit < 1:
        raise InputError(f"--limit {limit} shows nothing; give at least 1")


def _listed(values: list[str]) -> str:
    return ", ".join(map(repr, values))
