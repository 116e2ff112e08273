#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/tokenizer/<kind>/: small vocabularies of the text encoders of diffusion transformers.

    venv/bin/python make_prompt_tokenizer_fixtures.py        (needs sentencepiece besides)

t5, t5-spiece    unigram, with SentencePiece's own rules of normalization (nmt_nfkc)
qwen2, qwen2-two byte pairs, as one file and as two
gemma            byte pairs of characters, with a token for each byte but three
digests.json     of the ids that transformers' tokenizers give 5,000 random texts each: CRC-32 of the whole text's ids, then of those padded
                 or cut to 64 with their mask, 50 texts at a time. The Java test draws the same texts
"""

import base64
import io
import json
import shutil
import sys
import zlib
from array import array

import sentencepiece
import tokenizers
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import GemmaTokenizer, Qwen2Tokenizer, T5Tokenizer
from transformers.convert_slow_tokenizer import import_protobuf
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from fixture_tools import FIXTURES
from make_unicode_tables import Numbers

OUT = FIXTURES.parent / "tokenizer"
TEXTS, TEXTS_PER_DIGEST, LENGTH = 5000, 50, 64

WORDS = """a photo of an astronaut riding a horse on mars red apple green wooden table watercolor painting of the sea at night stars moon over
mountains the cat's hat isn't there they're here we've gone i'll stay i'd rather not i'm the best highly detailed 4k 8k trending on artstation
cinematic lighting it's raining don't can't won't banana strawberry dog cat house tree flower sunset snow winter summer città straße naïve café
über 山 水 日本 你好 привет мир 😀 🍎 the of and in to is on that by photograph photographs photographer painted paints rides rider highest
higher nights lights A Photo OF THE Sea NIGHT System user assistant""".split()
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2028", "\u0085", "\v", " \n ", "\u200b", "\u2003", "    x"]
LITERALS = [
    "'s", "'S", "'LL", "'ve", "'\u017f", "'re'", "''t", "'d", "</s>", "<pad>", "<unk>", " <extra_id_0> ", "<extra_id_99>x", "<|im_start|>",
    "<|im_end|>", "<|endoftext|>", " <|vision_pad|>", "<bos>", "<eos>", "<mask>", "\u2581", "a\u2581\u2581b", "e\u0301", "fi\ufb01", "\u00a9\u200d\u00a9\u0301",
    "\u0915\u094d\u0937\u0301", "\u1100\u1161\u0301", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "1\ufe0f\u20e3",
    "\x00", "\x07", "\x7f", "\ufeff", "\ufffd", "\ufffe", "\u00ad", "...", "---", "123", "3.14", "\u0600a", "\u06dd12", "\u0d4e\u0d15", "<0x0A>", "<0xF0>",
]
RANGES = [
    (0x20, 0x5F), (0x300, 0x70), (0xA0, 0x2F60), (0x3000, 0xA800), (0x10000, 0x20000), (0x1F300, 0x700), (0x1100, 0x100), (0xAC00, 11172),
    (0x1E00, 0x200), (0x900, 0x500), (0xF900, 0x700), (0x590, 0x100), (0xA1, 0x5F),
]


def random_text(numbers):
    text = []
    long = numbers.below(100) == 0
    for _ in range(1 + numbers.below(2000 if long else 40)):
        kind = numbers.below(16)
        if kind <= 4:
            text.append(WORDS[numbers.below(len(WORDS))])
            if numbers.below(3):
                text.append(" ")
        elif kind == 5:
            text.append(SPACES[numbers.below(len(SPACES))])
        elif kind == 6:
            text.append(LITERALS[numbers.below(len(LITERALS))])
        elif kind == 7:
            text.append(chr(0x41 + numbers.below(58)))
            text.append(chr(0x300 + numbers.below(0x70)))
        else:
            first, count = RANGES[numbers.below(len(RANGES))]
            text.append(chr(first + numbers.below(count)))
    return "".join(text)


def digests(tokenizer):
    numbers, found = Numbers(22), []
    for _ in range(TEXTS // TEXTS_PER_DIGEST):
        texts = [random_text(numbers) for _ in range(TEXTS_PER_DIGEST)]
        values = array("i")
        whole = tokenizer(texts).input_ids
        padded = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True)
        for ids, cut, mask in zip(whole, padded.input_ids, padded.attention_mask):
            values.extend([*ids, -1, *cut, -1, *mask, -1])
        found.append(zlib.crc32(values.tobytes()))
    return found


def write(folder, name, value):
    (folder / name).write_text(json.dumps(value, ensure_ascii=True) + "\n", encoding="utf-8")


def fresh(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def t5_pieces():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))]), model_writer=model, vocab_size=400, pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, user_defined_symbols=["<shout>"], minloglevel=2,
    )
    return model.getvalue()


def t5():
    """With flags that make the added tokens take the white space around them, as real folders have them."""
    raw = t5_pieces()
    folder = fresh("t5-spiece")
    (folder / "spiece.model").write_bytes(raw)
    write(folder, "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "model_max_length": 512})
    yield "t5-spiece", T5Tokenizer.from_pretrained(folder)
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(raw)
    folder = fresh("t5")
    pieces = [[piece.piece, piece.score] for piece in proto.pieces] + [[f"<extra_id_{i}>", 0.0] for i in range(99, -1, -1)]
    added = [0, 1, 2, *range(len(proto.pieces), len(pieces))]
    flags = {i: {"content": pieces[i][0], "lstrip": i > 2, "normalized": False, "rstrip": i > 2, "single_word": False, "special": True} for i in added}
    charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
    write(folder, "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, **flag} for i, flag in flags.items()],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": charsmap},
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"},
        ]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                           "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False},
    })
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "T5Tokenizer", "added_tokens_decoder": {str(i): flag for i, flag in flags.items()},
        "additional_special_tokens": [pieces[i][0] for i in added if i > 2], "extra_ids": 100, "eos_token": "</s>", "pad_token": "<pad>",
        "unk_token": "<unk>", "model_max_length": 512,
    })
    yield "t5", T5Tokenizer.from_pretrained(folder)


def qwen2():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(PRETOKENIZE_REGEX), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS[i:] + WORDS[:i]) for i in range(8)], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_pad|>"]
    flags = {len(model["vocab"]) + i: {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} for i, token in enumerate(special)}
    config = {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": {str(i): flag for i, flag in flags.items()},
        "additional_special_tokens": special[1:], "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
        "tokenizer_class": "Qwen2Tokenizer", "model_max_length": 131072,
    }
    two = fresh("qwen2-two")
    write(two, "vocab.json", model["vocab"])
    (two / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in model["merges"]), encoding="utf-8")
    write(two, "tokenizer_config.json", {**config, "padding_side": "left"})
    yield "qwen2-two", Qwen2Tokenizer.from_pretrained(two)
    folder = fresh("qwen2")
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    whole = json.loads(tokenizer.to_str())
    whole["added_tokens"] = [{"id": i, **flag} for i, flag in flags.items()]
    write(folder, "tokenizer.json", whole)
    write(folder, "tokenizer_config.json", config)
    yield "qwen2", Qwen2Tokenizer.from_pretrained(folder)


def gemma():
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    # Bytes that no letter of a script below begins with are missing, so that some characters are unknown.
    alphabet = [f"<0x{b:02X}>" for b in range(256) if b not in (0xF3, 0xE1, 0xD7)]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special + alphabet, show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS[i:] + WORDS[:i]) for i in range(8)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 2)])
    whole = json.loads(tokenizer.to_str())
    whole["added_tokens"] = [token for token in whole["added_tokens"] if token["content"] in special]
    folder = fresh("gemma")
    write(folder, "tokenizer.json", whole)
    write(folder, "tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False, "tokenizer_class": "GemmaTokenizer", "model_max_length": 1000000000000000019884624838656,
        "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
    })
    yield "gemma", GemmaTokenizer.from_pretrained(folder)


def main():
    found = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__}
    for make in (t5, qwen2, gemma):
        for name, tokenizer in make():
            found[name] = digests(tokenizer)
            print(name, len(tokenizer), tokenizer("the cat's hat").input_ids, file=sys.stderr)
    write(OUT, "digests.json", found)


if __name__ == "__main__":
    main()
