"""Everything a person may change about a run: the command line, its help and the run's ``config.json``."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import tyro

from kg.blocklist import SENSITIVE
from loaders.errors import InputError


@dataclass(frozen=True)
class SplitConfig:
    """Where the past ends: by a published split (``fold``), else by these moments, the shop's own, or the shares."""

    validation_from: str | None = None
    """Validation begins here (ISO 8601, UTC)."""

    test_from: str | None = None
    """Test begins here (ISO 8601, UTC)."""

    validation_share: float = 0.1
    """Part of the purchases, in order of time, in validation where no moment is known."""

    test_share: float = 0.1
    """Part of the purchases, in order of time, in test where no moment is known."""

    fold_validation_share: float = 0.15
    """Part of each user's train purchases in validation where a published split has none."""


@dataclass(frozen=True)
class HistoryConfig:
    """The weight a(u, j) of a product the user bought: (Σ over its purchases of 0.5 ^ (age / half_life)) ^ exponent."""

    exponent: float = 0.35
    """Power of the sum; 0 makes all products she bought equal."""

    half_life_days: float = 70.0
    """Days after which a purchase weighs half. Not used where no times are known."""


@dataclass(frozen=True)
class NetworkConfig:
    """The graph network."""

    kind: Literal["linear", "sage", "hgt"] = "linear"
    """How vectors are propagated: linearly with learned weights, by GraphSAGE, or by a graph transformer (HGT)."""

    dimension: int = 64
    """Length of the query and key vectors."""

    layers: int = 2
    """How many times co-purchases are propagated (linear), or layers of message passing (sage, hgt)."""

    learning_rate: float = 0.01
    """Step size of AdamW."""

    identity_dropout: float = 0.8
    """Part of the products that a step knows by text and neighbours alone, without their id embeddings."""

    temperature: float = 0.1
    """What cosines are divided by at the start; it is learned."""

    hidden_share: float = 0.3
    """Part of each user's products that is hidden from her and has to be predicted."""

    batch_users: int = 2048
    """Users in one step at the most; small shops have more steps than that makes."""

    max_epochs: int = 12
    """Passes over the users at the most."""

    evaluate_every: int = 4
    """Epochs between two looks at the validation part."""

    patience: int = 2
    """Looks without a better NDCG@10 after which training stops."""

    num_neighbors: tuple[int, ...] = ()
    """Of sage and hgt: neighbours that a node gets at most along each edge type, a number for each layer, -1 for all.
    For shops whose steps do not fit in memory. With none, steps go over the full graph, where nothing is estimated."""

    negatives: int = 2048
    """With ``num_neighbors``: products drawn in each step that stand for all that a wanted one has to outrank."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What training computes scores and message passing in; auto is bfloat16 on CUDA and float32 on the CPU. Losses,
    sums over neighbours of linear and sage, and all that is computed after training are in 32 bits."""

    accumulate: int = 1
    """Parts that the users of a step are worked on in, one after the other, before its gradients move the weights: the
    scores of only one part are in memory. The step stays the same, but for what ``num_neighbors`` draws."""

    table: Literal["float32", "float16", "cpu"] = "float32"
    """With ``num_neighbors``: how the table of id embeddings is kept. float16 has 16 bits for each number of it; cpu
    leaves it in the CPU's memory, with popularities and texts. Of both only the rows that a step reads are moved. Both
    are for one process."""

    recompute: bool = False
    """Throw away what the layers compute, and compute it again in the backward pass (activation checkpointing)."""


@dataclass(frozen=True)
class ClosedFormConfig:
    """The closed form over the graph.

    The ridge and all weights count in mean diagonals of XᵀX, X being the purchases, so that one value fits shops of all
    sizes.
    """

    exponent: float = 0.3
    """Power of the number of purchases in X."""

    half_life_days: float = 1000.0
    """Days after which a purchase weighs half in X. Not used where no times are known."""

    ridge: float = 6.0
    """Regularisation; more trusts rare products less."""

    row_power: float = 0.1
    """X's rows are multiplied by (number of products of the user) ^ -power."""

    brand: float = 0.15
    """Weight of having the same brand."""

    category: float = 0.015
    """Weight of being in the same categories."""

    words: float = 0.5
    """Weight of sharing words and pairs of words."""

    meaning: float = 0.1
    """Weight of near text vectors."""

    link: float = 0.3
    """Weight of each of the shop's own links that is not in ``links``."""

    support: int = 0
    """Products that each product is predicted from, those most alike to it; 0: all, where the shop is small enough."""

    links: dict[str, float] = field(default_factory=dict)
    """Weights of the shop's own links by name; 0 leaves one out."""

    def weight(self, feature: str) -> float:
        """Return the weight of a similarity by its name."""
        own = {"brand": self.brand, "category": self.category, "words": self.words, "meaning": self.meaning}
        return own[feature] if feature in own else self.links.get(feature, self.link)


@dataclass(frozen=True)
class RelatedConfig:
    """The ``RELATED`` edges."""

    per_product: int = 200
    """Edges kept for each product, the largest by absolute weight before the trend."""

    own: float = 1.0
    """Weight of the edge from a product to itself, where products may be bought again (``repeat``)."""

    trend: float = 0.5
    """Power of the candidate's trend, recent against usual purchases. Not used where no times are known."""

    trend_half_life_days: float = 14.0
    """Days after which a purchase counts half as recent."""

    trend_shrink: float = 5.0
    """Purchases added to recent and usual ones alike; more trusts the trend of rare products less."""


@dataclass(frozen=True)
class EdgeConfig:
    """The edge network, which re-weighs the edges of the closed form and the graph network."""

    by_base: int = 200
    """Candidate edges of a product that are the closed form's largest."""

    by_network: int = 120
    """Further candidate edges of a product that are the graph network's likeliest."""

    hidden: int = 32
    """Width of its two hidden layers."""

    hidden_share: float = 0.2
    """Part of the known purchases that closed form and network are fitted without, to learn from: the latest ones where
    times are known, else a part of each user's."""

    cold_share: float = 0.01
    """Part of the products of which all purchases are among the hidden, where products without a buyer are ranked."""

    learning_rate: float = 0.004
    """Largest step size of AdamW, in one cycle."""

    weight_decay: float = 0.001
    """Of AdamW."""

    batch_users: int = 512
    """Users in one step at the most."""

    passes: int = 6
    """Passes over the users, fewer where they bought so much that each teaches much; 0 leaves out both networks, and
    the edges are the closed form's."""

    clip: float = 1.0
    """Largest norm of a gradient."""

    tail_power: float = 0.35
    """A wanted product counts (buyers + 1) ^ -tail_power, so that the tail does not pay for the head."""

    unweighed: float = 0.7
    """Part of what the closed form's edges weigh in all that is not re-weighed: what chance taught the network weighs
    less, and the tail pays less."""


@dataclass(frozen=True)
class ProfileConfig:
    """Profiles of users: what they prefer, what they pay, which segment they are in. See docs/profiles.md."""

    half_life_days: float = 180.0
    """Days after which a purchase counts half for what a user prefers. Not used where no times are known."""

    shrinkage: float = 20.0
    """Purchases, spread as the population's are, that are added to each user's own; more trusts few purchases less."""

    most: int = 20
    """Brands, and categories, kept for each user at the most."""

    blocked: tuple[str, ...] = SENSITIVE
    """Words of names (``*``: any further letters) that make a category or a brand too sensitive for any profile: what
    is bought of them counts nowhere. Give words of your own in their place, or none to block nothing."""

    level: int = 2
    """Level of the categories that variety, price bands and segments speak of; of shorter paths the lowest."""

    least_priced: int = 3
    """Purchases of a category that a user's price band needs."""

    dimension: int = 32
    """Length of the vectors that segments are made of where a run has no graph network."""

    most_segments: int = 12
    """Segments at the most; how many there are is chosen by the silhouette."""

    intent: float = 1.0
    """Weight of what texts say of her purchases in a user's vector (alpha)."""

    attributes: float = 1.0
    """Weight of her shares of the largest categories in a user's vector (beta)."""

    embedding: float = 1.0
    """Weight of the learned vector in a user's vector (gamma)."""


@dataclass(frozen=True)
class TrainConfig:
    """Load a shop, learn from its past, rank, write back and explain."""

    shop: str = "complete-journey"
    """complete-journey, amazon-beauty (split A), amazon-beauty-b, synthetic, or your own shop's folder (see README)."""

    raw: str | None = None
    """Folder of the raw files of amazon-beauty; by default ../shared/data/amazon_beauty."""

    store: str | None = None
    """Address of the graph store; by default NEO4J_URI, else ladybug:data/SHOP.lbug."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    run: str | None = None
    """Name of the run and of its folder in runs/; by default the shop's name."""

    runs: str = "runs"
    """Folder of all runs."""

    cache: str = "data/text"
    """Folder where text vectors are kept from run to run."""

    encoder: str | None = None
    """Folder of a Hugging Face text encoder; by default the MiniLM that comes with the packages."""

    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""

    seed: int = 0
    """All chance comes from it: same seed, same machine, same numbers."""

    min_buyers: int | None = None
    """Products with fewer buyers in the past are neither ranked nor learned from; 0 ranks all that are listed. By
    default 5, and 0 where a published split (``fold``) is used, whose figures are of all products."""

    k: int = 100
    """Products recommended to each user."""

    leave_out: tuple[str, ...] = ()
    """Links between products that nothing is learned from, such as ALSO_BOUGHT: those that know the future leak it."""

    repeat: bool = False
    """Products that a user bought before may be recommended to her again, as in a grocery shop."""

    tuned: str | None = None
    """Folder of the tuned.json, by gnn.tune or gnn.benchmark, whose settings to use; by default the youngest in the
    folder of all runs that was found on this shop, else the one that comes with the program, else a few are tried."""

    networks: Literal["auto", "always", "never"] = "auto"
    """Whether the graph network and the edge network re-weigh the closed form's edges; auto: if that ranks the
    validation part better by more than chance, and its tail not worse."""

    time_limit: float | None = None
    """Minutes from the start after which the networks' training stops, when its step is done; the same command goes on
    from there."""

    overwrite: bool = False
    """Replace a run of the same name that had other settings."""

    given: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Settings that a person gave, such as ``closed_form.ridge``: no search or choice changes them, whatever they are.
    No search changes one that differs from what settings are at first either."""

    split: SplitConfig = field(default_factory=SplitConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    closed_form: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    edges: EdgeConfig = field(default_factory=EdgeConfig)
    related: RelatedConfig = field(default_factory=RelatedConfig)
    profiles: ProfileConfig = field(default_factory=ProfileConfig)

    def __post_init__(self) -> None:
        _require(
            bool(self.run is None or re.fullmatch(r"[\w][\w.-]*", self.run)), "run", self.run, "letters, digits, . _ -"
        )
        for group in (
            self.split,
            self.history,
            self.network,
            self.closed_form,
            self.edges,
            self.related,
            self.profiles,
        ):
            for name, value in vars(group).items():
                _require(not isinstance(value, float) or math.isfinite(value), name, value, "a finite number")
        _require(0 <= self.history.exponent <= 10, "history.exponent", self.history.exponent, "0 to 10")
        _require(
            self.time_limit is None or (math.isfinite(self.time_limit) and self.time_limit > 0),
            "time_limit",
            self.time_limit,
            "a number of minutes above 0",
        )
        _require(self.k >= 1, "k", self.k, "1 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(self.min_buyers is None or self.min_buyers >= 0, "min_buyers", self.min_buyers, "0 or more")
        for name in ("dimension", "layers", "batch_users", "max_epochs", "evaluate_every", "patience"):
            _require(getattr(self.network, name) >= 1, f"network.{name}", getattr(self.network, name), "1 or more")
        _check_sampling(self.network)
        _check_memory(self.network)
        for name in ("learning_rate", "temperature"):
            _require(getattr(self.network, name) > 0, f"network.{name}", getattr(self.network, name), "more than 0")
        _require(
            0 < self.network.hidden_share < 1, "network.hidden_share", self.network.hidden_share, "between 0 and 1"
        )
        _require(
            0 <= self.network.identity_dropout < 1,
            "network.identity_dropout",
            self.network.identity_dropout,
            "0 or more and below 1",
        )
        _require(self.related.per_product >= 1, "related.per_product", self.related.per_product, "1 or more")
        for name in ("own", "trend"):
            _require(getattr(self.related, name) >= 0, f"related.{name}", getattr(self.related, name), "0 or more")
        _check_edges(self.edges)
        _check_closed_form(self.closed_form)
        _check_profiles(self.profiles)
        for name in ("trend_half_life_days", "trend_shrink"):
            _require(getattr(self.related, name) > 0, f"related.{name}", getattr(self.related, name), "more than 0")
        _require(
            self.history.half_life_days >= 0.01, "history.half_life_days", self.history.half_life_days, "0.01 or more"
        )
        _require(
            0 < self.split.fold_validation_share < 1,
            "split.fold_validation_share",
            self.split.fold_validation_share,
            "between 0 and 1",
        )
        shares = (self.split.validation_share, self.split.test_share)
        _require(min(shares) >= 0 and sum(shares) < 1, "split shares", shares, "0 or more each and together below 1")
        for name in ("validation_from", "test_from"):
            moment(getattr(self.split, name), name)


def _check_sampling(config: NetworkConfig) -> None:
    counts = config.num_neighbors
    name = "network.num_neighbors"
    _require(all(count == -1 or count >= 1 for count in counts), name, counts, "1 or more each, or -1 for all")
    _require(len(counts) in (0, config.layers), name, counts, f"none, or one for each of the {config.layers} layers")
    _require(not counts or config.kind != "linear", name, counts, "none where network.kind is linear; else sage or hgt")
    _require(config.negatives >= 1, "network.negatives", config.negatives, "1 or more")


def _check_memory(config: NetworkConfig) -> None:
    _require(config.accumulate >= 1, "network.accumulate", config.accumulate, "1 or more")
    # A step over the full graph reads every row, so that there is nothing to leave where it is.
    _require(
        config.table == "float32" or bool(config.num_neighbors),
        "network.table",
        config.table,
        "float32, or network.num_neighbors too: steps over the full graph read the whole table",
    )


def _check_closed_form(config: ClosedFormConfig) -> None:
    _require(config.ridge > 0, "closed_form.ridge", config.ridge, "more than 0")
    _require(0 <= config.row_power <= 1, "closed_form.row_power", config.row_power, "0 to 1")
    _require(config.support >= 0, "closed_form.support", config.support, "0 or more")
    weights = {name: getattr(config, name) for name in ("brand", "category", "words", "meaning", "link")}
    for name, weight in (weights | {f"links.{name}": weight for name, weight in config.links.items()}).items():
        _require(math.isfinite(weight) and weight >= 0, f"closed_form.{name}", weight, "0 or more")
    _require(0 <= config.exponent <= 10, "closed_form.exponent", config.exponent, "0 to 10")
    _require(config.half_life_days >= 0.01, "closed_form.half_life_days", config.half_life_days, "0.01 or more")


def _check_edges(config: EdgeConfig) -> None:
    for name in ("by_base", "hidden", "batch_users"):
        _require(getattr(config, name) >= 1, f"edges.{name}", getattr(config, name), "1 or more")
    for name in ("by_network", "passes", "weight_decay", "tail_power"):
        _require(getattr(config, name) >= 0, f"edges.{name}", getattr(config, name), "0 or more")
    for name in ("learning_rate", "clip"):
        _require(getattr(config, name) > 0, f"edges.{name}", getattr(config, name), "more than 0")
    for name in ("cold_share", "unweighed"):
        _require(0 <= getattr(config, name) < 1, f"edges.{name}", getattr(config, name), "0 or more and below 1")
    _require(0 < config.hidden_share < 1, "edges.hidden_share", config.hidden_share, "between 0 and 1")


def _check_profiles(config: ProfileConfig) -> None:
    _require(config.half_life_days >= 0.01, "profiles.half_life_days", config.half_life_days, "0.01 or more")
    _require(config.shrinkage > 0, "profiles.shrinkage", config.shrinkage, "more than 0")
    for name in ("most", "level", "least_priced", "dimension"):
        _require(getattr(config, name) >= 1, f"profiles.{name}", getattr(config, name), "1 or more")
    _require(config.most_segments >= 2, "profiles.most_segments", config.most_segments, "2 or more")
    for name in ("intent", "attributes", "embedding"):
        _require(getattr(config, name) >= 0, f"profiles.{name}", getattr(config, name), "0 or more")
    for word in config.blocked:
        _require(bool(re.search(r"\w", word)), "profiles.blocked", word, "words with a letter in each")


def moment(text: str | None, name: str) -> int | None:
    """Return the seconds since 1970 (UTC) of an ISO 8601 moment; without an offset it is UTC."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"split.{name} is {text!r}, which is no date; write it like 2017-11-27 or 2017-11-27T05:00"
        ) from error
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def _require(holds: bool, name: str, value: object, wanted: str) -> None:  # noqa: FBT001
    if not holds:
        raise InputError(f"{name} is {value!r}; give {wanted}")


def given_settings(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of a model that are named in the arguments of a command line.

    >>> given_settings(["--shop", "synthetic", "--closed-form.ridge=6", "--closed-form.support", "0"])
    ('closed_form.ridge', 'closed_form.support')
    """
    named = (each.removeprefix("--").partition("=")[0] for each in arguments if each.startswith("--"))
    return tuple(name.replace("-", "_") for name in named if "." in name)


def is_given(name: str, given: Collection[str]) -> bool:
    """Return whether a person gave the setting ``name``, by itself, or with all of its group, or of all links.

    >>> is_given("closed_form.links.ALSO_VIEWED", ["closed_form.link"]), is_given("closed_form.ridge", [])
    (True, False)
    """
    of_links = name.startswith("closed_form.links.") and "closed_form.link" in given
    return of_links or any(name == each or name.startswith(f"{each}.") for each in given)
