"""Commands that serve a model: serve, request, export, and the listing of versions."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from keras_transfer.commands import layout, listings, tables
from keras_transfer.commands.group import cli
from keras_transfer.commands.shared import (
    data_name,
    debug_option,
    exit_with_errors,
    json_option,
    load_tensorflow_for,
    quiet_option,
)
from keras_transfer.exports import formats
from keras_transfer.support import strict_json
from keras_transfer.support.errors import UsageError
from keras_transfer.support.logs import import_tensorflow
from keras_transfer.support.paths import absolute, shown
from keras_transfer.support.progress import Progress


@cli.command(example="serve saved_models/photos --embedded")
@click.argument("model")
@click.option("--name", help="Of the model, in addresses. [default: its folder's name]")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="Of the REST paths.")
@click.option("--host", help="Address that --embedded binds to. [default: 127.0.0.1]")
@click.option("--embedded", is_flag=True, help="Serve from this process, with the same REST paths.")
@click.option("--cors", metavar="ORIGIN", help="Let scripts of pages from there ask --embedded; '*' for any.")
@debug_option
def serve(
    model: str, name: str | None, port: int, host: str | None, embedded: bool, cors: str | None, debug: bool
) -> None:
    """Serve a model: by tensorflow_model_server if it is there, or print the line for Docker."""
    if cors is not None:
        _demand_origin(cors)
    from keras_transfer.serving import launch
    from keras_transfer.versions import folders

    folder = Path(absolute(str(folders.newest(model))))  # `.` has no name.
    if not folders.is_number(folder.name):
        raise UsageError(f"{shown(str(folder))!r} is no version in a model's folder.")
    newest = folders.newest(folder.parent).name
    if newest != folder.name:
        raise UsageError(
            f"What is served is a model's newest version, here {newest}. To serve {shown(str(folder))}, copy it to a "
            f"folder of its own, as {shown(f'{folder.parent}-{folder.name}')}/1, and serve that."
        )
    name = name or folder.parent.name
    if "/" in name:
        raise UsageError(f"--name is one part of an address, without '/'. Received: {name!r}.")
    if embedded:
        _serve_embedded(folder.parent, name, host or "127.0.0.1", port, cors)
        return
    if cors:
        raise UsageError("--cors is for --embedded. In front of TensorFlow Serving, a proxy adds such headers.")
    if host:
        raise UsageError("--host is for --embedded: TensorFlow Serving has no such option. Leave it out.")
    server, configuration = launch.binary(), launch.configuration()
    if server is None:
        click.echo("tensorflow_model_server is not on the PATH. With Docker:", err=True)
        click.echo(launch.docker_line(folder.parent, name, configuration, port))
        click.echo("Or, to write and test a client without either: --embedded.", err=True)
        sys.exit(1)
    os.execv(server, [server, *launch.server_arguments(folder.parent.resolve(), name, configuration, port)])


def _demand_origin(text: str) -> None:
    """Refuse what no browser sends as the origin of a page, and what would therefore never be let in."""
    scheme, _, host = text.partition("://")
    standard_port = {"http": ":80", "https": ":443"}.get(scheme)
    is_origin = re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\\,\sA-Z]+", text)
    if text != "*" and (not is_origin or (standard_port and host.endswith(standard_port))):
        raise UsageError(
            "--cors must be '*' or the origin of a page as browsers send it: scheme and host in lower case, and the "
            "port unless it is the standard one, without a path, as https://photos.example or http://localhost:8000. "
            f"Received: {text!r}."
        )


def _serve_embedded(model: Path, name: str, host: str, port: int, cors: str | None) -> None:
    missing = [module for module in ("starlette", "uvicorn", "prometheus_client") if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        raise UsageError(f"--embedded needs {names}: pip install starlette 'uvicorn[standard]' prometheus-client.")
    from keras_transfer.serving import listen

    # Programs that start a server read one line from it; a person at a terminal sees what it waits for.
    progress = Progress(quiet=not sys.stderr.isatty())
    with listen.bound(host, port) as listening:
        with progress.activity("Importing TensorFlow"):
            import_tensorflow()
        from keras_transfer.serving.server import application

        with progress.activity("Loading the model"):
            app = application(model, name, cors=cors)
        line = f"Serving {shown(str(model))} at {listen.address(host, port, name)}"
        listen.run(app, listening, lambda: click.echo(line, err=True))


@cli.command(example="request http://localhost:8501/v1/models/photos a.jpg b.png")
@click.argument("model_url")
@click.argument("images", nargs=-1, required=True)
@json_option
@debug_option
def request(model_url: str, images: tuple[str, ...], as_json: bool, debug: bool) -> None:
    """Ask a server, by REST (http://) or gRPC (grpc://HOST:PORT/NAME), what images (files, globs, folders) show."""
    from keras_transfer.data import sources
    from keras_transfer.serving import client

    files = sources.expand(images)
    predictions = client.request(model_url, files)
    records = [{"path": path, **outputs} for path, outputs in zip(files, predictions, strict=True)]
    if as_json:
        click.echo(strict_json.text({"model": model_url, "predictions": records}))
    else:
        click.echo(tables.predictions(records, {}, layout.width()))
    exit_with_errors(records)


@cli.command(example="export saved_models/photos --format litert --precision int8")
@click.argument("model")
@click.option("--format", "format", required=True, metavar="|".join(formats.SUFFIX), help="Format to write.")
@click.option("--precision", default="float32", metavar="|".join(formats.PRECISIONS), help="[default: float32]")
@click.option("-o", "--output", metavar="FILE", help="[default: assets.extra/exports of the version]")
@click.option("--data", help="Where the images of the run are now, if they have moved.")
@json_option
@quiet_option
@debug_option
def export(
    model: str,
    format: str,
    precision: str,
    output: str | None,
    data: str | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Write a model in another format, and compare it with the SavedModel on real images."""
    file = Path(output).expanduser() if output else None
    formats.demand(format, precision, file)
    progress = Progress(quiet)
    load_tensorflow_for(model, progress)
    from keras_transfer.exports.convert import export as run

    report = run(model, format, precision, file, progress, data)
    click.echo(strict_json.text(dataclasses.asdict(report)) if as_json else tables.exported(report, layout.width()))


@cli.command(example="models saved_models/")
@click.argument("folder", default="saved_models")
@json_option
@debug_option
def models(folder: str, as_json: bool, debug: bool) -> None:
    """List models and their versions, with base, test score, size and date."""
    from keras_transfer.versions.folders import listing

    versions = listing(folder)
    sources = [data_name(Path(version.model) / str(version.version)) for version in versions]
    if as_json:
        records = [
            dataclasses.asdict(version) | {"data": name} for version, name in zip(versions, sources, strict=True)
        ]
        click.echo(strict_json.text(records))
    else:
        click.echo(listings.models(versions, sources, layout.width()))
