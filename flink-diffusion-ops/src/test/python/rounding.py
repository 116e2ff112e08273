#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""How far float32's rounding alone moves an image of diffusers: for cases in which another image is not yet a defect.

    venv/bin/python rounding.py FILE.json.gz "DDPMPipeline 2/5" ...      # names of cases in a file of random_folders.py, as RandomFolders prints them

Writes two things beside each expected image of those cases. ``exact``: the image of the same pipeline in float64, from the same noise.
``rounding``: the greatest change of the float32 image in 32 runs in which the network's outputs move at random by up to 2^-22 of the
greatest of them, which is less than what another memory format or attention kernel of torch does (4e-7 of it in small networks).
RandomFolders counts a case as listed if it is within 1e-3 of ``exact``, or nearer than ``rounding``.
"""

import argparse
import base64
import contextlib
import copy
import gzip
import json
import sys
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import torch

from folder_cases import Case, configure, pack, silence

RUNS = 32
MOVE = 2.0**-22


def pixels(expected):
    return np.frombuffer(base64.b64decode(expected["pixels"]), "<u2").reshape(expected["shape"]) / 65535


def opened(case, folder):
    cls = getattr(diffusers, case.json.get("as", case.json["pipeline"]))
    pipe = cls.from_pretrained(folder, torch_dtype=torch.float32, **({"variant": case.json["variant"]} if "variant" in case.json else {}))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@contextlib.contextmanager
def in_double(pipe):
    """Networks and steps in float64; what is drawn and what a schedule is, in float32 as before."""
    pipe.to(torch.float64)
    set_timesteps = pipe.scheduler.set_timesteps

    def set_and_widen(*args, **kwargs):
        set_timesteps(*args, **kwargs)
        for key, value in vars(pipe.scheduler).items():
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32 and key != "timesteps":
                setattr(pipe.scheduler, key, value.double())

    pipe.scheduler.set_timesteps = set_and_widen
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("diffusers") and "randn_tensor" in vars(module)]
    draw = diffusers.utils.torch_utils.randn_tensor

    def draw_and_widen(shape, generator=None, device=None, dtype=None, layout=None):
        return draw(shape, generator=generator, device=device, dtype=torch.float32, layout=layout).double()

    for module in modules:
        module.randn_tensor = draw_and_widen
    try:
        yield
    finally:
        for module in modules:
            module.randn_tensor = draw


@contextlib.contextmanager
def moved(pipe, generator):
    network = getattr(pipe, "unet", None) or pipe.transformer

    def move(module, inputs, output):
        values = output[0] if isinstance(output, tuple) else output.sample
        values.add_((2 * torch.rand(values.shape, generator=generator) - 1) * MOVE * values.abs().max())

    handle = network.register_forward_hook(move)
    yield
    handle.remove()


def measure(case):
    with tempfile.TemporaryDirectory() as temp, silence():
        folder = Path(temp) / "model"
        case.write(folder)
        pipe = opened(case, folder)
        own, generator = pipe.scheduler, torch.Generator().manual_seed(1)
        images = [expected for expected in case.json["expected"] if "pixels" in expected]
        for expected in images:
            worst = 0.0
            for _ in range(RUNS):
                pipe.scheduler = copy.deepcopy(own)
                with moved(pipe, generator):
                    worst = max(worst, float(np.abs(pixels(case.run(pipe, expected["seed"])) - pixels(expected)).max()))
            expected["rounding"] = worst
        for expected in images:
            pipe = opened(case, folder)
            try:
                with in_double(pipe):
                    expected["exact"] = case.run(pipe, expected["seed"])["pixels"]
            except (RuntimeError, TypeError, KeyError):
                expected.pop("exact", None)  # this pipeline cannot do it
    return images


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    configure()
    cases = []
    with gzip.open(arguments.file) as file:
        for described in json.load(file):
            case = object.__new__(Case)
            case.json = described
            cases.append(case)
    for case in cases:
        if case.json["name"] in arguments.names:
            for expected in measure(case):
                exact = np.abs(pixels({**expected, "pixels": expected["exact"]}) - pixels(expected)).max() if "exact" in expected else float("nan")
                print(f"{case.json['name']}, seed {expected['seed']}: rounding moves it by {expected['rounding']:.1e}, float64 by {exact:.1e}", flush=True)
    pack(cases, arguments.file)


if __name__ == "__main__":
    main()
