#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/quality/expected.json: pictures, masks and features, and what scikit-image, SciPy and NumPy measure on them.

Run: python make_quality_fixtures.py   (needs numpy, scipy and scikit-image; see requirements-formats.txt)
"""

import json
from pathlib import Path

import numpy as np
from scipy import linalg, ndimage, stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "quality"
OUT.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(5)


def picture_case(channels, height, width, noise):
    truth = ndimage.gaussian_filter(random.random((channels, height, width)), (0, 1, 1)).astype(np.float32)
    picture = (truth + noise * random.standard_normal(truth.shape)).astype(np.float32)
    return {
        "shape": [channels, height, width],
        "picture": picture.flatten().tolist(),
        "truth": truth.flatten().tolist(),
        "psnr": peak_signal_noise_ratio(truth.astype(float), picture.astype(float), data_range=1),
        "ssim": structural_similarity(
            truth.astype(float), picture.astype(float), data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        ),
    }


def feature_case(m, n, features, shift):
    first = random.standard_normal((m, features)).astype(np.float32)
    second = (random.standard_normal((n, features)) @ random.standard_normal((features, features)) * 0.5 + shift).astype(np.float32)
    a, b = first.astype(float), second.astype(float)
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(c1 @ c2).real
    frechet = float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(c1 + c2 - 2 * root))
    kernel = lambda x, y: (x @ y.T / features + 1) ** 3
    kxx, kyy, kxy = kernel(a, a), kernel(b, b), kernel(a, b)
    kid = (kxx.sum() - np.trace(kxx)) / (m * (m - 1)) + (kyy.sum() - np.trace(kyy)) / (n * (n - 1)) - 2 * kxy.mean()
    return {"first": first.tolist(), "second": second.tolist(), "frechet": frechet, "kid": float(kid)}


def rank_case(n, ties):
    a = random.standard_normal(n).astype(np.float32)
    b = (a + random.standard_normal(n)).astype(np.float32)
    if ties:
        a, b = np.round(a), np.round(b)
    return {"a": a.tolist(), "b": b.tolist(), "spearman": float(stats.spearmanr(a, b).statistic)}


expected = {
    "pictures": [picture_case(1, 32, 24, 0.1), picture_case(3, 16, 20, 0.02), picture_case(1, 11, 11, 0.3)],
    "features": [feature_case(60, 50, 8, 0.5), feature_case(200, 40, 16, 0)],
    "ranks": [rank_case(100, False), rank_case(200, True)],
}
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
