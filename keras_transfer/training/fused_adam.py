"""Adam in one pass over the weights, by TensorFlow's own kernel.

Keras 3 (seen in 3.8 to 3.15) updates with a dozen elementwise operations, each a pass over memory: on two cores a
step of ResNet50's last stage (15 million weights) spends more time in them than in the network. TensorFlow keeps the
fused kernel of its first optimizers as a public raw op; this is the same arithmetic through it.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1 as rewritten in its section 2), for dense float32 variables on TensorFlow.

    Args:
        learning_rate: Number or schedule.
        beta_1: Decay of the first moment.
        beta_2: Decay of the second moment.
        epsilon: Added to the root of the second moment.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: list[Any]) -> None:
        """Make both moments of each variable."""
        if self.built:
            return
        super().build(variables)
        self._moments = {
            _resource(variable).ref(): [
                _resource(self.add_variable_from_reference(variable, name=name)) for name in ("momentum", "velocity")
            ]
            for variable in variables
        }

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        first, second = self._moments[_resource(variable).ref()]
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=_resource(variable).handle,
            m=first.handle,
            v=second.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds it."""
        return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


def _resource(variable: Any) -> tf.Variable:
    """Keras builds an optimizer on its own variables and updates TensorFlow's within them."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def adam(learning_rate: Any) -> keras.optimizers.Optimizer:
    """Return the fastest Adam of the backend."""
    if keras.backend.backend() == "tensorflow" and not tf.config.list_physical_devices("GPU"):
        return FusedAdam(learning_rate)
    return keras.optimizers.Adam(learning_rate)
