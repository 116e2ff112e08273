#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Golden inputs and outputs of every class of network, in one shape whatever the network: see README.md."""

import torch

from fixture_tools import Goldens, Recorder, depth_at_most, least_visible_parameters, seeded
from tiny_models import call_unet, channels_of, conditions, labels, with_hint

WEIGHT_FILES = {"CLIPTextModel": "model.safetensors", "CLIPTextModelWithProjection": "model.safetensors", "CLIPVisionModelWithProjection": "model.safetensors"}
INNER_LEVELS = depth_at_most(1, "time_embedding", "time_proj")
INNER_CODER = depth_at_most(2, "resnets", "quantize")


def nothing(name):
    return False


def ids_of(texts, tokenizer):
    return tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids


def text_cases(model, goldens, tokenizer):
    ids = ids_of(["a red apple on a blue background", "", "a tiny golden dragon and an old wizard " * 12], tokenizer)
    out = model(ids, output_hidden_states=True)
    results = {"last_hidden_state": out.last_hidden_state, "penultimate_hidden_state": out.hidden_states[-2]}
    if hasattr(out, "text_embeds"):
        results["text_embeds"] = out.text_embeds
    else:
        results["pooler_output"] = out.pooler_output
    goldens.case("prompts", "forward", {"input_ids": ids}, results, {f"hidden_states.{i}": h for i, h in enumerate(out.hidden_states)})
    return lambda: torch.cat([value.flatten() for value in model(ids).to_tuple()])


def vision_cases(model, goldens, _):
    pixels = torch.randn(2, 3, 32, 32, generator=seeded(31))
    out = model(pixels)
    goldens.case("pixels", "forward", {"pixel_values": pixels}, {"image_embeds": out.image_embeds, "last_hidden_state": out.last_hidden_state})
    return lambda: model(pixels).image_embeds


def unet_cases(model, goldens, _):
    generator = seeded(32)
    always = conditions(model.config, 2, generator)
    for case, timestep, (height, width), record in (("t1", 1.0, (8, 8), False), ("t500", 500.0, (8, 8), True), ("t981", 981.0, (8, 16), False), ("odd", 250.5, (9, 7), False)):
        if case == "odd" and any(block.startswith(("Resnet", "Simple", "K")) for block in model.config.up_block_types[:-1]):
            continue  # such blocks do not resize to what was rounded up
        sample = torch.randn(2, channels_of(model.config), height, width, generator=generator)
        given = with_hint(model.config, sample, always, generator)
        with Recorder(model, INNER_LEVELS if record else nothing) as seen:
            result = call_unet(model, sample, torch.tensor(timestep), given)
        goldens.case(case, "forward", {"sample": sample, "timestep": torch.tensor(timestep), **given}, {"sample": result}, seen.seen)
    return lambda: call_unet(model, sample, torch.tensor(500.0), given)


def unet2d_cases(model, goldens, _):
    generator = seeded(33)
    given = labels(model.config, [2, 5])
    for case, timestep, (height, width), record in (("t1", 1.0, (16, 16), False), ("t500", 500.0, (16, 16), True), ("t981", 981.0, (8, 16), False)):
        sample = torch.randn(2, model.config.in_channels, height, width, generator=generator)
        with Recorder(model, INNER_LEVELS if record else nothing) as seen:
            result = model(sample, torch.tensor(timestep), **given).sample
        goldens.case(case, "forward", {"sample": sample, "timestep": torch.tensor(timestep), **given}, {"sample": result}, seen.seen)
    return lambda: model(sample, torch.tensor(500.0), **given).sample


def autoencoder_cases(model, goldens, _):
    generator = seeded(34)
    factor = 2 ** (len(model.config.block_out_channels) - 1)
    for case, batch, (height, width), record in (("square", 1, (16, 16), True), ("wide", 2, (16, 32), False)):
        x = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
        with Recorder(model, INNER_CODER if record else nothing) as seen:
            dist = model.encode(x).latent_dist
        goldens.case(f"encode_{case}", "encode", {"x": x}, {"mean": dist.mean, "logvar": dist.logvar}, seen.seen)
        z = torch.randn(batch, model.config.latent_channels, height // factor, width // factor, generator=generator) * 5
        with Recorder(model, INNER_CODER if record else nothing) as seen:
            sample = model.decode(z).sample
        goldens.case(f"decode_{case}", "decode", {"z": z}, {"sample": sample}, seen.seen)
    return lambda: torch.cat([model.encode(x).latent_dist.parameters.flatten(), model.decode(z).sample.flatten()])


def vq_cases(model, goldens, _):
    generator = seeded(35)
    x = torch.rand(1, 3, 16, 24, generator=generator) * 2 - 1
    with Recorder(model, INNER_CODER) as seen:
        latents = model.encode(x).latents
    goldens.case("encode", "encode", {"x": x}, {"latents": latents}, seen.seen)
    z = torch.randn(1, model.config.latent_channels, 4, 6, generator=generator) * 3
    require_clear_choice(model, z)
    with Recorder(model, INNER_CODER) as seen:
        sample = model.decode(z).sample
    quantized, _, (_, _, indices) = model.quantize(z)
    goldens.case("decode", "decode", {"h": z}, {"sample": sample}, {**seen.seen, "quantize": quantized, "quantize.indices": indices})
    unquantized = model.decode(z, force_not_quantize=True).sample
    goldens.case("decode_unquantized", "decode", {"h": z, "force_not_quantize": True}, {"sample": unquantized})
    return lambda: torch.cat([model.encode(x).latents.flatten(), model.decode(z).sample.flatten()])


def require_clear_choice(model, latents, margin=1e-4):
    """Where two codebook entries are equally near, rounding would decide the picture: such a fixture proves nothing."""
    flat = latents.permute(0, 2, 3, 1).reshape(-1, model.config.latent_channels)
    nearest = torch.cdist(flat.double(), model.quantize.embedding.weight.double()).topk(2, largest=False).values
    gap = (nearest[:, 1] - nearest[:, 0]).min().item()
    if gap < margin:
        raise AssertionError(f"two codebook entries differ by only {gap:.1e} in distance: choose another seed")


def tiny_autoencoder_cases(model, goldens, _):
    generator = seeded(36)
    x = torch.rand(2, 3, 32, 48, generator=generator) * 2 - 1
    goldens.case("encode", "encode", {"x": x}, {"latents": model.encode(x).latents})
    z = torch.randn(2, 4, 4, 6, generator=generator) * 3
    goldens.case("decode", "decode", {"x": z}, {"sample": model.decode(z).sample})
    return lambda: torch.cat([model.encode(x).latents.flatten(), model.decode(z).sample.flatten()])


def dit_cases(model, goldens, _):
    generator = seeded(37)
    for case, timesteps, labels in (("conditional", [1, 999], [0, 207]), ("null_class", [500, 500], [1000, 42])):
        sample = torch.randn(2, 4, 8, 8, generator=generator)
        given = {"timestep": torch.tensor(timesteps), "class_labels": torch.tensor(labels)}
        with Recorder(model, lambda name: name in ("pos_embed", "transformer_blocks.0", "transformer_blocks.1")) as seen:
            result = model(sample, **given).sample
        goldens.case(case, "forward", {"hidden_states": sample, **given}, {"sample": result}, seen.seen)
    return lambda: model(sample, **given).sample


CASES = {
    "CLIPTextModel": text_cases,
    "CLIPTextModelWithProjection": text_cases,
    "CLIPVisionModelWithProjection": vision_cases,
    "UNet2DConditionModel": unet_cases,
    "UNet2DModel": unet2d_cases,
    "AutoencoderKL": autoencoder_cases,
    "VQModel": vq_cases,
    "AutoencoderTiny": tiny_autoencoder_cases,
    "DiTTransformer2DModel": dit_cases,
}


def make_goldens(root, folder, component, model, tokenizer, notes=None, report=False):
    """Writes ``<folder>/golden/<component>.safetensors`` (or ``<folder>/golden.safetensors``) and returns the manifest entry."""
    cls = type(model).__name__
    place = f"{folder}/{component}" if component else folder
    golden = f"{folder}/golden/{component}.safetensors" if component else f"{folder}/golden.safetensors"
    weights = f"{place}/{WEIGHT_FILES.get(cls, 'diffusion_pytorch_model.safetensors')}"
    goldens = Goldens(place, cls, weights, "F16", golden, notes)
    run = CASES[cls](model, goldens, tokenizer)
    if report:
        print(f"{place}: least visible parameters {', '.join(least_visible_parameters(model, run))}")
    return goldens.write(root)
