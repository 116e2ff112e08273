#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/text/: tiny BLIP models with random weights, images, and the texts that transformers makes of them.

tiny-blip-caption/, tiny-blip-vqa/   model folders as transformers writes them
images.safetensors                   50 images of many sizes, uint8, channels x height x width
blip-golden.safetensors              states of the image and scores of next tokens of some inputs
blip.json                            token ids and texts of greedy and beam search, and what the tokenizer makes of texts

Run: python make_blip_fixtures.py   (see requirements.txt)
"""

import torch
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipForQuestionAnswering, BlipProcessor
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from fixture_tools import FIXTURES, configure_torch, fresh_folder, randomize, round_to_half, seeded, store_half, write_json, write_tensors

OUT = FIXTURES.parent / "text"
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a an the of on in and with is are what which where how many color photo picture cat dog cube sphere red green blue "
    "yellow purple two three four one small large left right above below sky sea tree house field boat island head slice bright dark ##s ##ed ##ing "
    "##er ##ness ##al un ##believ ##able . , ? ! ' - 1 2 3 ##1 ##2 don t ##n cafe 中 文 ##é [DEC] [ENC]"
).split()
TEXTS = [
    "",
    "a photo of",
    "What color is the cube?",
    "How many CATS are on the island",
    "unbelievable darkness, isn't it?  23 dogs!",
    "Café  on\tthe\nsea",
    "中文 red",
    "a [MASK] of [SEP] the",
    "brighter\u200b seas \ufffd\x07 \u0301x",
    "ÀÉÎ Straße İ",
]
PROMPTS = [None, "a photo of", "the red"]
QUESTIONS = ["what color is the cube?", "how many dogs are in the picture?", "where is the boat", "is the sky bright or dark?"]


def tokenizer():
    return BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=True, model_max_length=512, additional_special_tokens=["[DEC]", "[ENC]"])


def config(words, size):
    return BlipConfig(
        vision_config={"hidden_size": size, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": size // 8, "image_size": 32, "patch_size": 8},
        text_config={
            "vocab_size": len(WORDS),
            "hidden_size": 24,
            "encoder_hidden_size": size,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "max_position_embeddings": 48,
            "bos_token_id": words.convert_tokens_to_ids("[DEC]"),
            "sep_token_id": words.sep_token_id,
            "pad_token_id": words.pad_token_id,
            "eos_token_id": words.sep_token_id,
        },
        projection_dim=16,
        image_text_hidden_size=16,
    )


def model(kind, seed, words):
    # A question's states are as large as the text's, and the same layers look at an image's and at a question's.
    made = kind(config(words, 24 if kind is BlipForQuestionAnswering else 16)).eval()
    randomize(made, seed, gain=1.4)
    # Texts that follow the image, and that end.
    for name, parameter in made.named_parameters():
        if "crossattention" in name and name.endswith("value.weight"):
            parameter.mul_(1.2)
        if name.endswith("position_embeddings.weight"):
            parameter.mul_(6)
        if name.endswith("transform.LayerNorm.weight"):
            parameter.mul_(0.8)
        if name.endswith("cls.predictions.bias"):
            parameter[words.sep_token_id] += 2.5
            for special in ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "[DEC]", "[ENC]"):
                parameter[words.convert_tokens_to_ids(special)] -= 4
    made.tie_weights()
    round_to_half(made)
    return made


def images():
    generator = seeded(77)
    made = []
    for i in range(50):
        height, width = 12 + i % 7 * 3, 12 + i % 5 * 4
        base = torch.rand(3, 1, 1, generator=generator) * 180
        coarse = torch.rand(3, 3, 3, generator=generator) * 255
        picture = torch.nn.functional.interpolate(coarse[None], (height, width), mode="bilinear")[0] * 0.8 + base * 0.2
        made.append((picture + torch.rand(3, height, width, generator=generator) * 20).clamp(0, 255).to(torch.uint8))
    return made


def runs(name, made, processor, pictures, texts):
    cases, margins = [], []
    for i, picture in enumerate(pictures):
        text = texts[i % len(texts)]
        inputs = processor(images=picture.permute(1, 2, 0).numpy(), text=text, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        for arguments in ({}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": (0.0, 2.0, -1.0)[i % 3]}):
            if len(arguments) == 2 and i % 2:
                continue
            out = made.generate(**inputs, max_new_tokens=12, **arguments)[0].tolist()
            cases.append({"image": i, "text": text, "arguments": arguments, "ids": out, "decoded": processor.decode(out, skip_special_tokens=True)})
    lengths = sorted({len(case["ids"]) for case in cases})
    print(name, len(cases), "runs, lengths", lengths, "texts", len({case["decoded"] for case in cases}))
    return cases


def main():
    configure_torch()
    fresh_folder(OUT)
    words = tokenizer()
    processor = BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), words)
    pictures = images()
    write_tensors(OUT / "images.safetensors", {f"{i}": picture for i, picture in enumerate(pictures)})
    golden, record = {}, {"texts": [], "decoded": []}
    for name, kind, seed, texts in (
        ("tiny-blip-caption", BlipForConditionalGeneration, 3, PROMPTS),
        ("tiny-blip-vqa", BlipForQuestionAnswering, 5, QUESTIONS),
    ):
        folder = OUT / name
        made = model(kind, seed, words)
        made.save_pretrained(folder)
        processor.image_processor.save_pretrained(folder)
        words.save_pretrained(folder)
        store_half(folder)
        made = kind.from_pretrained(folder, dtype=torch.float32).eval()
        record[name] = runs(name, made, processor, pictures, texts)
        for i in range(3):
            text = texts[i]
            inputs = processor(images=pictures[i].permute(1, 2, 0).numpy(), text=text, return_tensors="pt")
            states = made.vision_model(inputs["pixel_values"])[0]
            golden[f"{name}/{i}/pixels"] = inputs["pixel_values"]
            golden[f"{name}/{i}/image"] = states
            if kind is BlipForQuestionAnswering:
                states = made.text_encoder(inputs["input_ids"], attention_mask=inputs["attention_mask"], encoder_hidden_states=states)[0]
                golden[f"{name}/{i}/question"] = states
            ids = torch.tensor([[words.convert_tokens_to_ids("[DEC]"), 5 + i, 23, 31 + i]])
            golden[f"{name}/{i}/ids"] = ids
            golden[f"{name}/{i}/scores"] = made.text_decoder(ids, encoder_hidden_states=states).logits[:, -1]
    for text in TEXTS:
        ids = words(text)["input_ids"]
        record["texts"].append({"text": text, "ids": ids})
    generator = seeded(9)
    for _ in range(30):
        ids = torch.randint(0, len(WORDS), (10,), generator=generator).tolist()
        record["decoded"].append({"ids": ids, "text": words.decode(ids, skip_special_tokens=True)})
    write_tensors(OUT / "blip-golden.safetensors", golden)
    write_json(OUT / "blip.json", record)


if __name__ == "__main__":
    main()
