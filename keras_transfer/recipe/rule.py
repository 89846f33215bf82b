"""The default recipe: what `auto` means, by the images of each class, how well the head does, and how much images are
enlarged.

One rule in one place, in the manner of BiT's HyperRule (Kolesnikov et al. 2020). `docs/measurements.md`
says which numbers were measured, on what, over how many seeds, and with which command.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_transfer.recipe.options import AUTO, FRESH, INTERPOLATIONS, SOLVERS
from keras_transfer.recipe.recipe import Recipe

if TYPE_CHECKING:
    from keras_transfer.network.bases import Base

_DIGITS_SIZE = 48  # The built-in sample's 8x8 px scans, enlarged; every base whose least size allows it.

# When the base is fine-tuned. On 2,000 CIFAR-10 pictures of 32 px, whose head reached 0.69, twelve of MobileNetV2's
# blocks gained ten points; on flowers, whose head reached 0.89, four and eight blocks gained nothing.
# Training images a class below which the head alone is fitted: 21 digits or CIFAR-10 pictures a class, enlarged three
# times, gained four points, 25 flowers a class lost one.
_FEW_A_CLASS, _FEW_A_CLASS_ENLARGED = 50, 20
_MANY = 2_000  # Training images from which the base is fine-tuned however well the head does.
_NEAR = 0.8  # Cross-validated accuracy of the head from which images count as like those of ImageNet.
_SOLVED = 0.95  # Accuracy of the head from which there is too little left to gain, but on many images.
_ENLARGED = 2.0  # Images whose short side is enlarged so many times are unlike ImageNet's, however the head does.

_DEEP = 2 / 3  # Share of a base's blocks, from the top, that is fine-tuned: 12 of MobileNetV2's 18.
# TFLOPs of as many forward passes as there are images and epochs, above which a processor fine-tunes the last stage
# only: two cores would take more than ten minutes over the rest.
_HEAVY = 10.0
_EPOCHS, _VIEWS, _SMOOTHING = 12, 4, 0.1
# Fewer than `_MANY` images, where a processor can: as many epochs as show 20,000 images. 12 are as good as 20 on 1,650
# CIFAR-10 pictures, 8 a point worse; on 85 to 850 pictures of CIFAR-10, and of its cats and dogs, 12 were 0.7 to 2.4
# points worse, of MNIST none.
_EPOCHS_OF_FEW, _VIEWS_OF_FEW, _SEEN = 20, 8, 20_000
# Plain and residual convolutions bear less than depthwise ones.
_RATE, _GENTLE_RATE = 3e-4, 1e-4
_GENTLE = ("vgg", "resnet", "densenet", "inception")

# Pictures of 32 px were told apart better at 160 px than at 224 px, by heads on three bases, by one to seven points of
# accuracy; photos as large as the base's own input lose by anything less.
_MOST_ENLARGED, _STEP = 5.0, 32
# Fine-tuned on 50 of them a class, MobileNetV2 reached 0.743 at 96 px, 0.734 at 128 px and 0.716 at 160 px, its head
# 0.651, 0.673 and 0.631; EfficientNet-Lite0's head is best at 160 px.
_LESS_ENLARGED = {"mobilenetv2": 4.0}
# Of 50 and 200 pictures of 32 px a class, MobileNetV2 gained 0.6 to 1.9 points and a log loss lower by 0.018 to 0.058
# by cubic interpolation; of 5 and 10, and of 25 digits, it lost 1.6, 1.1 and 0.4 points. EfficientNet-Lite0 lost,
# ResNet50 did neither.
_CUBIC, _CUBIC_A_CLASS = ("mobilenetv2",), 40

_HEAD_VIEWS, _HEAD_VIEWS_IMAGES = 4, 1_000  # Views that a head alone is fitted on, of at most so many images.


def complete(recipe: Recipe, images: int) -> Recipe:
    """Return the recipe with every `auto` replaced that depends on the number of images alone.

    Args:
        recipe: As the user wrote it.
        images: Training images.
    """
    small = images <= _MANY
    solver = (SOLVERS[0] if recipe.solves_head else "adam") if recipe.head_solver == AUTO else recipe.head_solver
    values: dict[str, object] = {
        "head_solver": solver,
        # Of no use to a solved head, unless it turns out too large to be solved and is trained by gradient.
        "patience": 3 if recipe.method == "frozen" else "none",
        # Of a thawed network that trained once more, nobody knows how good it is.
        "refit": "head",
        "batch_size": 32,
    }
    if solver == "adam":
        values |= {"head_epochs": 20 if small else 10, "head_lr": 1e-3}
    return _filled(recipe, values)


@dataclass(frozen=True)
class Situation:
    """What the choice of fine-tuning depends on.

    Attributes:
        images: Training images.
        classes: Classes; 1 of tasks other than one class an image.
        score: Cross-validated (or validation) accuracy of the head; None of tasks other than one class an image.
        enlarged: How many times the short side of the median image is enlarged to the input size.
        gflops: Of one image's forward pass on a processor; 0 on what is faster.
    """

    images: int
    classes: int
    score: float | None
    enlarged: float
    gflops: float = 0.0


def fine_tuning(recipe: Recipe, base: Base, situation: Situation) -> tuple[Recipe, str]:
    """Return the recipe with what fine-tunes the base filled in, and in words why.

    Args:
        recipe: With some of these at `auto`.
        base: Row of the base that is transferred.
        situation: Known once the head was fitted.
    """
    teraflops = situation.images * situation.gflops / 1000
    epochs, views = max(_EPOCHS, min(_EPOCHS_OF_FEW, round(_SEEN / situation.images))), _VIEWS_OF_FEW
    if situation.images >= _MANY or teraflops * epochs > _HEAVY:
        epochs, views = _EPOCHS, _VIEWS
    heavy = teraflops * epochs > _HEAVY
    why, thaw = _depth(base, situation, heavy, recipe.teacher != "none")
    if recipe.thaw != AUTO:
        why, thaw = "As asked", recipe.thaw
    if not recipe.fine_tunes:
        why, thaw = "As asked, nothing is fine-tuned", "none"
    gentle = any(word in base.name for word in _GENTLE)
    alone = _HEAD_VIEWS if situation.images <= _HEAD_VIEWS_IMAGES else 1
    block = base.thawed(thaw)
    from_pixels = block is not None and not block.boundary  # Nothing is frozen, so nothing can be stored.
    if from_pixels and recipe.views != 1 and recipe.augment != "none":
        recipe = recipe.replace(views=FRESH)
    # A teacher's answers are no certainties as they are.
    smooth = thaw != "none" and situation.score is not None and recipe.teacher == "none"
    values: dict[str, object] = {
        "fine_tune_epochs": epochs,
        "fine_tune_lr": _GENTLE_RATE if gentle else _RATE,
        "label_smoothing": _SMOOTHING if smooth else 0.0,
        "views": alone if thaw == "none" else views,
    }
    if recipe.augment == "none" and recipe.views != FRESH:
        recipe = recipe.replace(views=1)  # All views would be the image itself.
    recipe = recipe.without_fine_tuning() if thaw == "none" else recipe.replace(thaw=thaw)
    return _filled(recipe, values), why


def expects_gain(base: Base, situation: Situation) -> bool:
    """Return whether fine-tuning the base is likely to gain, whatever is asked for; of tasks other than one class an
    image, nobody measured it.
    """
    return situation.score is not None and _depth(base, situation, heavy=False)[1] != "none"


def _depth(base: Base, situation: Situation, heavy: bool, taught: bool = False) -> tuple[str, str]:
    """Return why, in words, and from which block on the base is fine-tuned.

    Args:
        base: Of the table.
        situation: Known once the head was fitted.
        heavy: Whether a processor would take too long over more than the last stage.
        taught: Whether there is a teacher, from which nothing but fine-tuning learns.
    """
    images, score = situation.images, situation.score
    a_class = images / situation.classes
    deep = base.blocks[len(base.blocks) - max(1, round(_DEEP * len(base.blocks)))].name
    if score is None:
        return "The last stage", base.top
    head = f"{images:,} images, the head at {score:.2f} in cross-validation"
    enlarged = situation.enlarged >= _ENLARGED
    if not taught and a_class < (_FEW_A_CLASS_ENLARGED if enlarged else _FEW_A_CLASS):
        return f"{head}: {a_class:.0f} images a class are too few to fine-tune on", "none"
    if not taught and score >= _SOLVED and images < _MANY:
        return f"{head}: little is left to gain by fine-tuning", "none"
    if enlarged:
        head += f", images enlarged {situation.enlarged:.1f} times"
    elif not taught and score >= _NEAR and images < _MANY:
        return f"{head}: fine-tuning gains nothing on images so like ImageNet's", "none"
    if taught:
        head += "; a solved head learns nothing of a teacher"
    if heavy:
        return f"{head}; a processor would take long over more than the last stage (--thaw {deep})", base.top
    return head, deep


def _filled(recipe: Recipe, values: dict[str, object]) -> Recipe:
    return recipe.replace(**{name: value for name, value in values.items() if getattr(recipe, name) == AUTO})


def input_size(recipe: Recipe, native: int, least: int, short_side: float | None = None, base: str = "") -> int:
    """Return the input side, px: the base's own, a smaller one for small pictures and for the built-in sample.

    Args:
        recipe: May have one.
        native: The base's own.
        least: That the base takes.
        short_side: Of the median picture, px; None where nobody knows.
        base: Its name.
    """
    if recipe.size != AUTO:
        return int(recipe.size)
    if recipe.data == "digits":
        return max(_DIGITS_SIZE, least)
    if short_side is None:
        return native
    enough = math.ceil(_LESS_ENLARGED.get(base, _MOST_ENLARGED) * short_side / _STEP) * _STEP
    return min(native, max(least, enough))


def interpolation(recipe: Recipe, base: str, short_side: float | None, a_class: float) -> str:
    """Return how pictures are enlarged.

    Args:
        recipe: With its size; may say how.
        base: Name of its base.
        short_side: Of the median picture, px; None where nobody knows.
        a_class: Images of each class, those for validation among them.
    """
    if recipe.enlarge != AUTO:
        return recipe.enlarge
    bilinear, bicubic = INTERPOLATIONS
    enlarged = short_side is not None and int(recipe.size) >= _ENLARGED * short_side
    return bicubic if enlarged and base in _CUBIC and a_class >= _CUBIC_A_CLASS else bilinear
