#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/models/clip-skip.*: what diffusers' encode_prompt makes of prompts at every clip_skip.

clip-skip.json          cases: folder, clipSkip (null where none is given), ids (file of token ids per encoder: names of
                        tensors), embeds (name of the tensor)
clip-skip.safetensors   <folder>/<encoder>/ids [prompts, tokens], <folder>/<clip_skip>/embeds [prompts, tokens, hidden]

The folders are those that make_model_fixtures.py has written; run it first.

Run: python make_clip_skip_fixtures.py   (see requirements.txt)
"""

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from fixture_tools import FIXTURES, configure_torch, write_json, write_tensors
from pipeline_fixtures import let_layers_be_skipped

PROMPTS = ["a red apple on a table", "two cats", ""]


def main():
    configure_torch()
    cases, tensors = [], {}
    for folder, cls, encoders in (
        ("tiny-sd1", StableDiffusionPipeline, ("text_encoder",)),
        ("tiny-sd2", StableDiffusionPipeline, ("text_encoder",)),
        ("tiny-sdxl", StableDiffusionXLPipeline, ("text_encoder", "text_encoder_2")),
    ):
        pipe = cls.from_pretrained(FIXTURES / folder)
        pipe.to(torch.float32)
        for encoder in encoders:
            let_layers_be_skipped(getattr(pipe, encoder))
            tokenizer = getattr(pipe, encoder.replace("text_encoder", "tokenizer"))
            ids = tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
            tensors[f"{folder}/{encoder}/ids"] = ids
        layers = min(getattr(pipe, encoder).config.num_hidden_layers for encoder in encoders)
        deepest = layers if cls is StableDiffusionPipeline else layers - 1
        for skip in [None, *range(deepest + 1)]:
            embeds = pipe.encode_prompt(
                PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False, clip_skip=skip
            )[0]
            name = f"{folder}/{'none' if skip is None else skip}/embeds"
            tensors[name] = embeds.float()
            cases.append({"folder": folder, "encoders": list(encoders), "clipSkip": skip, "embeds": name})
    write_json(FIXTURES / "clip-skip.json", cases)
    write_tensors(FIXTURES / "clip-skip.safetensors", tensors)


if __name__ == "__main__":
    main()
