"""Starting TensorFlow Serving on a model: its own binary where there is one, and otherwise the line for Docker."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

from keras_transfer.serving.batching import MAX_BATCH, allowed_sizes
from keras_transfer.support.paths import cache_folder

_BATCHING = f"""max_batch_size {{ value: {MAX_BATCH} }}
batch_timeout_micros {{ value: 5000 }}
max_enqueued_batches {{ value: 64 }}
num_batch_threads {{ value: 2 }}
""" + "".join(f"allowed_batch_sizes: {size}\n" for size in allowed_sizes(MAX_BATCH))
_MONITORING = """prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""
_IMAGE = "tensorflow/serving"
_INSIDE = "/models"


def configuration() -> Path:
    """Return a folder with the configuration of TensorFlow Serving, which reads it when this process has ended: in the
    cache folder, or, where that cannot be written to, a temporary one that stays.
    """
    folder = cache_folder() / "serving"
    try:
        write_configuration(folder)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="keras_transfer-serving-"))
        write_configuration(folder)
    return folder


def write_configuration(folder: Path) -> tuple[Path, Path]:
    """Write the batching and monitoring configuration of TensorFlow Serving, and return the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    batching, monitoring = folder / "batching.txt", folder / "monitoring.txt"
    batching.write_text(_BATCHING, "utf-8")
    monitoring.write_text(_MONITORING, "utf-8")
    return batching, monitoring


def binary() -> str | None:
    """Return the path of `tensorflow_model_server`, if it is on the PATH."""
    return shutil.which("tensorflow_model_server")


def server_arguments(model: Path, name: str, configuration: Path, port: int) -> list[str]:
    """Return the arguments of `tensorflow_model_server`: REST on `port`, gRPC on the next one below it."""
    return [
        f"--model_name={name}",
        f"--model_base_path={model}",
        f"--rest_api_port={port}",
        f"--port={port - 1}",
        "--enable_batching=true",
        f"--batching_parameters_file={configuration / 'batching.txt'}",
        f"--monitoring_config_file={configuration / 'monitoring.txt'}",
    ]


def docker_line(model: Path, name: str, configuration: Path, port: int) -> str:
    """Return the shell line that serves the model in Docker, bound to loopback."""
    volumes = [f"{model.resolve()}:{_INSIDE}/{name}:ro", f"{configuration.resolve()}:/configuration:ro"]
    ports = [f"127.0.0.1:{port}:{port}", f"127.0.0.1:{port - 1}:{port - 1}"]
    parts = ["docker", "run", "--rm"]
    parts += [part for published in ports for part in ("-p", published)]
    parts += [part for volume in volumes for part in ("-v", volume)]
    inside = server_arguments(Path(f"{_INSIDE}/{name}"), name, Path("/configuration"), port)
    return shlex.join([*parts, "--entrypoint", "tensorflow_model_server", _IMAGE, *inside])
