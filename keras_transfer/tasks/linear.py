"""Linear heads: to fit one is a convex problem, which scikit-learn solves on scaled embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from keras_transfer.recipe.options import SOLVERS

_MIN_DEVIATION = 1e-24  # Below it, a folded kernel would leave float32's range.
_ITERATIONS = 300
# Of the gradient, at which a solver stops. At scikit-learn's own, which is ROUGH, Newton's method ends far from the
# solution where classes are separable and the penalty is weak: enough to compare penalties, too far for an export.
EXACT, ROUGH = 1e-5, 1e-4


@dataclass(frozen=True)
class LinearHead:
    """A solved layer of logits.

    Attributes:
        kernel: float32 `[D, K]`.
        bias: float32 `[K]`.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """Return logits `[N, K]` of embeddings `[N, D]`."""
        return embeddings @ self.kernel + self.bias


@dataclass(frozen=True)
class Solution:
    """A linear head in the coordinates of `Scaled.values`.

    Attributes:
        kernel: float64 `[P, K]`.
        bias: float64 `[K]`.
        iterations: Of the solver.
    """

    kernel: np.ndarray
    bias: np.ndarray
    iterations: int

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Return logits, float64 `[N, K]`, of scaled values `[N, P]`."""
        return values @ self.kernel + self.bias

    def divided(self, temperature: float) -> Solution:
        """Return the solution whose logits are this one's divided by a temperature."""
        return replace(self, kernel=self.kernel / temperature, bias=self.bias / temperature)


@dataclass(frozen=True)
class Scaled:
    """Embeddings as the solver takes them, prepared once for all penalties and folds.

    Attributes:
        values: Of mean 0 and mean variance 1, `[N, D]`; of fewer images than dimensions, `[N, N]`, their coordinates
            in `basis`.
        basis: Orthonormal, `[D, N]`, of the space that fewer images than dimensions span; None if they are more.
        mean: Of the embeddings, `[D]`.
        scale: What they are divided by, `[D]`; infinite where their deviation is none to speak of.
        method: What logistic regressions of them are solved by.
    """

    values: np.ndarray
    basis: np.ndarray | None
    mean: np.ndarray
    scale: np.ndarray
    method: str

    def at(self, indices: np.ndarray) -> Scaled:
        """Return some of the images, in the same coordinates."""
        return replace(self, values=self.values[indices])

    def head(self, solution: Solution) -> LinearHead:
        """Return the head for embeddings as they are: basis and scale are folded into kernel and bias."""
        kernel = solution.kernel if self.basis is None else self.basis @ solution.kernel
        kernel = kernel / self.scale[:, None]
        bias = solution.bias - self.mean @ kernel
        return LinearHead(kernel.astype("float32"), bias.astype("float32"))


def scale(embeddings: np.ndarray, method: str = SOLVERS[0]) -> Scaled:
    """Centre embeddings, float32 `[N, D]`, and divide each dimension by the root of its deviation.

    Between dividing by the deviation, which makes noise of few images as large as what tells classes apart, and not
    dividing (Pareto scaling; van den Berg et al. 2006, https://doi.org/10.1186/1471-2164-7-142). The penalty is the
    same for all dimensions; `docs/measurements.md` says what it gains.

    Of fewer images than dimensions, the best kernel lies in the space that they span, and its penalty is the same in
    any orthonormal basis of it: there the solution is that of all D dimensions, at a tenth of the time (Hastie and
    Tibshirani 2004, https://doi.org/10.1093/biostatistics/kxh010). The same holds for every part of the images.

    Args:
        embeddings: Of all training images.
        method: One of `SOLVERS`; `lbfgs` takes three times as long as `newton-cg` where embeddings resemble each
            other, as views of the same images do.
    """
    mean, deviation = embeddings.mean(0), embeddings.std(0)
    # Untrained depthwise networks give embeddings of 1e-15 and less, which tell classes apart all the same.
    varies = deviation > 1e-6 * max(float(deviation.max()), _MIN_DEVIATION)
    # Divided by it, the mean variance is 1, for which the penalties are.
    mean_root = np.sqrt(deviation[varies].mean()) if varies.any() else 1.0
    divisor = np.where(varies, np.sqrt(deviation) * mean_root, np.inf)
    values = embeddings - mean
    values /= divisor  # In place, for they may be as large as all that a run holds in memory.
    if len(values) >= values.shape[1]:
        return Scaled(values, None, mean, divisor, method)
    basis, coordinates = np.linalg.qr(values.T.astype("float64"))
    # Reading the values is what takes time, and float32 is half as much of it.
    return Scaled(coordinates.T.astype("float32"), basis, mean, divisor, method)


def softmax(
    embeddings: Scaled,
    labels: np.ndarray,
    classes: int,
    strength: float,
    weights: np.ndarray | None = None,
    start: Solution | None = None,
    tolerance: float = EXACT,
) -> Solution:
    """Fit multinomial logistic regression.

    Args:
        embeddings: Of N images.
        labels: int `[N]`.
        classes: K, of which every one must occur.
        strength: Inverse of the L2 penalty.
        weights: float `[N]`, how much each image counts; None counts all the same.
        start: A solution of a like problem, from which fewer iterations lead to this one's.
        tolerance: Of the gradient at which the solver stops.
    """
    if classes != 2:
        return _logistic(embeddings, labels, strength, weights, start, tolerance)
    # Of two classes, scikit-learn solves for the difference of their logits.
    difference = start and replace(start, kernel=start.kernel[:, 1:] * 2, bias=start.bias[1:] * 2)
    solution = _logistic(embeddings, labels, strength, weights, difference, tolerance)
    return replace(
        solution,
        kernel=np.hstack([-solution.kernel / 2, solution.kernel / 2]),
        bias=np.concatenate([-solution.bias / 2, solution.bias / 2]),
    )


def sigmoids(
    embeddings: Scaled,
    targets: np.ndarray,
    strength: float,
    start: Solution | None = None,
    tolerance: float = EXACT,
) -> Solution:
    """Fit one binary logistic regression a class to targets, float32 `[N, K]` of 0 and 1.

    A class that all images have, or none, gets its smoothed frequency, `(n + 1/2) / (N + 1)`, as a constant.
    """
    kernel, bias = np.zeros((embeddings.values.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    iterations = 0
    for k, column in enumerate(targets.T):
        if column.min() == column.max():
            share = (column.sum() + 0.5) / (len(column) + 1)
            bias[k] = np.log(share / (1 - share))
            continue
        start_k = start and replace(start, kernel=start.kernel[:, k : k + 1], bias=start.bias[k : k + 1])
        solution = _logistic(embeddings, column, strength, None, start_k, tolerance)
        kernel[:, k], bias[k] = solution.kernel[:, 0], solution.bias[0]
        iterations = max(iterations, solution.iterations)
    return Solution(kernel, bias, iterations)


def ridge(embeddings: Scaled, targets: np.ndarray, strength: float) -> Solution:
    """Fit ridge regression to targets, float32 `[N, K]`."""
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=1 / strength).fit(embeddings.values, targets)
    kernel = fitted.coef_.reshape(targets.shape[1], -1).T
    return Solution(kernel, np.atleast_1d(fitted.intercept_), 1)


def _logistic(
    embeddings: Scaled,
    labels: np.ndarray,
    strength: float,
    weights: np.ndarray | None,
    start: Solution | None,
    tolerance: float,
) -> Solution:
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(
        C=strength, max_iter=_ITERATIONS, tol=tolerance, solver=embeddings.method, warm_start=start is not None
    )
    if start is not None:
        dtype = embeddings.values.dtype
        regression.coef_, regression.intercept_ = start.kernel.T.astype(dtype), start.bias.astype(dtype)
    with one_thread():
        regression.fit(embeddings.values, labels, weights)
    return Solution(
        regression.coef_.T.astype("float64"), regression.intercept_.astype("float64"), int(np.max(regression.n_iter_))
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let each solver use one thread of BLAS, and say nothing of a gradient that cannot shrink within float32, nor that
    classes of one or two images may be numbers.

    Two threads save a third of a solver's time on an idle machine; where another program takes a core, they wait for
    each other in a loop and take seven times as long (OpenBLAS 0.3.30). Folds use the cores better.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Line Search failed")
        warnings.filterwarnings("ignore", "The line search algorithm did not converge")
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        yield
