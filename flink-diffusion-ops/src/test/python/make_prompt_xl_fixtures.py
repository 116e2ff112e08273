#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/prompts/tiny-sdxl.safetensors: images of weighted prompts of Stable Diffusion XL.

The tokens and weights of each chunk are those that AUTOMATIC1111's web UI made (a1111.json, of make_prompt_fixtures.py). They are
weighted as its emphasis "Original" does in both text encoders, and diffusers makes the image (channels x height x width, 0..1) of seed 3.
An empty negative prompt is zeros, as in the web UI. pictures-xl.json has the texts.
"""

import json

import torch
from diffusers import StableDiffusionXLPipeline

from fixture_tools import FIXTURES, configure_torch, seeded, write_tensors

TARGET = FIXTURES.parent / "prompts"

PICTURES = {
    "weights": ("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "[[[less]]]"),
    "long": ("(word:1.2) " * 90, "(unnecessary)(parens)"),
    "breaks": ("a BREAK  BREAK b", ""),
}


def chunks(cases, prompt):
    case = next(each for each in cases if each["prompt"] == prompt)
    flat = lambda runs: [value for value, count in runs for _ in range(count)]  # noqa: E731
    return [(flat(chunk["ids"]), flat(chunk["weights"])) for chunk in case["chunks"]]


def encode(pipe, cases, prompt):
    encoded, pooled = [], None
    for ids, weights in chunks(cases, prompt):
        beside = []
        for tokenizer, encoder in ((pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2)):
            end = ids.index(tokenizer.eos_token_id)
            own = ids[: end + 1] + [tokenizer.pad_token_id] * (len(ids) - end - 1)
            result = encoder(torch.tensor([own]), output_hidden_states=True)
            states = result.hidden_states[-2]
            mean = states.mean()
            states = states * torch.tensor(weights).reshape(1, -1, 1)
            beside.append(states * (mean / states.mean()))
            if pooled is None and encoder is pipe.text_encoder_2:
                pooled = result.text_embeds
        encoded.append(torch.cat(beside, dim=-1))
    return encoded, pooled


def picture(pipe, cases, prompt, negative):
    wanted, pooled = encode(pipe, cases, prompt)
    unwanted, negative_pooled = encode(pipe, cases, negative)
    empty, _ = encode(pipe, cases, "")
    longest = max(len(wanted), len(unwanted))
    wanted, unwanted = (torch.cat(each + empty * (longest - len(each)), dim=1) for each in (wanted, unwanted))
    if negative == "":
        unwanted, negative_pooled = torch.zeros_like(unwanted), torch.zeros_like(negative_pooled)
    return pipe(
        prompt_embeds=wanted, negative_prompt_embeds=unwanted, pooled_prompt_embeds=pooled, negative_pooled_prompt_embeds=negative_pooled,
        num_inference_steps=4, guidance_scale=5.0, width=32, height=32, generator=seeded(3), output_type="pt",
    ).images[0]


def main():
    configure_torch()
    cases = json.loads((TARGET / "a1111.json").read_text())
    pipe = StableDiffusionXLPipeline.from_pretrained(FIXTURES / "tiny-sdxl")
    pipe.set_progress_bar_config(disable=True)
    (TARGET / "pictures-xl.json").write_text(json.dumps(PICTURES, indent=1) + "\n")
    write_tensors(
        TARGET / "tiny-sdxl.safetensors", {name: picture(pipe, cases, *texts).float() for name, texts in PICTURES.items()}
    )


if __name__ == "__main__":
    with torch.no_grad():
        main()
