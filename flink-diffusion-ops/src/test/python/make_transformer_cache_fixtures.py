#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Images of diffusion transformers that reuse the residual of their first whole call, as diffusers' FirstBlockCache makes them with a
threshold that nothing exceeds, under src/test/resources/fixtures/transformer-cache.

``cases.json`` lists runs: ``model`` (a folder under ``fixtures/models``), the call's ``arguments`` and ``seed``, and under ``name`` its picture
(channels x height x width, 0..1) in ``pictures.safetensors``. Run: python make_transformer_cache_fixtures.py
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers  # noqa: E402
import torch  # noqa: E402
from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache  # noqa: E402
from diffusers.hooks.hooks import CacheContext, _set_cache_context  # noqa: E402

from fixture_tools import FIXTURES, configure_torch, fresh_folder, seeded, write_json, write_tensors  # noqa: E402

TARGET = FIXTURES.parent / "transformer-cache"
ALWAYS = FirstBlockCacheConfig(threshold=1e9)
SIZE = dict(height=32, width=48)
STEPS = 4
PROMPT = "a red apple on a wooden table"
RUNS = {
    "tiny-flux-dev": (diffusers.FluxPipeline, dict(guidance_scale=2.5, max_sequence_length=32)),
    "tiny-qwen-image": (diffusers.QwenImagePipeline, dict(negative_prompt="blurry", true_cfg_scale=3.0)),
    "tiny-pixart-sigma": (diffusers.PixArtSigmaPipeline, dict(guidance_scale=3.0, use_resolution_binning=False)),
}


def picture(model, cls, arguments, seed, cached):
    folder = FIXTURES / model
    pipe = cls.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if cached and hasattr(pipe.transformer, "enable_cache"):
        pipe.transformer.enable_cache(ALWAYS)
    elif cached:
        apply_first_block_cache(pipe.transformer, ALWAYS)
        _set_cache_context(pipe.transformer, CacheContext("both rows"))
    image = pipe(**arguments, generator=seeded(seed), output_type="np").images[0]
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def main():
    configure_torch()
    fresh_folder(TARGET)
    cases, pictures = [], {}
    for seed, (model, (cls, own)) in enumerate(RUNS.items()):
        arguments = dict(prompt=PROMPT, num_inference_steps=STEPS, **own, **SIZE)
        pictures[model] = picture(model, cls, arguments, seed, True)
        difference = (pictures[model] - picture(model, cls, arguments, seed, False)).abs().max()
        print(model, f"std {pictures[model].std():.3f}, largest difference to every step whole {difference:.3f}")
        cases.append({"name": model, "model": model, "seed": seed, "arguments": arguments})
    write_tensors(TARGET / "pictures.safetensors", pictures)
    write_json(TARGET / "cases.json", cases)
    print(sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
