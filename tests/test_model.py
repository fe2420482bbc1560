"""The bundled network is what its manifest, the README and the model card say it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import run_dogsort

from dogsort.network.engines import probabilities_of
from dogsort.network.weights import load_network, load_weights
from dogsort.training.dataset import find_labelled
from dogsort.training.figures import Share
from dogsort.training.finish import logits_of
from dogsort.training.pixels import decode_all

ROOT = Path(__file__).parent.parent
FIGURES = load_weights().manifest["figures"]

#: Figures are made again to within a tenth of a point, or 0.001 where they are no share.
TOLERANCE = 0.001


@pytest.fixture(scope="module")
def measured(data):
    run = run_dogsort("eval", data / "val", "-o", "-", "--device", "cpu")
    assert run.returncode == 0, run.stderr.decode()
    return json.loads(run.stdout)


def assert_alike(measured, stated, where):
    if isinstance(measured, dict):
        assert measured.keys() == stated.keys(), where
        for name, value in measured.items():
            assert_alike(value, stated[name], f"{where}/{name}")
    elif isinstance(measured, float):
        assert measured == pytest.approx(stated, abs=TOLERANCE), where
    elif "confusion" not in where and not where.endswith(("/count",)):
        assert measured == stated, where


def test_manifest_figures_can_be_made_again(measured):
    stated = {name: value for name, value in FIGURES.items() if name in measured}
    assert stated.keys() == measured.keys()
    assert_alike(measured, stated, "")


def kaggle(figures, name):
    """Join both folders of Kaggle photos, which hold the same kind."""
    parts = [figures["folders"][folder] for folder in ("kaggle", "kaggle_squashed")]
    if name == "log_loss":
        return np.average([p[name]["value"] for p in parts], weights=[p["photos"] for p in parts])
    return Share(*(sum(part[name][key] for part in parts) for key in ("count", "total")))


def test_the_network_is_good_enough_to_ship(measured):
    """The bounds of what was promised."""
    folders = measured["folders"]
    assert kaggle(measured, "accuracy").value >= 0.992
    assert kaggle(measured, "log_loss") <= 0.026
    assert folders["web"]["accuracy"]["value"] >= 0.985
    assert measured["neither_labelled"]["value"] <= 0.02
    assert folders["furry"]["neither_labelled"]["value"] <= 0.06
    assert measured["pets_labelled"]["value"] >= 0.96
    assert measured["labelled_wrongly"]["value"] <= 0.005
    assert measured["calibration_dog"]["value"] <= 0.01
    assert measured["calibration_pet"]["value"] <= 0.01


def share_text(share):
    low, high = share.interval()
    return f"{share.value:.2%} ({low * 100:.2f}-{high * 100:.2f})"


@pytest.mark.parametrize("document", ["README.md", "pretrained/MODEL_CARD.md"])
def test_documents_say_what_the_manifest_says(document):
    text = (ROOT / document).read_text()
    shares = [kaggle(FIGURES, "accuracy")]
    shares += [
        Share(figure["count"], figure["total"])
        for figure in (
            FIGURES["folders"]["web"]["accuracy"],
            FIGURES["folders"]["furry"]["neither_labelled"],
            FIGURES["neither_labelled"],
            FIGURES["pets_labelled"],
            FIGURES["labelled_wrongly"],
        )
    ]
    for expected in (*map(share_text, shares), f"{kaggle(FIGURES, 'log_loss'):.4f}"):
        assert expected in text


def test_both_engines_agree_on_real_photos(data, classifier, tmp_path):
    photos = [
        photo
        for folder in ("kaggle/dog", "web/cat", "neither/furry")
        for photo in find_labelled([str(data / "val" / folder)])[:60]
    ]
    weights = load_weights()
    cache = decode_all(photos, weights.input_size, str(tmp_path / "pixels.npy"))
    logits = logits_of(load_network(weights), cache.batches(), "cpu")
    torch_says = probabilities_of(logits, weights.scaling)
    records = classifier.predict(photo.path for photo in photos)
    onnx_says = [(record.p_dog, record.p_pet) for record in records]
    np.testing.assert_allclose(torch_says, onnx_says, atol=1e-4)
