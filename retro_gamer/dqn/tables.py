"""Weights of one-hot cells as tables with a row for each code.

A one-hot input times a matrix is a sum of a few of its rows, so no cell is ever made one-hot on the way forward.
"""

from __future__ import annotations

import torch


def lay_tables(weights: torch.Tensor) -> torch.Tensor:
    """Return tables [T * (C + 2), F], one after the other, whose row `code` is what a cell of that code weighs.

    `weights` [T, C + 1, F] begin with the outside, whose code is the last; an empty cell, code 0, weighs nothing.
    """
    return torch.cat([torch.zeros_like(weights[:, :1]), weights[:, 1:], weights[:, :1]], dim=1).flatten(0, 1)


def take_tables(tables: torch.Tensor, into: torch.Tensor) -> None:
    """Put the gradient of tables [T * (C + 2), F] into that of the weights [T, C + 1, F] they were laid from."""
    tables = tables.view(len(into), -1, into.shape[2])
    into[:, 1:] = tables[:, 1:-1]
    into[:, 0] = tables[:, -1]


def gradient_of_rows(rows: torch.Tensor, n_rows: int, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient [R, F] of a small table of which sums of `rows` int32 [N, K] were taken, all K different.

    It is the product of the one-hot rows, which on a small table is quicker than to add one by one.
    """
    one_hot = gradient.new_zeros(len(rows), n_rows)
    one_hot.scatter_(1, rows.long(), 1.0)
    return one_hot.t() @ gradient
