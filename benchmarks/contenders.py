"""What is measured, each in a process of its own: `python -m benchmarks.contenders NAME SPEC` prints one JSON line.

SPEC is JSON: `data` (a folder with train/ and test/), `classes` (their number), `base`, `weights`, `size`, `epochs`,
`views`, `seed`; `guide_epochs` are those that the loops run that pass every image through the base in each.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import libraries
from benchmarks.loops import BEGUN, Spec, fit_twice, listed, took

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def guide(spec: Spec) -> dict[str, Any]:
    """The loop of https://keras.io/guides/transfer_learning/: the whole base runs on every image in every epoch.

    In float32, as the guide has it, or under the dtype policy that SPEC names.
    """
    import keras

    from benchmarks import guide as loop
    from keras_transfer.network import weights
    from keras_transfer.network.bases import find
    from keras_transfer.network.cut import cut_tensors

    keras.config.set_dtype_policy(spec.get("policy", "float32"))
    size, row = spec["size"], find(spec["base"])
    base = weights.load(row.name, spec["weights"], size, spec["seed"]).base
    begun = time.monotonic()
    train, validation = listed(spec)
    train, validation = train.prefetch(-1), validation.prefetch(-1)
    whole = loop.model(base, row, spec["classes"])

    def thaw() -> None:
        base.trainable = True
        block = row.thawed("auto")
        thawed = {layer.name for layer in cut_tensors(base, block.boundary)[1]} if block else set()
        for layer in base.layers:
            layer.trainable = layer.name in thawed and not isinstance(layer, keras.layers.BatchNormalization)

    found = fit_twice(whole, train, validation, spec, thaw, begun)
    test = keras.utils.image_dataset_from_directory(
        f"{spec['data']}/test", label_mode="int", image_size=(size, size), shuffle=False, verbose=False
    )
    accuracy = whole.evaluate(test, verbose=0)[1]
    skipped = found.pop("skipped")
    program = time.monotonic() - BEGUN + skipped
    return found | {"accuracy": None if skipped else accuracy, "program": program}


def project(spec: Spec) -> dict[str, Any]:
    """This project with the same base and epochs, its cache empty; then, unless `once`, a second fit."""
    import tempfile

    import keras_transfer as kt
    from keras_transfer.network.bases import find
    from keras_transfer.support import logs

    logs.import_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KERAS_TRANSFER_CACHE"] = folder
        # As many epochs as the guide, of the last stage, whatever the rule would choose.
        fixed = {"fine_tune_epochs": spec["epochs"], "patience": "none", "refit": "off", "thaw": find(spec["base"]).top}
        options: dict[str, Any] = {} if spec.get("defaults") else fixed
        recipe = kt.Recipe(
            base=spec["base"],
            data=spec["data"],
            weights=spec["weights"],
            size=spec["size"],
            seed=spec["seed"],
            views=spec.get("views", 1),
            output=f"{folder}/model",
            **options,
        )
        metrics = kt.fit(recipe, progress=kt.Progress(quiet=True)).metrics
        program = time.monotonic() - BEGUN
        parts = metrics["seconds"]
        names = ("data", "build", "features", "head", "fine-tune", "refit")
        again = parts
        if not spec.get("once"):
            other = recipe.replace(fine_tune_lr=2e-4, fine_tune_epochs=1)
            again = kt.fit(other, progress=kt.Progress(quiet=True)).metrics["seconds"]
    return {
        "seconds": sum(parts.get(name, 0.0) for name in names),
        "program": program,
        "phase 1": parts["features"] + parts["head"],
        "phase 2": parts.get("fine-tune", 0.0),
        "again until training": sum(again[name] for name in ("data", "build", "features", "head")),
        "accuracy": metrics["test"]["accuracy"],
        "engine": metrics["engine"],
    }


def floor(spec: Spec) -> dict[str, Any]:
    """One forward pass of the base over each training and validation image, as it is decoded, and nothing else."""
    import keras_transfer as kt
    from keras_transfer.compute import device, engine
    from keras_transfer.data import sources, verified
    from keras_transfer.data.decoding.decode import Decoder
    from keras_transfer.data.inspection import inspector
    from keras_transfer.network import weights
    from keras_transfer.network.cut import cut
    from keras_transfer.network.network import build

    recipe, progress = kt.Recipe(base=spec["base"]), kt.Progress(quiet=True)
    plan = device.plan(recipe)
    pretrained = weights.load(spec["base"], spec["weights"], spec["size"], spec["seed"])
    frozen = cut(build(pretrained.base, pretrained.spec, recipe, 2), pretrained.spec.thawed("auto")).frozen
    examples, _ = inspector.with_digests(sources.load(f"{spec['data']}/train"), progress)
    decoder = Decoder(spec["size"], "crop", recipe.max_pixels)
    size = engine.batch_size(plan, spec["size"])
    images = examples.contents, examples.paths, examples.digests, decoder, size
    sample = next(verified.images(*images))
    runner, _ = engine.start(frozen, plan, sample, progress)
    list(runner.run([sample] * 3))
    begun = time.monotonic()
    for _ in runner.run(verified.images(*images)):
        pass
    return {"seconds": time.monotonic() - begun, "engine": runner.name}


def top(spec: Spec) -> dict[str, Any]:
    """Phase 2's training steps alone, in its precision, on activations that lie in memory; no validation."""
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_transfer as kt
    from keras_transfer.compute import device
    from keras_transfer.data import sources
    from keras_transfer.network import weights
    from keras_transfer.network.cut import cut
    from keras_transfer.network.network import build
    from keras_transfer.tasks.classification import Classification
    from keras_transfer.training.feed import training_in
    from keras_transfer.training.loop import compile_for
    from keras_transfer.training.phase import GradientDescent

    recipe = kt.Recipe(base=spec["base"])
    plan = device.plan(recipe)
    count = round(0.85 * len(sources.load(f"{spec['data']}/train")))
    classes = len(sources.load(f"{spec['data']}/train").classes)
    pretrained = weights.load(spec["base"], spec["weights"], spec["size"], spec["seed"])
    network = build(pretrained.base, pretrained.spec, recipe, classes)
    tail = cut(network, pretrained.spec.thawed("auto")).above
    generator, size = np.random.default_rng(0), 32
    rows = [size] * (count // size) + [count % size] * (count % size > 0)
    shape = tail.input_shape[1:]
    batches = [
        (
            tf.cast(generator.random((row, *shape), "float32"), plan.precision),
            tf.constant(np.eye(classes, dtype="float32")[generator.integers(0, classes, row)]),
        )
        for row in rows
    ]
    descent, objective = GradientDescent(spec["epochs"], 3e-4), Classification()
    keras.utils.set_random_seed(0)
    with training_in(plan, network, tail):
        compile_for(tail, descent, objective, len(batches), plan.compiles(descent.epochs * len(batches)))
        for x, y in (batches[0], batches[-1]):
            tail.train_on_batch(x, y)
    begun, ends = time.monotonic(), []
    for _ in range(min(spec["epochs"], spec.get("guide_epochs") or spec["epochs"])):
        for x, y in batches:
            tail.train_on_batch(x, y)
        ends.append(time.monotonic())
    return {"seconds": took(begun, ends, spec["epochs"])}


def probe(spec: Spec) -> dict[str, Any]:
    """scikit-learn's logistic regression on the base's features, C chosen on validation, then fitted to all photos."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import keras_transfer as kt
    from keras_transfer.data import prepare
    from keras_transfer.studies import features as embeddings

    options = {key: spec[key] for key in ("base", "data", "weights", "size", "seed")}
    recipe, progress = kt.Recipe(**options), kt.Progress(quiet=True)
    prepared = prepare.inspected(recipe, prepare.listing(recipe, progress), progress)
    recipe, pretrained = embeddings.load_base(recipe, prepared.listed, progress)
    features = embeddings.compute(recipe, pretrained, prepared.examples, progress)
    labels = prepared.examples.labels
    train, held, test = (prepared.examples.indices(name) for name in ("train", "validation", "test"))

    def fitted(rows: Any, strength: float) -> Any:
        solver = LogisticRegression(C=strength, max_iter=1000)
        return make_pipeline(StandardScaler(), solver).fit(features[rows], labels[rows])

    strengths = [10.0**exponent for exponent in range(-4, 3)]
    best = max(strengths, key=lambda strength: fitted(train, strength).score(features[held], labels[held]))
    seen = np.concatenate([train, held])
    return {"accuracy": float(fitted(seen, best).score(features[test], labels[test]))}


OWN: dict[str, Callable[[Spec], dict[str, Any]]] = {
    contender.__name__: contender for contender in (guide, project, floor, top, probe)
}


def main() -> None:
    """Run one contender and print what it measured, with its peak memory, MB."""
    name, spec = sys.argv[1], json.loads(sys.argv[2])
    found = (OWN.get(name) or getattr(libraries, name))(spec)
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
