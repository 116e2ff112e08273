#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes LoRA files and what diffusers makes of them, under src/test/resources/fixtures/lora. Needs peft (see requirements.txt).

``cases.json`` lists runs: ``model`` (a folder under ``fixtures/models``), ``loras`` (file and scale, in order), ``golden``. Each golden file
holds, as float32 and under ``component/name``, the weights that ``load_lora_weights`` and ``fuse_lora`` changed; ``merged-two`` also a
``picture`` (channels x height x width, 0..1) of seed 3.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
from diffusers import DiffusionPipeline  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from fixture_tools import FIXTURES, configure_torch, seeded, write_json, write_tensors  # noqa: E402
from make_single_file_fixtures import unet_name  # noqa: E402

TARGET = FIXTURES.parent / "lora"

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0"
UNET = [
    f"{ATTENTION}.attn1.to_q",
    f"{ATTENTION}.attn1.to_out.0",
    f"{ATTENTION}.attn2.to_k",
    f"{ATTENTION}.ff.net.0.proj",
    f"{ATTENTION}.ff.net.2",
    "down_blocks.0.attentions.0.proj_in",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
    "up_blocks.1.attentions.1.proj_out",
]
CONVOLUTIONS = [
    "down_blocks.0.resnets.0.conv1",
    "up_blocks.0.resnets.0.conv_shortcut",
    "down_blocks.0.downsamplers.0.conv",
    "up_blocks.1.upsamplers.0.conv",
    "mid_block.resnets.1.time_emb_proj",
]
TEXT = ["self_attn.q_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"]


def layers(pipe, component, names):
    """Path -> module."""
    modules = dict(getattr(pipe, component).named_modules())
    return {name: modules[name] for name in names if name in modules}


def text_layers(pipe, component):
    model = getattr(pipe, component)
    bare = not hasattr(model, "text_model")
    found = layers(pipe, component, [f"{'' if bare else 'text_model.'}encoder.layers.1.{name}" for name in TEXT])
    assert len(found) == len(TEXT)
    return {("text_model." if bare else "") + name: module for name, module in found.items()}


def factors(module, rank, generator):
    """Down and up in the shapes that trainers give them."""
    weight = module.weight
    if weight.ndim == 4:
        down = torch.randn(rank, *weight.shape[1:], generator=generator)
        up = torch.randn(weight.shape[0], rank, 1, 1, generator=generator)
    else:
        down = torch.randn(rank, weight.shape[1], generator=generator)
        up = torch.randn(weight.shape[0], rank, generator=generator)
    return down / down[0].numel() ** 0.5, up * 0.3


def kohya(pipe, prefixes, names, rank, alpha, seed, conv_rank=None, conv_alpha=None, unet_path=lambda name: name):
    generator = seeded(seed)
    tensors = {}

    def put(prefix, path, module, rank, alpha):
        key = f"{prefix}_{path.replace('.', '_')}"
        down, up = factors(module, rank, generator)
        tensors[f"{key}.lora_down.weight"] = down.half()
        tensors[f"{key}.lora_up.weight"] = up.half()
        if alpha is not None:
            tensors[f"{key}.alpha"] = torch.tensor(float(alpha)).half()

    for name, module in layers(pipe, "unet", names).items():
        put("lora_unet", unet_path(name), module, rank, alpha)
    if conv_rank:
        for name, module in layers(pipe, "unet", CONVOLUTIONS).items():
            put("lora_unet", unet_path(name), module, conv_rank, conv_alpha)
    for component, prefix in prefixes.items():
        for name, module in text_layers(pipe, component).items():
            put(prefix, name, module, rank, alpha)
    return tensors


def peft_style(pipe, rank, seed):
    generator = seeded(seed)
    tensors = {}
    for name, module in layers(pipe, "unet", UNET + CONVOLUTIONS).items():
        down, up = factors(module, rank, generator)
        tensors[f"unet.{name}.lora_A.weight"], tensors[f"unet.{name}.lora_B.weight"] = down, up
    for name, module in text_layers(pipe, "text_encoder").items():
        down, up = factors(module, rank, generator)
        key = f"text_encoder.{name}.lora_linear_layer"
        tensors[f"{key}.down.weight"], tensors[f"{key}.up.weight"] = down, up
    return tensors


def dora_style(pipe, rank, seed):
    """PEFT's DoRA: linear layers, convolutions and a text encoder, with magnitudes that are not the rows' own."""
    generator = seeded(seed)
    tensors = {}
    for component, found in (("unet", layers(pipe, "unet", UNET + CONVOLUTIONS)), ("text_encoder", text_layers(pipe, "text_encoder"))):
        for name, module in found.items():
            down, up = factors(module, rank, generator)
            key = f"{component}.{name}"
            tensors[f"{key}.lora_A.weight"], tensors[f"{key}.lora_B.weight"] = down, up
            rows = module.weight.flatten(1).norm(dim=1)
            magnitude = rows * (1 + 0.3 * torch.randn(rows.shape, generator=generator))
            # transformers loads the second spelling alone into a text encoder.
            spelling = "lora_magnitude_vector" if component == "unet" else "lora_magnitude_vector.weight"
            tensors[f"{key}.{spelling}"] = magnitude.view(1, -1, 1, 1) if module.weight.ndim == 4 else magnitude
    return tensors


def in_kohya_spelling(peft, ndim):
    """The same numbers as LyCORIS writes them; the alpha says that the factor is 1, as PEFT's is without one."""
    tensors = {}
    for key, value in peft.items():
        component, rest = key.split(".", 1)
        prefix = {"unet": "lora_unet", "text_encoder": "lora_te"}[component]
        path, role = rest.split(".lora_", 1)
        flat = f"{prefix}_{path.replace('.', '_')}"
        if role == "A.weight":
            tensors[f"{flat}.lora_down.weight"] = value
            tensors[f"{flat}.alpha"] = torch.tensor(float(value.shape[0]))
        elif role == "B.weight":
            tensors[f"{flat}.lora_up.weight"] = value
        else:
            tensors[f"{flat}.dora_scale"] = value.flatten().view(-1, *[1] * (ndim[f"{component}.{path}"] - 1))
    return tensors


def old_style(pipe, rank, seed):
    generator = seeded(seed)
    tensors = {}
    short = {"to_q": "to_q_lora", "to_k": "to_k_lora", "to_v": "to_v_lora", "to_out.0": "to_out_lora"}
    for name, module in layers(pipe, "unet", [n for n in UNET if ".attn" in n]).items():
        path, projection = name.split(".to_")
        down, up = factors(module, rank, generator)
        key = f"unet.{path}.processor.{short['to_' + projection]}"
        tensors[f"{key}.down.weight"], tensors[f"{key}.up.weight"] = down, up
    for name, module in text_layers(pipe, "text_encoder").items():
        if "self_attn" in name:
            down, up = factors(module, rank, generator)
            key = f"text_encoder.{name.rsplit('.', 1)[0]}.to_{'q' if 'q_proj' in name else 'out'}_lora"
            tensors[f"{key}.down.weight"], tensors[f"{key}.up.weight"] = down, up
    return tensors


def save(name, tensors, metadata=None):
    path = TARGET / name
    save_file({key: tensor.contiguous() for key, tensor in sorted(tensors.items())}, str(path), metadata=metadata or {"format": "pt"})  # one key: their order is not fixed
    path.chmod(0o644)


def weights(pipe):
    result = {}
    for component in ("unet", "text_encoder", "text_encoder_2"):
        model = getattr(pipe, component, None)
        if model is None:
            continue
        for name, tensor in model.state_dict().items():
            bare = component != "unet" and not name.startswith(("text_model.", "text_projection"))
            result[f"{component}/{'text_model.' if bare else ''}{name}"] = tensor.float().clone()
    return result


def load(model):
    return DiffusionPipeline.from_pretrained(str(FIXTURES / model), torch_dtype=torch.float32)


def run(name, model, loras, picture=False):
    """Fuses one LoRA after the other, as a user does who has several; with one of the pictures that it makes then."""
    pipe = load(model)
    before = weights(pipe)
    for file, scale in loras:
        pipe.load_lora_weights(str(TARGET / file))
        pipe.fuse_lora(lora_scale=scale)
        pipe.unload_lora_weights()
    after = weights(pipe)
    assert set(before) == set(after)
    if picture:
        prompt = {"prompt": "a photo of a small cat", "num_inference_steps": 4, "guidance_scale": 5.0}
        image = pipe(**prompt, generator=seeded(3), output_type="np").images[0]
        after["picture"] = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        before["picture"] = torch.zeros_like(after["picture"])
    changed = {key: tensor for key, tensor in after.items() if not torch.equal(tensor, before[key])}
    write_tensors(TARGET / f"{name}.safetensors", changed)
    (TARGET / f"{name}.safetensors").chmod(0o644)
    print(name, len(changed), "changed")
    return {"name": name, "model": model, "loras": [{"file": f, "scale": s} for f, s in loras], "golden": f"{name}.safetensors"}


def main():
    configure_torch()
    TARGET.mkdir(parents=True, exist_ok=True)
    sd1, xl = load("tiny-sd1"), load("tiny-sdxl")
    save("kohya-sd1.safetensors", kohya(sd1, {"text_encoder": "lora_te"}, UNET, 4, 2, 1))
    save("kohya-locon.safetensors", kohya(sd1, {}, UNET, 4, 4, 2, conv_rank=2, conv_alpha=1))
    save("kohya-no-alpha.safetensors", kohya(sd1, {}, UNET[:2], 4, None, 3))
    save("peft.safetensors", peft_style(sd1, 4, 4))
    save("old.safetensors", old_style(sd1, 4, 5))
    dora = dora_style(sd1, 4, 8)
    ndim = {key.rsplit(".lora_B", 1)[0]: value.ndim for key, value in dora.items() if ".lora_B" in key}
    save("peft-dora.safetensors", dora)
    save("kohya-dora.safetensors", in_kohya_spelling(dora, ndim))
    trained = {"unet.r": 4, "unet.lora_alpha": 8, "unet.target_modules": [UNET[0], UNET[5]], "unet.alpha_pattern": {UNET[5]: 2}}
    generator = seeded(6)
    tensors = {}
    for layer in (UNET[0], UNET[5]):
        down, up = factors(layers(sd1, "unet", [layer])[layer], 4, generator)
        tensors[f"unet.{layer}.lora_A.weight"], tensors[f"unet.{layer}.lora_B.weight"] = down, up
    save("peft-metadata.safetensors", tensors, {"lora_adapter_metadata": json.dumps(trained)})
    in_xl = ["down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.2",
             "down_blocks.1.attentions.0.proj_in", "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
             "up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k"]
    assert len(layers(xl, "unet", in_xl)) == len(in_xl)
    config = xl.unet.config
    original = lambda name: unet_name(name + ".weight", config)[: -len(".weight")]  # noqa: E731
    save("kohya-sdxl.safetensors",
         kohya(xl, {"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}, in_xl, 4, 1, 7, conv_rank=4, conv_alpha=1, unet_path=original))
    cases = [
        run("merged-kohya-sd1", "tiny-sd1", [("kohya-sd1.safetensors", 0.8)]),
        run("merged-kohya-locon", "tiny-sd1", [("kohya-locon.safetensors", 1.0)]),
        run("merged-kohya-no-alpha", "tiny-sd1", [("kohya-no-alpha.safetensors", 0.5)]),
        run("merged-peft", "tiny-sd1", [("peft.safetensors", 1.25)]),
        run("merged-peft-metadata", "tiny-sd1", [("peft-metadata.safetensors", 1.0)]),
        run("merged-old", "tiny-sd1", [("old.safetensors", 1.0)]),
        run("merged-kohya-sdxl", "tiny-sdxl", [("kohya-sdxl.safetensors", 0.6)]),
        run("merged-two", "tiny-sd1", [("kohya-sd1.safetensors", 0.7), ("peft.safetensors", -0.4)], picture=True),
        run("merged-peft-dora", "tiny-sd1", [("peft-dora.safetensors", 0.8)]),
        run("merged-dora-and-lora", "tiny-sd1", [("kohya-sd1.safetensors", 0.7), ("peft-dora.safetensors", 1.0)]),
    ]
    # diffusers leaves dora_scale out; the numbers are those of the same adapter in PEFT's spelling.
    cases.append({**cases[-2], "name": "merged-kohya-dora", "loras": [{"file": "kohya-dora.safetensors", "scale": 0.8}]})
    write_json(TARGET / "cases.json", cases)
    print(sum(path.stat().st_size for path in TARGET.iterdir()), "bytes")


if __name__ == "__main__":
    main()
