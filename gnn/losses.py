"""The loss the graph network is trained by."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def hidden_product_loss(
    scores: Float[Tensor, "users products"],
    *,
    known: Int[Tensor, "2 known"],
    wanted: Int[Tensor, "2 wanted"],
) -> Float[Tensor, ""]:
    """Return the mean of -log softmax over products at the ``wanted`` (user row, product) pairs.

    The products a user is ``known`` to have are no candidates. A user of n wanted products counts sqrt(n) times, so
    that a few heavy buyers do not make up the whole loss.
    """
    candidates = scores.index_put((known[0], known[1]), scores.new_tensor(-torch.inf))
    log_likelihood = candidates[wanted[0], wanted[1]] - torch.logsumexp(candidates, dim=1)[wanted[0]]
    weight = torch.bincount(wanted[0], minlength=len(scores))[wanted[0]].to(scores.dtype).rsqrt()
    return -(weight * log_likelihood).sum() / weight.sum()
