"""The bundled network is what its manifest, the README and the model card say it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import run_dogsort

from dogsort.network.engines import probabilities_of
from dogsort.network.weights import load_network, load_weights
from dogsort.training.dataset import find_labelled
from dogsort.training.figures import Share
from dogsort.training.finish import dog_and_cat_pairs, logits_of
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


def number_text(figure):
    return f"{figure['value']:.4f} ({figure['low']:.4f}-{figure['high']:.4f})"


def test_the_card_has_the_other_figures_too():
    text = (ROOT / "pretrained/MODEL_CARD.md").read_text()
    for name in ("calibration_dog", "calibration_pet", "roc_auc_dog", "roc_auc_pet"):
        assert f"| {number_text(FIGURES[name])} |" in text, name
    for name in ("precision", "recall"):
        for label, figure in FIGURES[name].items():
            share = Share(figure["count"], figure["total"])
            assert (
                f"| {name} of `{label}` at the bar | {share.total:,} |  |  | {share_text(share)} |"
                in text
            )
    for truth, counts in FIGURES["confusion"].items():
        assert f"| {truth} | " + " | ".join(f"{count:,}" for count in counts.values()) in text
    prose = " ".join(text.split())
    assert f"({FIGURES['pairs_labelled']['value']:.1%} did)" in prose
    recipe = load_weights().manifest["recipe"]
    assert f"{recipe['suspects']} of {recipe['training_photos'] + recipe['suspects']:,}" in prose


def test_pictures_of_both_come_out_as_the_manifest_says(data, classifier, tmp_path):
    weights = load_weights()
    photos = find_labelled([str(data / "val")])
    cache = decode_all(photos, weights.input_size, str(tmp_path / "pixels.npy"))
    pairs = dog_and_cat_pairs(cache, weights.manifest["recipe"]["seed"])
    records = classifier.predict_images(picture for batch in pairs for picture in batch)
    labelled = [record.label in ("dog", "cat") for record in records]
    assert len(labelled) == FIGURES["pairs_labelled"]["total"]
    assert np.mean(labelled) == pytest.approx(FIGURES["pairs_labelled"]["value"], abs=0.005)


@pytest.mark.slow
def test_packaging_tells_what_the_card_says(data):
    """Of changed copies: which animal, pets labelled, others labelled; and the change in points."""
    folders = [data / "val" / name for name in ("web", "neither")]
    run = run_dogsort("eval", *folders, "--robustness", "-o", "-", "--device", "cpu", timeout=900)
    assert run.returncode == 0, run.stderr.decode()
    measured = json.loads(run.stdout)
    text = (ROOT / "pretrained/MODEL_CARD.md").read_text()
    for copies, figures in measured["changed"].items():
        row = re.search(rf"\| {re.escape(copies)} \|(.+)", text)
        assert row is not None, copies
        stated = [float(value) for value in re.findall(r"([\d.]+)%", row[1])]
        found = [
            figures[name]["value"] for name in ("accuracy", "pets_labelled", "neither_labelled")
        ]
        # Another processor's rounding moves a photo or two of 345.
        assert [100 * value for value in found] == pytest.approx(stated, abs=0.6), copies


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
