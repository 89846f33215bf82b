import numpy as np

from keras_transfer.studies.check.labels import discriminants, doubt, out_of_fold, suspicious


def blobs(images=200, width=12, classes=4):
    generator = np.random.default_rng(0)
    labels = np.arange(images) % classes
    centres = 3 * generator.random((classes, width))
    return (centres[labels] + generator.random((images, width))).astype("float32"), labels


def test_discriminants_are_those_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    vectors, labels = blobs()
    scores = discriminants(vectors[:120], labels[:120], 4, vectors[120:])
    twin = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(vectors[:120], labels[:120])
    expected = twin.decision_function(vectors[120:])
    np.testing.assert_allclose(np.diff(scores, axis=1), np.diff(expected, axis=1), atol=1e-3 * np.abs(expected).max())


def test_a_class_that_a_fold_lacks_is_not_chosen():
    vectors, labels = blobs()
    here = labels != 2
    scores = discriminants(vectors[here], labels[here], 4, vectors[here])
    assert np.isfinite(scores).all()
    assert (scores.argmax(1) == labels[here]).all()


def test_changed_labels_are_suspected_and_no_other():
    vectors, labels = blobs()
    for changes in (0, 2, 10):
        generator, changed = np.random.default_rng(changes), labels.copy()
        rows = generator.choice(len(labels), changes, replace=False)
        changed[rows] = (labels[rows] + generator.integers(1, 4, changes)) % 4
        scores = out_of_fold(vectors, changed, 4, np.arange(len(labels)), seed=0)
        probabilities, doubts = doubt(scores, changed)
        np.testing.assert_allclose(probabilities.sum(1), 1)
        assert sorted(suspicious(probabilities, doubts, changed)) == sorted(rows)


def test_where_classes_are_hard_to_tell_apart_few_labels_are_suspected():
    """Labels that are drawn from the very probabilities are right, however improbable some of them are."""
    generator = np.random.default_rng(0)
    scores = 2.0 * generator.standard_normal((1000, 3))
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = (generator.random((1000, 1)) > shares.cumsum(1)).sum(1)
    probabilities, doubts = doubt(5.0 * scores, labels)  # The temperature is found.
    np.testing.assert_allclose(probabilities, shares, atol=0.05)
    assert (probabilities[np.arange(1000), labels] < 0.07).sum() > 20
    assert len(suspicious(probabilities, doubts, labels)) <= 3


def test_the_least_likely_label_comes_first():
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.5).astype(int)
    scores = np.where(labels[:, None] == [0, 1], 4.0, 0.0) + 0.5 * generator.standard_normal((400, 2))
    labels[[7, 250]] = 1 - labels[[7, 250]]
    scores[250] *= 1.5
    probabilities, doubts = doubt(scores, labels)
    assert suspicious(probabilities, doubts, labels) == [250, 7]
