#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Boxes and their average precision by pycocotools (COCOeval): src/test/resources/fixtures/quality/detection.json.

Needs pycocotools 2.0.10 and numpy. Some scores and boxes are equal, one category is never found, one image has more than 100 boxes of a category, and recalls
and overlaps of one category lie on the thresholds.
"""

import contextlib
import io
import json
import pathlib

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

OUT = pathlib.Path(__file__).parent / "../resources/fixtures/quality/detection.json"
random = np.random.default_rng(5)
categories = ["cat", "dog", "never found", "false alarms", "whole pixels"]
truths, found = [], []
for image in range(12):
    for category in range(3):
        for _ in range(random.integers(0, 5)):
            box = [round(float(v), 2) for v in (*random.uniform(0, 80, 2), *random.uniform(5, 40, 2))]
            truths.append((image, category, box))
            for _ in range(random.integers(0, 4) if category < 2 else 0):
                moved = [round(v + float(random.normal(0, 2.5)), 2) for v in box]
                moved[2:] = [max(1.0, v) for v in moved[2:]]
                found.append((image, category, moved, round(float(random.uniform(0, 1)), 1 if image < 4 else 4)))
            if random.uniform() < 0.2 and category < 2:
                found.append((image, category, box, 0.5))
    found.append((image, 3, [1.0, 2.0, 3.0, 4.0], 0.9))
for i in range(130):
    found.append((3, 0, [round(float(v), 2) for v in random.uniform(1, 50, 4)], round(float(random.uniform(0, 1)), 4)))
# Recalls and overlaps that lie on thresholds: what numpy's linspace rounds up is not reached.
for i in range(40):
    truths.append((i % 12, 4, [100.0 + 30 * (i // 12), 0.0, 20.0, 20.0]))
for i in range(14):
    found.append((i % 12, 4, [100.0 + 30 * (i // 12), 0.0, 20.0, [20.0, 19.0, 18.0, 17.0, 16.0, 15.0, 14.0, 13.0, 12.0, 11.0][i % 10]], round(0.9 - i / 100, 2)))

coco = COCO()
coco.dataset = {
    "images": [{"id": i + 1} for i in range(12)],
    "categories": [{"id": i + 1, "name": n} for i, n in enumerate(categories)],
    "annotations": [
        {"id": n + 1, "image_id": i + 1, "category_id": c + 1, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
        for n, (i, c, b) in enumerate(truths)
    ],
}
with contextlib.redirect_stdout(io.StringIO()):
    coco.createIndex()
    results = coco.loadRes([{"image_id": i + 1, "category_id": c + 1, "bbox": b, "score": s} for i, c, b, s in found])
    measured = COCOeval(coco, results, "bbox")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
precision = measured.eval["precision"][:, :, :, 0, 2]  # thresholds, recalls, categories; all sizes, at most 100
OUT.write_text(
    json.dumps(
        {
            "categories": categories,
            "truths": truths,
            "found": found,
            "mean": measured.stats[0],
            "at50": measured.stats[1],
            "at75": measured.stats[2],
            "byCategory": {n: float(precision[:, :, i].mean()) for i, n in enumerate(categories) if precision[0, 0, i] >= 0},
        }
    )
    + "\n"
)
