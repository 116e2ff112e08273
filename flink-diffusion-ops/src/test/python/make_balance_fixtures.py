#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Measures of how evenly classes are spread, by NumPy: src/test/resources/fixtures/quality/balance.json."""

import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parent / "../resources/fixtures/quality/balance.json"
random = np.random.default_rng(11)
CASES = [
    ([120, 80, 100, 60], [0.25, 0.25, 0.25, 0.25]),
    ([500, 30, 20, 50], [0.4, 0.2, 0.3, 0.1]),
    ([40, 0, 160, 100], [0.1, 0.3, 0.4, 0.2]),
]


def entropy(counts):
    p = np.asarray(counts) / np.sum(counts)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


cases = []
for counts, reference in CASES:
    p, q = np.asarray(counts) / np.sum(counts), np.asarray(reference)
    there = p > 0
    drawn = [entropy(random.multinomial(sum(counts), p)) for _ in range(20_000)]
    cases.append({
        "counts": counts,
        "reference": reference,
        "entropy": entropy(counts),
        "evenness": entropy(counts) / float(np.log(len(counts))),
        "totalVariation": float(np.abs(p - q).sum() / 2),
        "divergence": float((p[there] * np.log(p[there] / q[there])).sum()),
        "low": float(np.quantile(drawn, 0.025)),
        "high": float(np.quantile(drawn, 0.975)),
    })
shares = np.array([np.asarray(c) / np.sum(c) for c, _ in CASES])
gap = float((shares.max(axis=0) - shares.min(axis=0)).max())
OUT.write_text(json.dumps({"cases": cases, "parityGap": gap}, indent=1) + "\n")
