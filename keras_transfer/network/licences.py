"""The licences of the weights that Keras downloads."""

from __future__ import annotations

# As https://github.com/keras-team/keras-applications and the releases that the weights were ported from have it.
_LICENCES = {
    "vgg": "Creative Commons Attribution 4.0 (Visual Geometry Group, Oxford)",
    "resnet": "MIT (Kaiming He); of the V2 networks BSD (Facebook)",
    "inception": "Apache 2.0 (Google)",
    "xception": "MIT (Keras)",
    "mobilenet": "Apache 2.0 (Google)",
    "densenet": "BSD 3-Clause (Zhuang Liu)",
    "nasnet": "Apache 2.0 (Google)",
    "efficientnet": "Apache 2.0 (Google)",
    "convnext": "MIT (Facebook)",
}


def licence(name: str) -> str:
    """Return the licence of a base's ImageNet weights, in words."""
    text = next((text for start, text in _LICENCES.items() if name.startswith(start)), None)
    return f"{text}." if text else "Not known here; see where the base came from."
