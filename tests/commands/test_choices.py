import pytest

from keras_transfer.commands.choices import choices
from keras_transfer.recipe.recipe import Recipe

COMPLETE = Recipe(
    head_solver="newton-cg",
    thaw="block5",
    fine_tune_epochs=3,
    fine_tune_lr=1e-4,
    views=4,
    label_smoothing=0.1,
    batch_size=32,
    refit="on",
)


@pytest.mark.parametrize(
    ("asked", "thawed", "lines"),
    [
        (
            (),
            "block5",
            [
                "Chosen automatically: linear head (Newton-CG), fine-tune block5 and above for 3 epochs at a learning "
                "rate of 0.0001, 4 views, label smoothing 0.1, batches of 32, refit on."
            ],
        ),
        (
            ("fine_tune_epochs", "views"),
            "all",
            [
                "Chosen automatically: linear head (Newton-CG), fine-tune all blocks at a learning rate of 0.0001, "
                "label smoothing 0.1, batches of 32, refit on.",
                "As asked: fine-tune for 3 epochs, 4 views.",
            ],
        ),
        (
            (),
            "none",
            ["Chosen automatically: linear head (Newton-CG), nothing fine-tuned, 4 views, refit on."],
        ),
    ],
)
def test_choices_are_whole_words(asked, thawed, lines):
    names = (
        "head_solver",
        "thaw",
        "fine_tune_epochs",
        "fine_tune_lr",
        "views",
        "label_smoothing",
        "batch_size",
        "refit",
    )
    automatic = [name for name in names if name not in asked]
    recipe = COMPLETE.replace(thaw=thawed)
    assert choices({"thawed": thawed, "automatic": automatic}, recipe) == lines


def test_minutes_that_were_asked_for_are_named():
    recipe = COMPLETE.replace(refit="off", minutes=2.5)
    *_, asked = choices({"thawed": "block5", "automatic": ["head_solver", "views"]}, recipe)
    assert asked.endswith("refit off, at most 2.5 minutes.")
