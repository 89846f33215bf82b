import keras_transfer as kt


def test_what_folds_compute_is_work_of_the_run(photos, tiny_base, tmp_path, fresh_cache):
    options = {"method": "frozen", "folds": 3, "views": 1, "engine": "tensorflow", "output": str(tmp_path / "m")}
    metrics = kt.fit(str(photos), progress=kt.Progress(quiet=True), base=tiny_base, **options).metrics
    assert (metrics["images_through_the_base"], metrics["engine"]) == (42, "tensorflow")
