"""Phase 1 of a linear head is convex: it is solved, not trained."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

# Inverse strength of the L2 penalty on standardised embeddings. The useful range on 60 to 2,000 images lay within.
STRENGTHS = tuple(float(10.0**exponent) for exponent in np.arange(-3.0, 1.01, 1.0))
_LEAST_DEVIATION = 1e-24  # Below it, a folded kernel would leave float32's range.


@dataclass(frozen=True)
class LinearHead:
    """A solved softmax layer.

    Attributes:
        kernel: float32 `[D, K]`.
        bias: float32 `[K]`.
        strength: The inverse L2 penalty `C` that was used.
        iterations: Of the solver.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    iterations: int

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Return logits `[N, K]` of embeddings `[N, D]`."""
        return embeddings @ self.kernel + self.bias


def solve(embeddings: np.ndarray, labels: np.ndarray, classes: int, strength: float) -> LinearHead:
    """Fit multinomial logistic regression by L-BFGS (scikit-learn's), on standardised embeddings.

    Args:
        embeddings: float32 `[N, D]`.
        labels: int `[N]`.
        classes: K, of which every one must occur.
        strength: Inverse of the L2 penalty.

    Returns:
        The head for embeddings as they are: the standardisation is folded into its kernel and bias.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, deviation = embeddings.mean(0), embeddings.std(0)
    # Untrained depthwise networks give embeddings of 1e-15 and less, which tell classes apart all the same.
    scale = np.where(deviation > 1e-6 * max(float(deviation.max()), _LEAST_DEVIATION), deviation, np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=strength, max_iter=300).fit((embeddings - mean) / scale, labels)
    kernel, bias = fitted.coef_.T, fitted.intercept_
    if classes == 2:
        kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.concatenate([-bias / 2, bias / 2])
    kernel = kernel / scale[:, None]
    return LinearHead(
        kernel.astype("float32"), (bias - mean @ kernel).astype("float32"), strength, int(fitted.n_iter_[0])
    )


def solve_validated(
    embeddings: np.ndarray, labels: np.ndarray, held_embeddings: np.ndarray, held_labels: np.ndarray, classes: int
) -> LinearHead:
    """Solve for each of `STRENGTHS` and return the head of least cross-entropy on held-out embeddings."""
    heads = [solve(embeddings, labels, classes, strength) for strength in STRENGTHS]
    return min(heads, key=lambda head: cross_entropy(head.logits(held_embeddings), held_labels))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log-likelihood of int labels `[N]` under logits `[N, K]`, in nats."""
    from scipy.special import log_softmax

    return float(-log_softmax(logits.astype("float64"), axis=1)[np.arange(len(labels)), labels].mean())
