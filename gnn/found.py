"""Finds the settings of a run: those a person gave, and those that a search on the same shop and split found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gnn.cartograph import Cartograph
from gnn.config import TrainConfig, is_given
from gnn.evaluate import CLOSED_FORM
from gnn.split import Split, enough_buyers
from gnn.tuned import FILE, SHIPPED, fits, fitting_tuned, load_tuned, setting_of, with_settings
from kg.graph import Graph
from loaders.errors import InputError
from loaders.shops import shop_name


def given_model(
    config: TrainConfig, graph: Graph, split: Split, *, times_known: bool
) -> tuple[Cartograph, str, Path | None]:
    """Return the model with the settings that a search found, and where they are from; those a person gave stay."""
    found = _found_settings(config, graph, split)
    model = Cartograph.of(config).for_graph(graph, timed=times_known)
    if found is None:
        return model, "", None
    every = load_tuned(found)
    values = every.get(CLOSED_FORM)
    if values is None:
        raise InputError(f"{str(found)!r} holds settings of {', '.join(every) or 'nothing'}, not of {CLOSED_FORM!r}")
    unknown = sorted(set(values) - set(model.space))
    if unknown or not all(isinstance(value, int | float) for value in values.values()):
        what = (
            f"settings that {model.name} does not have here: {', '.join(unknown)}" if unknown else "what is no number"
        )
        raise InputError(f"{str(found / FILE)!r} holds {what}; tune again, or give another --tuned")
    own = Cartograph(repeat=config.repeat).for_graph(graph, timed=times_known)
    free = {
        name: value
        for name, value in values.items()
        if not is_given(name, config.given) and setting_of(model, name) == setting_of(own, name)
    }
    chosen = with_settings(model, free)
    # They are checked as those of the command line are.
    replace(config, history=chosen.history, closed_form=chosen.closed_form, related=chosen.related)
    same = fits(found, CLOSED_FORM, facts=_facts(config, graph, split))
    return chosen, f"by search, in {found}" + ("" if same else ", on another shop or another split"), found


def shop_facts(
    graph: Graph,
    split: Split,
    *,
    shop: str,
    leave_out: tuple[str, ...],
    repeat: bool,
    users_share: float,
    min_buyers: int | None,
    seed: int,
) -> dict[str, object]:
    """Return what settings were found on, or are used on (:data:`gnn.tuned.FACTS`), and the seed."""
    return {
        "shop": shop_name(shop),
        "leave_out": sorted(leave_out),
        "repeat": repeat,
        "users_share": users_share,
        "min_buyers": enough_buyers(graph, min_buyers),
        "split": split.way,
        "validation_from": split.validation_from,
        "test_from": split.test_from,
        "parts": [len(part) for part in (split.past, split.validation, split.test)],
        "seed": seed,
    }


def _facts(config: TrainConfig, graph: Graph, split: Split) -> dict[str, object]:
    return shop_facts(
        graph,
        split,
        shop=config.shop,
        leave_out=config.leave_out,
        repeat=config.repeat,
        users_share=1.0,
        min_buyers=config.min_buyers,
        seed=config.seed,
    )


def _found_settings(config: TrainConfig, graph: Graph, split: Split) -> Path | None:
    """Return the folder of the youngest search on this shop; of those that come with the program if there is none."""
    if config.tuned is not None:
        return Path(config.tuned)
    return fitting_tuned((Path(config.runs), SHIPPED), CLOSED_FORM, facts=_facts(config, graph, split))
