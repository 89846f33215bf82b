"""Adam that changes each variable in one operation of TensorFlow's, in the place of some ten small ones of Keras's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam by TensorFlow's kernel, which computes the same formula, that at the end of section 2 of Kingma and
    Ba (https://arxiv.org/abs/1412.6980): both corrections of the bias are in the rate, epsilon is added to the root.

    Steps differ by rounding, about 1e-5 of the rate: the kernel takes 1 - 0.999 from float32's 0.999 throughout, Keras
    only to correct the bias. All but the step is Keras's: decay, clipping, averages, rates, and what a state holds.
    """

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Change variables by their gradients, each of its variable's shape."""
        step = tf.cast(self.iterations + 1, tf.float32)
        # Once a step: with these made anew for each variable, the first step takes a tenth longer.
        self._numbers = {
            "beta1_power": tf.pow(self.beta_1, step),
            "beta2_power": tf.pow(self.beta_2, step),
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
        }
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        """Change a variable, its momentum and its velocity, each of one shape, by a gradient of that shape.

        Keras does what this kernel is not for: variables of other types, on which it would end the process, and
        gradients of some rows alone, as those of an embedding.
        """
        # Adam's own slots have no public name; they are called so in Keras 3.8 and 3.15, the oldest and newest tested.
        known = hasattr(self, "_momentums") and hasattr(self, "_velocities") and hasattr(self, "_get_variable_index")
        if self.amsgrad or not known or variable.dtype != tf.float32 or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            lr=tf.cast(learning_rate, tf.float32),
            grad=tf.cast(gradient, tf.float32),
            **self._numbers,
        )
