"""Each baseline against numbers by hand, numpy's dense algebra, or its own defining equation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from scipy import sparse
from torch_geometric.nn.models import LightGCN as PygLightGCN

from gnn.closed_form import Similarity, closed_form
from gnn.config import NetworkConfig
from gnn.ease import EASE, EASELinks, EASERelations
from gnn.evaluate import evaluate
from gnn.factors import IALS, Factors, LightGCN, bipartite, pairwise_batches
from gnn.fit import make_network
from gnn.hetero import hetero_data
from gnn.history import FOREVER, Weighing, history_weights
from gnn.model import Content
from gnn.neighbours import ItemKNN, RP3beta
from gnn.network import BOUGHT, Relation, adjacency
from gnn.network_alone import GraphNetworkAlone
from gnn.popularity import PersonalFrequency, Popularity, PopularityLastWeeks
from gnn.similarity import brand_and_category, links_of
from gnn.task import Task, make_task
from kg.graph import Graph
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import DAY, graph_of, histories, purchases

CPU = torch.device("cpu")
GRAPH = graph_of(synthetic_shop(users=30, products=24, brands=4, purchases_per_user=8))
CONTENT = Content(GRAPH, np.eye(len(GRAPH.products), 8, dtype=np.float32), times_known=True, device=CPU)
EQUAL = Weighing(exponent=0.0, half_life=FOREVER)


def task_of(known: pl.DataFrame, *, products: list[int], num_users: int, now: int = 100 * DAY) -> Task:
    """Return a task with nothing to find, in which all that a user bought weighs the same."""
    positions = np.array(products)
    history = history_weights(known, products=positions, num_users=num_users, weighing=EQUAL, now=now)
    return Task("test", known, positions, history, sparse.csr_array(history.shape), now)


def shop_task(**settings: bool) -> Task:
    return make_task(
        "test", GRAPH, known=GRAPH.bought, later=GRAPH.bought.clear(), weighing=EQUAL, now=10**10, min_buyers=0,
        **settings,
    )  # fmt: skip


TASK = shop_task()
X = TASK.bought.toarray()
EVERYBODY = np.arange(len(GRAPH.users))


def test_popularity_counts_buyers_and_not_purchases_and_forgets_what_is_old() -> None:
    known = purchases((0, 4, 1), (0, 4, 2), (0, 4, 90), (1, 4, 1), (1, 6, 99), (2, 9, 99))
    task = task_of(known, products=[4, 6], num_users=3)
    ever, recent = (model.fit(task, CONTENT, seed=0) for model in (Popularity(), PopularityLastWeeks(weeks=2.0)))
    assert ever.scores(np.array([0, 2])).tolist() == [[2, 1], [2, 1]]
    assert recent.scores(np.array([1])).tolist() == [[1, 1]]


def test_popularity_of_the_last_weeks_says_so_where_no_times_are_known() -> None:
    with pytest.raises(InputError, match=r"popularity, last 8 weeks needs times, and .* leave it out"):
        PopularityLastWeeks().fit(TASK, replace(CONTENT, times_known=False), seed=0)


def test_personal_frequency_halves_with_age_and_ties_go_to_the_popular_product_by_hand() -> None:
    # Day 100 is now; half-life 10 days. User 0: product 0 on days 100 and 90 (1 + 1/2), 1 and 2 on day 80 (1/4 each).
    known = purchases((0, 0, 100), (0, 0, 90), (0, 1, 80), (0, 2, 80), (1, 2, 1), (1, 3, 1), (2, 3, 1), (3, 3, 1))
    task = task_of(known, products=[0, 1, 2, 3], num_users=5)
    found = PersonalFrequency(half_life_days=10.0).fit(task, CONTENT, seed=0).scores(np.arange(5))
    assert found[0, :3] == pytest.approx([1.5, 0.25, 0.25], rel=1e-8)
    assert found[0, 2] > found[0, 1]
    # Buyers are 1, 1, 2 and 3: what she never bought is in their order, below all she bought, however long ago.
    assert found[4].tolist() == [-0.75, -0.75, -0.5, -0.25]
    assert found[1, 2:].min() > found[1, :2].max()


def test_personal_frequency_counts_where_no_times_are_known() -> None:
    known = purchases((0, 0, 0), (0, 0, 7), (0, 1, 3))
    found = PersonalFrequency(half_life_days=1.0).fit(
        task_of(known, products=[0, 1], num_users=1), replace(CONTENT, times_known=False), seed=0
    )
    assert found.scores(np.array([0]))[0] == pytest.approx([2.0, 1.0])


def cut(weights: np.ndarray, keep: int) -> np.ndarray:
    """Return the dense table with all but the ``keep`` largest of each row at 0, by a full sort."""
    kept = np.zeros_like(weights)
    for row, values in enumerate(weights):
        best = np.argsort(-values, kind="stable")[:keep]
        kept[row, best] = values[best]
    return kept


@pytest.mark.parametrize("block", [5, 1024])
def test_item_knn_is_the_shrunk_cosine_of_the_nearest_by_dense_algebra(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("gnn.co_purchase.BLOCK_PRODUCTS", block)
    buyers = X.sum(0)
    cosine = X.T @ X / (np.sqrt(np.outer(buyers, buyers)) + 3.0)
    np.fill_diagonal(cosine, 0)
    whole = ItemKNN(neighbours=1000, shrink=3.0).fit(TASK, CONTENT, seed=0)
    assert whole.scores(EVERYBODY) == pytest.approx(np.where(X @ cosine > 0, X @ cosine, -np.inf), rel=1e-5)
    few = ItemKNN(neighbours=4, shrink=3.0).fit(TASK, CONTENT, seed=0)
    # Which of equal neighbours are kept is open: so are their targets, but not the sum of what is kept.
    kept = np.where(np.isfinite(few.scores(EVERYBODY)), few.scores(EVERYBODY), 0).sum(1)
    assert kept == pytest.approx((X @ cut(cosine, 4)).sum(1), rel=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.4, 0.3)])
def test_rp3beta_is_three_steps_of_a_walk_over_popularity_by_dense_algebra(
    monkeypatch: pytest.MonkeyPatch, alpha: float, beta: float
) -> None:
    monkeypatch.setattr("gnn.neighbours.BLOCK_PRODUCTS", 7)
    # P = D⁻¹ A on users, then products; each probability to the power alpha; P³ leads from users to products.
    num_users, num_products = X.shape
    both = np.block([[np.zeros((num_users, num_users)), X], [X.T, np.zeros((num_products, num_products))]])
    step = (both / both.sum(1, keepdims=True)) ** alpha
    back = np.linalg.matrix_power(step, 2)[num_users:, num_users:]
    np.fill_diagonal(back, 0)
    expected = step[:num_users, num_users:] @ back * X.sum(0) ** -beta
    found = RP3beta(alpha=alpha, beta=beta, neighbours=1000).fit(TASK, CONTENT, seed=0).scores(EVERYBODY)
    # The first step is left out: it is the same factor for all of a user's products, all of which weigh the same.
    first = X.sum(1, keepdims=True) ** -alpha
    assert np.where(np.isfinite(found), found * first, 0.0) == pytest.approx(expected, rel=1e-5)


def test_ease_is_its_closed_formula_by_numpys_inverse() -> None:
    ridge = 2.0 * X.sum() / X.shape[1]
    inverse = np.linalg.inv(X.T @ X + ridge * np.eye(X.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = EASE(ridge=2.0).fit(TASK, CONTENT, seed=0)
    assert found.scores(EVERYBODY) == pytest.approx(X @ weights, abs=1e-5)


def test_ease_with_relations_adds_the_cosines_of_idf_weighted_brands_and_categories() -> None:
    num_products = X.shape[1]

    def cosine(edges: pl.DataFrame, num_features: int) -> np.ndarray:
        counts = np.zeros((num_products, num_features))
        counts[edges["source"].to_numpy(), edges["target"].to_numpy()] = 1
        weighted = counts * (np.log((1 + num_products) / (1 + counts.sum(0))) + 1)
        unit = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
        return unit @ unit.T

    scale = X.sum() / num_products
    gram = X.T @ X + scale * (
        3.0 * np.eye(num_products)
        + 0.7 * cosine(GRAPH.has_brand, len(GRAPH.brands))
        + 0.2 * cosine(GRAPH.in_category, len(GRAPH.categories))
    )
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = EASERelations(ridge=3.0, brand=0.7, category=0.2).fit(TASK, CONTENT, seed=0)
    assert found.scores(EVERYBODY) == pytest.approx(X @ weights, abs=1e-5)


def test_ease_with_links_adds_who_is_linked_to_the_same_by_dense_algebra() -> None:
    links = links_of(GRAPH, products=TASK.products)
    features = {**brand_and_category(GRAPH, products=TASK.products), **links}
    assert set(links) == set(GRAPH.links) != set()
    size = X.sum() / X.shape[1]
    gram = X.T @ X + 3.0 * size * np.eye(X.shape[1])
    for name, matrix in features.items():
        gram += {"brand": 0.7, "category": 0.2}.get(name, 0.4) * size * (matrix @ matrix.T).toarray()
    inverse = np.linalg.inv(gram)
    weights = np.eye(X.shape[1]) - inverse / np.diag(inverse)
    found = EASELinks(ridge=3.0, brand=0.7, category=0.2, link=0.4).fit(TASK, CONTENT, seed=0)
    assert found.scores(EVERYBODY) == pytest.approx(X @ weights, abs=1e-5)


@pytest.mark.parametrize("way", ["dense", "woodbury"])
def test_scores_of_the_closed_form_are_the_history_times_its_rows(way: str) -> None:
    rng = np.random.default_rng(2)
    history = sparse.csr_array((rng.random((6, 24)) < 0.4) * rng.random((6, 24)))
    similarity = Similarity("text", rng.normal(size=(24, 3)).astype(np.float32), 0.4)
    fitted = closed_form(TASK.bought, [similarity], ridge=5.0, way=way)  # type: ignore[arg-type]
    assert fitted.scores(history) == pytest.approx(history @ fitted.rows(0, 24).astype(np.float64), abs=1e-5)


def test_ease_says_where_a_shop_has_too_many_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnn.ease.exact_way", lambda *_: None)
    with pytest.raises(InputError, match="EASE inverts a matrix of 24 products, and 30000 are the most"):
        EASE().fit(TASK, CONTENT, seed=0)


def test_after_enough_iterations_ials_solves_the_normal_equation_of_every_user_and_product() -> None:
    found = IALS(factors=4, regularization=2.0, alpha=3.0, iterations=500).fit(TASK, CONTENT, seed=0)
    assert isinstance(found, Factors)
    users, products = found.users.astype(np.float64), found.products.astype(np.float64)
    confidence = 1 + 3.0 * X
    for vectors, others, weight, wanted in ((users, products, confidence, X), (products, users, confidence.T, X.T)):
        for row, vector in enumerate(vectors):
            # Hu, Koren and Volinsky 2008, equation 4: (Yᵀ C Y + λ I) x = Yᵀ C p.
            left = others.T @ (weight[row][:, None] * others) + 2.0 * np.eye(4)
            assert left @ vector == pytest.approx(others.T @ (weight[row] * wanted[row]), abs=2e-3)


def test_light_gcn_propagates_by_the_normalised_adjacency_by_dense_algebra() -> None:
    num_users, num_products = X.shape
    both = np.block([[np.zeros((num_users, num_users)), X], [X.T, np.zeros((num_products, num_products))]])
    degree = both.sum(1)
    dense = both / np.sqrt(np.outer(degree, degree))
    assert bipartite(TASK.bought).toarray() == pytest.approx(dense)
    # Without a pass the vectors are the start, propagated: Xavier's draw with the seed's generator.
    start = torch.empty(num_users + num_products, 8)
    torch.nn.init.xavier_uniform_(start, generator=torch.Generator().manual_seed(4))
    found = LightGCN(dimension=8, layers=3, epochs=0).fit(TASK, CONTENT, seed=4)
    vectors = sum(np.linalg.matrix_power(dense, layer) @ start.numpy() for layer in range(4)) / 4
    expected = vectors[:num_users] @ vectors[num_users:].T
    assert found.scores(EVERYBODY) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_a_step_of_light_gcn_is_that_of_pygs_own_module(layers: int) -> None:
    num_users, num_products = X.shape
    model = LightGCN(dimension=8, layers=layers, epochs=1, batch_purchases=20)
    found = model.fit(TASK, CONTENT, seed=4)
    # PyG's module on pairs, all between kept and transposed by torch; the same start and batches.
    theirs = PygLightGCN(num_users + num_products, 8, layers, normalize=False)
    torch.nn.init.xavier_uniform_(theirs.embedding.weight, generator=torch.Generator().manual_seed(4))
    edges = bipartite(TASK.bought).tocoo()
    pairs = torch.from_numpy(np.stack(edges.coords).astype(np.int64))
    weight = torch.from_numpy(edges.data.astype(np.float32))
    optimizer = torch.optim.Adam(theirs.parameters(), lr=model.learning_rate)
    for batch in pairwise_batches(TASK.bought, batch_purchases=20, rng=np.random.default_rng(4)):
        user, wanted, other = torch.from_numpy(batch)
        both = torch.stack([torch.cat([user, user]), torch.cat([wanted, other])])
        better, worse = theirs(pairs, both, edge_weight=weight).chunk(2)
        nodes = torch.from_numpy(batch).reshape(-1)
        loss = theirs.recommendation_loss(better, worse, node_id=nodes, lambda_reg=model.regularization)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    vectors = theirs.get_embedding(pairs, weight).detach().numpy()
    expected = vectors[:num_users] @ vectors[num_users:].T
    assert found.scores(EVERYBODY) == pytest.approx(expected, rel=1e-3, abs=1e-6)


@settings(max_examples=60)
@given(histories())
def test_a_pass_of_pairwise_batches_has_every_purchase_once_and_beside_it_what_she_did_not_buy(
    bought: sparse.csr_array,
) -> None:
    num_users, num_products = bought.shape
    dense = bought.toarray()
    batches = list(pairwise_batches(sparse.csr_array(dense), batch_purchases=3, rng=np.random.default_rng(0)))
    triples = np.concatenate([*batches, np.zeros((3, 0), dtype=np.int64)], axis=1)
    users, wanted, others = triples[0], triples[1] - num_users, triples[2] - num_users
    some = dense.sum(1) < num_products
    assert sorted(zip(users, wanted, strict=True)) == sorted(zip(*(dense * some[:, None]).nonzero(), strict=True))
    assert not dense[users, others].any()
    assert ((others >= 0) & (others < num_products)).all()


def data_of(graph: Graph, known: pl.DataFrame) -> tuple[object, sparse.csr_array]:
    products = np.arange(len(graph.products))
    data = hetero_data(graph, past=known, products=products, text=np.eye(len(products), 8, dtype=np.float32))
    return data, adjacency(data, BOUGHT)


def test_a_layer_of_graph_sage_is_the_mean_over_relations_of_own_and_mean_of_neighbours_by_dense_algebra() -> None:
    data, bought = data_of(GRAPH, GRAPH.bought)
    config = NetworkConfig(kind="sage", dimension=6, layers=1, identity_dropout=0.0)
    network = make_network(data, config, device=CPU, seed=1)
    with torch.no_grad():
        queries, keys = network(Relation.of(bought, CPU))
        x = {label: vector.expand(data[label].num_nodes, -1) for label, vector in network.types.items()}
        x["product"] = network.start()
        messages = []
        for edge_type in data.edge_types:
            if edge_type[2] != "product":
                continue
            matrix = torch.from_numpy(adjacency(data, edge_type).toarray()).T
            mean = matrix @ x[edge_type[0]] / matrix.sum(1, keepdim=True).clamp(min=1)
            layer = network.convolutions[0].convs[edge_type]
            messages.append(layer.lin_l(mean) + layer.lin_r(x["product"]))
    expected = torch.stack(messages).mean(0)
    torch.testing.assert_close(queries, expected)
    torch.testing.assert_close(keys, torch.nn.functional.normalize(expected, dim=1))


@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_a_hidden_purchase_is_in_no_message(kind: str) -> None:
    # The network is told what is left in a step: it gives the same vectors as one made of a graph without the rest.
    hidden = GRAPH.bought["product"] == 3
    whole, bought = data_of(GRAPH, GRAPH.bought)
    without, rest = data_of(GRAPH, GRAPH.bought.filter(~hidden))
    config = NetworkConfig(kind=kind, dimension=4, layers=2)  # type: ignore[arg-type]
    told, made = (make_network(data, config, device=CPU, seed=0) for data in (whole, without))
    with torch.no_grad():
        for found, expected in zip(told(Relation.of(rest, CPU)), made(Relation.of(rest, CPU)), strict=True):
            torch.testing.assert_close(found, expected)
        assert not torch.allclose(told(Relation.of(bought, CPU))[0], told(Relation.of(rest, CPU))[0])


@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_no_number_is_learned_for_a_single_user(kind: str) -> None:
    data, _ = data_of(GRAPH, GRAPH.bought)
    network = make_network(data, NetworkConfig(kind=kind, dimension=4), device=CPU, seed=0)  # type: ignore[arg-type]
    assert len(GRAPH.users) == 30
    assert all(30 not in parameter.shape for parameter in network.parameters())


@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_a_shop_of_purchases_alone_is_enough(kind: str) -> None:
    nothing = replace(GRAPH, has_brand=GRAPH.has_brand.clear(), in_category=GRAPH.in_category.clear(), links={})
    model = GraphNetworkAlone(NetworkConfig(kind=kind, dimension=4), epochs=1)  # type: ignore[arg-type]
    assert np.isfinite(model.fit(TASK, replace(CONTENT, graph=nothing), seed=0).scores(EVERYBODY)).all()


@pytest.mark.parametrize(
    "model",
    [
        IALS(factors=16),
        EASE(),
        RP3beta(),
        LightGCN(dimension=16, epochs=40, batch_purchases=512),
        GraphNetworkAlone(NetworkConfig(kind="sage", dimension=16, identity_dropout=0.0)),
        GraphNetworkAlone(NetworkConfig(kind="hgt", dimension=16, identity_dropout=0.0, learning_rate=0.003)),
    ],
    ids=lambda model: model.name,
)
def test_the_planted_taste_is_found(model: object) -> None:
    graph = graph_of(synthetic_shop(groups=6))
    cutoff = graph.test_from
    assert cutoff is not None
    task = make_task(
        "test", graph, known=graph.bought.filter(pl.col("at") < cutoff),
        later=graph.bought.filter(pl.col("at") >= cutoff), weighing=EQUAL, now=cutoff, min_buyers=3,
    )  # fmt: skip
    content = Content(graph, np.eye(len(graph.products), 8, dtype=np.float32), times_known=True, device=CPU)
    best_sellers, found = (
        evaluate(each.fit(task, content, seed=0), task).measures["NDCG@10"].value for each in (Popularity(), model)
    )
    assert found > 2 * best_sellers
