"""Count the labels in an album, and show the dog and the cat with the highest confidence.

python examples/album_report.py examples/photos
"""

import sys
from collections import Counter

from dogsort import Classifier, Prediction


def main(folder: str) -> None:
    labels: Counter[str] = Counter()
    surest: dict[str, Prediction] = {}
    for record in Classifier().predict(folder):
        if not isinstance(record, Prediction):
            print(f"could not read {record.path}: {record.error}", file=sys.stderr)
            continue
        labels[record.label] += 1
        best = surest.get(record.label)
        if best is None or record.confidence > best.confidence:
            surest[record.label] = record
    print(", ".join(f"{count} {label}" for label, count in labels.most_common()))
    for label in ("dog", "cat"):
        if label in surest:
            print(f"surest {label}: {surest[label].path} ({surest[label].confidence:.1%})")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python album_report.py FOLDER")
    main(sys.argv[1])
