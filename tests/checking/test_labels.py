import numpy as np

from keras_transfer.checking.labels import discriminants, out_of_fold, suspicious


def blobs(images=200, width=12, classes=4):
    generator = np.random.default_rng(0)
    labels = np.arange(images) % classes
    centres = 3 * generator.random((classes, width))
    return (centres[labels] + generator.random((images, width))).astype("float32"), labels


def test_discriminants_are_those_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    vectors, labels = blobs()
    found = discriminants(vectors[:120], labels[:120], 4, vectors[120:])
    twin = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(vectors[:120], labels[:120])
    expected = twin.decision_function(vectors[120:])
    np.testing.assert_allclose(np.diff(found, axis=1), np.diff(expected, axis=1), atol=1e-3 * np.abs(expected).max())


def test_a_class_that_a_fold_lacks_is_not_chosen():
    vectors, labels = blobs()
    here = labels != 2
    found = discriminants(vectors[here], labels[here], 4, vectors[here])
    assert np.isfinite(found).all()
    assert (found.argmax(1) == labels[here]).all()


def test_changed_labels_are_suspected_and_no_other():
    vectors, labels = blobs()
    changed = labels.copy()
    changed[[5, 90]] = (labels[[5, 90]] + 1) % 4
    probabilities = out_of_fold(vectors, changed, 4, np.arange(len(labels)), seed=0)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert sorted(suspicious(probabilities, changed)) == [5, 90]


def test_a_label_is_suspected_where_another_is_by_far_likelier():
    labels = np.repeat([0, 1], 50)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    probabilities[7] = [0.001, 0.999]
    probabilities[60] = [0.6, 0.4]
    probabilities[70] = [0.99, 0.01]
    assert suspicious(probabilities, labels) == [7, 70]
