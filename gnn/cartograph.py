"""Our model: closed form over the graph, graph network, and the edge network that joins them into ``RELATED``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from gnn.base import fit_base, fit_content
from gnn.candidates import Candidates, gather_candidates, searched, with_feature
from gnn.checkpoint import Checkpoint, Checkpoints
from gnn.config import ClosedFormConfig, EdgeConfig, HistoryConfig, NetworkConfig, RelatedConfig, TrainConfig
from gnn.edges import FittedEdges, fit_edges, largest_edges, reweighed, without_factor
from gnn.evaluate import evaluate
from gnn.fit import FittedNetwork, fit_network
from gnn.hetero import hetero_data
from gnn.history import Weighing, repeat_rate
from gnn.likeliest import Likely
from gnn.model import Content, Space
from gnn.network_alone import NetworkAlone
from gnn.ranking import RelatedRecommender
from gnn.related import Related
from gnn.searched_form import SearchedForm, related_by_form, trend_of
from gnn.task import Task, hide, weigh
from kg.graph import Graph
from loaders.errors import InputError

NOT_KEPT = Checkpoints()


@dataclass(frozen=True)
class FittedCartograph:
    """What was learned: the edges that every score is a sum along, and the networks that they came from."""

    name: str
    weighing: Weighing
    history: sparse.csr_array
    """a(u, j), users × products."""

    related: Related
    way: str
    """How the closed form was found."""

    network: FittedNetwork | None
    edges: FittedEdges | None
    read: Candidates | None = None
    """What the edge network read of each edge of ``related``; only where it was to be kept, for it is large."""

    @cached_property
    def _recommender(self) -> RelatedRecommender:
        return RelatedRecommender(self.name, self.history, self.related.matrix(self.history.shape[1]))

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return Σ a(u, j) R(j, i); a product that no edge leads to has no score."""
        return self._recommender.scores(users)

    def sums(self, users: Int[np.ndarray, " users"]) -> sparse.csr_array:
        """Return the same, sparse."""
        return self._recommender.sums(users)


@dataclass(frozen=True)
class Cartograph:
    """The settings of our model; without passes of the edge network it is the closed form alone."""

    history: HistoryConfig = field(default_factory=HistoryConfig)
    closed_form: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    edges: EdgeConfig = field(default_factory=EdgeConfig)
    related: RelatedConfig = field(default_factory=RelatedConfig)
    timed: bool = True
    """Whether what needs times is searched."""

    repeat: bool = False
    """Whether what needs repeats is searched."""

    name: str = "Cartograph"

    @classmethod
    def of(cls, config: TrainConfig) -> Cartograph:
        """Return the model of a run's settings."""
        return cls(
            config.history, config.closed_form, config.network, config.edges, config.related, repeat=config.repeat
        )

    def for_graph(self, graph: Graph, *, timed: bool) -> Cartograph:
        """Return the same with a weight for each of the graph's links between products."""
        for name in self.closed_form.links:
            if name not in graph.links:
                known = ", ".join(sorted(graph.links)) or "none"
                raise InputError(f"closed_form.links has a weight of {name!r}; the links of the shop are: {known}")
        links = {name: self.closed_form.weight(name) for name in sorted(graph.links)}
        return replace(self, closed_form=replace(self.closed_form, links=links), timed=timed)

    @property
    def closed_form_alone(self) -> Cartograph:
        """The same without both networks: what can be fitted in seconds."""
        return replace(self, edges=replace(self.edges, passes=0), name="closed form")

    @property
    def to_search(self) -> SearchedForm:
        """The closed form alone, its edges not split into shares: the time is for more trials."""
        return SearchedForm(self.history, self.closed_form, self.related, timed=self.timed, repeat=self.repeat)

    @property
    def random(self) -> bool:
        """Whether there are networks in it: the closed form has one answer."""
        return self.edges.passes > 0

    @property
    def space(self) -> Space:
        """Where the settings of the closed form lie; those of the networks stay as they are in every shop."""
        return self.to_search.space

    def fit(
        self,
        task: Task,
        content: Content,
        *,
        seed: int,
        checkpoints: Checkpoints = NOT_KEPT,
        keep_read: bool = False,
    ) -> FittedCartograph:
        """Return the edges learned from what ``task`` knows.

        The edge network learns from purchases that closed form and graph network are first fitted without; then both
        are fitted again to all that is known, and it weighs their edges. What it read of them is thrown away, unless
        it is to be kept to explain them.
        """
        if self.edges.passes:
            ways = (self.edges,)
            return next(self.fit_each(task, content, ways, seed=seed, checkpoints=checkpoints, keep_read=keep_read))
        related, way = related_by_form(task, content, self.closed_form, self.related)
        return self._finished(task, content, related, way)

    def fit_each(
        self,
        task: Task,
        content: Content,
        ways: Iterable[EdgeConfig],
        *,
        seed: int,
        checkpoints: Checkpoints = NOT_KEPT,
        keep_read: bool = False,
    ) -> Iterator[FittedCartograph]:
        """Yield what :meth:`fit` would give with each of these ways to train the edge network; all else is fitted once.

        Candidates and hidden purchases are those of ``self.edges``.
        """

        def kept(fit: str, settings: Cartograph) -> Checkpoint:
            return checkpoints.of(f"{fit}, before {task.name}", {**asdict(settings), "seed": seed})

        hidden = hide(task, share=self.edges.hidden_share, seed=seed, cold_share=self._cold_share(task))
        network = self._network(hidden, content, seed=seed, epochs=None, checkpoint=kept("network on a part", self))
        learned_from, _ = self._candidates(hidden, content, network, to_say=False)
        epochs = max(network.epochs, 1)
        network = self._network(task, content, seed=seed, epochs=epochs, checkpoint=kept("network on all", self))
        candidates, base_way = self._candidates(task, content, network)
        factor = trend_of(task, content, self.related) ** self.related.trend
        for way in ways:
            edges = fit_edges(
                learned_from,
                history=weigh(hidden, Weighing.of(self.history, times_known=content.times_known)),
                wanted=hidden.relevant,
                seen=hidden.seen,
                config=way,
                device=content.device,
                seed=seed,
                checkpoint=kept(f"edge network, the tail weighed by {way.tail_power:g}", replace(self, edges=way)),
            )
            weights = edges.weights(candidates)
            # As in the closed form, edges are chosen without the trend.
            plain = without_factor(candidates, weights, factor)
            largest = largest_edges(candidates, plain, per_product=self.related.per_product)
            related = reweighed(candidates, weights, kept=largest)
            fitted = self._finished(task, content, related, base_way, network, edges)
            yield replace(fitted, read=candidates.only(largest)) if keep_read else fitted

    def _finished(
        self,
        task: Task,
        content: Content,
        related: Related,
        way: str,
        network: FittedNetwork | None = None,
        edges: FittedEdges | None = None,
    ) -> FittedCartograph:
        weighing = Weighing.of(self.history, times_known=content.times_known)
        return FittedCartograph(self.name, weighing, weigh(task, weighing), related, way, network, edges)

    def _network(
        self, task: Task, content: Content, *, seed: int, epochs: int | None, checkpoint: Checkpoint
    ) -> FittedNetwork:
        """Train the graph network; without ``epochs``, until its NDCG@10 on the task no longer rises."""
        data = hetero_data(content.graph, past=task.known, products=task.products, text=content.text[task.products])
        history = weigh(task, Weighing.of(self.history, times_known=content.times_known))

        def ndcg(network: FittedNetwork) -> float:
            return evaluate(NetworkAlone("graph network", history, network), task).measures["NDCG@10"].value

        return fit_network(
            data,
            history,
            config=self.network,
            device=content.device,
            seed=seed,
            epochs=epochs or self.network.max_epochs,
            validate=None if epochs else ndcg,
            checkpoint=checkpoint,
        )

    def _candidates(
        self, task: Task, content: Content, network: FittedNetwork, *, to_say: bool = True
    ) -> tuple[Candidates, str]:
        """Return the candidates, and how they were found if that is to be said: it is measured, which takes time."""
        features = content.features(task)
        base = fit_base(task, features, self.closed_form, times_known=content.times_known)
        rising = trend_of(task, content, self.related)
        traits = {"trend": np.log(rising), "bought again": repeat_rate(task.known, products=task.products)}
        likely = Likely.of(network)
        candidates = gather_candidates(
            base,
            likely=likely,
            bought=task.bought,
            content=features,
            traits=traits,
            factor=rising**self.related.trend,
            own=self.related.own if task.repeat else 0.0,
            by_base=self.edges.by_base,
            by_network=self.edges.by_network,
        )
        width = searched(self.edges.by_base, self.edges.by_network)
        way = f"{base.way}; {likely.way(self.edges.by_network, width)}" if to_say else ""
        del base
        content_alone = fit_content(task, features, self.closed_form, times_known=content.times_known)
        return with_feature(candidates, "content alone", content_alone), way

    def _cold_share(self, task: Task) -> float:
        """Return the part of the products to hide whole; none where every product that is ranked has buyers."""
        return self.edges.cold_share if np.asarray(task.bought.sum(0)).min(initial=1) < 1 else 0.0
