#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""UniDiffuser: two tiny folders, runs in every mode, and its networks in other shapes. diffusers keeps the pipeline among its deprecated ones; it still runs it.

models/tiny-unidiffuser/         in the shape of thu-ml/unidiffuser-v1: a data type, a prefix that is made smaller
models/tiny-unidiffuser-plain/   in that of v0, whose texts keep their size
models/networks-unidiffuser/     the U-ViT with its other options
models/networks-unidiffuser.json

Run: python make_unidiffuser_fixtures.py [--report]   (see requirements.txt)
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import UniDiffuserModel, UniDiffuserPipeline, UniDiffuserTextDecoder
from diffusers.schedulers import DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler
from transformers import CLIPImageProcessor, GPT2Tokenizer

import tiny_models as tiny
from fixture_tools import FIXTURES, Goldens, configure_torch, fresh_folder, randomize, round_to_half, seeded, store_half, write_json, write_tensors
from pipeline_fixtures import PROMPT
from pipeline_runs import Draws, note_steps, painting, raster, save, tokenizer_at
from tiny_tokenizer import byte_alphabet

# As in thu-ml/unidiffuser-v1.
SCHEDULER = {
    "_class_name": "DPMSolverMultistepScheduler",
    "_diffusers_version": "0.16.0",
    "algorithm_type": "dpmsolver++",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "dynamic_thresholding_ratio": 0.995,
    "lower_order_final": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "solver_order": 3,
    "solver_type": "midpoint",
    "thresholding": False,
    "trained_betas": None,
}
SCHEDULERS = {cls.__name__: cls for cls in (DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler)}
MODES = {"joint": "set_joint_mode", "text2img": "set_text_to_image_mode", "img2text": "set_image_to_text_mode", "text": "set_text_mode", "img": "set_image_mode"}
WORDS = "a the an of on in red apple blue photo background dog house sky".split()


def text_tokenizer(folder):
    """As GPT-2's: bytes, some pairs of them, words with their space, and the special tokens behind."""
    alphabet = byte_alphabet()
    space = chr(256 + 32)
    tokens, merges = list(alphabet), []
    for word in [space + word for word in WORDS] + ["ed", "ing"]:
        for end in range(2, len(word) + 1):
            if word[:end] not in tokens:
                merges.append((word[: end - 1], word[end - 1]))
                tokens.append(word[:end])
    tokenizer = GPT2Tokenizer(
        vocab={token: i for i, token in enumerate(tokens + ["<|endoftext|>"])}, merges=merges, bos_token="<|BOS|>", eos_token="<|EOS|>", unk_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def network(seed, **config):
    options = dict(
        text_dim=16, clip_img_dim=24, num_text_tokens=77, num_attention_heads=4, attention_head_dim=8, in_channels=4, out_channels=4, num_layers=4, sample_size=8,
        patch_size=2, activation_fn="gelu", attention_bias=False, block_type="unidiffuser", pre_layer_norm=False, use_timestep_embedding=False, ff_final_dropout=True,
        norm_type="layer_norm", use_data_type_embedding=True,
    )
    made = UniDiffuserModel(**{**options, **config}).eval()
    randomize(made, seed)
    for name, parameter in made.named_parameters():
        if "pos_embed" in name and "proj" not in name:
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=seeded(seed + 1)))
    return round_to_half(made)


class Decoder(UniDiffuserTextDecoder):
    """diffusers does not save its decoder as safetensors: the embedding and the scores' layer are one tensor, which safetensors refuses."""

    def save_pretrained(self, folder, **unused):
        self.save_config(folder)
        write_tensors(Path(folder) / "diffusion_pytorch_model.safetensors", self.state_dict())


Decoder.__name__ = "UniDiffuserTextDecoder"
Decoder.__module__ = UniDiffuserTextDecoder.__module__


def text_decoder(seed, end, **config):
    options = dict(prefix_length=77, prefix_inner_dim=32, prefix_hidden_dim=16, vocab_size=end + 1, n_positions=144, n_embd=32, n_layer=2, n_head=4, n_inner=64)
    made = Decoder(**{**options, **config}).eval()
    randomize(made, seed, gain=1.3)
    inner = made.transformer.transformer
    # Texts that follow the prefix and the place, and that end: the last norm's bias leans to the end token.
    inner.wpe.weight.mul_(WPE)
    inner.ln_f.bias.add_(END_LEAN * inner.wte.weight[end])
    made.transformer.tie_weights()
    return round_to_half(made)


# Chosen so that some texts end, and at different lengths.
END_LEAN, WPE = 0.45, 3.0


def network_cases(goldens, made, seed):
    generator = seeded(seed)
    config = made.config
    rows = 3
    given = {
        "sample": torch.randn(rows, config.in_channels, config.sample_size, config.sample_size, generator=generator),
        "image_embeds": torch.randn(rows, config.clip_img_dim, generator=generator),
        "prompt_embeds": torch.randn(rows, config.num_text_tokens, config.text_dim, generator=generator),
        "timestep_img": torch.tensor([1.0, 500.0, 1000.0]),
        "timestep_text": torch.tensor([981.0, 0.0, 250.0]),
    }
    if config.use_data_type_embedding:
        given["data_type"] = torch.tensor([1, 0, 1])
    out = made(
        given["sample"], given["image_embeds"][:, None], given["prompt_embeds"], given["timestep_img"], given["timestep_text"], given.get("data_type", torch.tensor([1]).repeat(rows))
    )
    goldens.case("steps", "forward", given, {"noise": torch.cat([part.flatten(1) for part in out], 1)})


def make_networks(out):
    entries = []
    fresh_folder(out / "networks-unidiffuser")
    for i, (name, notes, config) in enumerate(
        (
            ("pre-norm", "norms before, gated feed-forward, embedded timesteps, biases, no data type, odd number of layers",
             dict(pre_layer_norm=True, activation_fn="geglu", use_timestep_embedding=True, attention_bias=True, use_data_type_embedding=False, num_layers=3)),
            ("branch-norm", "norms on the branches' ends, none of them learned", dict(block_type="plain", norm_elementwise_affine=False, activation_fn="gelu-approximate", out_channels=4)),
            ("branch-pre-norm", "norms on the branches' beginnings, one token a latent pixel", dict(block_type="plain", pre_layer_norm=True, patch_size=1, sample_size=4, num_layers=2)),
        )
    ):
        folder = fresh_folder(out / "networks-unidiffuser" / name)
        network(901 + 10 * i, **config).save_pretrained(folder)
        store_half(folder)
        made = UniDiffuserModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
        place = f"networks-unidiffuser/{name}"
        goldens = Goldens(place, "UniDiffuserModel", f"{place}/diffusion_pytorch_model.safetensors", "F16", f"{place}/golden.safetensors", notes)
        network_cases(goldens, made, 81 + i)
        entries.append(goldens.write(out))
    return entries


class UniRuns:
    def __init__(self, out, folder, pipe, report):
        self.out, self.folder, self.pipe, self.report = out, folder, pipe, report
        self.tensors, self.cases = {}, []

    def run(self, case, mode, seed, scheduler=None, prompt=None, image=None, **arguments):
        pipe = self.pipe
        original = pipe.scheduler
        pipe.scheduler = SCHEDULERS[scheduler or type(original).__name__].from_config(original.config)
        steps = note_steps(pipe.scheduler)
        getattr(pipe, MODES[mode])()
        inputs = {key: value for key, value in (("prompt", prompt), ("image", image)) if value is not None}
        if image is not None:
            side = pipe.unet.config.sample_size * pipe.vae_scale_factor
            inputs["image"] = image.resize((side, side))
        with Draws() as draws:
            out = pipe(**inputs, **arguments, generator=seeded(seed), output_type="np")
        pipe.reset_mode()
        pipe.scheduler = original
        entry = {"name": case, "mode": mode, "seed": seed, "scheduler": scheduler or type(original).__name__, "prompt": prompt, "arguments": arguments, "draws": len(draws.seen), "steps": len(steps)}
        if image is not None:
            entry["image"] = f"{case}/image"
            self.tensors[f"{case}/image"] = raster(image)
        if out.images is not None:
            picture = torch.from_numpy(np.ascontiguousarray(out.images[0].transpose(2, 0, 1)))
            inside = ((picture > 0.002) & (picture < 0.998)).float().mean().item()
            if inside < 0.8 or picture.std() < 0.03:
                raise AssertionError(f"{self.folder} {case}: {inside:.0%} inside (0,1), std {picture.std():.3f}: nothing to compare")
            entry["result"] = f"{case}/result"
            self.tensors[f"{case}/result"] = picture
        if out.text is not None:
            entry["text"] = out.text[0]
        self.tensors[f"{case}/sample"] = steps[-1].flatten()
        self.cases.append(entry)
        if self.report:
            print(f"{self.folder:22} {case:20} sample std {steps[-1].std():.3f} text {entry.get('text')!r}")
        return out.text[0] if out.text else None

    def write(self):
        golden = self.out / self.folder / "golden"
        write_tensors(golden / "cases.safetensors", self.tensors)
        write_json(golden / "cases.json", self.cases)


def make(out, folder, seed, report, network_config, decoder_config, text=32):
    path = fresh_folder(out / folder)
    words = text_tokenizer(path / "text_tokenizer")
    pipe = UniDiffuserPipeline(
        vae=tiny.autoencoder(seed, channels=(8, 8, 16)),
        text_encoder=tiny.text_encoder(seed + 1, hidden=text),
        image_encoder=tiny.vision_encoder(seed + 2, projection=24),
        clip_image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        clip_tokenizer=tokenizer_at(path / "clip_tokenizer"),
        text_decoder=text_decoder(seed + 3, words.eos_token_id, **decoder_config),
        text_tokenizer=words,
        unet=network(seed + 4, **network_config),
        scheduler=DPMSolverMultistepScheduler.from_config(SCHEDULER),
    )
    pipe = save(pipe, path, {"scheduler": SCHEDULER}, {"clip_tokenizer": "<|endoftext|>"})
    goldens = Goldens(f"{folder}/unet", "UniDiffuserModel", f"{folder}/unet/diffusion_pytorch_model.safetensors", "F16", f"{folder}/golden/unet.safetensors")
    network_cases(goldens, pipe.unet, 79)
    decoder = Goldens(f"{folder}/text_decoder", "UniDiffuserTextDecoder", f"{folder}/text_decoder/diffusion_pytorch_model.safetensors", "F16", f"{folder}/golden/text_decoder.safetensors")
    prefix = torch.randn(2, 77, decoder_config.get("prefix_hidden_dim", 16) or text, generator=seeded(5))
    ids = torch.tensor([[5, 300, 17], [256, 0, 9]])
    embedded = torch.cat([pipe.text_decoder.decode_prefix(prefix), pipe.text_decoder.transformer.transformer.wte(ids)], 1)
    scores = pipe.text_decoder.transformer(inputs_embeds=embedded).logits
    # The second text has one token; what stands behind it is padding.
    decoder.case("next", "next", {"prefix": prefix, "ids": ids, "last": torch.tensor([79, 77])}, {"scores": torch.stack([scores[0, 79], scores[1, 77]])})
    if decoder_config.get("prefix_hidden_dim", 16):
        noise = torch.randn(2, 77, text, generator=seeded(6))
        decoder.case("encode", "encode", {"states": noise}, {"encoded": pipe.text_decoder.encode(noise)})
    entry = decoder.write(out)
    write_beams(out / folder / "golden", pipe, words, decoder_config.get("prefix_hidden_dim", 16) or text, report)
    return [goldens.write(out), entry], UniRuns(out, folder, pipe, report)


def write_beams(golden, pipe, words, size, report):
    """What beam search makes of prefixes that are nothing but noise."""
    prefixes, texts = {}, []
    for i in range(12):
        prefix = torch.randn(1, 77, size, generator=seeded(400 + i)) * (0.5 + i / 4)
        tokens, lengths = pipe.text_decoder.generate_captions(prefix, words.eos_token_id, device="cpu")
        prefixes[f"{i}"] = prefix[0]
        ids = tokens[0][: int(lengths[0])].tolist()
        texts.append({"prefix": f"{i}", "ids": ids, "text": words.decode(ids, skip_special_tokens=True)})
    if report:
        print(golden.parent.name, "lengths of texts", [len(each["ids"]) for each in texts])
    write_tensors(golden / "beams.safetensors", prefixes)
    write_json(golden / "beams.json", texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print the texts")
    configure_torch()
    report = parser.parse_args().report
    networks = make_networks(FIXTURES)
    picture = painting(32, 32, 3)

    goldens, runs = make(FIXTURES, "tiny-unidiffuser", 921, report, {}, {})
    networks += goldens
    runs.run("joint", "joint", 11, num_inference_steps=4)
    runs.run("joint_ddim", "joint", 12, "DDIMScheduler", num_inference_steps=5, eta=0.6, guidance_scale=3.0, data_type=0)
    runs.run("joint_unguided", "joint", 13, "EulerAncestralDiscreteScheduler", num_inference_steps=3, guidance_scale=1.0)
    runs.run("text_to_image", "text2img", 14, prompt=PROMPT, num_inference_steps=4)
    runs.run("text_to_image_ddim", "text2img", 15, "DDIMScheduler", prompt="", num_inference_steps=3, eta=1.0, guidance_scale=2.0)
    runs.run("text_to_image_unguided", "text2img", 16, "EulerDiscreteScheduler", prompt=PROMPT, num_inference_steps=3, guidance_scale=1.0, data_type=0)
    runs.run("image_to_text", "img2text", 17, image=picture, num_inference_steps=4)
    runs.run("image_to_text_resized", "img2text", 18, "DDIMScheduler", image=painting(41, 27, 5), num_inference_steps=3, eta=0.4, guidance_scale=3.0)
    runs.run("image_to_text_unguided", "img2text", 19, image=picture, num_inference_steps=2, guidance_scale=1.0)
    runs.run("text", "text", 20, num_inference_steps=3)
    runs.run("text_ddim", "text", 21, "DDIMScheduler", num_inference_steps=4, eta=0.5)
    runs.run("image", "img", 22, num_inference_steps=4)
    runs.run("image_ancestral", "img", 23, "EulerAncestralDiscreteScheduler", num_inference_steps=3)
    text = runs.run("variation_1", "img2text", 24, image=painting(32, 32, 8), num_inference_steps=3)
    runs.run("variation_2", "text2img", 25, prompt=text, num_inference_steps=3)
    runs.write()

    plain = {"prefix_hidden_dim": None, "n_inner": None, "activation_function": "gelu"}
    goldens, runs = make(FIXTURES, "tiny-unidiffuser-plain", 941, report, {"text_dim": 32, "use_data_type_embedding": False, "num_layers": 2}, plain)
    networks += goldens
    runs.run("joint", "joint", 31, num_inference_steps=3)
    runs.run("text_to_image", "text2img", 32, "EulerDiscreteScheduler", prompt=PROMPT, num_inference_steps=3)
    runs.run("image_to_text", "img2text", 33, image=picture, num_inference_steps=3)
    runs.run("text", "text", 34, "EulerAncestralDiscreteScheduler", num_inference_steps=3)
    runs.run("image", "img", 35, "DDIMScheduler", num_inference_steps=3)
    runs.write()
    write_json(FIXTURES / "networks-unidiffuser.json", {"networks": networks})


if __name__ == "__main__":
    main()
