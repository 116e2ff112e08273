#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Whole folders of diffusion transformers that read language models' states: Z-Image, Qwen-Image, PixArt, Sana, Lumina 2.

Each family has three shapes. Run: python transformer_fixtures.py [z-image] [qwen-image] [pixart] [sana] [lumina-2]   (see requirements.txt)
It writes fixtures/models/tiny-<family>..., and the two manifests networks-transformers.json and pipelines-transformers.json.

It is long as it holds the sizes of every component of five families, and one run must write both manifests whole.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import diffusers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from diffusers import (  # noqa: E402
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImageImg2ImgPipeline,
    QwenImageInpaintPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    ZImageImg2ImgPipeline,
    ZImageInpaintPipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers  # noqa: E402
from transformers import (  # noqa: E402
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

import pipeline_runs  # noqa: E402
from fixture_tools import FIXTURES, Goldens, configure_torch, fresh_folder, randomize, round_to_half, scale, seeded, store_half, write_json  # noqa: E402
from pipeline_runs import Runs, hole, painting  # noqa: E402

pipeline_runs.SCHEDULERS[FlowMatchEulerDiscreteScheduler.__name__] = FlowMatchEulerDiscreteScheduler

TEXT = (
    "a photo of an astronaut riding a horse on mars with red green blue apples and a golden dragon on a wooden table near the sea "
    "describe the image by detailing color shape size texture quantity text spatial relationships of objects background system user assistant"
)
PROMPT = "a red apple on a wooden table"
LONGER = "a golden dragon and an astronaut riding a horse near the sea, with red and green apples on mars, as a photo of the background"
NEGATIVE = "blurry, a blue horse"
CHAT = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)


def learned(vocabulary, special):
    """Byte pairs as GPT-2 has them, learned from a few words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def qwen_tokenizer():
    vocab, merges = learned(400, [])
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHAT
    return tokenizer


def finish(model, seed):
    return round_to_half(randomize(model.eval(), seed))


def calm(model, layer, deviation, run):
    """Scales a last layer, so that predictions are of about the noise's size."""
    scale(layer, deviation / run(model).std().item())
    return round_to_half(model)


def kl(seed, **config):
    vae = AutoencoderKL(
        **{
            **dict(
                in_channels=3,
                out_channels=3,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 16),
                layers_per_block=1,
                latent_channels=4,
                norm_num_groups=4,
                sample_size=32,
                scaling_factor=0.3611,
                shift_factor=0.1159,
            ),
            **config,
        }
    )
    vae = randomize(vae.eval(), seed)
    z = torch.randn(2, vae.config.latent_channels, 8, 8, generator=seeded(91)) * 2
    scale(vae.decoder.conv_out, 0.35 / vae.decode(z).sample.std().item())
    return round_to_half(vae)


def saved(folder, pipe):
    """As people have it, in fp16, and what it loads as."""
    fresh_folder(folder)
    pipe.save_pretrained(folder)
    publish_tokenizer(folder / "tokenizer" / "tokenizer.json")
    store_half(folder)
    loaded = type(pipe).from_pretrained(folder, torch_dtype=torch.float32)
    for name, component in pipe.components.items():
        if isinstance(component, torch.nn.Module):
            other = getattr(loaded, name).state_dict()
            different = [key for key, value in component.state_dict().items() if not torch.equal(value, other[key])]
            if different:
                raise AssertionError(f"{folder.name}/{name}: {different} do not come back from disk")
    loaded.set_progress_bar_config(disable=True)
    return loaded


def publish_tokenizer(path):
    """The last step as Qwen's published files have it, where transformers 5 writes a template without tokens: neither changes ids."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    if tokenizer["pre_tokenizer"] and "ByteLevel" in json.dumps(tokenizer["pre_tokenizer"]):
        tokenizer["post_processor"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        write_json(path, tokenizer)


class Family:
    """Collects the networks' goldens and the runs of a family's folders."""

    def __init__(self, out, report):
        self.out, self.report, self.networks, self.runs = out, report, [], []

    def golden(self, folder, component, name, weights="diffusion_pytorch_model.safetensors"):
        return Goldens(f"{folder}/{component}", name, f"{folder}/{component}/{weights}", "F16", f"{folder}/golden/{component}.safetensors")

    def write(self, *goldens):
        self.networks += [each.write(self.out) for each in goldens]

    def language(self, folder, model, name, ids, inner=False):
        """The last states, after the norm, or those before the last layer."""
        states = model(ids, output_hidden_states=True).hidden_states
        goldens = self.golden(folder, "text_encoder", name, "model.safetensors")
        goldens.case("ids", "forward", {"input_ids": ids}, {"hidden_states": states[-2 if inner else -1]})
        self.write(goldens)

    def autoencoder(self, folder, vae):
        goldens = self.golden(folder, "vae", type(vae).__name__)
        frame = (lambda value: value.unsqueeze(2)) if isinstance(vae, AutoencoderKLQwenImage) else (lambda value: value)
        still = (lambda value: value.squeeze(2)) if isinstance(vae, AutoencoderKLQwenImage) else (lambda value: value)
        x = torch.rand(1, 3, 16, 24, generator=seeded(61)) * 2 - 1
        dist = vae.encode(frame(x)).latent_dist
        mean, logvar = still(dist.mean), still(dist.logvar)
        goldens.case("encode", "encode", {"x": x}, {"mean": mean, "logvar": logvar})
        factor = 16 // mean.shape[-2]
        z = torch.randn(2, mean.shape[1], 24 // factor, 16 // factor, generator=seeded(62))
        goldens.case("decode", "decode", {"z": z}, {"sample": still(vae.decode(frame(z)).sample)})
        self.write(goldens)


def written(runs):
    """Options of a call that name no value of a request: which resizing and which cleaning of prompts were left out."""
    for case in runs.manifest["cases"]:
        case["options"] = {key: case["arguments"].pop(key) for key in ("clean_caption", "use_resolution_binning") if key in case["arguments"]}
    return runs.write()


def lengths(model_size, texts, generator):
    """Random states of texts of several lengths, padded with zeros at the end."""
    states = torch.randn(len(texts), max(texts), model_size, generator=generator)
    for i, length in enumerate(texts):
        states[i, length:] = 0
    return states, torch.tensor([float(length) for length in texts])


# ---------------------------------------------------------------- Z-Image


def z_image(family):
    shapes = {
        "tiny-z-image": dict(
            dim=32, heads=4, layers=2, refiners=1, axes=[4, 2, 2], text=dict(hidden=24, heads=4, keys=2, head=8, layers=3), scheduler=dict(shift=3.0)
        ),
        "tiny-z-image-wide": dict(
            dim=48,
            heads=3,
            layers=1,
            refiners=2,
            axes=[4, 6, 6],
            text=dict(hidden=32, heads=2, keys=1, head=12, layers=2),
            scheduler=dict(use_dynamic_shifting=True, base_shift=0.4, max_shift=1.3, shift=1.0),
            vae=dict(block_out_channels=(8, 8, 16), down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3),
        ),
        "tiny-z-image-plain": dict(
            dim=24, heads=2, layers=1, refiners=1, axes=[4, 4, 4], text=dict(hidden=16, heads=2, keys=2, head=8, layers=2), scheduler=dict(), norms=False
        ),
    }
    for index, (folder, shape) in enumerate(shapes.items()):
        seed = 700 + 10 * index
        tokenizer = qwen_tokenizer()
        text = shape["text"]
        encoder = finish(
            Qwen3Model(
                Qwen3Config(
                    vocab_size=len(tokenizer),
                    hidden_size=text["hidden"],
                    intermediate_size=2 * text["hidden"],
                    num_hidden_layers=text["layers"],
                    num_attention_heads=text["heads"],
                    num_key_value_heads=text["keys"],
                    head_dim=text["head"],
                    max_position_embeddings=1024,
                    rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
                )
            ),
            seed,
        )
        transformer = randomize(
            ZImageTransformer2DModel(
                in_channels=4,
                dim=shape["dim"],
                n_layers=shape["layers"],
                n_refiner_layers=shape["refiners"],
                n_heads=shape["heads"],
                n_kv_heads=shape["heads"],
                qk_norm=shape.get("norms", True),
                cap_feat_dim=text["hidden"],
                axes_dims=shape["axes"],
                axes_lens=[640, 64, 64],
            ).eval(),
            seed + 1,
        )
        generator = seeded(70)
        sample = torch.randn(2, 4, 6, 10, generator=generator)
        states, length = lengths(text["hidden"], [45, 20], generator)
        states = torch.nn.functional.pad(states, (0, 0, 0, 64 - 45))
        timestep = torch.tensor([800.0, 250.0])

        def run(model):
            given = [s[: int(n)] for s, n in zip(states, length)]
            return -torch.stack(model(list(sample.unsqueeze(2)), (1000 - timestep) / 1000, given).sample).squeeze(2)

        calm(transformer, next(iter(transformer.all_final_layer.values())).linear, 0.8, run)
        pipe = saved(
            family.out / folder,
            ZImagePipeline(
                scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, **shape["scheduler"]),
                vae=kl(seed + 2, **shape.get("vae", {})),
                text_encoder=encoder,
                tokenizer=tokenizer,
                transformer=transformer,
            ),
        )
        goldens = family.golden(folder, "transformer", "ZImageTransformer2DModel")
        goldens.case("rows", "forward", {"sample": sample, "timestep": timestep, "text": states, "length": length}, {"sample": run(pipe.transformer)})
        ids = torch.randint(0, len(tokenizer), (2, 13), generator=generator)
        family.write(goldens)
        family.language(folder, pipe.text_encoder, "Qwen3Model", ids, inner=True)
        family.autoencoder(folder, pipe.vae)
        runs = Runs(family.out, folder, report=family.report)
        size = dict(height=32, width=48)
        runs.run("guided", pipe, 1, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, guidance_scale=2.5, **size)
        runs.run("turbo", pipe, 2, prompt=LONGER, num_inference_steps=3, guidance_scale=0.0, **(size if index == 0 else dict(height=48, width=32)))
        if index == 0:
            runs.run("shifted", pipe, 3, prompt=PROMPT, num_inference_steps=3, guidance_scale=1.0, overrides=dict(use_dynamic_shifting=True), **size)
            image, mask = painting(48, 32, 5), hole(48, 32)
            other = ZImageImg2ImgPipeline(**pipe.components)
            other.set_progress_bar_config(disable=True)
            runs.run("image", other, 4, images={"image": image}, prompt=PROMPT, strength=0.6, num_inference_steps=5, guidance_scale=0.0, **size)
            runs.run("image_guided", other, 5, images={"image": image}, prompt=PROMPT, strength=0.5, num_inference_steps=4, guidance_scale=3.0, **size)
            other = ZImageInpaintPipeline(**pipe.components)
            other.set_progress_bar_config(disable=True)
            images = {"image": image, "mask_image": mask}
            runs.run("part", other, 6, images=images, prompt=PROMPT, strength=1.0, num_inference_steps=3, guidance_scale=0.0, **size)
            runs.run("part_half", other, 7, images=images, prompt=PROMPT, strength=0.5, num_inference_steps=4, guidance_scale=2.0, **size)
        family.runs.append(written(runs))


# ---------------------------------------------------------------- Qwen-Image


def video_vae(seed, **config):
    channels = config.get("z_dim", 4)
    generator = seeded(seed + 7)
    vae = AutoencoderKLQwenImage(
        **{
            **dict(
                base_dim=8,
                z_dim=channels,
                dim_mult=[1, 2],
                num_res_blocks=1,
                temperal_downsample=[True],
                latents_mean=torch.randn(channels, generator=generator).tolist(),
                latents_std=(1 + torch.rand(channels, generator=generator)).tolist(),
            ),
            **config,
        }
    )
    vae = randomize(vae.eval(), seed)
    z = torch.randn(2, channels, 1, 8, 8, generator=seeded(91)) * 2
    scale(vae.decoder.conv_out, 0.3 / vae.decode(z).sample.std().item())
    return round_to_half(vae)


def packed(latents):
    n, c, h, w = latents.shape
    return latents.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, h // 2 * (w // 2), 4 * c)


def unpacked(tokens, height, width):
    n, _, c = tokens.shape
    return tokens.view(n, height // 2, width // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(n, c // 4, height, width)


class PackedRuns(Runs):
    """The samples of a run as the autoencoder has them, not as the pipeline packs them."""

    factor = 2

    def _call(self, pipe, scheduler, seed, images, arguments, nudge=0.0):
        picture, steps, draws = super()._call(pipe, scheduler, seed, images, arguments, nudge)
        height, width = picture.shape[-2] // self.factor, picture.shape[-1] // self.factor
        return picture, [unpacked(step[None], height, width)[0] for step in steps], draws


def qwen_image(family):
    shapes = {
        "tiny-qwen-image": dict(
            heads=2,
            head=16,
            layers=2,
            axes=[4, 6, 6],
            text=dict(hidden=32, heads=4, keys=2, layers=2, sections=[2, 1, 1]),
            scheduler=dict(
                use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, base_image_seq_len=256, max_image_seq_len=8192, shift=1.0, shift_terminal=0.02
            ),
        ),
        "tiny-qwen-image-wide": dict(
            heads=3,
            head=8,
            layers=1,
            axes=[2, 2, 4],
            text=dict(hidden=24, heads=2, keys=1, layers=3, sections=[2, 2, 2]),
            scheduler=dict(shift=2.0),
            vae=dict(dim_mult=[1, 2, 2], temperal_downsample=[False, True], num_res_blocks=2),
        ),
        "tiny-qwen-image-plain": dict(
            heads=2, head=12, layers=1, axes=[4, 4, 4], text=dict(hidden=16, heads=2, keys=2, layers=1, sections=[2, 1, 1]), scheduler=dict(), vae=dict(z_dim=3)
        ),
    }
    for index, (folder, shape) in enumerate(shapes.items()):
        seed = 740 + 10 * index
        tokenizer = qwen_tokenizer()
        text = shape["text"]
        encoder = finish(
            Qwen2_5_VLForConditionalGeneration(
                Qwen2_5_VLConfig(
                    text_config=dict(
                        vocab_size=len(tokenizer),
                        hidden_size=text["hidden"],
                        intermediate_size=2 * text["hidden"],
                        num_hidden_layers=text["layers"],
                        num_attention_heads=text["heads"],
                        num_key_value_heads=text["keys"],
                        max_position_embeddings=2048,
                        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": text["sections"]},
                    ),
                    vision_config=dict(depth=1, hidden_size=16, num_heads=2, intermediate_size=16, out_hidden_size=text["hidden"], fullatt_block_indexes=[0]),
                )
            ),
            seed,
        )
        vae = video_vae(seed + 2, **shape.get("vae", {}))
        channels = vae.config.z_dim
        transformer = randomize(
            QwenImageTransformer2DModel(
                in_channels=4 * channels,
                out_channels=channels,
                num_layers=shape["layers"],
                attention_head_dim=shape["head"],
                num_attention_heads=shape["heads"],
                joint_attention_dim=text["hidden"],
                axes_dims_rope=shape["axes"],
            ).eval(),
            seed + 1,
        )
        generator = seeded(70)
        sample = torch.randn(2, channels, 6, 10, generator=generator)
        states, length = lengths(text["hidden"], [21, 9], generator)
        timestep = torch.tensor([800.0, 250.0])
        seen = (torch.arange(21)[None] < length[:, None]).long()

        def run(model):
            out = model(
                hidden_states=packed(sample),
                timestep=timestep / 1000,
                encoder_hidden_states=states,
                encoder_hidden_states_mask=seen,
                img_shapes=[[(1, 3, 5)]] * 2,
            ).sample
            return unpacked(out, 6, 10)

        calm(transformer, transformer.proj_out, 0.8, run)
        pipe = saved(
            family.out / folder,
            QwenImagePipeline(
                scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, **shape["scheduler"]),
                vae=vae,
                text_encoder=encoder,
                tokenizer=tokenizer,
                transformer=transformer,
            ),
        )
        goldens = family.golden(folder, "transformer", "QwenImageTransformer2DModel")
        goldens.case("rows", "forward", {"sample": sample, "timestep": timestep, "text": states, "length": length}, {"sample": run(pipe.transformer)})
        ids = torch.randint(0, len(tokenizer), (2, 13), generator=generator)
        family.write(goldens)
        family.language(folder, pipe.text_encoder, "Qwen2_5_VLForConditionalGeneration", ids)
        family.autoencoder(folder, pipe.vae)
        runs = PackedRuns(family.out, folder, report=family.report)
        runs.factor = pipe.vae_scale_factor
        size = dict(height=32, width=48)
        runs.run("true_cfg", pipe, 1, prompt=PROMPT, negative_prompt=NEGATIVE, true_cfg_scale=3.0, num_inference_steps=4, **size)
        runs.run("plain", pipe, 2, prompt=LONGER, num_inference_steps=3, height=48, width=32)
        if index == 0:
            runs.run("empty_negative", pipe, 3, prompt=PROMPT, negative_prompt="", num_inference_steps=3, **size)
            runs.run("constant_shift", pipe, 4, prompt=LONGER, negative_prompt=" ", num_inference_steps=3, overrides=dict(use_dynamic_shifting=False, shift=3.0), **size)
            image, mask = painting(48, 32, 5), hole(48, 32)
            other = QwenImageImg2ImgPipeline(**pipe.components)
            other.set_progress_bar_config(disable=True)
            runs.run("image", other, 5, images={"image": image}, prompt=PROMPT, strength=0.6, num_inference_steps=5, **size)
            runs.run(
                "image_guided", other, 6, images={"image": image}, prompt=PROMPT, negative_prompt=NEGATIVE, true_cfg_scale=2.0, strength=0.5, num_inference_steps=4, **size
            )
            other = QwenImageInpaintPipeline(**pipe.components)
            other.set_progress_bar_config(disable=True)
            images = {"image": image, "mask_image": mask}
            runs.run("part", other, 7, images=images, prompt=PROMPT, strength=0.8, num_inference_steps=4, **size)
        family.runs.append(written(runs))


# ---------------------------------------------------------------- PixArt


def t5_tokenizer():
    words = sorted(set(TEXT.split()))
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    pieces += [("\u2581" + word, -3.0 - 0.1 * index) for index, word in enumerate(words)]
    pieces += [("\u2581", -4.0)] + [(letter, -9.0 - 0.05 * index) for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz,.'-")]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def pixart(family):
    shapes = {
        "tiny-pixart-alpha": dict(cls=PixArtAlphaPipeline, heads=3, head=8, layers=2, sample=128, out=8),
        "tiny-pixart-sigma": dict(cls=PixArtSigmaPipeline, heads=2, head=16, layers=2, sample=16, out=8, use_additional_conditions=False),
        "tiny-pixart-plain": dict(cls=PixArtSigmaPipeline, heads=4, head=4, layers=1, sample=64, out=4, patch=4, attention_bias=False, interpolation_scale=2),
    }
    for index, (folder, shape) in enumerate(shapes.items()):
        seed = 780 + 10 * index
        tokenizer = t5_tokenizer()
        encoder = finish(
            T5EncoderModel(
                T5Config(vocab_size=len(tokenizer), d_model=16 + 8 * index, d_kv=8, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu", dropout_rate=0.0)
            ),
            seed,
        )
        options = {key: shape[key] for key in ("use_additional_conditions", "attention_bias", "interpolation_scale") if key in shape}
        size = shape["heads"] * shape["head"]
        transformer = randomize(
            PixArtTransformer2DModel(
                num_attention_heads=shape["heads"],
                attention_head_dim=shape["head"],
                in_channels=4,
                out_channels=shape["out"],
                num_layers=shape["layers"],
                cross_attention_dim=size,
                sample_size=shape["sample"],
                patch_size=shape.get("patch", 2),
                caption_channels=encoder.config.d_model,
                **options,
            ).eval(),
            seed + 1,
        )
        generator = seeded(70)
        sample = torch.randn(2, 4, 8, 12, generator=generator)
        states, length = lengths(encoder.config.d_model, [11, 5], generator)
        timestep = torch.tensor([800.0, 250.0])
        seen = (torch.arange(11)[None] < length[:, None]).long()
        sized = transformer.use_additional_conditions
        sides = torch.tensor([[32.0, 48.0, 32.0 / 48.0], [64.0, 40.0, 64.0 / 40.0]])
        added = {"resolution": sides[:, :2], "aspect_ratio": sides[:, 2:]} if sized else {"resolution": None, "aspect_ratio": None}

        def run(model):
            return model(sample, encoder_hidden_states=states, timestep=timestep, added_cond_kwargs=added, encoder_attention_mask=seen).sample

        calm(transformer, transformer.proj_out, 0.8, run)
        pipe = saved(
            family.out / folder,
            shape["cls"](
                tokenizer=tokenizer,
                text_encoder=encoder,
                vae=kl(seed + 2, scaling_factor=0.18215, shift_factor=None),
                transformer=transformer,
                scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
            ),
        )
        goldens = family.golden(folder, "transformer", "PixArtTransformer2DModel")
        given = {"sample": sample, "timestep": timestep, "text": states, "length": length}
        goldens.case("rows", "forward", {**given, "sides": sides} if sized else given, {"sample": run(pipe.transformer)})
        family.write(goldens)
        runs = Runs(family.out, folder, report=family.report)
        plain = dict(clean_caption=False, use_resolution_binning=False)
        size = dict(height=32, width=48)
        runs.run("guided", pipe, 1, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=5, **size, **plain)
        runs.run("alone", pipe, 2, prompt=LONGER, num_inference_steps=4, guidance_scale=1.0, height=48, width=32, **plain)
        if shape["cls"] is not PixArtAlphaPipeline:
            other = PixArtAlphaPipeline(**pipe.components)
            other.set_progress_bar_config(disable=True)
            runs.run("alpha", other, 5, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, **size, **plain)
            runs.run("alpha_many_words", other, 6, prompt=LONGER * 6, num_inference_steps=3, guidance_scale=1.0, height=48, width=32, **plain)
        if index == 0:
            runs.run("euler", pipe, 3, prompt=PROMPT, num_inference_steps=4, guidance_scale=3.0, scheduler="EulerDiscreteScheduler", **size, **plain)
            runs.run("many_words", pipe, 4, prompt=LONGER * 6, num_inference_steps=3, **size, **plain)
        family.runs.append(written(runs))


# ---------------------------------------------------------------- Sana


def gemma_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=220, show_progress=False)
    text = TEXT.replace(" ", "\u2581")
    tokenizer.train_from_iterator(["\u2581" + word for word in TEXT.split()] + [text[:1]], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{byte:02X}>" for byte in range(256)] + list(model["vocab"])
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = GemmaTokenizer(vocab=vocab, merges=[tuple(pair) for pair in model["merges"]])
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", vocab["<bos>"])])
    return tokenizer


def deep_vae(seed, **config):
    vae = AutoencoderDC(
        **{
            **dict(
                latent_channels=4,
                attention_head_dim=8,
                encoder_block_types=["ResBlock", "ResBlock", "EfficientViTBlock"],
                decoder_block_types=["ResBlock", "ResBlock", "EfficientViTBlock"],
                encoder_block_out_channels=(8, 16, 16),
                decoder_block_out_channels=(8, 16, 16),
                encoder_layers_per_block=(1, 1, 1),
                decoder_layers_per_block=(1, 1, 1),
                encoder_qkv_multiscales=((), (), (3,)),
                decoder_qkv_multiscales=((), (), (3,)),
                scaling_factor=0.41407,
            ),
            **config,
        }
    )
    vae = randomize(vae.eval(), seed)
    z = torch.randn(2, 4, 8, 8, generator=seeded(91)) * 2
    last = vae.decoder.conv_out if isinstance(vae.decoder.conv_out, torch.nn.Conv2d) else vae.decoder.conv_out.conv
    scale(last, 0.35 / vae.decode(z).sample.std().item())
    return round_to_half(vae)


def sana(family):
    shapes = {
        "tiny-sana": dict(heads=4, head=8, cross=2, layers=2, text=dict(hidden=24, heads=4, keys=2, head=8, layers=2)),
        "tiny-sana-wide": dict(
            heads=2,
            head=12,
            cross=3,
            layers=1,
            text=dict(hidden=16, heads=2, keys=1, head=16, layers=3, scalar=64),
            options=dict(qk_norm="rms_norm_across_heads", interpolation_scale=2.0, attention_bias=True, norm_elementwise_affine=True, mlp_ratio=2.0, timestep_scale=0.5),
            vae=dict(
                encoder_layers_per_block=(0, 1, 1),
                decoder_layers_per_block=(0, 1, 2),
                upsample_block_type="interpolate",
                downsample_block_type="Conv",
                encoder_out_shortcut=False,
                decoder_in_shortcut=False,
            ),
        ),
        "tiny-sana-patches": dict(
            heads=2,
            head=8,
            cross=2,
            layers=1,
            patch=2,
            text=dict(hidden=16, heads=2, keys=2, head=8, layers=1),
            vae=dict(encoder_qkv_multiscales=((), (), ()), decoder_qkv_multiscales=((), (), (3, 5)), decoder_layers_per_block=(1, 2, 1)),
        ),
    }
    for index, (folder, shape) in enumerate(shapes.items()):
        seed = 820 + 10 * index
        tokenizer = gemma_tokenizer()
        text = shape["text"]
        encoder = finish(
            Gemma2Model(
                Gemma2Config(
                    vocab_size=len(tokenizer),
                    hidden_size=text["hidden"],
                    intermediate_size=2 * text["hidden"],
                    num_hidden_layers=text["layers"],
                    num_attention_heads=text["heads"],
                    num_key_value_heads=text["keys"],
                    head_dim=text["head"],
                    query_pre_attn_scalar=text.get("scalar", text["head"]),
                    attn_logit_softcapping=5.0,
                )
            ),
            seed,
        )
        size = shape["heads"] * shape["head"]
        transformer = randomize(
            SanaTransformer2DModel(
                in_channels=4,
                out_channels=4,
                num_attention_heads=shape["heads"],
                attention_head_dim=shape["head"],
                num_layers=shape["layers"],
                num_cross_attention_heads=shape["cross"],
                cross_attention_head_dim=size // shape["cross"],
                cross_attention_dim=size,
                caption_channels=text["hidden"],
                sample_size=32,
                patch_size=shape.get("patch", 1),
                **shape.get("options", {}),
            ).eval(),
            seed + 1,
        )
        generator = seeded(70)
        sample = torch.randn(2, 4, 6, 10, generator=generator)
        states, length = lengths(text["hidden"], [11, 5], generator)
        timestep = torch.tensor([800.0, 250.0])
        seen = (torch.arange(11)[None] < length[:, None]).long()

        def run(model):
            scaled = timestep * model.config.timestep_scale
            return model(sample, encoder_hidden_states=states, timestep=scaled, encoder_attention_mask=seen).sample

        calm(transformer, transformer.proj_out, 0.8, run)
        pipe = saved(
            family.out / folder,
            SanaPipeline(
                tokenizer=tokenizer,
                text_encoder=encoder,
                vae=deep_vae(seed + 2, **shape.get("vae", {})),
                transformer=transformer,
                scheduler=DPMSolverMultistepScheduler(
                    beta_start=0.0001, beta_end=0.02, beta_schedule="linear", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
                ),
            ),
        )
        goldens = family.golden(folder, "transformer", "SanaTransformer2DModel")
        goldens.case("rows", "forward", {"sample": sample, "timestep": timestep, "text": states, "length": length}, {"sample": run(pipe.transformer)})
        family.write(goldens)
        ids = torch.randint(0, len(tokenizer), (2, 13), generator=generator)
        if pipe.tokenizer.encode("") != [pipe.tokenizer.bos_token_id]:
            raise AssertionError("the tokenizer does not begin texts with a token, as Gemma's does")
        family.language(folder, pipe.text_encoder, "Gemma2Model", ids)
        goldens = family.golden(folder, "vae", "AutoencoderDC")
        x = torch.rand(1, 3, 16, 24, generator=seeded(61)) * 2 - 1
        goldens.case("encode", "encode", {"x": x}, {"latent": pipe.vae.encode(x).latent})
        z = torch.randn(2, 4, 6, 4, generator=seeded(62))
        goldens.case("decode", "decode", {"z": z}, {"sample": pipe.vae.decode(z).sample})
        few = torch.randn(1, 4, 2, 1, generator=seeded(63))
        goldens.case("decode_few", "decode", {"z": few}, {"sample": pipe.vae.decode(few).sample})
        family.write(goldens)
        runs = Runs(family.out, folder, report=family.report)
        plain = dict(use_resolution_binning=False)
        size = dict(height=32, width=64)
        runs.run("guided", pipe, 1, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, **size, **plain)
        runs.run("alone", pipe, 2, prompt=LONGER, num_inference_steps=4, guidance_scale=1.0, height=64, width=32, **plain)
        if index == 0:
            runs.run("flow_euler", pipe, 3, prompt=PROMPT, num_inference_steps=4, guidance_scale=3.0, scheduler="FlowMatchEulerDiscreteScheduler", **size, **plain)
        family.runs.append(written(runs))


# ---------------------------------------------------------------- Lumina 2


def lumina_2(family):
    shapes = {
        "tiny-lumina-2": dict(heads=4, keys=2, axes=[4, 2, 2], layers=2, refiners=1, channels=4, text=dict(hidden=24, heads=4, keys=2, head=8, layers=3), scheduler=dict(shift=6.0)),
        "tiny-lumina-2-wide": dict(
            heads=3, keys=1, axes=[4, 6, 6], layers=1, refiners=2, channels=16, text=dict(hidden=16, heads=2, keys=1, head=16, layers=2, scalar=64),
            scheduler=dict(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15), options=dict(multiple_of=24, ffn_dim_multiplier=0.6, norm_eps=1e-4),
        ),
        "tiny-lumina-2-plain": dict(
            heads=2, keys=2, axes=[2, 2, 4], layers=1, refiners=1, channels=4, text=dict(hidden=16, heads=2, keys=2, head=8, layers=2), scheduler=dict(), options=dict(axes_lens=[280, 64, 64]),
        ),
    }
    for index, (folder, shape) in enumerate(shapes.items()):
        seed = 900 + 10 * index
        tokenizer = gemma_tokenizer()
        text = shape["text"]
        encoder = finish(
            Gemma2Model(
                Gemma2Config(
                    vocab_size=len(tokenizer), hidden_size=text["hidden"], intermediate_size=2 * text["hidden"], num_hidden_layers=text["layers"], num_attention_heads=text["heads"],
                    num_key_value_heads=text["keys"], head_dim=text["head"], query_pre_attn_scalar=text.get("scalar", text["head"]), attn_logit_softcapping=5.0,
                )
            ),
            seed,
        )
        transformer = randomize(
            Lumina2Transformer2DModel(
                **{
                    **dict(
                        sample_size=8, in_channels=shape["channels"], hidden_size=shape["heads"] * sum(shape["axes"]), num_layers=shape["layers"], num_refiner_layers=shape["refiners"],
                        num_attention_heads=shape["heads"], num_kv_heads=shape["keys"], multiple_of=8, axes_dim_rope=shape["axes"], axes_lens=[300, 64, 64], cap_feat_dim=text["hidden"],
                    ),
                    **shape.get("options", {}),
                }
            ).eval(),
            seed + 1,
        )
        generator = seeded(70)
        sample = torch.randn(2, shape["channels"], 6, 10, generator=generator)
        states, length = lengths(text["hidden"], [11, 5], generator)
        timestep = torch.tensor([800.0, 250.0])
        seen = (torch.arange(11)[None] < length[:, None]).long()

        def run(model):
            return -model(sample, timestep=1 - timestep / 1000, encoder_hidden_states=states, encoder_attention_mask=seen).sample

        calm(transformer, transformer.norm_out.linear_2, 0.8, run)
        pipe = saved(
            family.out / folder,
            Lumina2Pipeline(
                transformer=transformer,
                scheduler=scheduler_of_flow(**shape["scheduler"]),
                vae=kl(
                    seed + 2, latent_channels=shape["channels"], block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                    use_quant_conv=False, use_post_quant_conv=False,
                ),
                text_encoder=encoder,
                tokenizer=tokenizer,
            ),
        )
        goldens = family.golden(folder, "transformer", "Lumina2Transformer2DModel")
        goldens.case("rows", "forward", {"sample": sample, "timestep": timestep, "text": states, "length": length}, {"sample": run(pipe.transformer)})
        family.write(goldens)
        runs = Runs(family.out, folder, report=family.report)
        size = dict(height=32, width=64)
        runs.run("guided", pipe, 1, prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=4, **size)
        runs.run("alone", pipe, 2, prompt=LONGER, num_inference_steps=3, guidance_scale=1.0, height=64, width=32)
        runs.run("cut", pipe, 3, prompt=LONGER, num_inference_steps=3, guidance_scale=2.0, max_sequence_length=60, **size)
        if index == 0:
            runs.run("sigmas", pipe, 4, prompt=PROMPT, num_inference_steps=3, sigmas=[1.0, 0.6, 0.3], guidance_scale=3.0, **size)
        family.runs.append(written(runs))


def scheduler_of_flow(**config):
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, **config)


FAMILIES = {"z-image": z_image, "qwen-image": qwen_image, "pixart": pixart, "sana": sana, "lumina-2": lumina_2}


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
        merge("networks-transformers.json", "networks", family.networks, name, lambda each: each["name"])
        merge("pipelines-transformers.json", "runs", family.runs, name, lambda each: each)


def merge(file, key, entries, family, name):
    """Replaces a family's entries in a manifest and leaves the others."""
    path = FIXTURES / file
    known = json.loads(path.read_text(encoding="utf-8"))[key] if path.exists() else []
    others = [each for each in known if not name(each).startswith(f"tiny-{family}")]
    write_json(path, {key: sorted(others + entries, key=name)})


if __name__ == "__main__":
    sys.exit(main())
