#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/classifier/: tiny image classifiers with random weights, and what transformers makes of images.

tiny-vit/     ViTForImageClassification with 5 classes, as transformers writes it
tiny-clip/    CLIPModel, with its tokenizer
classifiers.json   softmax over the classes, or over the texts, of each of ../text/images.safetensors; and what the task
                   zero-shot-image-classification says of words, with its own template and with another

Run: python make_classifier_fixtures.py   (see requirements.txt)
"""

import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, ViTConfig, ViTForImageClassification, pipeline
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from fixture_tools import FIXTURES, configure_torch, fresh_folder, randomize, round_to_half, store_half, write_json
from tiny_tokenizer import write_tokenizer

OUT = FIXTURES.parent / "classifier"
LABELS = ["face", "animal", "drawing", "landscape", "text"]
WORDS = ["apple", "cat", "castle, in fog", "sea"]
TEMPLATES = ["This is a photo of {}.", "a drawing of a {}"]
TEXTS = ["a photo of a red apple", "a photo of a cat face", "a drawing of a castle", "the sea at night", "text"]


def vit(folder):
    made = ViTForImageClassification(
        ViTConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
            id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)},
        )
    ).eval()
    randomize(made, 11, gain=1.3)
    made.vit.embeddings.position_embeddings.mul_(0.3)
    round_to_half(made)
    made.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    store_half(folder)
    return ViTForImageClassification.from_pretrained(folder, dtype=torch.float32).eval(), ViTImageProcessorPil.from_pretrained(folder)


def clip(folder):
    words = write_tokenizer(folder, "<|endoftext|>")
    made = CLIPModel(
        CLIPConfig(
            text_config={
                "vocab_size": words,
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 77,
                "eos_token_id": words - 1,
                "bos_token_id": words - 2,
            },
            vision_config={"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 32, "patch_size": 8},
            projection_dim=12,
        )
    ).eval()
    randomize(made, 13, gain=1.3)
    made.logit_scale.fill_(2.5)
    round_to_half(made)
    made.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    store_half(folder)
    return (
        CLIPModel.from_pretrained(folder, dtype=torch.float32).eval(),
        CLIPImageProcessorPil.from_pretrained(folder),
        CLIPTokenizer.from_pretrained(folder),
    )


def main():
    configure_torch()
    fresh_folder(OUT)
    images = load_file(FIXTURES.parent / "text" / "images.safetensors")
    pictures = [images[str(i)].permute(1, 2, 0).numpy() for i in range(len(images))][:12]
    network, processor = vit(OUT / "tiny-vit")
    shares = [network(**processor(images=picture, return_tensors="pt")).logits.softmax(-1)[0] for picture in pictures]
    network, processor, tokenizer = clip(OUT / "tiny-clip")
    texts = tokenizer(TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    zero_shot = [
        network(input_ids=texts["input_ids"], **processor(images=picture, return_tensors="pt")).logits_per_image.softmax(-1)[0] for picture in pictures
    ]
    classify = pipeline("zero-shot-image-classification", model=network, tokenizer=tokenizer, image_processor=processor)
    words = []
    for template in TEMPLATES:
        answers = classify([Image.fromarray(picture) for picture in pictures], candidate_labels=WORDS, hypothesis_template=template)
        words.append([[next(each["score"] for each in answer if each["label"] == word) for word in WORDS] for answer in answers])
        print(template, "words chosen", sorted({answer[0]["label"] for answer in answers}))
    for name, rows in (("vit", shares), ("clip", zero_shot)):
        table = torch.stack(rows)
        print(name, "classes chosen", sorted(set(table.argmax(-1).tolist())), "spread", table.std(0).tolist())
    write_json(
        OUT / "classifiers.json",
        {"labels": LABELS, "texts": TEXTS, "vit": [row.tolist() for row in shares], "clip": [row.tolist() for row in zero_shot], "words": WORDS, "templates": TEMPLATES, "zero-shot": words},
    )


if __name__ == "__main__":
    main()
