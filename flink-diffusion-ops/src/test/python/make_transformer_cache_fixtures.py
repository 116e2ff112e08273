#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Images of diffusion transformers that reuse the residual of an earlier whole call, as diffusers' FirstBlockCache makes them, under
src/test/resources/fixtures/transformer-cache.

``cases.json`` lists runs: ``model`` (a folder under ``fixtures/models``), the call's ``arguments`` and ``seed``, and under ``name`` its picture
(channels x height x width, 0..1) in ``pictures.safetensors``. Of a run without ``threshold``, nothing exceeds the threshold; of the others,
``whole`` lists the steps that compute every block. QwenImagePipeline lets the prompt and the negative prompt decide apart: with the threshold
here both decide alike. Runs with ``taylor`` (the arguments of TaylorSeerCacheConfig) continue what the transformer gave, as diffusers' TaylorSeer
does with use_lite_mode and float32. Run: python make_transformer_cache_fixtures.py
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers  # noqa: E402
import torch  # noqa: E402
from diffusers.hooks import (  # noqa: E402
    FirstBlockCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_taylorseer_cache,
)
from diffusers.hooks.first_block_cache import FBCHeadBlockHook  # noqa: E402
from diffusers.hooks.hooks import CacheContext, _set_cache_context  # noqa: E402

from fixture_tools import FIXTURES, configure_torch, fresh_folder, seeded, write_json, write_tensors  # noqa: E402

TARGET = FIXTURES.parent / "transformer-cache"
ALWAYS = 1e9
SIZE = dict(height=32, width=48)
STEPS = 4
PROMPT = "a red apple on a wooden table"
RUNS = {
    "tiny-flux-dev": (diffusers.FluxPipeline, dict(guidance_scale=2.5, max_sequence_length=32)),
    "tiny-qwen-image": (diffusers.QwenImagePipeline, dict(negative_prompt="blurry", true_cfg_scale=3.0)),
    "tiny-pixart-sigma": (diffusers.PixArtSigmaPipeline, dict(guidance_scale=3.0, use_resolution_binning=False)),
}


# Some steps are above and some below, none closer than DISTANCE. Random weights change far more from step to step than trained ones.
THRESHOLDS = {"tiny-flux-dev": 0.55, "tiny-qwen-image": 0.985, "tiny-pixart-sigma": 0.325}
STEPS_BY_THRESHOLD = 10
TAYLOR = {
    "tiny-flux-dev": dict(cache_interval=3, disable_cache_before_step=3, max_order=1),
    "tiny-qwen-image": dict(cache_interval=2, disable_cache_before_step=4, max_order=2),
    "tiny-pixart-sigma": dict(cache_interval=4, disable_cache_before_step=1, max_order=0),
}
DISTANCE = 0.01  # of the threshold


class Decisions:
    """Records what diffusers' hook decides, and by which numbers."""

    def __enter__(self):
        self.made = []
        self.original = FBCHeadBlockHook._should_compute_remaining_blocks

        def decide(hook, residual):
            earlier = hook.state_manager.get_state().head_block_residual
            computes = self.original(hook, residual)
            change = None if earlier is None else ((residual - earlier).abs().mean() / earlier.abs().mean()).item()
            self.made.append((computes, change))
            return computes

        FBCHeadBlockHook._should_compute_remaining_blocks = decide
        return self

    def __exit__(self, *_):
        FBCHeadBlockHook._should_compute_remaining_blocks = self.original

    def whole(self, threshold, steps):
        """Numbers of the steps that compute every block."""
        calls = len(self.made) // steps
        for _, change in self.made:
            assert change is None or abs(change - threshold) > DISTANCE * threshold, change
        decided = [{computes for computes, _ in self.made[step * calls : (step + 1) * calls]} for step in range(steps)]
        assert all(len(each) == 1 for each in decided), "the calls of a step decide differently"
        whole = [step for step in range(steps) if decided[step] == {True}]
        assert 1 < len(whole) < steps, whole
        return whole


def threshold_config(threshold):
    return FirstBlockCacheConfig(threshold=threshold)


def taylor_config(arguments):
    return TaylorSeerCacheConfig(taylor_factors_dtype=torch.float32, use_lite_mode=True, **arguments)


def picture(model, cls, arguments, seed, config):
    folder = FIXTURES / model
    pipe = cls.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if config is not None:
        if hasattr(pipe.transformer, "enable_cache"):
            pipe.transformer.enable_cache(config)
        else:
            apply = apply_first_block_cache if isinstance(config, FirstBlockCacheConfig) else apply_taylorseer_cache
            apply(pipe.transformer, config)
            _set_cache_context(pipe.transformer, CacheContext("both rows"))
    image = pipe(**arguments, generator=seeded(seed), output_type="np").images[0]
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def main():
    configure_torch()
    fresh_folder(TARGET)
    cases, pictures = [], {}
    for seed, (model, (cls, own)) in enumerate(RUNS.items()):
        arguments = dict(prompt=PROMPT, num_inference_steps=STEPS, **own, **SIZE)
        case = {"name": model, "model": model, "seed": seed, "arguments": arguments}
        pictures[model] = picture(model, cls, arguments, seed, threshold_config(ALWAYS))
        difference = (pictures[model] - picture(model, cls, arguments, seed, None)).abs().max()
        print(model, f"std {pictures[model].std():.3f}, largest difference to every step whole {difference:.3f}")
        cases.append(case)
        threshold = THRESHOLDS[model]
        name = model + " by threshold"
        arguments = arguments | dict(num_inference_steps=STEPS_BY_THRESHOLD)
        with Decisions() as decisions:
            pictures[name] = picture(model, cls, arguments, seed, threshold_config(threshold))
        print(name, [change and round(change, 4) for _, change in decisions.made])
        whole = decisions.whole(threshold, STEPS_BY_THRESHOLD)
        every = picture(model, cls, arguments, seed, None)
        print(name, f"std {pictures[name].std():.3f}, largest difference to every step whole {(pictures[name] - every).abs().max():.3f}, whole {whole}")
        cases.append(case | {"name": name, "arguments": arguments, "threshold": threshold, "whole": whole})
        name = model + " by a series"
        pictures[name] = picture(model, cls, arguments, seed, taylor_config(TAYLOR[model]))
        print(name, f"std {pictures[name].std():.3f}, largest difference to every step whole {(pictures[name] - every).abs().max():.3f}")
        cases.append(case | {"name": name, "arguments": arguments, "taylor": TAYLOR[model]})
    write_tensors(TARGET / "pictures.safetensors", pictures)
    write_json(TARGET / "cases.json", cases)
    print(sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
