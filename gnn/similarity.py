"""Makes products alike: by brand, category, words, meaning and the shop's links, each a matrix products × features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer

from kg.graph import Graph

Features = Mapping[str, "sparse.csr_array | Float[np.ndarray, 'products features']"]
"""Relation → its features, products × features."""

RANK = 512
"""Directions that a relation is compressed to, where it is."""

EDGES_AT_ONCE = 512

MANY_PRODUCTS = 8_192
WOODBURY_SHARE = 0.4
"""Woodbury is worth it where the matrix it inverts has at most this part of the rows that G has."""

LARGEST_EXACT = 30_000
"""Products of the largest shop whose products × products are looked at: 3.6 GB of 32-bit floats."""


def woodbury_fits(num_columns: int, num_products: int, *, largest: int = LARGEST_EXACT) -> bool:
    """Return whether Woodbury is worth it, and no more work than to invert G of the ``largest`` shop.

    ``num_columns`` are the users and features, the rows of the matrix it inverts. Its work is all of P: num_columns
    times the square of the products.
    """
    return num_columns <= WOODBURY_SHARE * num_products and num_columns * num_products**2 <= largest**3


def few_users(num_users: int, features: Features) -> bool:
    """Return whether Woodbury is worth it with compressed features, and not with these, in a shop of many products."""
    num_products = next(
        (len(matrix) if isinstance(matrix, np.ndarray) else matrix.shape[0] for matrix in features.values()), 0
    )
    sizes = [matrix.shape[1] for matrix in features.values()]
    whole, small = (
        woodbury_fits(num_users + sum(each), num_products) for each in (sizes, [min(size, RANK) for size in sizes])
    )
    return num_products > MANY_PRODUCTS and small and not whole


def compressed(features: sparse.csr_array | np.ndarray) -> sparse.csr_array | np.ndarray:
    """Return the features turned to their :data:`RANK` leading directions, if they are more: F V, so F V Vᵀ Fᵀ ≈ F Fᵀ.

    By truncated singular value decomposition (Halko, Martinsson and Tropp 2011).
    """
    if features.shape[1] <= RANK:
        return features
    return np.asarray(TruncatedSVD(RANK, n_iter=3, random_state=0).fit_transform(features), dtype=np.float32)


def cosines(
    vectors: Float[np.ndarray, "products dimension"],
    *,
    source: Int[np.ndarray, " edges"],
    target: Int[np.ndarray, " edges"],
) -> Float[np.ndarray, " edges"]:
    """Return the cosine of the vectors of both ends of each edge; 0 where one has no length."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return alike(unit, source, target)


def alike(
    features: sparse.csr_array | Float[np.ndarray, "products features"],
    source: Int[np.ndarray, " edges"],
    target: Int[np.ndarray, " edges"],
    *,
    of_target: Float[np.ndarray, "products features"] | None = None,
) -> Float[np.ndarray, " edges"]:
    """Return F(source) · F(target) of each edge; ``of_target`` has the features of targets where those are others."""
    if not isinstance(features, np.ndarray):
        return np.asarray(features[source].multiply(features[target]).sum(1), dtype=np.float32).ravel()
    others = features if of_target is None else of_target
    found = np.empty(len(source), dtype=features.dtype)
    # In blocks that stay in the processor's cache, for the vectors of all edges are gigabytes.
    for start in range(0, len(source), EDGES_AT_ONCE):
        some = slice(start, start + EDGES_AT_ONCE)
        found[some] = np.einsum("ed,ed->e", features[source[some]], others[target[some]])
    return found


def product_features(
    graph: Graph, *, products: Int[np.ndarray, " products"], text: Float[np.ndarray, "products dimension"]
) -> dict[str, sparse.csr_array | np.ndarray]:
    """Return the features of ``products`` by name: ``brand``, ``category``, ``words``, ``meaning`` and each link.

    Rows have unit length or are empty, before features of one product alone are left out; those of few weigh more.
    ``text`` holds the vectors of these products. A link's features are the products it leads to, ranked or not, and the
    product itself.
    """
    words = [each or "" for each in graph.products["text"].gather(products)]
    return {
        **brand_and_category(graph, products=products),
        "words": _words(words),
        "meaning": centred(text),
        **links_of(graph, products=products),
    }


def brand_and_category(graph: Graph, *, products: Int[np.ndarray, " products"]) -> dict[str, sparse.csr_array]:
    """Return the features ``brand`` and ``category`` of ``products``."""
    position = _position(graph, products)
    return {
        "brand": _unit_idf(_pairs(graph.has_brand, position, len(graph.brands), len(products))),
        "category": _unit_idf(_pairs(graph.in_category, position, len(graph.categories), len(products))),
    }


def links_of(graph: Graph, *, products: Int[np.ndarray, " products"]) -> dict[str, sparse.csr_array]:
    """Return the features of ``products`` by each link: what it leads to, ranked or not, and themselves."""
    position = _position(graph, products)
    links: Mapping[str, pl.DataFrame] = graph.links
    return {name: _link_features(frame, position, products) for name, frame in sorted(links.items())}


def _position(graph: Graph, products: np.ndarray) -> Int[np.ndarray, " all_products"]:
    """Return the row of each product of the graph among ``products``; -1 where it is none of them."""
    position = np.full(len(graph.products), -1)
    position[products] = np.arange(len(products))
    return position


def _pairs(frame: pl.DataFrame, position: np.ndarray, num_features: int, num_products: int) -> sparse.csr_array:
    source, target = position[frame["source"].to_numpy()], frame["target"].to_numpy()
    kept = source >= 0
    values = np.ones(int(kept.sum()))
    return sparse.csr_array((values, (source[kept], target[kept])), shape=(num_products, num_features))


def _link_features(frame: pl.DataFrame, position: np.ndarray, products: np.ndarray) -> sparse.csr_array:
    """Return (A + I): two products are alike if they lead to the same ones, or one to the other."""
    leads = _pairs(frame, position, len(position), len(products))
    own = sparse.csr_array((np.ones(len(products)), (np.arange(len(products)), products)), shape=leads.shape)
    linked = np.diff(leads.indptr) > 0
    return _unit_idf(sparse.csr_array(leads + sparse.diags_array(linked.astype(float)) @ own))


def _unit_idf(counts: sparse.csr_array) -> sparse.csr_array:
    if not counts.nnz:
        return sparse.csr_array((counts.shape[0], 0), dtype=np.float32)
    weighed = sparse.csr_array(TfidfTransformer(norm="l2", smooth_idf=True).fit_transform(counts), dtype=np.float32)
    # A feature of one product makes it like no other; there may be more of them than of all others.
    shared = np.bincount(counts.indices, minlength=counts.shape[1]) > 1
    return sparse.csr_array(weighed[:, shared])


def _words(texts: list[str]) -> sparse.csr_array:
    """Return tf-idf of words and pairs of words that at least two products share."""
    if not any(texts):
        return sparse.csr_array((len(texts), 0), dtype=np.float32)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32)
    try:
        return sparse.csr_array(vectorizer.fit_transform(texts))
    except ValueError:  # no word is shared by two products
        return sparse.csr_array((len(texts), 0), dtype=np.float32)


def centred(text: Float[np.ndarray, "products dimension"]) -> Float[np.ndarray, "products dimension"]:
    """Return the vectors without what all texts share, at unit length; a product without a text keeps its zeros."""
    given = np.linalg.norm(text, axis=1, keepdims=True) > 0
    centred = np.where(given, text - text.sum(0) / max(int(given.sum()), 1), 0.0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: np.ndarray = (centred / np.where(length > 0, length, 1.0)).astype(np.float32)
    return unit
