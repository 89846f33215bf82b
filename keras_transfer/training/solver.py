"""Phase 1 of a linear head is convex: it is solved by scikit-learn, on standardised embeddings, not trained."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from keras_transfer.recipe import SOLVERS

# Inverse strength of the L2 penalty on standardised embeddings. The useful range on 60 to 2,000 images lay within.
STRENGTHS = tuple(float(10.0**exponent) for exponent in np.arange(-3.0, 1.01, 1.0))
_LEAST_DEVIATION = 1e-24  # Below it, a folded kernel would leave float32's range.
_ITERATIONS = 300
# Of the gradient. At scikit-learn's 1e-4, Newton's method ends far from the solution where classes are separable and
# the penalty is weak; this costs a tenth to a half more time.
_TOLERANCE = 1e-5


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


@dataclass(frozen=True)
class Standardised:
    """Embeddings as the solver takes them, prepared once for all strengths.

    Attributes:
        values: Of mean 0 and deviation 1, `[N, D]`; of fewer images than dimensions, `[N, N]`, their coordinates in
            `basis`.
        basis: Orthonormal, `[D, N]`, of the space that fewer images than dimensions span; None if they are more.
        mean: Of the embeddings, `[D]`.
        scale: Their deviation, `[D]`; infinite where it is none to speak of.
        method: What logistic regressions of them are solved by.
    """

    values: np.ndarray
    basis: np.ndarray | None
    mean: np.ndarray
    scale: np.ndarray
    method: str

    def head(self, kernel: np.ndarray, bias: np.ndarray, strength: float, iterations: int) -> LinearHead:
        """Return the head for embeddings as they are: basis and standardisation are folded into kernel and bias."""
        kernel = (kernel if self.basis is None else self.basis @ kernel) / self.scale[:, None]
        bias = bias - self.mean @ kernel
        return LinearHead(kernel.astype("float32"), bias.astype("float32"), strength, iterations)


def standardise(embeddings: np.ndarray, method: str = SOLVERS[0]) -> Standardised:
    """Standardise embeddings, float32 `[N, D]`.

    Of fewer images than dimensions, the best kernel lies in the space that they span, and its penalty is the same in
    any orthonormal basis of it: there the solution is that of all D dimensions, at a tenth of the time (Hastie and
    Tibshirani 2004, https://doi.org/10.1093/biostatistics/kxh010).

    Args:
        embeddings: Of all training images.
        method: One of `SOLVERS`; `lbfgs` takes three times as long as `newton-cg` where embeddings resemble each
            other, as views of the same images do.
    """
    mean, deviation = embeddings.mean(0), embeddings.std(0)
    # Untrained depthwise networks give embeddings of 1e-15 and less, which tell classes apart all the same.
    scale = np.where(deviation > 1e-6 * max(float(deviation.max()), _LEAST_DEVIATION), deviation, np.inf)
    values = embeddings - mean
    values /= scale  # In place, for they may be as large as all that a run holds in memory.
    if len(values) >= values.shape[1]:
        return Standardised(values, None, mean, scale, method)
    basis, coordinates = np.linalg.qr(values.T.astype("float64"))
    return Standardised(coordinates.T, basis, mean, scale, method)


def softmax(
    embeddings: Standardised, labels: np.ndarray, classes: int, strength: float, weights: np.ndarray | None = None
) -> LinearHead:
    """Fit multinomial logistic regression.

    Args:
        embeddings: Of N images.
        labels: int `[N]`.
        classes: K, of which every one must occur.
        strength: Inverse of the L2 penalty.
        weights: float `[N]`, how much each image counts; None counts all the same.
    """
    kernel, bias, iterations = _logistic(embeddings, labels, strength, weights)
    if classes == 2:
        kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.concatenate([-bias / 2, bias / 2])
    return embeddings.head(kernel, bias, strength, iterations)


def sigmoids(embeddings: Standardised, targets: np.ndarray, strength: float) -> LinearHead:
    """Fit one binary logistic regression a class to targets, float32 `[N, K]` of 0 and 1.

    A class that all images have, or none, gets its smoothed frequency, `(n + 1/2) / (N + 1)`, as a constant.
    """
    kernel, bias = np.zeros((embeddings.values.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    most = 0
    for k, column in enumerate(targets.T):
        if column.min() == column.max():
            share = (column.sum() + 0.5) / (len(column) + 1)
            bias[k] = np.log(share / (1 - share))
            continue
        one, bias[k : k + 1], iterations = _logistic(embeddings, column, strength, None)
        kernel[:, k], most = one[:, 0], max(most, iterations)
    return embeddings.head(kernel, bias, strength, most)


def ridge(embeddings: Standardised, targets: np.ndarray, strength: float) -> LinearHead:
    """Fit ridge regression to targets, float32 `[N, K]`."""
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=1 / strength).fit(embeddings.values, targets)
    kernel = fitted.coef_.reshape(targets.shape[1], -1).T
    return embeddings.head(kernel, np.atleast_1d(fitted.intercept_), strength, 1)


def _logistic(
    embeddings: Standardised, labels: np.ndarray, strength: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Line Search failed")  # There is nothing to gain within float32.
        fitted = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=_TOLERANCE, solver=embeddings.method)
        # Reading the values is what takes time, and float32 is half as much of it.
        fitted.fit(embeddings.values.astype("float32", copy=False), labels, weights)
    return fitted.coef_.T, fitted.intercept_, int(fitted.n_iter_[0])
