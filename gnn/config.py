"""Everything a person may change about a run: the command line, its help and the run's ``config.json``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

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


@dataclass(frozen=True)
class HistoryConfig:
    """The weight a(u, j) of a product the user bought: purchases ^ exponent · 0.5 ^ (age / half_life)."""

    exponent: float = 0.3
    """Power of the number of purchases; 0 makes all products she bought equal."""

    half_life_days: float = 60.0
    """Days after which a purchase weighs half. Not used where no times are known."""


@dataclass(frozen=True)
class NetworkConfig:
    """The graph network."""

    dimension: int = 64
    """Length of the query and key vectors."""

    layers: int = 2
    """How many times co-purchases are propagated."""

    learning_rate: float = 0.01
    """Step size of AdamW."""

    temperature: float = 0.1
    """What cosines are divided by at the start; it is learned."""

    hidden_share: float = 0.3
    """Part of each user's products that is hidden from her and has to be predicted."""

    batch_users: int = 512
    """Users in one step."""

    max_epochs: int = 40
    """Passes over the users at the most."""

    evaluate_every: int = 3
    """Epochs between two looks at the validation part."""

    patience: int = 3
    """Looks without a better NDCG@10 after which training stops."""


@dataclass(frozen=True)
class RelatedConfig:
    """The ``RELATED`` edges."""

    per_product: int = 200
    """Edges kept for each product, the largest by absolute weight."""

    shrink: float = 10.0
    """Shrinkage of the co-purchase cosine; more trusts rare products less."""

    gates: tuple[float, ...] = (0.0, 2.0, 4.0)
    """Strengths tried for the network's gate on co-purchases; validation chooses."""

    trends: tuple[float, ...] = (0.0, 0.5, 1.0)
    """Powers tried for the trend of the candidate, recent against usual purchases; validation chooses."""

    trend_half_life_days: float = 14.0
    """Days after which a purchase counts half as recent."""

    trend_shrink: float = 5.0
    """Purchases added to recent and usual ones alike; more trusts the trend of rare products less."""

    proposals: tuple[float, ...] = (0.0, 0.3)
    """Weights tried for the edges that the network proposes by itself; validation chooses."""


@dataclass(frozen=True)
class TrainConfig:
    """Load a shop, learn from its past, rank, write back and explain."""

    shop: str = "complete-journey"
    """complete-journey, synthetic, or the folder of your own shop (see README)."""

    store: str | None = None
    """Address of the graph store; by default ladybug:data/SHOP.lbug."""

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

    min_buyers: int = 5
    """Products with fewer buyers in the past are neither ranked nor learned from."""

    k: int = 100
    """Products recommended to each user."""

    overwrite: bool = False
    """Replace a run of the same name that had other settings."""

    split: SplitConfig = field(default_factory=SplitConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    related: RelatedConfig = field(default_factory=RelatedConfig)

    def __post_init__(self) -> None:
        _require(
            bool(self.run is None or re.fullmatch(r"[\w][\w.-]*", self.run)), "run", self.run, "letters, digits, . _ -"
        )
        for group in (self.split, self.history, self.network, self.related):
            for name, value in vars(group).items():
                numbers = value if isinstance(value, tuple) else (value,)
                finite = all(math.isfinite(number) for number in numbers if isinstance(number, float))
                _require(finite, name, value, "a finite number")
        _require(0 <= self.history.exponent <= 10, "history.exponent", self.history.exponent, "0 to 10")
        for name in ("min_buyers", "k"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        for name in ("dimension", "layers", "batch_users", "max_epochs", "evaluate_every", "patience"):
            _require(getattr(self.network, name) >= 1, f"network.{name}", getattr(self.network, name), "1 or more")
        for name in ("learning_rate", "temperature"):
            _require(getattr(self.network, name) > 0, f"network.{name}", getattr(self.network, name), "more than 0")
        _require(
            0 < self.network.hidden_share < 1, "network.hidden_share", self.network.hidden_share, "between 0 and 1"
        )
        _require(self.related.per_product >= 1, "related.per_product", self.related.per_product, "1 or more")
        _require(self.related.shrink >= 0, "related.shrink", self.related.shrink, "0 or more")
        for name in ("gates", "trends", "proposals"):
            _require(bool(getattr(self.related, name)), f"related.{name}", getattr(self.related, name), "some values")
        for name in ("trend_half_life_days", "trend_shrink"):
            _require(getattr(self.related, name) > 0, f"related.{name}", getattr(self.related, name), "more than 0")
        _require(
            self.history.half_life_days >= 0.01, "history.half_life_days", self.history.half_life_days, "0.01 or more"
        )
        shares = (self.split.validation_share, self.split.test_share)
        _require(min(shares) >= 0 and sum(shares) < 1, "split shares", shares, "0 or more each and together below 1")
        for name in ("validation_from", "test_from"):
            moment(getattr(self.split, name), name)


Device = Literal["cpu", "cuda"]


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
