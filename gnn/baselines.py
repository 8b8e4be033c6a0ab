"""Lists the recommenders that every table shows beside ours, each with settings that fit any shop to begin with."""

from __future__ import annotations

from gnn.config import NetworkConfig
from gnn.ease import EASE, EASELinks, EASERelations
from gnn.factors import IALS, LightGCN
from gnn.model import Model
from gnn.neighbours import ItemKNN, RP3beta
from gnn.network_alone import GraphNetworkAlone
from gnn.popularity import PersonalFrequency, Popularity, PopularityLastWeeks


def baselines(*, times_known: bool, repeat: bool, links: bool) -> tuple[Model, ...]:
    """Return the baselines of a shop, the plainest first; what needs times, repeats or links only with them."""
    return (
        Popularity(),
        *([PopularityLastWeeks()] if times_known else []),
        *([PersonalFrequency()] if repeat else []),
        ItemKNN(),
        RP3beta(),
        IALS(),
        EASE(),
        EASERelations(),
        *([EASELinks()] if links else []),
        LightGCN(),
        # Identity dropout is ours: the published ones know every product by its id.
        GraphNetworkAlone(NetworkConfig(kind="sage", identity_dropout=0.0)),
        # A step of HGT costs some forty of the linear network's.
        GraphNetworkAlone(NetworkConfig(kind="hgt", identity_dropout=0.0, learning_rate=0.003)),
        GraphNetworkAlone(),
    )
