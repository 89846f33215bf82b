"""The commands: click declarations, each calling one public function of the package.

TensorFlow is imported within the commands that need it, so that `--help`, listings and option errors answer at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_transfer import __version__, tables
from keras_transfer.errors import UsageError, UserError, nearest
from keras_transfer.paths import cache_folder
from keras_transfer.progress import Progress
from keras_transfer.recipe import Recipe, option_name

if TYPE_CHECKING:
    from keras_transfer.serving.saved import SavedClassifier

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": "KERAS_TRANSFER"}


class Commands(click.Group):
    """Commands that answer a user's mistake with one line, and an unknown name with the nearest right one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Name the nearest command for one that is not there."""
        if args and self.get_command(ctx, args[0]) is None:
            hint = nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _example(text: str) -> str:
    return f"Example: python cli.py {text}"


_BASE_OPTIONS = ("base", "data", "weights", "size", "resize", "seed", "pooling", "engine", "precision", "xla")


def _recipe_options(command: Callable[..., Any], names: tuple[str, ...] = ()) -> Callable[..., Any]:
    """One option for each field of the recipe, or for those named, checked there, not here."""
    for field in reversed(dataclasses.fields(Recipe)):
        if names and field.name not in names:
            continue
        if field.metadata.get("kind") == "flag":
            command = click.option(option_name(field), field.name, is_flag=True, help=field.metadata["help"])(command)
            continue
        shown = "/".join(str(choice) for choice in field.metadata.get("choices", ())) or "VALUE"
        note = (
            ""
            if "[default" in field.metadata["help"] or field.default in ("", None)
            else f" [default: {field.default}]"
        )
        option = click.option(
            option_name(field), field.name, metavar=shown, default=None, help=field.metadata["help"] + note
        )
        command = option(command)
    return command


_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_quiet = click.option("--quiet", is_flag=True, help="No progress.")
_debug = click.option("--debug", is_flag=True, help="Show the traceback of an error, and TensorFlow's log.")


@click.group(cls=Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="keras-transfer")
def cli() -> None:
    """Point it at a folder of labelled images, get back a tested classifier that serves."""


@cli.command(epilog=_example("fit --base mobilenet --data photos/ --output saved_models/photos"))
@_recipe_options
@click.option("--resume", is_flag=True, help="Back up after each epoch, and go on where an interrupted run left off.")
@_json
@_quiet
@_debug
def fit(resume: bool, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Transfer a base onto labelled images and write a version that serves."""
    recipe = _recipe(options)
    from keras_transfer.run import fit as run

    result = run(recipe, Progress(quiet), resume)
    if as_json:
        click.echo(json.dumps({"folder": str(result.folder), **result.metrics}, indent=2))
    else:
        click.echo(tables.run(result.metrics, result.recipe, str(result.folder)))


@cli.command(epilog=_example("evaluate saved_models/photos --data photos/"))
@click.argument("model")
@click.option("--data", help="Labelled images, as `fit` takes them. [default: what the model was fitted on]")
@_json
@_quiet
@_debug
def evaluate(model: str, data: str | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Measure a model on labelled images, leaving out those that it was trained on."""
    classifier = _load(model)
    source = data or classifier.metrics["data"]["source"]
    report = classifier.evaluate(source, Progress(quiet))
    click.echo(json.dumps(report, indent=2) if as_json else tables.evaluation(report, classifier.metrics, source))


@cli.command(epilog=_example("predict saved_models/photos a.jpg 'more/*.png' folder/"))
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@_json
@click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV.")
@_quiet
@_debug
def predict(model: str, images: tuple[str, ...], as_json: bool, as_csv: bool, quiet: bool, debug: bool) -> None:
    """Say what files, globs and folders of images show."""
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other.")
    from keras_transfer.data.sources import expand

    files = expand(images)
    classifier = _load(model)
    predictions = classifier.predict(files, Progress(quiet))
    if as_json:
        records = [prediction.record() for prediction in predictions]
        click.echo(json.dumps({"model": str(classifier.folder), "predictions": records}, indent=2))
    elif as_csv:
        from keras_transfer.serving.saved import write_predictions

        write_predictions(predictions, classifier.classes, sys.stdout)
    else:
        click.echo(tables.predictions([prediction.record() for prediction in predictions], classifier.metrics))
    if any(prediction.error for prediction in predictions):
        sys.exit(1)


_CHECK_OPTIONS = ("base", "weights", "task", "size", "group_by", "max_pixels", "allow_outside", "tfds_dir", "seed")


@cli.command(epilog=_example("check photos/ --html check.html --base resnet50"))
@click.argument("data")
@click.option("--html", metavar="FILE", help="Write the report as a page with thumbnails.")
@partial(_recipe_options, names=_CHECK_OPTIONS)
@_json
@_quiet
@_debug
def check(data: str, html: str | None, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Say what is wrong with labelled images before training: files, duplicates, leaks and, with --base, labels."""
    if html is not None and not Path(html).parent.is_dir():
        raise UsageError(f"--html must be a file in a folder that exists. Received: {html!r}.")
    recipe = _recipe({**options, "data": data})
    from keras_transfer.checking.check import check as run

    found = run(recipe, options["base"] is not None, html, Progress(quiet))
    click.echo(json.dumps(found.record(), indent=2) if as_json else tables.check(found))
    if html is not None and not as_json:
        click.echo(f"Wrote {html}.")


@cli.command(epilog=_example("features --base resnet50 --data photos/ -o features.npz"))
@partial(_recipe_options, names=_BASE_OPTIONS)
@click.option("-o", "--output", required=True, metavar="FILE", help="The .npz file to write.")
@_json
@_quiet
@_debug
def features(output: str, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:
    """Write the feature vectors of labelled images, for a classifier of your own."""
    file = Path(output)
    if file.suffix != ".npz" or not file.parent.is_dir():
        raise UsageError(f"--output must be an .npz file in a folder that exists. Received: {output!r}.")
    recipe = _recipe(options)
    from keras_transfer import quiet as silence

    silence.import_tensorflow()
    from keras_transfer import embedding

    count, width = embedding.write(recipe, file, Progress(quiet))
    report = {"file": output, "images": count, "features": width}
    click.echo(json.dumps(report) if as_json else f"Wrote {output}: {count} images, {width} features each.")


@cli.command(epilog=_example("serve saved_models/photos --embedded"))
@click.argument("model")
@click.option("--name", help="Of the model, in addresses. [default: its folder's name]")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="Of the REST paths.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that --embedded binds to.")
@click.option("--embedded", is_flag=True, help="Serve from this process, with the same REST paths.")
@_debug
def serve(model: str, name: str | None, port: int, host: str, embedded: bool, debug: bool) -> None:
    """Serve a model: by tensorflow_model_server if it is there, or print the line for Docker."""
    from keras_transfer.serving import launch, versions

    folder = versions.newest(model)
    if not folder.name.isdigit():
        raise UsageError(f"{str(folder)!r} is no version in a model's folder.")
    name = name or folder.parent.name
    if embedded:
        _serve_embedded(folder.parent, name, host, port)
        return
    configuration = cache_folder() / "serving"
    launch.write_configuration(configuration)
    server = launch.binary()
    if server is None:
        click.echo("tensorflow_model_server is not on the PATH. With Docker:", err=True)
        click.echo(launch.docker_line(folder.parent, name, configuration, port))
        click.echo("Or, to write and test a client without either: --embedded.", err=True)
        return
    os.execv(server, [server, *launch.server_arguments(folder.parent.resolve(), name, configuration, port)])


def _serve_embedded(model: Path, name: str, host: str, port: int) -> None:
    missing = [module for module in ("starlette", "uvicorn", "prometheus_client") if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        raise UsageError(f"--embedded needs {names}: pip install starlette 'uvicorn[standard]' prometheus-client.")
    from keras_transfer import quiet

    quiet.import_tensorflow()
    from keras_transfer.serving.server import serve as run

    click.echo(f"Serving {model} at http://{host}:{port}/v1/models/{name}", err=True)
    run(model, name, host, port)


@cli.command(epilog=_example("request http://localhost:8501/v1/models/photos a.jpg b.png"))
@click.argument("model_url")
@click.argument("images", nargs=-1, required=True)
@_json
@_debug
def request(model_url: str, images: tuple[str, ...], as_json: bool, debug: bool) -> None:
    """Ask a server, by REST (http://) or gRPC (grpc://HOST:PORT/NAME), what images show."""
    from keras_transfer.serving import client

    answers = client.request(model_url, images)
    records = [{"path": path, **found} for path, found in zip(images, answers, strict=True)]
    if as_json:
        click.echo(json.dumps({"model": model_url, "predictions": records}, indent=2))
    else:
        click.echo(tables.predictions(records, {}))
    if any(record.get("error") for record in records):
        sys.exit(1)


@cli.command(epilog=_example("export saved_models/photos --format litert --precision int8"))
@click.argument("model")
@click.option("--format", "kind", required=True, metavar="litert/onnx/openvino/keras", help="Form to write.")
@click.option("--precision", default="float32", metavar="float32/float16/int8", help="[default: float32]")
@click.option("-o", "--output", metavar="FILE", help="[default: assets.extra/exports of the version]")
@_json
@_quiet
@_debug
def export(model: str, kind: str, precision: str, output: str | None, as_json: bool, quiet: bool, debug: bool) -> None:
    """Write a model in another form, and compare it with the SavedModel on real images."""
    known = ("litert", "onnx", "openvino", "keras")
    if kind not in known:
        raise UsageError(f"--format must be one of {', '.join(known)}. Received: {kind!r}.{nearest(kind, known)}")
    _load_tensorflow_for(model)
    from keras_transfer.serving.convert import export as run

    report = run(model, kind, precision, Path(output) if output else None, Progress(quiet))
    click.echo(json.dumps(dataclasses.asdict(report), indent=2) if as_json else tables.exported(report))


@cli.command(epilog=_example("models saved_models/"))
@click.argument("folder", default="saved_models")
@_json
@_debug
def models(folder: str, as_json: bool, debug: bool) -> None:
    """List models and their versions, with base, test score, size and date."""
    from keras_transfer.serving.versions import listing

    found = listing(folder)
    click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2) if as_json else tables.models(found))


@cli.command(epilog=_example("bases --json"))
@_json
@_debug
def bases(as_json: bool, debug: bool) -> None:
    """List the bases that can be transferred, with size, cost and blocks."""
    from keras_transfer.bases import bases as rows

    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows()], indent=2))
    else:
        click.echo(tables.bases(rows()))


@cli.command(epilog=_example("cache --clear"))
@click.option("--clear", is_flag=True, help="Delete all stored activations.")
@_json
@_debug
def cache(clear: bool, as_json: bool, debug: bool) -> None:
    """Show or clear the stored activations."""
    from keras_transfer import cache as store

    if clear:
        freed = store.clear()
        click.echo(json.dumps({"freed_bytes": freed}) if as_json else f"Freed {freed / 1e6:.1f} MB.")
        return
    contents = store.contents()
    click.echo(json.dumps(contents, indent=2) if as_json else tables.cache(contents))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit code 2 for a wrong option, 1 for work that failed, no traceback unless `--debug`."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        cli.main(arguments, prog_name=Path(sys.argv[0]).name, standalone_mode=False)
    except UserError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("Interrupted; nothing was written.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _fail(
            f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]} (--debug shows where)", 1
        )


def _load(model: str) -> SavedClassifier:
    _load_tensorflow_for(model)
    from keras_transfer.serving.saved import SavedClassifier

    return SavedClassifier(model)


def _load_tensorflow_for(model: str) -> None:
    """Import TensorFlow, once it is known that there is such a model."""
    from keras_transfer import quiet
    from keras_transfer.serving import versions

    versions.newest(model)
    quiet.import_tensorflow()


def _recipe(options: dict[str, Any]) -> Recipe:
    """Return the recipe of the options given, its base and block checked before TensorFlow is imported."""
    from keras_transfer.bases import find

    recipe = Recipe(**{name: value for name, value in options.items() if value is not None})
    if not recipe.base.endswith(".keras"):
        find(recipe.base).thawed(recipe.thaw)
    return recipe


def _fail(text: str, code: int) -> None:
    click.echo(f"Error: {text}", err=True)
    sys.exit(code)
