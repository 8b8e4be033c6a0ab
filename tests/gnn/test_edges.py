"""The edge network: scores against a dense sum, learning begins at the closed form, what is planted is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from gnn.candidates import BY_BASE, BY_NETWORK, ITSELF, Candidates
from gnn.checkpoint import Checkpoint
from gnn.config import EdgeConfig
from gnn.edge_batch import EdgeBatch
from gnn.edges import FittedEdges, fit_edges, largest_edges, reweighed, without_factor
from kg.schema import SHARES

CPU = torch.device("cpu")


def candidates_of(rows: list[list[tuple[int, float, int]]], *, features: list[list[float]] | None = None) -> Candidates:
    """Return candidates by product from (target, start, proposed by); half of what the base has is text."""
    flat = [edge for row in rows for edge in row]
    start = np.array([edge[1] for edge in flat], dtype=np.float32)
    by = np.array([edge[2] for edge in flat], dtype=np.int8)
    return Candidates(
        first=np.concatenate([[0], np.cumsum([len(row) for row in rows])]),
        target=np.array([edge[0] for edge in flat], dtype=np.int32),
        start=start,
        proposed_by=by,
        shares={"text": np.where(by == BY_BASE, start / 2, 0).astype(np.float32)},
        features=np.array(features or [[float(at)] for at in range(len(flat))], dtype=np.float32),
        names=("feature",),
    )


SMALL = candidates_of(
    [
        [(0, 0.5, ITSELF), (1, 2.0, BY_BASE), (2, 0.1, BY_NETWORK)],
        [(0, -1.0, BY_BASE), (1, 0.5, ITSELF)],
        [(2, 0.5, ITSELF)],
    ]
)


def untrained(candidates: Candidates) -> FittedEdges:
    """Return an edge network that has seen nothing: users without anything to learn from."""
    nothing = sparse.csr_array((2, candidates.num_products))
    return fit_edges(candidates, history=nothing, wanted=nothing, seen=nothing, config=EdgeConfig(), device=CPU, seed=0)


def test_learning_begins_at_the_closed_form() -> None:
    weights = untrained(SMALL).weights(SMALL)
    factor = np.exp(-3.0)
    assert weights == pytest.approx([0.5, 2.0, 0.1 * factor, -1.0, 0.5, 0.5], rel=1e-6)


def dense(matrix: sparse.csr_array) -> torch.Tensor:
    return torch.from_numpy(matrix.toarray())


def test_a_step_is_a_softmax_over_all_that_a_user_has_not_and_its_gradients_are_those_of_the_dense_one() -> None:
    rng = np.random.default_rng(0)
    users, products = 7, 30
    rows = [
        [
            (int(target), float(rng.normal()), int(rng.integers(1, 3)))
            for target in rng.choice(products, 6, replace=False)
        ]
        for _ in range(products)
    ]
    candidates = candidates_of(rows)
    bought = rng.random((users, products)) < 0.2
    bought[3] = False
    history = sparse.csr_array(bought * rng.random((users, products)))
    wanted = sparse.csr_array(((rng.random((users, products)) < 0.1) & ~bought).astype(np.float64))
    batch = EdgeBatch.of(candidates, history, wanted=wanted, seen=sparse.csr_array(bought * 1.0), device=CPU)
    # The edges of products that nobody here bought are not in it.
    values = torch.from_numpy(rng.normal(size=len(candidates.target)).astype(np.float32)).requires_grad_()
    of_batch = np.flatnonzero(np.isin(candidates.source, np.unique(history.indices)))
    sharpness, floor = torch.tensor(1.3, requires_grad=True), torch.tensor(0.2, requires_grad=True)
    step = batch.log_likelihood(batch.scores(values[of_batch]), sharpness=sharpness, floor=floor)

    ends = tuple(torch.from_numpy(each).long() for each in (candidates.source, candidates.target))
    related = torch.zeros(products, products, dtype=torch.float64).index_put(ends, values.double())
    utility = sharpness * torch.log(floor + (dense(history) @ related).clamp(min=0))
    plain = torch.log_softmax(utility.masked_fill(torch.from_numpy(bought), -torch.inf), dim=1)[dense(wanted) > 0]
    assert len(plain) > 10
    torch.testing.assert_close(step.double(), plain, rtol=1e-5, atol=1e-5)
    weight = torch.from_numpy(rng.random(len(plain)))
    found, expected = (torch.autograd.grad((weight * each).sum(), (values, sharpness, floor)) for each in (step, plain))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_shares_add_up_to_the_weight_and_grow_together() -> None:
    weights = np.array([0.25, 3.0, 0.2, -4.0, 1.0, 0.5], dtype=np.float32)
    related = reweighed(SMALL, weights, kept=largest_edges(SMALL, weights, per_product=9))
    assert related.weight == pytest.approx(weights)
    shares = {name: related.shares[name].tolist() for name in SHARES}
    assert shares["text"] == pytest.approx([0, 1.5, 0, -2.0, 0, 0])
    assert shares["bought"] == pytest.approx([0, 1.5, 0, -2.0, 0, 0])
    assert shares["network"] == pytest.approx([0, 0, 0.2, 0, 0, 0])
    assert shares["repeat"] == pytest.approx([0.25, 0, 0, 0, 1.0, 0.5])


def test_the_cut_goes_by_absolute_weight_and_keeps_the_edge_to_itself() -> None:
    weights = np.array([0.01, 0.1, -0.2, -4.0, 1.0, 0.5], dtype=np.float32)
    related = reweighed(SMALL, weights, kept=largest_edges(SMALL, weights, per_product=1))
    assert list(zip(related.source.tolist(), related.target.tolist(), strict=True)) == [
        (0, 0), (0, 2), (1, 0), (1, 1), (2, 2),
    ]  # fmt: skip


def test_the_trend_is_taken_out_of_the_edges_that_have_it() -> None:
    factor, weights = np.array([4.0, 0.5, 2.0]), np.ones(len(SMALL.target), dtype=np.float32)
    plain = without_factor(SMALL, weights, factor)
    named = zip(SMALL.proposed_by.tolist(), SMALL.target.tolist(), strict=True)
    assert plain.tolist() == [1.0 if by != BY_BASE else {0: 0.25, 1: 2.0, 2: 0.5}[target] for by, target in named]
    assert 0 < (SMALL.proposed_by == BY_BASE).sum() < len(weights)


def planted(*, seed: int, users: int = 300) -> tuple[Candidates, sparse.csr_array, sparse.csr_array]:
    """Return edges of equal start from ten products, of which the feature says which ones are followed."""
    rng = np.random.default_rng(seed)
    good = rng.integers(10, 30, size=10)
    rows = [[(target, 1.0, BY_BASE) for target in range(10, 30)] for _ in range(10)] + [[] for _ in range(20)]
    features = [[float(target == good[source])] for source in range(10) for target in range(10, 30)]
    source = rng.integers(0, 10, size=users)
    history = sparse.csr_array((np.ones(users), (np.arange(users), source)), shape=(users, 30))
    wanted = sparse.csr_array((np.ones(users), (np.arange(users), good[source])), shape=(users, 30))
    return candidates_of(rows, features=features), history, wanted


def test_what_a_feature_tells_is_learned_and_carries_over_to_other_edges() -> None:
    candidates, history, wanted = planted(seed=0)
    losses: list[float] = []
    fitted = fit_edges(
        candidates, history=history, wanted=wanted, seen=history, config=replace(EdgeConfig(), passes=6),
        device=CPU, seed=0, checkpoint=Checkpoint("test", record=lambda epoch: losses.append(epoch.loss)),
    )  # fmt: skip
    assert losses[-1] < 0.5 * losses[0]
    others, _, _ = planted(seed=1)
    weights = fitted.weights(others)
    followed = others.features[:, 0] == 1
    assert weights[followed].min() > 3 * weights[~followed].max()


@pytest.mark.parametrize("part", [0.0, 0.25, 0.75])
def test_a_part_of_what_the_closed_forms_edges_weigh_in_all_is_as_it_was(part: float) -> None:
    candidates, history, wanted = planted(seed=0)
    by_network = candidates.target == 29
    candidates = replace(candidates, proposed_by=np.where(by_network, BY_NETWORK, BY_BASE).astype(np.int8))

    def weights(unweighed: float) -> np.ndarray:
        config = EdgeConfig(passes=2, unweighed=unweighed)
        fitted = fit_edges(candidates, history=history, wanted=wanted, seen=history, config=config, device=CPU, seed=0)
        return fitted.weights(candidates)

    reweighed_alone, both = weights(0.0), weights(part)
    # The starts are all 1: of their sum the same multiple is added to each.
    added = (both - reweighed_alone)[~by_network]
    assert added == pytest.approx(added.mean(), rel=1e-4)
    assert added.sum() == pytest.approx(part * both[~by_network].sum(), rel=1e-4)
    assert np.array_equal(both[by_network], reweighed_alone[by_network])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    candidates, history, wanted = planted(seed=0)
    first, again, other = (
        fit_edges(
            candidates, history=history, wanted=wanted, seen=history, config=replace(EdgeConfig(), passes=1),
            device=CPU, seed=seed,
        ).weights(candidates)
        for seed in (0, 0, 1)
    )  # fmt: skip
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_other_features_than_those_of_the_training_are_a_mistake_of_the_program() -> None:
    fitted = untrained(SMALL)
    with pytest.raises(ValueError, match="trained on"):
        fitted.weights(replace(SMALL, names=("another",)))
