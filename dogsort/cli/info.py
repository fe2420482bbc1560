"""``dogsort info``: version, weights and their figures, device, engine, formats, cache."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import click

import dogsort
from dogsort.cli.console import Console
from dogsort.cli.options import command, device_option, weights_option
from dogsort.results.cache import Cache
from dogsort.results.output import write_text
from dogsort.results.text import printable, size_text

__all__ = ["info"]

SUMMARY = "Show version, weights, device, readable formats and the cache."


@command("info", "dogsort info", "dogsort info --device cpu --json", short_help=SUMMARY)
@weights_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON, for programs.")
def info(weights: str | None, device: str, as_json: bool) -> int:
    """Show the version, the weights and their figures, the device, formats, and the cache.

    --json prints one object with these keys: dogsort and python (versions); weights (the folder);
    network, hidden (the width of its dense layer) and input_size; thresholds (confidence,
    species); clip; figures, as dogsort eval -o writes them; device, and the reason for it; engine;
    workers; max_pixels of a photo; formats; and cache (path, photos, bytes, trouble if any).
    """
    from dogsort.classifier import Classifier
    from dogsort.photos.decode import readable_formats
    from dogsort.photos.limits import MAX_PIXELS

    classifier = Classifier(weights, device)
    loaded, engine = classifier.weights, classifier.engine
    with closing(Cache()) as cache:
        photos = cache.count()
    size = cache.path.stat().st_size if cache.path.is_file() else 0
    kept = {"path": str(cache.path), "photos": photos, "bytes": size, "trouble": cache.trouble}
    known = {
        "dogsort": dogsort.__version__,
        "python": platform.python_version(),
        "weights": str(loaded.folder),
        "network": loaded.manifest["architecture"]["name"],
        "hidden": loaded.hidden,
        "input_size": loaded.input_size,
        "thresholds": loaded.thresholds._asdict(),
        "clip": loaded.clip,
        "figures": loaded.manifest["figures"],
        "device": engine.device,
        "reason": engine.reason,
        "engine": engine.name,
        "workers": classifier.workers,
        "max_pixels": MAX_PIXELS,
        "formats": readable_formats(),
        "cache": kept,
    }
    if as_json:
        write_text("-", json.dumps(known, indent=2) + "\n")
    else:
        Console().table([*_rows(known)], has_head=False, figures=False)
    return 0


def _rows(known: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the same as readable rows."""
    size, thresholds, clip = known["input_size"], known["thresholds"], known["clip"]
    cache, megapixels = known["cache"], known["max_pixels"] // 10**6
    content = f"{cache['photos']} photos, {size_text(cache['bytes'])}"
    trouble = f"cannot be used: {cache['trouble']}"
    yield "dogsort", f"{known['dogsort']} (Python {known['python']})"
    yield "weights", printable(known["weights"])
    yield "network", f"{known['network']}, dense layer of {known['hidden']}, input {size} x {size}"
    yield (
        "thresholds",
        f"a label needs a confidence of {thresholds['confidence']:g}; dog or cat also needs "
        f"{thresholds['species']:g} against the other",
    )
    yield "clipping", f"submissions stay between {clip:g} and {1 - clip:g}"
    yield "figures", _figures(known["figures"])
    yield "device", f"{known['device']}: {known['reason']}"
    yield "engine", known["engine"]
    yield "decoding", f"{known['workers']} threads, photos up to {megapixels} megapixels"
    yield "formats", ", ".join(known["formats"])
    yield "cache", printable(f"{cache['path']}: {trouble if cache['trouble'] else content}")


def _figures(figures: dict[str, Any]) -> str:
    """Return the single figures of a manifest as text, such as ``accuracy 98.80%``."""
    said = [f"on {figures['photos']} photos"] if "photos" in figures else []
    for name, figure in figures.items():
        if isinstance(figure, dict) and isinstance(figure.get("value"), float):
            shown = f"{figure['value']:{'.2%' if 'count' in figure else '.4f'}}"
            said.append(f"{name.replace('_', ' ')} {shown}")
    return "; ".join(said)
