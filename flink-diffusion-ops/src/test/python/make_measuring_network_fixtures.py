#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/quality/networks.json: what torch-fidelity, prdc and lpips measure with weights that drawn_weights.py draws.

Run: python make_measuring_network_fixtures.py   (needs torch-fidelity, prdc, lpips beside numpy and torch; about a minute on one core)

Images are not stored either: they are drawn, too. Of features, some of each image are written, and the sums over all.
"""

import json
import tempfile
from pathlib import Path

import lpips
import numpy as np
import torch
from drawn_weights import picture, weights
from prdc import compute_prdc
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "quality" / "networks.json"
IMAGES = 20
NEAREST = 3
FEATURES = ("2048", "logits_unbiased")


def drawn_state(model):
    return {
        name: torch.from_numpy(weights(name, tuple(value.shape))) if value.dtype == torch.float32 else value for name, value in model.state_dict().items() if not name.startswith("scaling_layer")
    }


def inception():
    original = torch.load
    torch.load = lambda *_, **__: {}  # the class reads weights when it is made
    load_state_dict, FeatureExtractorInceptionV3.load_state_dict = FeatureExtractorInceptionV3.load_state_dict, lambda self, state: None
    try:
        model = FeatureExtractorInceptionV3("inception-v3-compat", list(FEATURES), feature_extractor_weights_path="none")
    finally:
        torch.load = original
        FeatureExtractorInceptionV3.load_state_dict = load_state_dict
    model.load_state_dict(drawn_state(model))
    return model


def size(i):
    """From 5 x 4 to 13 x 12 pixels; one is larger than the network's 299."""
    return (320, 400) if i == 2 else (5 + 7 * i % 9, 4 + 5 * i % 9)


def drawn_set(name):
    images = [picture(f"{name}{i}", *size(i)) for i in range(IMAGES)]
    return [image // 4 * 3 + 40 for image in images] if name == "pale" else images


def tensor(image):
    return torch.from_numpy(image.transpose(2, 0, 1).copy())[None]


@torch.no_grad()
def inception_case():
    model = inception()
    seen = {name: [model(tensor(image)) for image in drawn_set(name)] for name in ("clear", "pale")}
    features = {name: torch.cat([one[0] for one in rows]) for name, rows in seen.items()}
    logits = torch.cat([one[1] for one in seen["clear"]])
    fid = fid_statistics_to_metric(*(fid_features_to_statistics(x) for x in features.values()), verbose=False)
    kid = kid_features_to_metric(*features.values(), kid_subsets=1, kid_subset_size=IMAGES, verbose=False)
    isc = isc_features_to_metric(logits)
    return {
        "images": IMAGES,
        "nearest": NEAREST,
        "features": [x[::64].tolist() for x in features["clear"][:3]],
        "logits": [x[::64].tolist() for x in logits[:3]],
        "featureSums": [x.double().sum().item() for x in features["clear"]],
        "fid": fid["frechet_inception_distance"],
        "kid": kid["kernel_inception_distance_mean"],
        "inceptionScore": isc["inception_score_mean"],
        "inceptionDeviation": isc["inception_score_std"],
        **{name: float(value) for name, value in compute_prdc(features["clear"].numpy(), features["pale"].numpy(), NEAREST).items()},
    }


@torch.no_grad()
def lpips_case(net):
    model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    # The package registers each layer of weights twice, under lin0 and lins.0.
    state = {name: value for name, value in drawn_state(model).items() if not name.startswith("lins.")}
    model.load_state_dict(state, strict=False)
    sizes = [(64, 64), (64, 64), (40, 51), (97, 33)]
    distances = []
    for i, (height, width) in enumerate(sizes):
        first, second = (tensor(picture(f"{name}{i}", height, width)).float() / 127.5 - 1 for name in ("first", "second"))
        distances.append(model(first, second).item())
    seeds = [tensor(picture(f"seed{i}", 48, 48)).float() / 127.5 - 1 for i in range(4)]
    pairs = [model(seeds[i], seeds[j]).item() for i in range(4) for j in range(i)]
    return {"sizes": sizes, "distances": distances, "diversity": float(np.mean(pairs))}


torch.set_num_threads(1)
OUT.write_text(json.dumps({"inception": inception_case(), "alex": lpips_case("alex"), "vgg": lpips_case("vgg")}) + "\n")
