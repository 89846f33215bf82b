import numpy as np
import pytest

from keras_transfer.recipe.options import SOLVERS
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import scale


def blobs(classes, each=60, width=5, seed=0):
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 2, (classes, width)) * 100 + 1000
    labels = np.repeat(np.arange(classes), each)
    return (centres[labels] + generator.normal(0, 150, (len(labels), width))).astype("float32"), labels


def pareto(embeddings):
    deviation = embeddings.std(0)
    return (embeddings - embeddings.mean(0)) / np.sqrt(deviation * deviation.mean())


def solved(embeddings, labels, classes, strength, method="newton-cg"):
    scaled = scale(embeddings, method)
    return scaled.head(linear.softmax(scaled, labels, classes, strength))


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.parametrize("classes", [2, 4])
def test_the_folded_head_answers_as_the_solver_does(classes, method):
    from sklearn.linear_model import LogisticRegression

    embeddings, labels = blobs(classes)
    head = solved(embeddings, labels, classes, 0.1, method)
    scaled = pareto(embeddings)
    expected = LogisticRegression(C=0.1, max_iter=300, tol=1e-8).fit(scaled, labels).predict_log_proba(scaled)
    logits = head.logits(embeddings)
    actual = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(actual, expected, atol=2e-3)


def test_separable_classes_are_solved_to_the_end():
    """At scikit-learn's own tolerance, the penalised loss ends at six times its least."""
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    labels = np.arange(1_200) % 40
    embeddings = (generator.normal(size=(40, 400))[labels] + generator.normal(size=(1_200, 400))).astype("float32")
    scaled = pareto(embeddings.astype("float64"))

    def loss(kernel, logits):
        data = np.log(np.exp(logits).sum(1)) - logits[np.arange(1_200), labels]
        return 10.0 * data.sum() + (kernel**2).sum() / 2

    head = solved(embeddings, labels, 40, 10.0)
    with linear.one_thread():
        whole = LogisticRegression(C=10.0, max_iter=3000, tol=1e-8).fit(scaled, labels)
    divisor = np.sqrt(embeddings.std(0) * embeddings.std(0).mean())
    actual = loss(head.kernel * divisor[:, None], head.logits(embeddings.astype("float64")))
    assert actual == pytest.approx(loss(whole.coef_, whole.decision_function(scaled)), rel=0.01)


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
    scaled = pareto(embeddings)
    whole = LogisticRegression(C=0.1, max_iter=3000, tol=1e-8).fit(scaled, labels)
    actual = head.logits(embeddings)
    expected = whole.decision_function(scaled)
    np.testing.assert_allclose(
        actual - actual.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=5e-3
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_a_near_solution_saves_iterations_and_changes_nothing(classes):
    embeddings, labels = blobs(classes, each=200, width=40)
    scaled = scale(embeddings)
    whole = linear.softmax(scaled, labels, classes, 0.1)
    part = np.arange(len(labels)) % 5 > 0
    cold = linear.softmax(scaled.at(part), labels[part], classes, 0.1)
    warm = linear.softmax(scaled.at(part), labels[part], classes, 0.1, start=whole)
    np.testing.assert_allclose(warm.logits(scaled.values), cold.logits(scaled.values), atol=5e-3)
    assert warm.iterations < cold.iterations


def test_noise_of_few_images_does_not_drown_what_tells_classes_apart():
    """Of many dimensions that say nothing and vary little, standardised ones would outweigh the few that tell."""
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 3
    embeddings = generator.normal(0, 0.1, (300, 100))
    embeddings[:, :3] += np.eye(3)[labels] + generator.normal(0, 0.3, (300, 3))
    few, others = embeddings[:15].astype("float32"), embeddings[15:].astype("float32")
    right = solved(few, labels[:15], 3, 0.1).logits(others).argmax(1) == labels[15:]
    assert right.mean() > 0.8


def test_many_classes_of_few_images_are_solved_without_a_word(recwarn):
    embeddings, labels = blobs(25, each=1, width=30)
    solved(embeddings, labels, 25, 0.1)
    assert [str(warning.message) for warning in recwarn] == []
