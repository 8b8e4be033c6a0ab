"""Says in words why a run gives a product to a user or a group, or why not: ``python -m gnn.explain``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from gnn.explain_group import GroupAnswer, explain_group, read_group
from gnn.explain_page import Format, page
from gnn.explain_picture import draw_reasons, svg_of
from gnn.inside_messages import Method
from gnn.run import RunFolder
from gnn.why import Answer, answer, ranks_anything, with_inside
from gnn.why_not import WhyNot, why_not
from kg.graph import RunRecord
from kg.recommend import moment
from kg.store import GraphStore, open_store
from loaders.errors import InputError, run_command


@dataclass(frozen=True)
class WhyConfig:
    """Say why a run gives a user her best products, or one product to one user or many, or why it does not."""

    run: str
    """Name of the run."""

    user: str | None = None
    """Id of the user."""

    product: str | None = None
    """Id of the product to explain; by default the user's ``k`` best."""

    k: int = 5
    """Products to explain; for --why-not, the place to compare with; for --users, purchases to name."""

    users: str | None = None
    """File of user ids, one a line: why the --product for all of these, in the place of --user."""

    why_not: str | None = None
    """Id of a product: why it is not among the user's first ``k``."""

    reasons: int = 3
    """Purchases to name for each product; the others are counted."""

    format: Format = "text"
    """Words for a terminal, JSON with all numbers, or Markdown."""

    inside: bool = False
    """Say of each named purchase how the networks made its edge: the gate, and what the graph network said. Takes a run
    with networks."""

    explainer: Method | None = None
    """For --inside of a graph network of the kinds sage and hgt: Integrated Gradients (ig, the default) or
    GNNExplainer (gnn)."""

    now: str | None = None
    """Moment (ISO 8601 or seconds since 1970, UTC) before which purchases count, in the place of the run's own."""

    picture: str | None = None
    """File (SVG) for a drawing of the first product's reasons."""

    runs: str = "runs"
    """Folder of all runs."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""


def explained(store: GraphStore, config: WhyConfig, run: RunRecord, *, ranked_at: int) -> Answer | GroupAnswer | WhyNot:
    """Return the answer to what ``config`` asks; ``run`` has the moment that counts, ``ranked_at`` is the run's own."""
    if config.users is not None:
        users = read_group(Path(config.users))
        return explain_group(store, users=users, product=str(config.product), run=run, k=config.k)
    if config.why_not is not None:
        return why_not(store, user=str(config.user), product=config.why_not, run=run, k=config.k)
    return answer(
        store,
        user=str(config.user),
        product=config.product,
        run=run,
        k=config.k,
        reasons=config.reasons,
        ranked_at=ranked_at,
    )


def require_one_question(config: WhyConfig) -> None:
    """Raise unless ``config`` asks for one user or one group, and for what there is an answer to."""
    if (config.user is None) == (config.users is None):
        raise InputError("give --user ID, or --users FILE for a group; one of the two")
    if config.users is not None and (config.product is None or config.why_not is not None):
        raise InputError("--users explains one product to a group; give it by --product ID, without --why-not")
    if config.why_not is not None and config.product is not None:
        raise InputError(f"--why-not {config.why_not!r} names the product already; leave out --product")
    if config.picture is not None and (config.users is not None or config.why_not is not None):
        raise InputError("--picture draws one user's reasons for a product; give --user, without --users and --why-not")
    if config.picture is not None and Path(config.picture).suffix != ".svg":
        raise InputError(f"--picture {config.picture!r} is no SVG file; give a name that ends in .svg")
    for name, value in (("k", config.k), ("reasons", config.reasons)):
        if value < 1:
            raise InputError(f"--{name} {value} shows nothing; give at least 1")
    _require_an_effect(config)


def _require_an_effect(config: WhyConfig) -> None:
    """Raise for an option that would do nothing."""
    if config.inside and (config.users is not None or config.why_not is not None):
        raise InputError("--inside is of one user's reasons for a product; give --user, without --users and --why-not")
    if config.explainer is not None and not config.inside:
        raise InputError(
            f"--explainer {config.explainer!r} looks into networks; give --inside with it, or leave it out"
        )
    if config.user is not None and config.product is not None and config.k != WhyConfig.k:
        raise InputError(f"--k {config.k} is a number of her best products, and --product names one; give one of them")
    if (config.users is not None or config.why_not is not None) and config.reasons != WhyConfig.reasons:
        raise InputError(
            f"--reasons {config.reasons} is for what a user is given; leave it out with --users (--k is the number of "
            "purchases to name) and with --why-not"
        )


def as_of(run: RunRecord, asked: str | None) -> RunRecord:
    """Return the run with the moment that was asked for, by default its own; raise where nobody knows any times."""
    if asked is None:
        return run
    now = moment(asked)
    # A time that nobody knows is 0, and then the run's own moment is 1.
    if run.now <= 1:
        raise InputError(f"--now {asked!r} has no effect: nobody knows when this shop's purchases were; leave it out")
    return replace(run, now=now)


def main() -> None:
    """Run the command line."""
    config = tyro.cli(WhyConfig, prog="python -m gnn.explain", description=WhyConfig.__doc__)
    require_one_question(config)
    folder = RunFolder.open(config.runs, config.run)
    manifest = folder.manifest()
    with open_store(manifest.store, read_only=True, password_file=config.password_file) as store:
        run = manifest.require_own_results(store)
        if not ranks_anything(store, run=run):
            raise InputError(
                f"the store {manifest.store!r} holds no RELATED edge of run {run.name!r} any more, so nothing can be "
                "explained; train again"
            )
        found = explained(store, config, as_of(run, config.now), ranked_at=run.now)
        if config.inside and isinstance(found, Answer):
            found = with_inside(found, store, folder, explainer=config.explainer)
    if config.picture is not None and isinstance(found, Answer):
        if not found.products:
            raise InputError(f"nothing that user {found.user!r} bought leads to a product, so there is nothing to draw")
        svg = svg_of(draw_reasons(found.products[0], user=found.user))
        beside = Path(config.picture).with_name(f".{Path(config.picture).name}.part")
        try:
            beside.write_bytes(svg)
            beside.replace(config.picture)
        finally:
            beside.unlink(missing_ok=True)
    print(page(found, config.format, ranked_at=run.now))


if __name__ == "__main__":
    run_command(main)
