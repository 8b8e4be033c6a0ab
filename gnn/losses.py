"""The loss the graph network is trained by, and what is said where a loss is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from loaders.errors import InputError


def require_finite(loss: float, option: str, rate: float) -> None:
    """Raise if a loss is no number any more; ``option`` of the command line is the step size that it came by."""
    if not math.isfinite(loss):
        raise InputError(f"the loss became {loss}, so nothing can be learned; give a lower {option} than {rate:g}")


BLOCK_SCORES = 1_500_000
"""Scores that are there at once: 6 MB of them stay in a core's cache, where going over them costs little."""

LEAST_BLOCK = 32
"""Users of a block at the least: matrix products of fewer are slow."""


class _HiddenProductLoss(torch.autograd.Function):
    """The loss from the two factors of the scores, some users after the other, with the gradients of both at once.

    Users × products scores are the most of a step. They are never there as a whole: those of a block are used for its
    loss and its gradients while they are in the cache.
    """

    @staticmethod
    def forward(ctx: Any, users: Tensor, products: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        exact = torch.promote_types(users.dtype, torch.float32)
        counts = torch.bincount(wanted[0], minlength=len(users)).to(exact)
        share = counts.sqrt() / counts.sqrt().sum()
        own = (share / counts)[wanted[0]]
        of_users = torch.empty(users.shape, dtype=exact, device=users.device)
        # A row for each dimension: sums over users into that are quicker than into a row for each product.
        of_products = torch.zeros(products.T.shape, dtype=exact, device=users.device)
        size = max(BLOCK_SCORES // max(len(products), 1), LEAST_BLOCK)
        # Columns, which the product of a block reads quicker than rows.
        columns = products.T.contiguous()
        block = torch.empty((min(size, len(users)), len(products)), dtype=exact, device=users.device)
        loss = -(own * (users[wanted[0]] * products[wanted[1]]).to(exact).sum(1)).sum()
        for start, hers in zip(range(0, len(users), size), _by_block(known, len(users), size), strict=True):
            rows = slice(start, start + size)
            scores = block[: len(users[rows])]
            _multiply(users[rows], columns, into=scores)
            scores[hers[0] - start, hers[1]] = -torch.inf
            # Of a user who has every product nothing is left, and she has nothing to find: zeros, not NaN.
            largest = scores.amax(dim=1, keepdim=True).clamp(min=torch.finfo(exact).min)
            exponentials = scores.sub_(largest).exp_()
            total = exponentials.sum(dim=1, keepdim=True).clamp(min=torch.finfo(exact).tiny)
            loss += share[rows] @ (largest + total.log())[:, 0]
            weight, likely = share[rows, None] / total, exponentials.to(users.dtype)
            _multiply(likely, products, into=of_users[rows])
            of_users[rows] *= weight
            _multiply((weight * users[rows]).to(users.dtype).T, likely, into=of_products, kept=1.0)
        of_users.index_add_(0, wanted[0], own[:, None] * products[wanted[1]], alpha=-1)
        of_products.index_add_(1, wanted[1], (own[:, None] * users[wanted[0]]).T, alpha=-1)
        ctx.gradients = of_users, of_products.T
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_users, of_products = ctx.gradients
        return gradient * of_users, gradient * of_products, None, None


def _multiply(left: Tensor, right: Tensor, *, into: Tensor, kept: float = 0.0) -> None:
    """Put ``left @ right`` and ``kept`` times what is there into ``into``, which may have more bits than they."""
    if left.dtype == into.dtype:
        torch.addmm(into, left, right, beta=kept, out=into)
    else:
        into.copy_((left @ right).to(into.dtype) + (kept * into if kept else 0.0))


def _by_block(pairs: Int[Tensor, "2 pairs"], num_users: int, size: int) -> Sequence[Tensor]:
    """Return the pairs of each ``size`` users."""
    block = pairs[0] // size
    counts = torch.bincount(block, minlength=-(-num_users // size))
    return torch.split(pairs[:, block.argsort(stable=True)], counts.tolist(), dim=1)


def hidden_product_loss(
    users: Float[Tensor, "users dimension"],
    products: Float[Tensor, "products dimension"],
    *,
    known: Int[Tensor, "2 known"],
    wanted: Int[Tensor, "2 wanted"],
) -> Float[Tensor, ""]:
    """Return the mean of -log softmax over products at the ``wanted`` (user row, product) pairs.

    The scores are ``users @ products.T``. The products a user is ``known`` to have are no candidates. A user of n
    wanted products counts sqrt(n) times, so that a few heavy buyers do not make up the whole loss. Factors in 16 bits
    are multiplied in 16 bits; all sums are in 32.
    """
    loss: Tensor = _HiddenProductLoss.apply(users, products, known, wanted)
    return loss


def sampled_product_loss(
    users: Float[Tensor, "users dimension"],
    products: Float[Tensor, "seeds dimension"],
    *,
    known: Int[Tensor, "2 known"],
    wanted: Int[Tensor, "2 wanted"],
    drawn: Int[Tensor, " drawn"],
    num_products: int,
) -> Float[Tensor, ""]:
    """Return an estimate of :func:`hidden_product_loss` from the scores of a few of the products alone.

    Of all ``num_products`` the rows ``drawn`` were drawn, all equally likely and none twice: each stands for
    ``num_products / drawn`` of them in the sum that a wanted product is compared with (importance sampling, Bengio and
    Senécal 2003, with an even proposal). With all of them drawn it is the loss itself.
    """
    column = torch.full((len(products),), -1, device=drawn.device)
    column[drawn] = torch.arange(len(drawn), device=drawn.device)
    scores = (users @ products[drawn].T).float()
    of_known = column[known[1]]
    scores = scores.index_put((known[0][of_known >= 0], of_known[of_known >= 0]), scores.new_tensor(-torch.inf))
    # Of a user who has every drawn product nothing is left: zeros, not NaN.
    largest = scores.detach().amax(dim=1).clamp(min=torch.finfo(scores.dtype).min)
    total = torch.exp(scores - largest[:, None]).sum(1)[wanted[0]]
    own = (users.float()[wanted[0]] * products.float()[wanted[1]]).sum(1)
    # A wanted product that was drawn is no rival of itself.
    place = column[wanted[1]]
    # Its score as it is in the sum, to the last bit: in 16 bits the sum over its factors would be another.
    itself = torch.exp((scores[wanted[0], place] - largest[wanted[0]]).masked_fill(place < 0, -torch.inf))
    rivals = (total - itself).clamp(min=0.0)
    theirs = largest[wanted[0]] + math.log(num_products / len(drawn))
    top = torch.maximum(own.detach(), theirs)
    log_sum = top + torch.log(torch.exp(own - top) + torch.exp(theirs - top) * rivals)
    weight = torch.bincount(wanted[0], minlength=len(users))[wanted[0]].to(own.dtype).rsqrt()
    return (weight * (log_sum - own)).sum() / weight.sum()
