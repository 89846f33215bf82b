"""Phase 1 of a linear head is convex: it is solved by scikit-learn, on standardised embeddings, not trained."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

# Inverse strength of the L2 penalty on standardised embeddings. The useful range on 60 to 2,000 images lay within.
STRENGTHS = tuple(float(10.0**exponent) for exponent in np.arange(-3.0, 1.01, 1.0))
_LEAST_DEVIATION = 1e-24  # Below it, a folded kernel would leave float32's range.
_ITERATIONS = 300


@dataclass(frozen=True)
class LinearHead:
    """A solved layer of logits.

    Attributes:
        kernel: float32 `[D, K]`.
        bias: float32 `[K]`.
        strength: The inverse L2 penalty that was used.
        iterations: Of the solver.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    iterations: int

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Return logits `[N, K]` of embeddings `[N, D]`."""
        return embeddings @ self.kernel + self.bias


def softmax(
    embeddings: np.ndarray, labels: np.ndarray, classes: int, strength: float, weights: np.ndarray | None = None
) -> LinearHead:
    """Fit multinomial logistic regression by L-BFGS.

    Args:
        embeddings: float32 `[N, D]`.
        labels: int `[N]`.
        classes: K, of which every one must occur.
        strength: Inverse of the L2 penalty.
        weights: float `[N]`, how much each image counts; None counts all the same.

    Returns:
        The head for embeddings as they are: the standardisation is folded into its kernel and bias.
    """
    standard, mean, scale = _standardised(embeddings)
    narrow, basis = _narrowed(standard)
    kernel, bias, iterations = _logistic(narrow, labels, strength, weights)
    if classes == 2:
        kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.concatenate([-bias / 2, bias / 2])
    return _folded(kernel, bias, basis, mean, scale, strength, iterations)


def sigmoids(embeddings: np.ndarray, targets: np.ndarray, strength: float) -> LinearHead:
    """Fit one binary logistic regression a class to targets, float32 `[N, K]` of 0 and 1.

    A class that all images have, or none, gets its smoothed frequency, `(n + 1/2) / (N + 1)`, as a constant.
    """
    standard, mean, scale = _standardised(embeddings)
    narrow, basis = _narrowed(standard)
    kernel, bias = np.zeros((narrow.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    most = 0
    for k, column in enumerate(targets.T):
        if column.min() == column.max():
            share = (column.sum() + 0.5) / (len(column) + 1)
            bias[k] = np.log(share / (1 - share))
            continue
        one, bias[k : k + 1], iterations = _logistic(narrow, column, strength, None)
        kernel[:, k], most = one[:, 0], max(most, iterations)
    return _folded(kernel, bias, basis, mean, scale, strength, most)


def ridge(embeddings: np.ndarray, targets: np.ndarray, strength: float) -> LinearHead:
    """Fit ridge regression to targets, float32 `[N, K]`."""
    from sklearn.linear_model import Ridge

    standard, mean, scale = _standardised(embeddings)
    fitted = Ridge(alpha=1 / strength).fit(standard, targets)
    kernel = fitted.coef_.reshape(targets.shape[1], -1).T
    return _folded(kernel, np.atleast_1d(fitted.intercept_), None, mean, scale, strength, 1)


def _narrowed(standard: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the embeddings of N images in an orthonormal basis `[D, min(N, D)]` of the space that they span, and it;
    None if they are more than D.

    The best kernel lies in that space, and its penalty is the same in any such basis: the solution is that of all D
    dimensions, at a tenth of the time where there are fewer images than dimensions (Hastie and Tibshirani 2004,
    https://doi.org/10.1093/biostatistics/kxh010).
    """
    if len(standard) >= standard.shape[1]:
        return standard, None
    basis, narrow = np.linalg.qr(standard.T.astype("float64"))
    return narrow.T, basis


def _logistic(
    standard: np.ndarray, labels: np.ndarray, strength: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(standard, labels, weights)
    return fitted.coef_.T, fitted.intercept_, int(fitted.n_iter_[0])


def _standardised(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, deviation = embeddings.mean(0), embeddings.std(0)
    # Untrained depthwise networks give embeddings of 1e-15 and less, which tell classes apart all the same.
    scale = np.where(deviation > 1e-6 * max(float(deviation.max()), _LEAST_DEVIATION), deviation, np.inf)
    return (embeddings - mean) / scale, mean, scale


def _folded(
    kernel: np.ndarray,
    bias: np.ndarray,
    basis: np.ndarray | None,
    mean: np.ndarray,
    scale: np.ndarray,
    strength: float,
    iterations: int,
) -> LinearHead:
    kernel = (kernel if basis is None else basis @ kernel) / scale[:, None]
    return LinearHead(kernel.astype("float32"), (bias - mean @ kernel).astype("float32"), strength, iterations)
