#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Whole folders of transformers that attend to image and text jointly, told by CLIP and T5: Stable Diffusion 3 and 3.5, Flux.1.

Each family has three shapes. Run: python joint_fixtures.py [sd3] [flux] [flux-fill] [flux-control]   (see requirements.txt; it reads fixtures/tokenizer/t5)
It writes fixtures/models/tiny-<family>..., and the two manifests networks-joint.json and pipelines-joint.json.
"""

import argparse
import contextlib
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import diffusers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from diffusers import (  # noqa: E402
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    FlowMatchLCMScheduler,
    FluxControlImg2ImgPipeline,
    FluxControlInpaintPipeline,
    FluxControlPipeline,
    FluxFillPipeline,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel, T5Tokenizer  # noqa: E402

import pipeline_runs  # noqa: E402
import tiny_models as tiny  # noqa: E402
from fixture_tools import FIXTURES, Goldens, configure_torch, fresh_folder, randomize, rewrite_weights, round_to_half, scale, seeded, store_half, write_json  # noqa: E402
from pipeline_runs import Runs, hole, painting, tokenizer_at  # noqa: E402

for each in (FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler, FlowMatchLCMScheduler):
    pipeline_runs.SCHEDULERS[each.__name__] = each

PROMPT = "a red apple on a wooden table"
LONGER = "a photo of an astronaut riding a horse on mars, highly detailed, trending on artstation, cinematic lighting, near the sea at night"
NEGATIVE = "blurry, a green apple"
SIZE = dict(height=32, width=48)


def t5(seed, **config):
    """With a gated feed-forward, as version 1.1, unless the config says otherwise."""
    config = {**dict(vocab_size=260, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu", is_encoder_decoder=False), **config}
    return round_to_half(randomize(T5EncoderModel(T5Config(**config)).eval(), seed))


def t5_tokenizer(folder):
    """The vocabulary of the tokenizer's own test without its rules of normalization, which are large."""
    source = FIXTURES.parent / "tokenizer" / "t5"
    whole = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    whole["normalizer"] = None
    fresh_folder(folder)
    write_json(folder / "tokenizer.json", whole)
    (folder / "tokenizer_config.json").write_text((source / "tokenizer_config.json").read_text(encoding="utf-8"), encoding="utf-8")
    return T5Tokenizer.from_pretrained(folder)


def kl(seed, channels, blocks=(8, 16), **config):
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * len(blocks), up_block_types=("UpDecoderBlock2D",) * len(blocks),
        block_out_channels=blocks, layers_per_block=1, latent_channels=channels, norm_num_groups=4, sample_size=32,
        use_quant_conv=False, use_post_quant_conv=False, force_upcast=True, **config,
    )
    vae = randomize(vae.eval(), seed)
    z = torch.randn(2, channels, 8, 8, generator=seeded(91)) * 2
    scale(vae.decoder.conv_out, 0.35 / vae.decode(z).sample.std().item())
    return round_to_half(vae)


def scheduler(**config):
    return FlowMatchEulerDiscreteScheduler(**config)


def saved(folder, pipe, tokenizers):
    """As people have it, in fp16, and what it loads as. CLIP's tokenizers are written as their folders have them."""
    fresh_folder(folder)
    pipe.save_pretrained(folder)
    for name in tokenizers:
        tokenizer_at(fresh_folder(folder / name))
    for name, component in pipe.components.items():
        if isinstance(component, T5Tokenizer):
            t5_tokenizer(folder / name)
    store_half(folder)
    for name, component in pipe.components.items():
        if type(component).__name__.startswith("CLIPText"):
            rewrite_weights(folder / name / "model.safetensors", rename=lambda key: key if key.startswith("text") else "text_model." + key)
    absent = {name: None for name in ("text_encoder_3", "tokenizer_3") if pipe.components.get(name, pipe) is None}
    loaded = type(pipe).from_pretrained(folder, torch_dtype=torch.float32, **absent)
    for name, component in pipe.components.items():
        if isinstance(component, torch.nn.Module):
            other = getattr(loaded, name).state_dict()
            different = [key for key, value in component.state_dict().items() if not torch.equal(value, other[key])]
            if different:
                raise AssertionError(f"{folder.name}/{name}: {different} do not come back from disk")
    loaded.set_progress_bar_config(disable=True)
    return loaded


@contextlib.contextmanager
def drawing_from_the_request():
    """FlowMatchLCMScheduler's noise from the request's generator, which these pipelines do not hand on: it would be torch's global one."""
    module, seeding, last = diffusers.schedulers.scheduling_flow_match_lcm, pipeline_runs.seeded, []

    def recorded(seed):
        last[:] = [seeding(seed)]
        return last[0]

    draw = module.randn_tensor
    pipeline_runs.seeded = recorded
    module.randn_tensor = lambda shape, generator=None, **options: draw(shape, generator=generator or last[0], **options)
    yield
    pipeline_runs.seeded, module.randn_tensor = seeding, draw


class Family:
    """Collects the networks' goldens and the runs of a family's folders."""

    def __init__(self, out, report):
        self.out, self.report, self.networks, self.runs = out, report, [], []

    def golden(self, folder, component, model, weights="diffusion_pytorch_model.safetensors"):
        return Goldens(f"{folder}/{component}", type(model).__name__, f"{folder}/{component}/{weights}", "F16", f"{folder}/golden/{component}.safetensors")

    def t5(self, folder, component, model):
        goldens = self.golden(folder, component, model, "model.safetensors")
        buckets = model.encoder.block[0].layer[0].SelfAttention._relative_position_bucket
        for case, rows, length, seen in (("short", 2, 5, None), ("long", 1, 100, None), ("masked", 2, 12, (12, 7))):
            ids = torch.randint(3, 250, (rows, length), generator=seeded(71))
            at = torch.arange(length)
            config = model.config
            table = buckets(at[None] - at[:, None], bidirectional=True, num_buckets=config.relative_attention_num_buckets, max_distance=config.relative_attention_max_distance)
            given = {"input_ids": ids, "buckets": table.expand(rows, -1, -1).contiguous()}
            if seen:
                given["mask"] = (torch.arange(length) < torch.tensor(seen)[:, None]).float()
            out = model(ids, attention_mask=given.get("mask")).last_hidden_state
            goldens.case(case, "masked" if seen else "forward", given, {"last_hidden_state": out})
        self.networks.append(goldens.write(self.out))


def sd3_transformer(seed, **config):
    config = {
        **dict(
            sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=4, joint_attention_dim=64,
            caption_projection_dim=32, pooled_projection_dim=56, pos_embed_max_size=24,
        ),
        **config,
    }
    model = randomize(SD3Transformer2DModel(**config).eval(), seed)
    given = sd3_inputs(model, 3, 8, 8, 20, seeded(5))
    scale(model.proj_out, 0.8 / sd3_call(model, given).std().item())
    return round_to_half(model)


def sd3_inputs(model, rows, height, width, tokens, generator):
    config = model.config
    return {
        "hidden_states": torch.randn(rows, config.in_channels, height, width, generator=generator),
        "timestep": torch.rand(rows, generator=generator) * 1000,
        "encoder_hidden_states": torch.randn(rows, tokens, config.joint_attention_dim, generator=generator),
        "pooled_projections": torch.randn(rows, config.pooled_projection_dim, generator=generator),
        "kept": torch.ones(rows, config.num_layers),
    }


def sd3_call(model, given):
    """Without the layers that are not kept, the same ones in all rows."""
    skipped = [layer for layer, kept in enumerate(given["kept"][0]) if not kept]
    return model(**{key: value for key, value in given.items() if key != "kept"}, skip_layers=skipped).sample


def sd3(family):
    shapes = {
        "tiny-sd3": (dict(), dict(d_model=64), dict(shift=3.0), 4, dict(scaling_factor=1.5305, shift_factor=0.0609)),
        "tiny-sd3-medium": (
            dict(dual_attention_layers=(0, 1), qk_norm="rms_norm", num_layers=3, in_channels=16, out_channels=16, pos_embed_max_size=31), None,
            dict(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15), 16, dict(scaling_factor=1.5305, shift_factor=0.0609),
        ),
        "tiny-sd3-large": (dict(qk_norm="rms_norm", num_attention_heads=6, caption_projection_dim=48, joint_attention_dim=80), dict(d_model=80, feed_forward_proj="relu", relative_attention_num_buckets=16, relative_attention_max_distance=40), dict(shift=3.0), 4, dict(scaling_factor=0.9, shift_factor=-0.2)),
    }
    for index, (folder, (config, encoder, steps, channels, coder)) in enumerate(shapes.items()):
        path = fresh_folder(family.out / folder)
        pipe = StableDiffusion3Pipeline(
            transformer=sd3_transformer(700 + index, **config),
            scheduler=scheduler(**steps),
            vae=kl(710 + index, channels, **coder),
            text_encoder=tiny.text_encoder(720 + index, cls=CLIPTextModelWithProjection, projection=32),
            tokenizer=tokenizer_at(path / "tokenizer"),
            text_encoder_2=tiny.text_encoder(730 + index, cls=CLIPTextModelWithProjection, hidden=24, layers=3, projection=24, act="gelu"),
            tokenizer_2=tokenizer_at(path / "tokenizer_2"),
            text_encoder_3=encoder and t5(740 + index, **encoder),
            tokenizer_3=encoder and t5_tokenizer(path / "tokenizer_3"),
        )
        pipe = saved(path, pipe, ("tokenizer", "tokenizer_2"))
        if encoder:
            family.t5(folder, "text_encoder_3", pipe.text_encoder_3)
        goldens = family.golden(folder, "transformer", pipe.transformer)
        for case, height, width, tokens in (("square", 8, 8, 9), ("wide", 6, 14, 85), ("odd", 10, 2, 77)):
            given = sd3_inputs(pipe.transformer, 2, height, width, tokens, seeded(51))
            if case == "odd":
                given["kept"][:, index % 2] = 0
            goldens.case(case, "forward", given, {"sample": sd3_call(pipe.transformer, given)})
        family.networks.append(goldens.write(family.out))
        runs = Runs(family.out, folder, report=family.report)
        runs.run("guided", pipe, 1, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, max_sequence_length=32, **SIZE)
        runs.run("alone", pipe, 2, prompt=LONGER, num_inference_steps=3, guidance_scale=1.0, max_sequence_length=48, height=64, width=32)
        if index == 0:
            runs.run("three_prompts", pipe, 3, prompt=PROMPT, prompt_2=LONGER, prompt_3="oil painting", negative_prompt=NEGATIVE, negative_prompt_3="the sea", clip_skip=1, num_inference_steps=3, guidance_scale=3.0, max_sequence_length=32, **SIZE)
            runs.run("default_length", pipe, 4, prompt=PROMPT, num_inference_steps=2, guidance_scale=5.0, height=32, width=32)
        layers = ([0, 1], [1], [0])[index]
        # Heun's class takes no shift that follows from the size.
        fixed = dict(scheduler="FlowMatchHeunDiscreteScheduler", overrides={"use_dynamic_shifting": False} if "use_dynamic_shifting" in steps else None)
        runs.run("skipped_layers", pipe, 7, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=6, guidance_scale=4.0, skip_guidance_layers=layers, skip_layer_guidance_stop=0.6, max_sequence_length=32, **SIZE)
        runs.run("flow_heun", pipe, 8, **fixed, prompt=PROMPT, num_inference_steps=3, guidance_scale=4.0, skip_guidance_layers=[0], skip_layer_guidance_scale=1.5, skip_layer_guidance_start=0.3, skip_layer_guidance_stop=1.0, max_sequence_length=32, **SIZE)
        with drawing_from_the_request():
            runs.run("flow_lcm", pipe, 9, scheduler="FlowMatchLCMScheduler", prompt=PROMPT, num_inference_steps=4, guidance_scale=1.0, max_sequence_length=32, **SIZE)
        picture = painting(48, 32, 7)
        changed = StableDiffusion3Img2ImgPipeline(**pipe.components)
        changed.set_progress_bar_config(disable=True)
        runs.run("from_image", changed, 5, images={"image": picture}, prompt=PROMPT, negative_prompt=NEGATIVE, strength=0.7, num_inference_steps=5, guidance_scale=4.0, max_sequence_length=32, **SIZE)
        runs.run("heun_from_image", changed, 10, **fixed, images={"image": picture}, prompt=PROMPT, strength=0.6, num_inference_steps=4, guidance_scale=1.0, max_sequence_length=32, **SIZE)
        inpaint = StableDiffusion3InpaintPipeline(**pipe.components)
        inpaint.set_progress_bar_config(disable=True)
        if channels == 16:  # the class takes no other
            runs.run("inpaint", inpaint, 6, images={"image": picture, "mask_image": hole(48, 32)}, prompt=PROMPT, strength=0.8, num_inference_steps=5, guidance_scale=4.0, max_sequence_length=32, **SIZE)
            runs.run("heun_inpaint", inpaint, 11, **fixed, images={"image": picture, "mask_image": hole(48, 32)}, prompt=PROMPT, strength=0.8, num_inference_steps=4, guidance_scale=1.0, max_sequence_length=32, **SIZE)
        family.runs.append(written(runs))


def flux_transformer(seed, **config):
    config = {
        **dict(
            patch_size=1, in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32,
            pooled_projection_dim=32, guidance_embeds=True, axes_dims_rope=(4, 6, 6),
        ),
        **config,
    }
    model = randomize(FluxTransformer2DModel(**config).eval(), seed)
    given = flux_inputs(model, 3, 8, 8, 20, seeded(5))
    scale(model.proj_out, 0.8 / flux_call(model, given).std().item())
    return round_to_half(model)


def flux_inputs(model, rows, height, width, tokens, generator):
    config = model.config
    given = {
        "hidden_states": torch.randn(rows, config.in_channels // 4, height, width, generator=generator),
        "timestep": torch.rand(rows, generator=generator) * 1000,
        "encoder_hidden_states": torch.randn(rows, tokens, config.joint_attention_dim, generator=generator),
        "pooled_projections": torch.randn(rows, config.pooled_projection_dim, generator=generator),
    }
    if config.guidance_embeds:
        given["guidance"] = torch.rand(rows, 1, generator=generator) * 5
    return given


def flux_call(model, given):
    """With the sample as it is before it is packed, and the timestep as the scheduler has it."""
    sample = given["hidden_states"]
    rows, channels, height, width = sample.shape
    ids = FluxPipeline._prepare_latent_image_ids(rows, height // 2, width // 2, "cpu", torch.float32)
    out = model(
        hidden_states=FluxPipeline._pack_latents(sample, rows, channels, height, width),
        timestep=given["timestep"] / 1000,
        encoder_hidden_states=given["encoder_hidden_states"],
        pooled_projections=given["pooled_projections"],
        guidance=given["guidance"][:, 0] if "guidance" in given else None,
        img_ids=ids,
        txt_ids=torch.zeros(given["encoder_hidden_states"].shape[1], 3),
    ).sample
    return FluxPipeline._unpack_latents(out, height, width, 1)


def flux(family):
    shapes = {
        "tiny-flux-dev": (dict(), dict(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, shift=3.0), 4, dict(scaling_factor=0.3611, shift_factor=0.1159)),
        "tiny-flux-schnell": (dict(guidance_embeds=False, num_layers=1, num_single_layers=3), dict(shift=1.0), 4, dict(scaling_factor=0.3611, shift_factor=0.1159)),
        "tiny-flux-wide": (
            dict(in_channels=64, num_attention_heads=3, axes_dims_rope=(8, 4, 4), num_layers=1, num_single_layers=1),
            dict(use_dynamic_shifting=True, base_shift=0.3, max_shift=1.4), 16, dict(scaling_factor=0.5, shift_factor=-0.1),
        ),
    }
    for index, (folder, (config, steps, channels, coder)) in enumerate(shapes.items()):
        path = fresh_folder(family.out / folder)
        guided = config.get("guidance_embeds", True)
        pipe = FluxPipeline(
            transformer=flux_transformer(800 + index, **config),
            scheduler=scheduler(**steps),
            vae=kl(810 + index, channels, **coder),
            text_encoder=tiny.text_encoder(820 + index),
            tokenizer=tokenizer_at(path / "tokenizer"),
            text_encoder_2=t5(830 + index),
            tokenizer_2=t5_tokenizer(path / "tokenizer_2"),
        )
        pipe = saved(path, pipe, ("tokenizer",))
        if index == 0:
            family.t5(folder, "text_encoder_2", pipe.text_encoder_2)
        goldens = family.golden(folder, "transformer", pipe.transformer)
        for case, height, width, tokens in (("square", 8, 8, 9), ("wide", 6, 14, 85), ("narrow", 10, 2, 33)):
            given = flux_inputs(pipe.transformer, 2, height, width, tokens, seeded(52))
            goldens.case(case, "forward", given, {"sample": flux_call(pipe.transformer, given)})
        family.networks.append(goldens.write(family.out))
        runs = Runs(family.out, folder, report=family.report)
        scales = dict(guidance_scale=2.5) if guided else {}
        runs.run("alone", pipe, 1, prompt=PROMPT, num_inference_steps=4, max_sequence_length=32, **scales, **SIZE)
        runs.run("true_guidance", pipe, 2, prompt=LONGER, negative_prompt=NEGATIVE, true_cfg_scale=3.0, num_inference_steps=3, max_sequence_length=48, height=64, width=32)
        if index == 0:
            runs.run("two_prompts", pipe, 3, prompt=PROMPT, prompt_2=LONGER, negative_prompt=NEGATIVE, negative_prompt_2="the sea", true_cfg_scale=2.0, num_inference_steps=3, max_sequence_length=32, **SIZE)
            runs.run("default_length", pipe, 4, prompt=PROMPT, num_inference_steps=2, height=32, width=32)
        picture = painting(48, 32, 7)
        changed = FluxImg2ImgPipeline(**pipe.components)
        changed.set_progress_bar_config(disable=True)
        runs.run("from_image", changed, 5, images={"image": picture}, prompt=PROMPT, strength=0.7, num_inference_steps=5, max_sequence_length=32, **scales, **SIZE)
        inpaint = FluxInpaintPipeline(**pipe.components)
        inpaint.set_progress_bar_config(disable=True)
        runs.run("inpaint", inpaint, 6, images={"image": picture, "mask_image": hole(48, 32)}, prompt=PROMPT, strength=0.8, num_inference_steps=5, max_sequence_length=32, **scales, **SIZE)
        family.runs.append(written(runs))


def flux_beside(family, cls, name, appended, shapes):
    """Transformers with further channels, each with an autoencoder of two or three levels."""
    for index, (folder, (config, steps, channels, blocks)) in enumerate(shapes.items()):
        path = fresh_folder(family.out / folder)
        scale_factor = 2 ** (len(blocks) - 1)
        pipe = cls(
            transformer=flux_transformer(
                840 + index, in_channels=4 * (channels + appended(channels, scale_factor)), out_channels=4 * channels, num_layers=1, num_single_layers=1,
                **{**dict(attention_head_dim=8, axes_dims_rope=(4, 2, 2)), **config},
            ),
            scheduler=scheduler(**steps),
            vae=kl(850 + index, channels, blocks, scaling_factor=0.3611, shift_factor=0.1159),
            text_encoder=tiny.text_encoder(860 + index, layers=1),
            tokenizer=tokenizer_at(path / "tokenizer"),
            text_encoder_2=t5(870 + index, num_layers=1),
            tokenizer_2=t5_tokenizer(path / "tokenizer_2"),
        )
        pipe = saved(path, pipe, ("tokenizer",))
        goldens = family.golden(folder, "transformer", pipe.transformer)
        given = flux_inputs(pipe.transformer, 2, 6, 10, 9, seeded(53))
        goldens.case("wide", "forward", given, {"sample": flux_call(pipe.transformer, given)})
        family.networks.append(goldens.write(family.out))
        runs = Runs(family.out, folder, report=family.report)
        scales = dict(guidance_scale=20.0) if config.get("guidance_embeds", True) else {}
        picture = painting(48, 32, 7)
        if name == "fill":
            images = {"image": picture, "mask_image": hole(48, 32)}
            runs.run("everything", pipe, 1, images=images, prompt=PROMPT, num_inference_steps=4, max_sequence_length=32, **scales, **SIZE)
            runs.run("a_part", pipe, 2, images=images, prompt=LONGER, prompt_2=PROMPT, strength=0.7, num_inference_steps=5, max_sequence_length=48, **SIZE)
        else:
            images = {"control_image": picture}
            runs.run("followed", pipe, 1, images=images, prompt=PROMPT, num_inference_steps=4, max_sequence_length=32, **scales, **SIZE)
            runs.run("two_prompts", pipe, 2, images=images, prompt=LONGER, prompt_2=PROMPT, sigmas=[1.0, 0.7, 0.3], num_inference_steps=3, max_sequence_length=48, **SIZE)
            images = {"image": picture, "control_image": painting(60, 40, 11)}
            changed = FluxControlImg2ImgPipeline(**pipe.components)
            changed.set_progress_bar_config(disable=True)
            runs.run("from_image", changed, 3, images=images, prompt=PROMPT, strength=0.7, num_inference_steps=5, max_sequence_length=32, **scales, **SIZE)
            if index == 0:
                runs.run("from_image_sigmas", changed, 4, images=images, prompt=LONGER, prompt_2=PROMPT, sigmas=[1.0, 0.8, 0.5, 0.2], num_inference_steps=4, max_sequence_length=48, **SIZE)
            inpaint = FluxControlInpaintPipeline(**pipe.components)
            inpaint.set_progress_bar_config(disable=True)
            images["mask_image"] = hole(48, 32)
            runs.run("inpaint", inpaint, 5, images=images, prompt=PROMPT, strength=0.8, num_inference_steps=5, max_sequence_length=32, **scales, **SIZE)
            if index == 0:
                runs.run("inpaint_all", inpaint, 6, images=images, prompt=PROMPT, prompt_2=LONGER, strength=1.0, num_inference_steps=3, max_sequence_length=48, **SIZE)
        family.runs.append(written(runs))


DYNAMIC = dict(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, shift=3.0)


def flux_fill(family):
    shapes = {
        "tiny-flux-fill": (dict(), DYNAMIC, 4, (8, 16)),
        "tiny-flux-fill-deep": (dict(guidance_embeds=False), dict(shift=1.0), 4, (8, 8, 16)),
        "tiny-flux-fill-wide": (dict(num_attention_heads=3), DYNAMIC, 16, (8, 16)),
    }
    flux_beside(family, FluxFillPipeline, "fill", lambda channels, factor: channels + factor**2, shapes)


def flux_control(family):
    shapes = {
        "tiny-flux-control": (dict(), DYNAMIC, 4, (8, 16)),
        "tiny-flux-control-deep": (dict(guidance_embeds=False), dict(shift=1.0), 4, (8, 8, 16)),
        "tiny-flux-control-wide": (dict(num_attention_heads=3), DYNAMIC, 16, (8, 16)),
    }
    flux_beside(family, FluxControlPipeline, "control", lambda channels, factor: channels, shapes)


FAMILIES = {"sd3": sd3, "flux": flux, "flux-fill": flux_fill, "flux-control": flux_control}


def written(runs):
    """Without the steps' latents, which no test reads."""
    for case in runs.manifest["cases"]:
        del runs.tensors[case["tensors"].pop("latents")]
    return runs.write()


def merge(file, key, entries, family, name):
    """Replaces a family's entries in a manifest and leaves the others."""
    path = FIXTURES / file
    known = json.loads(path.read_text(encoding="utf-8"))[key] if path.exists() else []
    others = [each for each in known if family != max((own for own in FAMILIES if name(each).startswith(f"tiny-{own}")), key=len)]
    write_json(path, {key: sorted(others + entries, key=name)})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=[])
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each image")
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    configure_torch()
    for name in arguments.families or FAMILIES:
        family = Family(FIXTURES, arguments.report)
        FAMILIES[name](family)
        merge("networks-joint.json", "networks", family.networks, name, lambda each: each["name"])
        merge("pipelines-joint.json", "runs", family.runs, name, lambda each: each)


if __name__ == "__main__":
    sys.exit(main())
