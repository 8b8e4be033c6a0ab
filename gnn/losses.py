"""The loss the graph network is trained by, and what is said where a loss is no number."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from loaders.errors import InputError


def require_finite(loss: float, option: str, rate: float) -> None:
    """Raise if a loss is no number any more; ``option`` of the command line is the step size that it came by."""
    if not math.isfinite(loss):
        raise InputError(f"the loss became {loss}, so nothing can be learned; give a lower {option} than {rate:g}")


class _LogLikelihood(torch.autograd.Function):
    """log softmax of each row at the wanted places, in the memory of the scores.

    Users × products numbers are the most of a step: five passes over them here, where torch's own would take twice as
    many and three times the memory.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        chosen = scores[wanted[0], wanted[1]]
        scores[known[0], known[1]] = -torch.inf
        # Of a user who has every product nothing is left, and she has nothing to find: zeros, not NaN.
        largest = scores.amax(dim=1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        exponentials = scores.sub_(largest).exp_()
        total = exponentials.sum(dim=1, keepdim=True)
        ctx.wanted, ctx.exponentials, ctx.total = wanted, exponentials, total.clamp(min=torch.finfo(total.dtype).tiny)
        return chosen - (largest + total.log())[wanted[0], 0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        of_row = torch.zeros_like(ctx.total[:, 0]).index_add(0, ctx.wanted[0], gradient)
        back = ctx.exponentials.mul_(-of_row[:, None] / ctx.total)
        return back.index_put_((ctx.wanted[0], ctx.wanted[1]), gradient, accumulate=True), None, None


def hidden_product_loss(
    scores: Float[Tensor, "users products"],
    *,
    known: Int[Tensor, "2 known"],
    wanted: Int[Tensor, "2 wanted"],
) -> Float[Tensor, ""]:
    """Return the mean of -log softmax over products at the ``wanted`` (user row, product) pairs.

    The products a user is ``known`` to have are no candidates. A user of n wanted products counts sqrt(n) times, so
    that a few heavy buyers do not make up the whole loss. The ``scores`` are used up: their memory is written over.
    """
    log_likelihood: Tensor = _LogLikelihood.apply(scores, known, wanted)
    weight = torch.bincount(wanted[0], minlength=len(scores))[wanted[0]].to(log_likelihood.dtype).rsqrt()
    return -(weight * log_likelihood).sum() / weight.sum()


def sampled_product_loss(
    scores: Float[Tensor, "users seeds"],
    *,
    known: Int[Tensor, "2 known"],
    wanted: Int[Tensor, "2 wanted"],
    drawn: Int[Tensor, " drawn"],
    num_products: int,
) -> Float[Tensor, ""]:
    """Return an estimate of :func:`hidden_product_loss` from the scores of a few products (``seeds``) alone.

    Of all ``num_products`` the ones at the columns ``drawn`` were drawn, all equally likely and none twice: each stands
    for ``num_products / drawn`` of them in the sum that a wanted product is compared with (importance sampling, Bengio
    and Senécal 2003, with an even proposal). With all of them drawn it is the loss itself.
    """
    others = scores.index_put((known[0], known[1]), scores.new_tensor(-torch.inf))[:, drawn]
    own = scores[wanted[0], wanted[1]]
    each = others[wanted[0]].masked_fill(drawn[None, :] == wanted[1][:, None], -torch.inf)
    logits = torch.cat([own[:, None], each + math.log(num_products / len(drawn))], dim=1)
    weight = torch.bincount(wanted[0], minlength=len(scores))[wanted[0]].to(own.dtype).rsqrt()
    return -(weight * torch.log_softmax(logits, dim=1)[:, 0]).sum() / weight.sum()
