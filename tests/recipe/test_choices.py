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


def before(requested, **complete):
    recipe = requested.replace(**({"head_solver": "newton-cg", "refit": "head"} | complete))
    return choices.before_training(recipe, recipe.head_solver, choices.left_open(requested), choices.asked(requested))


def test_what_is_chosen_and_asked_for_is_said_apart_before_training():
    requested = Recipe(dropout=0.2, split="80/10/10", group_duplicates=True, size=96, seed=3)
    assert before(requested, head_solver="adam") == [
        "Chosen automatically: head trained by Adam.",
        "Whether the base is fine-tuned is decided once the head is fitted.",
        "As asked: --group-duplicates --split 80/10/10 --dropout 0.2.",
    ]


def test_without_options_nothing_was_asked_for():
    lines = before(Recipe())
    assert lines[0].startswith("Chosen automatically: linear head (Newton-CG), solved again")
    assert not any(line.startswith("As asked") for line in lines)


def test_a_block_that_was_asked_for_is_not_said_to_be_chosen():
    _, asked = before(Recipe(thaw="2"))
    assert asked == "As asked: --thaw 2."


@pytest.mark.parametrize(("thaw", "unless"), [("auto", True), ("2", True), ("none", False)])
def test_a_head_is_not_promised_to_be_solved_again_where_another_network_may_be_kept(thaw, unless):
    assert ("unless a fine-tuned network is kept" in before(Recipe(thaw=thaw))[0]) == unless


def test_what_was_asked_for_can_be_typed_again():
    requested = Recipe(group_by="patient v1.0", dense="256,128", minutes="5", split="33.3/33.3/33.4")
    *_, asked = before(requested, head_solver="adam")
    assert asked == "As asked: --group-by 'patient v1.0' --split 33.3/33.3/33.4 --dense 256,128 --minutes 5."


def test_in_python_what_was_asked_for_reads_as_arguments(monkeypatch):
    monkeypatch.setattr(program, "_from_command_line", False)
    *_, asked = before(Recipe(method="frozen", views=1, split="80/10/10"))
    assert asked == "As asked: split=(80.0, 10.0, 10.0), method='frozen', views=1."


@pytest.mark.parametrize(("augment", "told"), [("default", True), ("none", False)])
def test_one_view_is_said_to_augment_nothing(augment, told):
    lines = before(Recipe(views=1, augment=augment))
    assert any(line.startswith("Nothing is augmented") for line in lines) == told


def after(requested, thawed="none", last="refit", **complete):
    metrics = {"automatic": choices.left_open(requested), "asked": choices.asked(requested), "thawed": thawed}
    smoothing = 0.0 if thawed == "none" else COMPLETE.label_smoothing
    recipe = COMPLETE.replace(thaw=thawed, method=requested.method, label_smoothing=smoothing, **complete)
    return choices.after_training(recipe, metrics | {"phases": [{"name": "head"}, {"name": last}]})


@pytest.mark.parametrize(
    ("asked", "thawed", "last", "lines"),
    [
        (
            {},
            "block5",
            "fine-tune",
            [
                "Chosen automatically: linear head (Newton-CG), fine-tuned: block5 and above for 3 epochs at a "
                "learning rate of 0.0001, 4 views, label smoothing 0.1, batches of 32."
            ],
        ),
        (
            {"thaw": "all", "fine_tune_epochs": 3, "views": 4},
            "all",
            "refit",
            [
                "Chosen automatically: linear head (Newton-CG), solved again with the validation images at the end, "
                "fine-tuned at a learning rate of 0.0001, label smoothing 0.1, batches of 32.",
                "As asked: --thaw all --fine-tune-epochs 3 --views 4.",
                "Fine-tuning: all blocks.",
            ],
        ),
        (
            {"refit": "head"},
            "none",
            "refit",
            [
                "Chosen automatically: linear head (Newton-CG), nothing fine-tuned, 4 views.",
                "As asked: --refit head.",
            ],
        ),
    ],
)
def test_choices_are_whole_words_after_training(asked, thawed, last, lines):
    assert after(Recipe(**asked), thawed, last) == lines


def test_what_was_asked_for_is_said_as_it_was_where_a_run_had_to_do_otherwise():
    chosen, *lines = after(Recipe(minutes=5, views=8), views=3)
    assert lines == ["As asked: --views 8 --minutes 5."]
    assert "view" not in chosen


@pytest.mark.parametrize("method", ["full", "scratch"])
def test_a_method_without_a_phase_of_the_head_solves_none(method):
    chosen, asked = after(Recipe(method=method), "all", method, views="fresh")
    assert chosen.startswith("Chosen automatically: trained for 3 epochs at a learning rate of 0.0001, fresh views")
    assert asked == f"As asked: --method {method}."


@pytest.mark.parametrize("options", [{"method": "frozen"}, {"fine_tune_epochs": 0}])
def test_where_it_was_asked_for_nothing_fine_tuned_is_no_choice(options):
    chosen, asked = after(Recipe(**options), fine_tune_epochs=options.get("fine_tune_epochs", 3))
    assert chosen.startswith("Chosen automatically: ")
    assert asked.startswith("As asked: ")
    assert "nothing fine-tuned" not in chosen


def test_a_head_for_numbers_is_a_ridge_regression():
    metrics = {
        "automatic": ["head_solver"],
        "asked": {},
        "thawed": "none",
        "phases": [{"name": "head", "solver": "ridge"}],
    }
    recipe = Recipe(method="frozen", head_solver="newton-cg")
    assert choices.before_training(recipe, "ridge", ["head_solver"], {}) == ["Chosen automatically: ridge regression."]
    assert choices.after_training(recipe, metrics) == ["Chosen automatically: ridge regression."]
