#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Measures boxes by pycocotools (COCOeval), beside the measures that `examples/evaluate boxes` wrote.

    python check_detection.py out/detection-scenes/instances-held-out.json out/boxes

Needs pycocotools 2.0.11. Prints both; ends with 1 if any of them differs by more than 1e-9.
"""

import contextlib
import io
import json
import pathlib
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

annotations, report = sys.argv[1], pathlib.Path(sys.argv[2])
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO(annotations)
    measured = COCOeval(coco, coco.loadRes(str(report / "results.json")), "bbox")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
precision = measured.eval["precision"][:, :, :, 0, 2]  # thresholds, recalls, categories; all sizes, at most 100
names = [category["name"] for category in coco.loadCats(measured.params.catIds)]
theirs = {"mAP": measured.stats[0], "AP50": measured.stats[1], "AP75": measured.stats[2]}
theirs |= {name: precision[:, :, i].mean() for i, name in enumerate(names) if precision[0, 0, i] >= 0}
ours = json.loads((report / "measures.json").read_text())
ours |= ours.pop("byCategory")
if theirs.keys() != ours.keys():
    sys.exit(f"pycocotools measures {sorted(theirs)}, measures.json has {sorted(ours)}")
print("| | this project | pycocotools |\n| --- | --- | --- |")
for name in ours:
    print(f"| {name} | {ours[name]:.10f} | {theirs[name]:.10f} |")
different = [name for name in ours if abs(ours[name] - theirs[name]) > 1e-9]
sys.exit(f"different: {', '.join(different)}" if different else 0)
