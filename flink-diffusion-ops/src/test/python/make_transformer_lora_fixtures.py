#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Images of diffusion transformers with LoRAs, as diffusers makes them with peft, under src/test/resources/fixtures/lora/transformers.

``cases.json`` lists runs: ``model`` (a folder under ``fixtures/models``), ``file``, ``scale``, the call's ``arguments`` and ``seed``, and
where its picture (channels x height x width, 0..1) stands in ``pictures.safetensors``. Files have the keys of diffusers and PEFT, kohya's
programs, and ai-toolkit. Run: python make_transformer_lora_fixtures.py
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from fixture_tools import FIXTURES, configure_torch, fresh_folder, seeded, write_json, write_tensors  # noqa: E402
from make_lora_fixtures import factors  # noqa: E402

TARGET = FIXTURES.parent / "lora" / "transformers"
RANK = 2
SIZE = dict(height=32, width=48)
PROMPT = "a red apple on a wooden table"
FLUX = dict(prompt=PROMPT, num_inference_steps=3, guidance_scale=2.5, max_sequence_length=32, **SIZE)
SD3 = dict(prompt=PROMPT, num_inference_steps=3, guidance_scale=4.0, max_sequence_length=32, **SIZE)
Z_IMAGE = dict(prompt=PROMPT, num_inference_steps=3, guidance_scale=2.5, **SIZE)
QWEN_IMAGE = dict(prompt=PROMPT, negative_prompt="blurry", true_cfg_scale=3.0, num_inference_steps=3, **SIZE)


def peft(prefix, layers):
    """PEFT's keys behind a prefix: ``transformer.`` as diffusers has it, ``diffusion_model.`` as ai-toolkit does."""
    return {f"{prefix}{layer}.lora_{half}.weight": tensor for layer, pair in layers.items() for half, tensor in zip("AB", pair)}


def kohya(prefix, layers, alpha):
    tensors = {}
    for layer, pair in layers.items():
        key = prefix + layer.replace(".", "_")
        for half, tensor in zip(("down", "up"), pair):
            tensors[f"{key}.lora_{half}.weight"] = tensor
        tensors[f"{key}.alpha"] = torch.tensor(float(alpha))
    return tensors


def pairs(model, names, seed):
    """Of each layer of a model, a down and an up factor."""
    modules, generator = dict(model.named_modules()), seeded(seed)
    return {name: factors(modules[name], RANK, generator) for name in names}


def joined(model, path, names, seed):
    """One layer of the model's authors in place of several of diffusers', with one down factor."""
    modules, generator = dict(model.named_modules()), seeded(seed)
    weights = torch.cat([modules[name].weight for name in names])
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0])
    return {path: factors(layer, RANK, generator)}


def flux_kohya(pipe):
    block = "transformer_blocks.0"
    layers = joined(pipe.transformer, "double_blocks.0.img_attn.qkv", [f"{block}.attn.to_{part}" for part in "qkv"], 11)
    layers |= joined(pipe.transformer, "double_blocks.0.img_mlp.0", [f"{block}.ff.net.0.proj"], 12)
    layers |= joined(pipe.transformer, "double_blocks.1.txt_attn.proj", ["transformer_blocks.1.attn.to_add_out"], 13)
    return kohya("lora_unet_", layers, 1.0)


def flux_peft(pipe):
    names = ["transformer_blocks.0.attn.to_q", "transformer_blocks.1.ff_context.net.2", "single_transformer_blocks.0.proj_mlp", "single_transformer_blocks.1.attn.to_v", "x_embedder"]
    return peft("transformer.", pairs(pipe.transformer, names, 21))


def sd3_peft(pipe):
    names = ["transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn2.to_v", "transformer_blocks.1.attn.add_k_proj", "transformer_blocks.2.ff.net.2", "context_embedder"]
    return peft("transformer.", pairs(pipe.transformer, names, 31))


def z_image_ai_toolkit(pipe):
    names = ["layers.0.attention.to_q", "layers.0.attention.to_out.0", "layers.1.feed_forward.w2", "noise_refiner.0.attention.to_k", "context_refiner.0.feed_forward.w1"]
    return peft("diffusion_model.", pairs(pipe.transformer, names, 41))


QWEN_LAYERS = ["transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.add_v_proj", "transformer_blocks.1.img_mlp.net.2", "transformer_blocks.1.txt_mlp.net.0.proj", "transformer_blocks.0.img_mod.1"]


def qwen_ai_toolkit(pipe):
    return peft("diffusion_model.", pairs(pipe.transformer, QWEN_LAYERS, 51))


def qwen_kohya(pipe):
    return kohya("lora_unet_", pairs(pipe.transformer, QWEN_LAYERS[:4], 52), 1.0)


RUNS = {
    "flux-peft": ("tiny-flux-dev", diffusers.FluxPipeline, flux_peft, 0.8, FLUX),
    "flux-kohya": ("tiny-flux-dev", diffusers.FluxPipeline, flux_kohya, 1.2, FLUX),
    "sd3-peft": ("tiny-sd3-medium", diffusers.StableDiffusion3Pipeline, sd3_peft, 0.7, SD3),
    "z-image-ai-toolkit": ("tiny-z-image", diffusers.ZImagePipeline, z_image_ai_toolkit, 0.8, Z_IMAGE),
    "qwen-image-ai-toolkit": ("tiny-qwen-image", diffusers.QwenImagePipeline, qwen_ai_toolkit, 0.9, QWEN_IMAGE),
    "qwen-image-kohya": ("tiny-qwen-image", diffusers.QwenImagePipeline, qwen_kohya, -0.6, QWEN_IMAGE),
}


def main():
    configure_torch()
    fresh_folder(TARGET)
    cases, pictures = [], {}
    for seed, (name, (model, cls, layers, scale, arguments)) in enumerate(RUNS.items()):
        folder = FIXTURES / model
        absent = {part: None for part in ("text_encoder_3", "tokenizer_3") if cls is diffusers.StableDiffusion3Pipeline and not (folder / part).exists()}
        pipe = cls.from_pretrained(folder, torch_dtype=torch.float32, **absent)
        pipe.set_progress_bar_config(disable=True)
        file = TARGET / f"{name}.safetensors"
        save_file({key: tensor.half().contiguous() for key, tensor in sorted(layers(pipe).items())}, file, metadata={"format": "pt"})
        file.chmod(0o644)
        before = {key: tensor.clone() for key, tensor in pipe.transformer.state_dict().items()}
        pipe.load_lora_weights(str(file))
        pipe.fuse_lora(components=["transformer"], lora_scale=scale)
        pipe.unload_lora_weights()
        changed = sum(not torch.equal(tensor, before[key]) for key, tensor in pipe.transformer.state_dict().items())
        image = pipe(**arguments, generator=seeded(seed), output_type="np").images[0]
        pictures[name] = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        print(name, changed, "changed", f"std {pictures[name].std():.3f}")
        cases.append({"name": name, "model": model, "file": file.name, "scale": scale, "seed": seed, "arguments": arguments})
    write_tensors(TARGET / "pictures.safetensors", pictures)
    write_json(TARGET / "cases.json", cases)
    print(sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
