"""Mix the features of two weights folders: mix_weights.py FIRST SECOND SHARE OUT

The mean of a fine-tuned network and its starting network is often better than either (Wortsman et
al. 2022, arXiv:2109.01903). SHARE, 0..1, is the weight of FIRST, whose head and calibration are
kept. Calibrate the result with `dogsort train --epochs 0 --start OUT`.
"""

import sys
from pathlib import Path

from dogsort.network.weights import load_network, load_weights
from dogsort.training.calibrate import calibration_of
from dogsort.training.export import export


def main(first: str, second: str, share: str, out: str) -> None:
    weights = load_weights(first)
    network = load_network(weights)
    others = load_network(load_weights(second)).features.state_dict()
    mixed = {
        name: value.lerp(others[name], 1 - float(share)) if value.is_floating_point() else value
        for name, value in network.features.state_dict().items()
    }
    network.features.load_state_dict(mixed)
    recipe = weights.manifest["recipe"] | {"mixed": f"{share} of {first} and the rest of {second}"}
    export(network, Path(out), weights.input_size, calibration_of(weights), {}, recipe)


if __name__ == "__main__":
    main(*sys.argv[1:])
