"""``dogsort info``: version, weights and their figures, device, engine, readable formats."""

from __future__ import annotations

import platform
from typing import Any

import click

import dogsort
from dogsort.cli.options import HELP, device_option, examples, weights_option

__all__ = ["info"]


@click.command(
    "info",
    context_settings=HELP,
    epilog=examples("dogsort info", "dogsort info --device cpu"),
    short_help="Show version, weights, device and readable formats.",
)
@weights_option
@device_option
def info(weights: str | None, device: str) -> int:
    """Show the version, the weights and their figures, the device, and readable formats."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dogsort.classifier import Classifier
    from dogsort.photos.decode import readable_formats
    from dogsort.photos.limits import MAX_PIXELS

    classifier = Classifier(weights, device)
    loaded, engine = classifier.weights, classifier.engine
    manifest = loaded.manifest
    table = Table.grid(padding=(0, 2))
    rows = {
        "dogsort": f"{dogsort.__version__} (Python {platform.python_version()})",
        "weights": str(loaded.folder),
        "network": f"{manifest['architecture']['name']}, dense layer of {loaded.hidden}, "
        f"input {loaded.input_size} x {loaded.input_size}",
        "thresholds": f"a label needs {loaded.thresholds.confidence:g} confidence, and "
        f"{loaded.thresholds.species:g} of dog against cat or cat against dog",
        "clipping": f"submissions stay within {loaded.clip:g} and {1 - loaded.clip:g}",
        "figures": _figures(manifest["figures"]),
        "device": f"{engine.device}: {engine.reason}",
        "engine": engine.name,
        "decoding": f"{classifier.workers} threads, photos up to {MAX_PIXELS // 10**6} megapixels",
        "formats": ", ".join(readable_formats()),
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    Console(soft_wrap=True).print(table)
    return 0


def _figures(figures: dict[str, Any]) -> str:
    """Say the single figures of a manifest, such as ``accuracy 98.80%``."""
    said = [f"on {figures['photos']} photos"] if "photos" in figures else []
    for name, figure in figures.items():
        if isinstance(figure, dict) and isinstance(figure.get("value"), float):
            value = figure["value"]
            shown = f"{value:.2%}" if "count" in figure else f"{value:.4f}"
            said.append(f"{name.replace('_', ' ')} {shown}")
    return "; ".join(said)
