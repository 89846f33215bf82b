"""The same task in other libraries, where they are installed: KerasHub's `ImageClassifier`, and a plain PyTorch loop.

Neither can be given every base: KerasHub's VGG16 takes the very weights of `keras.applications`, its ResNet50 and
that of transformers are the same networks with random weights.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

from benchmarks.loops import Spec, fit_twice, listed, took


def keras_hub(spec: Spec) -> dict[str, Any]:
    """KerasHub's image classifier with the data, the optimizer and the epochs of the guide."""
    import keras
    import keras_hub as hub

    from keras_transfer.network import weights
    from keras_transfer.network.bases import find
    from keras_transfer.network.network import preparation

    size = spec["size"]
    shape = (size, size, 3)
    base = find(spec["base"])
    if base.name == "vgg16":
        backbone = hub.models.VGGBackbone([2, 2, 3, 3, 3], [64, 128, 256, 512, 512], image_shape=shape)
        backbone.set_weights(weights.load(base.name, spec["weights"], size, spec["seed"]).base.get_weights())
        top = ("block5",)
    else:
        backbone = hub.models.ResNetBackbone(
            [64], [7], [64, 128, 256, 512], [3, 4, 6, 3], [1, 2, 2, 2], "bottleneck_block", image_shape=shape
        )
        top = ("stack3",)
    begun = time.monotonic()
    train, validation = listed(spec)
    prepare = preparation(base.preprocessing, shape)
    train, validation = (
        part.map(lambda x, y: (prepare(x), y), num_parallel_calls=-1).prefetch(-1) for part in (train, validation)
    )
    classifier = hub.models.ImageClassifier(backbone, spec["classes"], dropout=0.2)

    def thaw() -> None:
        backbone.trainable = True
        for layer in backbone.layers:
            layer.trainable = layer.name.startswith(top) and not isinstance(layer, keras.layers.BatchNormalization)

    backbone.trainable = False
    return fit_twice(classifier, train, validation, spec, thaw, begun)


def torch(spec: Spec) -> dict[str, Any]:
    """A plain loop on transformers' ResNet50 with random weights: torchvision reads, AdamW trains head, then top."""
    import torch as pt
    import transformers
    from torchvision import datasets
    from torchvision.transforms import v2

    size, epochs = spec["size"], spec["epochs"]
    pt.manual_seed(spec["seed"])
    network = transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=spec["classes"]))
    begun = time.monotonic()
    scaled = [v2.ToImage(), v2.Resize((size, size), antialias=True), v2.ToDtype(pt.float32, scale=True)]
    normal = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    photos = datasets.ImageFolder(f"{spec['data']}/train", v2.Compose([*scaled, normal]))
    held = round(0.15 * len(photos))
    parts = pt.utils.data.random_split(photos, [len(photos) - held, held])
    train, validation = (pt.utils.data.DataLoader(part, 32, shuffle=True, num_workers=1) for part in parts)
    criterion = pt.nn.CrossEntropyLoss()

    def phase(thawed: pt.nn.Module, rate: float) -> float:
        for parameter in network.parameters():
            parameter.requires_grad = False
        for parameter in [*thawed.parameters(), *network.classifier.parameters()]:
            parameter.requires_grad = True
        optimizer = pt.optim.AdamW((one for one in network.parameters() if one.requires_grad), rate)
        network.eval()  # BatchNorm keeps its statistics, as in the guide.
        started, ends = time.monotonic(), []
        for _ in range(min(epochs, spec.get("guide_epochs") or epochs)):
            for x, y in train:
                optimizer.zero_grad()
                criterion(network(x).logits, y).backward()
                optimizer.step()
            with pt.no_grad():
                for x, _y in validation:
                    network(x)
            ends.append(time.monotonic())
        return took(started, ends, epochs)

    ready = time.monotonic() - begun
    first = phase(network.classifier, 1e-3)
    second = phase(network.resnet.encoder.stages[-1], 1e-5)
    return {"seconds": ready + first + second, "phase 1": first, "phase 2": second}


def installed(base: str) -> list[str]:
    """Return which of these can be run on a base here."""
    found = ["keras_hub"] if base in ("vgg16", "resnet50") and find_spec("keras_hub") else []
    return found + (["torch"] if base == "resnet50" and find_spec("torch") and find_spec("torchvision") else [])
