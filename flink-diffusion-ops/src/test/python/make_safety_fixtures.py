#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/safety/: tiny safety checkers with random weights, pictures on both sides of their
thresholds, and what diffusers makes of them.

old/, new/      model folders with the two layouts that checkpoints have (see LAYOUTS)
pictures.safetensors   pictures of many sizes (uint8, channels x height x width)
<layout>-golden.safetensors   pixel_values, image_embeds, special and concept scores before rounding, flags

Run: python make_safety_fixtures.py   (see requirements.txt)
"""

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from fixture_tools import FIXTURES, configure_torch, fresh_folder, randomize, rewrite_weights, round_to_half, seeded, write_json, write_tensors

OUT = FIXTURES.parent / "safety"
SIZES = [(32, 32), (48, 64), (40, 41), (57, 33), (20, 100), (31, 30), (64, 64), (33, 90), (80, 47), (32, 45)]
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
    "hidden_act": "quick_gelu",
    "projection_dim": 99,  # means nothing: the projection's size stands outside
}
# Of Stable Diffusion 1.5, but for the sizes; and as transformers writes it today.
OLD_PROCESSOR = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
}
NEW_PROCESSOR = {
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.3, 0.25, 0.2],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 28},  # smaller than the crop, which then pads
}


def pictures():
    """Smooth shapes with some noise, and one of the two extremes only, in sizes that resize and crop in every way."""
    generator = seeded(5)
    made = []
    for i, (height, width) in enumerate(SIZES):
        y = torch.linspace(0, 1, height)[:, None]
        x = torch.linspace(0, 1, width)[None]
        waves = [torch.sin((i + 1.7) * (c + 1) * x + (7 - i) * y + c) for c in range(3)]
        noise = torch.rand(3, height, width, generator=generator)
        picture = 0.5 + 0.4 * torch.stack(waves) + 0.3 * (noise - 0.5)
        picture = (noise > 0.5).float() if i == 6 else picture
        made.append((picture.clamp(0, 1) * 255).round().byte())
    return made


def make(layout, processor_config, seed, rename, extra):
    folder = fresh_folder(OUT / layout)
    checker_folder = folder / "safety_checker"
    write_json(folder / "feature_extractor" / "preprocessor_config.json", processor_config)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "feature_extractor": ["transformers", processor_config.get("image_processor_type", "CLIPFeatureExtractor")],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        },
    )
    checker = randomize(StableDiffusionSafetyChecker(CLIPConfig(vision_config=VISION, projection_dim=24)).eval(), seed, gain=1.5)
    processor = CLIPImageProcessor(**{k: v for k, v in processor_config.items() if not k.endswith("_type")})
    shown = [Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pictures()]
    pixels = processor(shown, return_tensors="pt").pixel_values
    round_to_half(checker)
    embeds = checker.visual_projection(checker.vision_model(pixels).pooler_output)
    place_thresholds(checker, embeds, seed)
    round_to_half(checker)
    special = cosine_distance(embeds, checker.special_care_embeds) - checker.special_care_embeds_weights
    concept = cosine_distance(embeds, checker.concept_embeds) - checker.concept_embeds_weights
    originals = [p.permute(1, 2, 0).float().numpy() / 255 for p in pictures()]
    blackened, flags = checker(clip_input=pixels, images=[p.copy() for p in originals])
    assert all((b.max() == 0) == f for b, f in zip(blackened, flags))
    sharpened = (special > 0.0005).any(dim=1)
    hit, nearly = (concept > 0.0005).any(dim=1), (concept > -0.0095).any(dim=1)
    kinds = [(bool(s), bool(h), bool(n)) for s, h, n in zip(sharpened, hit, nearly)]
    print(layout, dict(zip(range(len(flags)), zip(flags, kinds))))
    # Flagged outright; flagged only because a special concept was close; as near a concept, but not flagged; far from all.
    wanted = {(True, True, True), (False, True, True), (True, False, True), (False, False, True), (False, False, False)}
    assert wanted <= set(kinds), wanted - set(kinds)
    margin = min((special - 0.0005).abs().min().item(), (concept - 0.0005).abs().min().item(), (concept + 0.0095).abs().min().item())
    assert margin > 2e-5, margin
    checker.save_pretrained(checker_folder)
    rewrite_weights(checker_folder / "model.safetensors", rename, torch.float16, extra)
    write_tensors(
        OUT / f"{layout}-golden.safetensors",
        {
            "pixel_values": pixels,
            "image_embeds": embeds,
            "special_scores": special,
            "concept_scores": concept,
            "flags": torch.tensor(flags).long(),
        },
    )


def place_thresholds(checker, embeds, seed):
    """Concepts that lie near some pictures, and thresholds that some pictures pass by much, some by little, and some do not."""
    generator = seeded(seed + 1)

    def near(picture):
        return torch.nn.functional.normalize(embeds[picture], dim=0) + 0.1 * torch.randn(embeds.shape[1], generator=generator)

    for i in range(3):
        checker.special_care_embeds[i] = near(i)
    for i in range(17):
        checker.concept_embeds[i] = near((i + 2) % len(embeds))
    special = cosine_distance(embeds, checker.special_care_embeds)
    concept = cosine_distance(embeds, checker.concept_embeds)
    # Special concepts: 0, 1 and 2 catch their own picture each, and whatever is as close.
    checker.special_care_embeds_weights.copy_(special.max(dim=0).values - 0.004)
    # Most concepts catch nothing; three catch pictures.
    checker.concept_embeds_weights.copy_(concept.max(dim=0).values + 0.02)
    checker.concept_embeds_weights[0] = concept[2, 0] - 0.05  # outright
    checker.concept_embeds_weights[9] = concept[1, 9] + 0.004  # only if sharpened
    checker.concept_embeds_weights[5] = concept[7, 5] - 0.003
    checker.concept_embeds_weights[3] = concept[5, 3] + 0.006


def main():
    configure_torch()
    write_tensors(OUT / "pictures.safetensors", {f"{i}": picture for i, picture in enumerate(pictures())})

    def twice(name):
        return "vision_model." + name if name.startswith("vision_model.") else name

    position_ids = {"vision_model.vision_model.embeddings.position_ids": torch.arange(17)[None]}
    make("old", OLD_PROCESSOR, 21, twice, position_ids)
    make("new", NEW_PROCESSOR, 22, lambda name: name, {})


if __name__ == "__main__":
    main()
