#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/quality/tiny-clip/, a whole CLIP with random weights, and clip.json: what torchmetrics scores with it, and the cosines of
texts with concepts by transformers' get_text_features.

Run: python make_clip_score_fixtures.py   (see requirements.txt; needs torchmetrics, too)

Images are drawn, by drawn_weights.py. They are prepared by Pillow, as CLIP was trained, not by torchvision, which rounds otherwise.
"""

import json

import torch
from drawn_weights import picture
from fixture_tools import FIXTURES, configure_torch, fresh_folder, randomize, round_to_half, store_half, write_json
from tiny_tokenizer import write_tokenizer
from torchmetrics.functional.multimodal import clip_score
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

OUT = FIXTURES.parent / "quality"
TEXTS = ["a photo of a red cat", "two dogs near a river at night", "Watercolor, 3 BIRDS!", "", "a small castle on an island in the sea, " * 12]
CONCEPTS = ["a photo of a cat", "something with a knife", "castle"]
SIZES = [(32, 32), (40, 51), (64, 48), (20, 33), (33, 90)]
PROCESSOR = {
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 32},
}


class Features:
    """transformers 5 gives an object where torchmetrics expects a tensor."""

    def __init__(self, model):
        self.model, self.config = model, model.config

    def to(self, device):
        return self

    def get_image_features(self, pixels):
        found = self.model.get_image_features(pixels)
        return found if torch.is_tensor(found) else found.pooler_output

    def get_text_features(self, ids, mask):
        found = self.model.get_text_features(ids, mask)
        return found if torch.is_tensor(found) else found.pooler_output


def tiny_clip(folder):
    vocabulary = write_tokenizer(folder, "<|endoftext|>")
    write_json(folder / "preprocessor_config.json", PROCESSOR)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={**shape, "vocab_size": vocabulary, "eos_token_id": vocabulary - 1, "bos_token_id": vocabulary - 2, "pad_token_id": vocabulary - 1, "projection_dim": 99},
        vision_config={**shape, "image_size": 32, "patch_size": 8, "projection_dim": 99},  # means nothing: the size stands outside
        projection_dim=24,
    )
    model = round_to_half(randomize(CLIPModel(config).eval(), 25))
    model.save_pretrained(folder)
    store_half(folder)
    return model


configure_torch()
folder = fresh_folder(OUT / "tiny-clip")
model = Features(tiny_clip(folder))
processor = CLIPProcessor(image_processor=CLIPImageProcessorPil(**{k: v for k, v in PROCESSOR.items() if not k.endswith("_type")}), tokenizer=CLIPTokenizer.from_pretrained(folder))
images = [torch.from_numpy(picture(f"clip{i}", *size).transpose(2, 0, 1).copy()) for i, size in enumerate(SIZES)]
# The last text is longer than the network's 77 tokens: cut by the tokenizer, which keeps the end, as CLIP's own code does.
texts = TEXTS[:-1] + [processor.tokenizer.decode(processor.tokenizer(TEXTS[-1], truncation=True, max_length=77)["input_ids"], skip_special_tokens=True)]
single = [clip_score(image, text, lambda: (model, processor)).item() for image, text in zip(images, texts)]
features = model.get_image_features(processor(images=images, return_tensors="pt")["pixel_values"])
of_texts = processor(text=texts, return_tensors="pt", padding=True)
text_features = model.get_text_features(of_texts["input_ids"], of_texts["attention_mask"])
of_concepts = processor.tokenizer(CONCEPTS, return_tensors="pt", padding=True)
concept_features = model.get_text_features(of_concepts["input_ids"], of_concepts["attention_mask"])
OUT.joinpath("clip.json").write_text(
    json.dumps(
        {
            "texts": TEXTS,
            "sizes": SIZES,
            "images": [row.tolist() for row in features],
            "embeddings": [row.tolist() for row in text_features],
            "concepts": CONCEPTS,
            "cosines": [torch.nn.functional.cosine_similarity(row[None], concept_features).tolist() for row in text_features],
            "scores": single,
            "score": clip_score(images, texts, lambda: (model, processor)).item(),
        }
    )
    + "\n"
)
