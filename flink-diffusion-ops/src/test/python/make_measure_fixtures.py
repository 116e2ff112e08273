#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/quality/measures.json: features, ratings and preferences, and what their reference implementations measure on them.

Run: python make_measure_fixtures.py   (needs torch-fidelity, prdc, torchmetrics, vendi-score, krippendorff and choix beside numpy and torch)

Inception Score, FID and KID: torch-fidelity. Precision, recall, density, coverage: prdc. CLIPScore: torchmetrics' formula on embeddings (its own function loads CLIP
by name). Vendi: vendi-score. Alpha: krippendorff. Bradley-Terry: choix; its errors and the R-precision are NumPy, from the papers.
"""

import json
from pathlib import Path

import choix
import krippendorff
import numpy as np
import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.functional.pairwise import pairwise_cosine_similarity
from vendi_score import vendi

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "quality" / "measures.json"
random = np.random.default_rng(25)


def rounded(values):
    """What a float32 is, in few digits."""
    return np.round(values, 3).astype(np.float32)


def isc_case(images, classes, splits):
    logits = rounded(2 * random.standard_normal((images, classes)))
    result = isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=False)
    return {"logits": logits.tolist(), "parts": splits, "mean": result["inception_score_mean"], "deviation": result["inception_score_std"]}


def features_case(real, generated, features, nearest):
    first = rounded(random.standard_normal((real, features)))
    second = rounded(0.8 * random.standard_normal((generated, features)) + 0.3)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (first, second)]
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    case = {"real": first.tolist(), "generated": second.tolist(), "nearest": nearest, "fid": float(fid)}
    if real == generated:
        kid = kid_features_to_metric(torch.from_numpy(first), torch.from_numpy(second), kid_subsets=1, kid_subset_size=real, verbose=False)
        case["kid"] = float(kid["kernel_inception_distance_mean"])
    case.update({name: float(value) for name, value in compute_prdc(first, second, nearest).items()})
    return case


def text_case(pairs, features, noise):
    texts = rounded(random.standard_normal((pairs, features)))
    images = rounded(texts + noise * random.standard_normal(texts.shape))
    cosines = pairwise_cosine_similarity(torch.from_numpy(images).double(), torch.from_numpy(texts).double()).numpy()
    score = max(0.0, float(100 * np.diag(cosines).mean()))
    return {"images": images.tolist(), "texts": texts.tolist(), "clipScore": score, "precision": float((cosines.argmax(1) == np.arange(pairs)).mean())}


def vendi_case(samples, features, same):
    x = rounded(random.standard_normal((samples, features)) + same)
    return {"features": x.tolist(), "vendi": float(vendi.score_X(x.astype(float)))}


def alpha_case(raters, things, missing):
    truth = random.integers(1, 6, things)
    ratings = np.clip(truth + random.integers(-1, 2, (raters, things)), 1, 5).astype(float)
    ratings[random.random(ratings.shape) < missing] = np.nan
    return {
        "ratings": [[None if np.isnan(x) else x for x in row] for row in ratings],
        **{scale: float(krippendorff.alpha(reliability_data=ratings, level_of_measurement=scale)) for scale in ("nominal", "ordinal", "interval", "ratio")},
    }


def preference_case(things, comparisons):
    strengths = random.standard_normal(things)
    wins = np.zeros((things, things))
    pairs = []
    for _ in range(comparisons):
        a, b = random.choice(things, 2, replace=False)
        if random.random() > 1 / (1 + np.exp(strengths[b] - strengths[a])):
            a, b = b, a
        wins[a, b] += 1
        pairs.append((int(a), int(b)))
    found = choix.opt_pairwise(things, pairs, alpha=0, method="Newton-CG", tol=1e-12)
    found = found - found.mean()
    p = 1 / (1 + np.exp(found[None, :] - found[:, None]))
    weights = (wins + wins.T) * p * (1 - p)
    errors = np.sqrt(np.diag(np.linalg.pinv(np.diag(weights.sum(1)) - weights)))
    return {"wins": wins.tolist(), "strengths": found.tolist(), "errors": errors.tolist()}


OUT.write_text(
    json.dumps(
        {
            "inception": [isc_case(40, 10, 1), isc_case(53, 7, 5)],
            "features": [features_case(40, 40, 6, 3), features_case(60, 35, 4, 5)],
            "texts": [text_case(25, 8, 0.5), text_case(30, 6, 3)],
            "vendi": [vendi_case(12, 20, 0), vendi_case(30, 6, 1.5)],
            "ratings": [alpha_case(3, 30, 0), alpha_case(5, 20, 0.3)],
            "preferences": [preference_case(3, 60), preference_case(6, 200)],
        },
        allow_nan=False,
    )
    + "\n"
)
