import pytest

from keras_transfer.recipe import choices
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import program

COMPLETE = Recipe(
    head_solver="newton-cg",
    thaw="block5",
    fine_tune_epochs=3,
    fine_tune_lr=1e-4,
    views=4,
    label_smoothing=0.1,
    batch_size=32,
    refit="head",
)
OPEN = choices.automatic(Recipe())


def test_what_is_chosen_and_asked_for_is_said_apart_before_training():
    requested = Recipe(dropout=0.2, split="80/10/10", group_duplicates=True, size=96, seed=3)
    recipe = requested.replace(head_solver="adam", refit="head")
    assert choices.before_training(recipe, choices.automatic(requested)) == [
        "Chosen automatically: head trained by Adam.",
        "Whether the base is fine-tuned is decided once the head is fitted.",
        "As asked: --group-duplicates --split 80/10/10 --dropout 0.2.",
    ]


def test_in_python_what_was_asked_for_reads_as_arguments(monkeypatch):
    monkeypatch.setattr(program, "_from_command_line", False)
    recipe = Recipe(method="frozen", views=1, split="80/10/10")
    assert choices.asked(recipe, choices.automatic(recipe)) == [
        "As asked: split=(80.0, 10.0, 10.0), method='frozen', views=1."
    ]


def test_without_options_nothing_was_asked_for():
    lines = choices.before_training(Recipe(head_solver="newton-cg", refit="head"), OPEN)
    assert lines[0].startswith("Chosen automatically: linear head (Newton-CG), solved again")
    assert not any(line.startswith("As asked") for line in lines)


def test_a_block_that_was_asked_for_is_not_said_to_be_chosen():
    recipe = Recipe(head_solver="newton-cg", refit="head", thaw="2")
    _, asked = choices.before_training(recipe, choices.automatic(Recipe(thaw="2")))
    assert asked == "As asked: --thaw 2."


@pytest.mark.parametrize(("augment", "told"), [("default", True), ("none", False)])
def test_one_view_is_said_to_augment_nothing(augment, told):
    recipe = COMPLETE.replace(views=1, augment=augment)
    lines = choices.before_training(recipe, choices.automatic(Recipe(views=1)))
    assert any(line.startswith("Nothing is augmented") for line in lines) == told


@pytest.mark.parametrize(
    ("asked", "thawed", "lines"),
    [
        (
            (),
            "block5",
            [
                "Chosen automatically: linear head (Newton-CG), solved again with the validation images at the end, "
                "fine-tuned: block5 and above for 3 epochs at a learning rate of 0.0001, 4 views, label smoothing 0.1, "
                "batches of 32."
            ],
        ),
        (
            ("thaw", "fine_tune_epochs", "views"),
            "all",
            [
                "Chosen automatically: linear head (Newton-CG), solved again with the validation images at the end, "
                "fine-tuned at a learning rate of 0.0001, label smoothing 0.1, batches of 32.",
                "As asked: --thaw all --fine-tune-epochs 3 --views 4.",
                "Fine-tuned: all blocks.",
            ],
        ),
        (
            ("refit",),
            "none",
            [
                "Chosen automatically: linear head (Newton-CG), nothing fine-tuned, 4 views.",
                "As asked: --refit head.",
            ],
        ),
    ],
)
def test_choices_are_whole_words_after_training(asked, thawed, lines):
    recipe = COMPLETE.replace(thaw=thawed)
    assert choices.after_training(recipe, [name for name in OPEN if name not in asked], thawed) == lines


@pytest.mark.parametrize("options", [{"method": "frozen"}, {"fine_tune_epochs": 0}])
def test_where_it_was_asked_for_nothing_fine_tuned_is_no_choice(options):
    recipe = COMPLETE.replace(thaw="none", **options)
    lines = choices.after_training(recipe, [name for name in OPEN if name not in options], "none")
    assert lines[0].startswith("Chosen automatically: ")
    assert lines[1].startswith("As asked: ")
    assert not any("nothing fine-tuned" in line for line in lines)
