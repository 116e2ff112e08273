#!/usr/bin/env python3
#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Model folders of the published sizes with random float16 weights, to measure what such a model needs on a machine.

    python benchmarks/src/main/python/full_size_model.py sd15 FOLDER      # or sd21, sdxl; then: examples/model check FOLDER --steps 1

Needs torch, diffusers, transformers, safetensors and numpy. Writes 2.1 GB (sd15), 2.6 GB (sd21) or 6.9 GB (sdxl)."""
import json, os, sys
import numpy as np, torch
from safetensors.numpy import save_file
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

kind, folder = sys.argv[1:3]
two, large = kind == "sd21", kind == "sdxl"
unet = dict(sample_size=96 if two else 64, in_channels=4, out_channels=4, cross_attention_dim=1024 if two else 768,
            attention_head_dim=[5, 10, 20, 20] if two else 8, use_linear_projection=two, block_out_channels=[320, 640, 1280, 1280],
            down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3)
vae = dict(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=[128, 256, 512, 512], sample_size=768 if two else 512,
           down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, layers_per_block=2)
text = dict(vocab_size=49408, hidden_size=1024 if two else 768, intermediate_size=4096 if two else 3072, num_hidden_layers=23 if two else 12,
            num_attention_heads=16 if two else 12, hidden_act="gelu" if two else "quick_gelu", bos_token_id=49406, eos_token_id=49407)
if large:
    unet = dict(sample_size=128, in_channels=4, out_channels=4, cross_attention_dim=2048, attention_head_dim=[5, 10, 20], use_linear_projection=True,
                block_out_channels=[320, 640, 1280], transformer_layers_per_block=[1, 2, 10], addition_embed_type="text_time",
                addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
                down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2, up_block_types=["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"])
    vae["sample_size"] = 1024
text_2 = dict(vocab_size=49408, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu",
              projection_dim=1280, bos_token_id=49406, eos_token_id=49407)
random = np.random.default_rng(1)


def save(name, model, config, file):
    if os.path.exists(f"{folder}/{name}/{file}.safetensors"):
        return
    os.makedirs(f"{folder}/{name}", exist_ok=True)
    json.dump(config, open(f"{folder}/{name}/config.json", "w"))
    weights = {}
    for key, value in model.state_dict().items():
        if key.endswith("position_ids"):
            continue
        shape = tuple(value.shape)
        fan = max(1, int(np.prod(shape[1:])))
        if key.endswith("weight") and len(shape) > 1:
            weights[key] = (random.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(fan))).astype(np.float16)
        else:
            weights[key] = np.full(shape, 1 if key.endswith("weight") else 0, np.float16)
    save_file(weights, f"{folder}/{name}/{file}.safetensors")


with torch.device("meta"):
    models = [("unet", UNet2DConditionModel(**unet)), ("vae", AutoencoderKL(**vae)), ("text_encoder", CLIPTextModel(CLIPTextConfig(**text)))]
    if large:
        models.append(("text_encoder_2", CLIPTextModelWithProjection(CLIPTextConfig(**text_2))))
for name, model in models:
    encoder = name.startswith("text_encoder")
    config = model.config.to_dict() if encoder else dict(model.config)
    config["architectures" if encoder else "_class_name"] = [type(model).__name__] if encoder else type(model).__name__
    config = json.loads(json.dumps(config, default=str))
    save(name, model, config, "model" if encoder else "diffusion_pytorch_model")
os.makedirs(f"{folder}/scheduler", exist_ok=True)
json.dump(dict(_class_name="DDIMScheduler", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
               set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction" if two else "epsilon"), open(f"{folder}/scheduler/scheduler_config.json", "w"))
# The text needs a vocabulary, not that of CLIP: all single bytes, and fillers up to its size.
shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = [chr(b) for b in shown] + [chr(256 + i) for i in range(256 - len(shown))]
tokens = letters + [each + "</w>" for each in letters]
tokens += [f"filler{i}" for i in range(49406 - len(tokens))] + ["<|startoftext|>", "<|endoftext|>"]
for name in ["tokenizer"] + ["tokenizer_2"] * large:
    os.makedirs(f"{folder}/{name}", exist_ok=True)
    json.dump({token: i for i, token in enumerate(tokens)}, open(f"{folder}/{name}/vocab.json", "w"))
    open(f"{folder}/{name}/merges.txt", "w").write("#version: 0.2\n")
    json.dump(dict(tokenizer_class="CLIPTokenizer", model_max_length=77), open(f"{folder}/{name}/tokenizer_config.json", "w"))
second = dict(text_encoder_2=["transformers", "CLIPTextModelWithProjection"], tokenizer_2=["transformers", "CLIPTokenizer"],
              force_zeros_for_empty_prompt=True)
checker = dict(safety_checker=[None, None], feature_extractor=[None, None])
json.dump(dict(_class_name="StableDiffusionXLPipeline" if large else "StableDiffusionPipeline", **(second if large else checker), unet=["diffusers", "UNet2DConditionModel"], vae=["diffusers", "AutoencoderKL"],
               text_encoder=["transformers", "CLIPTextModel"], tokenizer=["transformers", "CLIPTokenizer"], scheduler=["diffusers", "DDIMScheduler"]),
          open(f"{folder}/model_index.json", "w"))
