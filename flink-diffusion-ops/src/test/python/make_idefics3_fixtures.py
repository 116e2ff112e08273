#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/text/tiny-idefics3/ and idefics3.json: a tiny SmolVLM with random weights, and the texts that transformers makes of
the 50 images that make_blip_fixtures.py wrote.

tiny-idefics3/            model folder; its tokenizer.json is written as SmolVLM's
idefics3-golden.safetensors   pixels, image features and scores of next tokens of some inputs
idefics3.json             token ids and texts of greedy and beam search, and what the tokenizers make of texts

Run: python make_idefics3_fixtures.py   (after make_blip_fixtures.py; see requirements.txt)
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from fixture_tools import FIXTURES, configure_torch, fresh_folder, randomize, round_to_half, seeded, store_half, write_json, write_tensors

OUT = FIXTURES.parent / "text"
FOLDER = OUT / "tiny-idefics3"
BASIC = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"] + [f"<row_{i}_col_{j}>" for i in (1, 2) for j in (1, 2)]
CORPUS = ["User: what is in this image? Assistant: a small red cube on the blue sea, in 2024", "how many dogs are there? there are 3 of them, it's bright", "Assistant: where is the island"]
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}"
    "{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}"
    "{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
PROMPTS = [None, "What is this?", "how many dogs are there? ", "it's 12 or  345 of them", "Caf\u00e9 \u4e2d"]
TEXTS = [
    "",
    "a photo of",
    "  two  12 spaces  345\n\n 6",
    "it's they're I'm we'll 'Tis 'S",
    "Caf\u00e9 \u4e2d\u6587\tx\u00a0y\u2003z \u00bd\u2167\u0663",
    "<image> and <end_of_utterance>\nAssistant: <row_1_col_1><|im_end|>",
    "a_b-c!? ... #1\r\n\r\nend \u200b\ufffd\x07 \u0301x",
    "1 2  3   4 a5b",
]


def tokenizer_files(folder):
    """As the files of SmolVLM: GPT-2's way with single digits before it, which the class GPT2Tokenizer does not look at."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=320, special_tokens=BASIC, initial_alphabet=alphabet, show_progress=False))
    # Merges that tell both ways to cut digits apart.
    state = json.loads(made.to_str())
    for pair in (("1", "2"), ("\u0120", "3"), ("\u0120", "\u0120")):
        state["model"]["vocab"].setdefault("".join(pair), len(state["model"]["vocab"]))
        state["model"]["merges"].append(list(pair))
    made = Tokenizer.from_str(json.dumps(state))
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CHAT])
    made.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "GPT2Tokenizer",
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 256,
            "truncation_side": "left",
        },
    )


def model(words):
    config = Idefics3Config(
        vision_config={"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        text_config={
            "model_type": "llama",
            "vocab_size": len(words),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
            "bos_token_id": words.convert_tokens_to_ids("<|im_start|>"),
            "eos_token_id": words.convert_tokens_to_ids("<end_of_utterance>"),
            "pad_token_id": words.convert_tokens_to_ids("<|im_end|>"),
        },
        scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    made = Idefics3ForConditionalGeneration(config).eval()
    randomize(made, 11, gain=1.4)
    # Texts that follow the image, and that end.
    end = words.convert_tokens_to_ids("<end_of_utterance>")
    for name, parameter in made.named_parameters():
        if name.endswith("modality_projection.proj.weight"):
            parameter.mul_(1.5)
        if "text_model" in name and name.endswith("v_proj.weight"):
            parameter.mul_(1.6)
        if name.endswith("lm_head.weight"):
            for special in BASIC + CHAT:
                token = words.convert_tokens_to_ids(special)
                parameter[token].mul_(2.4 if token == end else 0.2)
    round_to_half(made)
    made.generation_config.update(eos_token_id=end, pad_token_id=config.text_config.pad_token_id, bos_token_id=config.text_config.bos_token_id)
    return made


def inputs_of(processor, pictures, text, **options):
    content = [{"type": "image"} for _ in pictures] + ([] if text is None else [{"type": "text", "text": text}])
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    images = [picture.permute(1, 2, 0).numpy() for picture in pictures]
    return processor(text=chat, images=images, return_tensors="pt", **options)


def run(made, processor, pictures, indices, text, arguments, **options):
    inputs = inputs_of(processor, [pictures[i] for i in indices], text, **options)
    inputs.pop("mm_token_type_ids", None)
    out = made.generate(**inputs, max_new_tokens=12, do_sample=False, **arguments)[0].tolist()
    written = out[inputs["input_ids"].shape[1] :]
    return {"images": indices, "text": text, "arguments": arguments, "ids": written, "decoded": processor.decode(written, skip_special_tokens=True)}


def grids():
    """Height, width, rows and columns of parts, of images as narrow as they get."""
    images = Idefics3ImageProcessorPil(size={"longest_edge": 128}, max_image_size={"longest_edge": 32})
    sides = (1, 2, 3, 7, 31, 65, 99, 301)
    cut = []
    for height in sides:
        for width in sides:
            made = images(Image.new("RGB", (width, height)), return_row_col_info=True)
            cut.append([height, width, made["rows"][0][0], made["cols"][0][0]])
    return cut


def main():
    configure_torch()
    fresh_folder(FOLDER)
    tokenizer_files(FOLDER)
    words = AutoTokenizer.from_pretrained(FOLDER)
    assert type(words).__name__ == "GPT2Tokenizer"
    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(images, words, image_seq_len=4, chat_template=TEMPLATE)
    made = model(words)
    made.save_pretrained(FOLDER)
    images.save_pretrained(FOLDER)
    write_json(FOLDER / "chat_template.json", {"chat_template": TEMPLATE})
    store_half(FOLDER)
    made = Idefics3ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    stored = load_file(OUT / "images.safetensors")
    pictures = [stored[f"{i}"] for i in range(50)]
    record = {"runs": [], "whole": [], "texts": []}
    for i in range(50):
        indices = [i] if i % 5 else [i, (i + 7) % 50] + ([(i + 19) % 50] if i % 10 else [])
        for arguments in ({}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": (0.0, 2.0, -1.0)[i % 3]}):
            if len(arguments) == 2 and i % 2:
                continue
            record["runs"].append(run(made, processor, pictures, indices, PROMPTS[i % 4 if i % 7 else 4], arguments))
    for i in range(8):
        record["whole"].append(run(made, processor, pictures, [i], PROMPTS[i % 5], {}, do_image_splitting=False))
    cases = record["runs"]
    ended = sum(case["ids"][-1] == words.convert_tokens_to_ids("<end_of_utterance>") for case in cases)
    print(len(cases), "runs,", ended, "ended, lengths", sorted({len(case["ids"]) for case in cases}), "texts", len({tuple(case["ids"]) for case in cases}))
    golden = {}
    for i, indices in enumerate(([0], [3], [10, 17])):
        inputs = inputs_of(processor, [pictures[j] for j in indices], PROMPTS[i])
        if i == 0:
            golden["pixels"] = inputs["pixel_values"][0]
            golden["whole"] = inputs_of(processor, [pictures[4]], None, do_image_splitting=False)["pixel_values"][0]
            alpha = (torch.arange(pictures[2][0].numel()) * 7 % 256).reshape(1, *pictures[2][0].shape).to(torch.uint8)
            transparent = Image.fromarray(torch.cat([pictures[2], alpha]).permute(1, 2, 0).numpy(), "RGBA")
            golden["transparent"] = images(transparent, return_tensors="pt", do_image_splitting=False)["pixel_values"][0]
        golden[f"{i}/features"] = torch.cat(list(made.get_image_features(inputs["pixel_values"]).pooler_output))
        golden[f"{i}/ids"] = inputs["input_ids"][0]
        golden[f"{i}/scores"] = made(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"]).logits[0, -1]
    write_tensors(OUT / "idefics3-golden.safetensors", golden)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / "tokenizer.json", folder)
        config = json.loads((FOLDER / "tokenizer_config.json").read_text()) | {"tokenizer_class": "TokenizersBackend"}
        write_json(Path(folder) / "tokenizer_config.json", config)
        digits = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        record["texts"].append({"text": text, "ids": words(text)["input_ids"], "digits": digits(text)["input_ids"]})
    record["grids"] = grids()
    print(sum(text["ids"] != text["digits"] for text in record["texts"]), "texts differ between both ways")
    write_json(OUT / "idefics3.json", record)


if __name__ == "__main__":
    main()
