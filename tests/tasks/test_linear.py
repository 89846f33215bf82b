import numpy as np
import pytest

from keras_transfer.recipe.recipe import SOLVERS
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import standardise


def blobs(classes, each=60, width=5, seed=0):
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 2, (classes, width)) * 100 + 1000
    labels = np.repeat(np.arange(classes), each)
    return (centres[labels] + generator.normal(0, 150, (len(labels), width))).astype("float32"), labels


def solved(embeddings, labels, classes, strength, method="newton-cg"):
    standard = standardise(embeddings, method)
    return standard.head(linear.softmax(standard, labels, classes, strength))


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("classes", [2, 4])
def test_the_folded_head_answers_as_the_solver_does(classes, method):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    embeddings, labels = blobs(classes)
    head = solved(embeddings, labels, classes, 0.1, method)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300, tol=1e-8)).fit(
        embeddings, labels
    )
    expected = reference.predict_log_proba(embeddings)
    logits = head.logits(embeddings)
    found = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_separable_classes_are_solved_to_the_end():
    """At scikit-learn's own tolerance, the penalised loss ends at six times its least."""
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    labels = np.arange(1_200) % 40
    embeddings = (generator.normal(size=(40, 400))[labels] + generator.normal(size=(1_200, 400))).astype("float32")
    standard = ((embeddings - embeddings.mean(0)) / embeddings.std(0)).astype("float64")

    def loss(kernel, logits):
        data = np.log(np.exp(logits).sum(1)) - logits[np.arange(1_200), labels]
        return 10.0 * data.sum() + (kernel**2).sum() / 2

    head = solved(embeddings, labels, 40, 10.0)
    whole = LogisticRegression(C=10.0, max_iter=3000, tol=1e-8).fit(standard, labels)
    found = loss(head.kernel * embeddings.std(0)[:, None], head.logits(embeddings.astype("float64")))
    assert found == pytest.approx(loss(whole.coef_, whole.decision_function(standard)), rel=0.01)


def test_a_dead_feature_does_no_harm():
    embeddings, labels = blobs(3)
    embeddings[:, 1] = 7.0
    head = solved(embeddings, labels, 3, 1.0)
    assert np.isfinite(head.kernel).all()
    assert (head.kernel[1] == 0).all()


def test_tiny_embeddings_are_told_apart():
    embeddings, labels = blobs(3)
    head = solved(embeddings * np.float32(1e-18), labels, 3, 1.0)
    large = solved(embeddings, labels, 3, 1.0)
    answers = head.logits(embeddings * np.float32(1e-18)).argmax(1)
    assert (answers == large.logits(embeddings).argmax(1)).mean() > 0.99


@pytest.mark.parametrize("images", [30, 200])
def test_fewer_images_than_dimensions_have_the_same_solution(images):
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(images, 80)).astype("float32")
    labels = np.arange(images) % 3
    embeddings[:, :3] += 2 * np.eye(3)[labels]
    head = solved(embeddings, labels, 3, 0.1)
    standard = (embeddings - embeddings.mean(0)) / embeddings.std(0)
    whole = LogisticRegression(C=0.1, max_iter=3000, tol=1e-8).fit(standard, labels)
    found = head.logits(embeddings)
    expected = whole.decision_function(standard)
    np.testing.assert_allclose(
        found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=5e-3
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_a_near_solution_saves_iterations_and_changes_nothing(classes):
    embeddings, labels = blobs(classes, each=200, width=40)
    standard = standardise(embeddings)
    whole = linear.softmax(standard, labels, classes, 0.1)
    part = np.arange(len(labels)) % 5 > 0
    cold = linear.softmax(standard.at(part), labels[part], classes, 0.1)
    warm = linear.softmax(standard.at(part), labels[part], classes, 0.1, start=whole)
    np.testing.assert_allclose(warm.logits(standard.values), cold.logits(standard.values), atol=5e-3)
    assert warm.iterations < cold.iterations
