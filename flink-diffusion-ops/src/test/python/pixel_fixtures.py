#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Folders and runs of pipelines that work on pixels with a loop of their own: consistency models, RePaint, score models.

    venv/bin/python pixel_fixtures.py [--report]      # writes these folders alone, and names them in pipelines.json

diffusers keeps RePaint and ScoreSdeVe among its deprecated pipelines; it still runs them.
"""

import argparse
import json

import diffusers
import numpy as np
import torch
from diffusers import ConsistencyModelPipeline, RePaintPipeline, ScoreSdeVePipeline

import tiny_models as tiny
from fixture_tools import FIXTURES, configure_torch, fresh_folder, seeded
from pipeline_runs import SCHEDULERS, Draws, Runs, hole, painting, save, scheduler_of

CONSISTENCY = {"_class_name": "CMStochasticIterativeScheduler", "num_train_timesteps": 40, "clip_denoised": True, "s_noise": 1.0}
REPAINT = {"_class_name": "RePaintScheduler", "num_train_timesteps": 1000, "beta_schedule": "linear", "clip_sample": True}
SCORE = {"_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000, "sigma_max": 0.6, "sigma_min": 0.01, "snr": 0.05, "correct_steps": 1}

PLAIN = dict(
    down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    attention_head_dim=8,
)

for config in (CONSISTENCY, REPAINT, SCORE):
    SCHEDULERS[config["_class_name"]] = getattr(diffusers, config["_class_name"])


class LoopRuns(Runs):
    """Notes each network call's output, whatever the loop does with it."""

    def _call(self, pipe, scheduler, seed, images, arguments, nudge=0.0):
        original, pipe.scheduler = pipe.scheduler, type(scheduler).from_config(scheduler.config)
        outputs = []
        noting = pipe.unet.register_forward_hook(lambda module, inputs, output: outputs.append((output[0] if isinstance(output, tuple) else output.sample)[0].clone()))
        with Draws() as draws:
            if nudge:
                exact, other = torch.randn, seeded(1)
                torch.randn = lambda *size, **options: exact(*size, **options) + nudge * draws.plain(*size, generator=other)
            result = pipe(**images, **arguments, generator=seeded(seed), output_type="np").images[0]
        noting.remove()
        pipe.scheduler = original
        return torch.from_numpy(np.ascontiguousarray(result.transpose(2, 0, 1))), outputs, draws.seen[:4]

    def write(self):
        for key in [key for key in self.tensors if key.endswith("/latents")]:
            del self.tensors[key]
        for case in self.manifest["cases"]:
            del case["tensors"]["latents"]
        return super().write()


def make(out, report=False):
    cases = []

    def folder_of(name, cls, unet, config, note):
        pipe = save(cls(unet=unet, scheduler=scheduler_of(config)), fresh_folder(out / name), {"scheduler": config})
        pipe.set_progress_bar_config(disable=True)
        return pipe, LoopRuns(out, name, "cases", report, [note, "draws holds the first four."])

    note = "The first noise is multiplied by sigma_max. One step draws nothing more, several draw at each."
    for name, seed, classes in (("tiny-consistency", 451, None), ("tiny-consistency-classes", 452, 10)):
        unet = tiny.unet2d(
            seed,
            num_class_embeds=classes,
            **PLAIN,
            resnet_time_scale_shift="scale_shift",
        )
        pipe, runs = folder_of(name, ConsistencyModelPipeline, unet, CONSISTENCY, note)
        label = {} if classes is None else {"class_labels": 7}
        runs.run("one_step", pipe, 221, least_inside=0.2, num_inference_steps=1, **label)
        runs.run("listed_timesteps", pipe, 222, least_inside=0.2, timesteps=[22, 0], **label)
        runs.run("four_steps_not_clipped", pipe, 223, overrides={"clip_denoised": False, "s_noise": 0.7}, least_inside=0.2, num_inference_steps=4, **label)
        cases.append(runs.write())

    pipe, runs = folder_of(
        "tiny-repaint", RePaintPipeline, tiny.unet2d(453, **PLAIN), REPAINT,
        "The mask is 1 where the image is kept. Each network step draws once, for what is kept and what is made; each training timestep that a jump goes back draws once more.",
    )
    known = {"image": painting(32, 32, 1), "mask_image": hole(32, 32)}
    runs.run("jumps", pipe, 231, known, least_inside=0.2, num_inference_steps=10, jump_length=3, jump_n_sample=2)
    runs.run("stochastic", pipe, 232, known, least_inside=0.2, num_inference_steps=6, eta=0.8, jump_length=2, jump_n_sample=3)
    wide = {"image": painting(64, 32, 2), "mask_image": hole(64, 32)}
    runs.run("wide_without_jumps", pipe, 233, wide, overrides={"clip_sample": False}, least_inside=0.2, num_inference_steps=8, jump_n_sample=1)
    cases.append(runs.write())

    pipe, runs = folder_of(
        "tiny-score-sde-ve", ScoreSdeVePipeline, tiny.unet2d(454, **PLAIN), SCORE,
        "The network is told sigma. Each call draws. The last step's noise is drawn and left out; the image is the sample itself.",
    )
    runs.run("corrected_once", pipe, 241, least_inside=0.2, num_inference_steps=8)
    runs.run("corrected_twice", pipe, 242, overrides={"correct_steps": 2, "snr": 0.03}, least_inside=0.2, num_inference_steps=5)
    runs.run("not_corrected", pipe, 243, overrides={"correct_steps": 0, "sigma_max": 0.8}, least_inside=0.2, num_inference_steps=7)
    cases.append(runs.write())
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    configure_torch()
    cases = make(FIXTURES, parser.parse_args().report)
    path = FIXTURES / "pipelines.json"
    index = json.loads(path.read_text())
    index["runs"] += [case for case in cases if case not in index["runs"]]
    path.write_text(json.dumps(index, indent=2) + "\n")
    print("\n".join(cases))


if __name__ == "__main__":
    main()
