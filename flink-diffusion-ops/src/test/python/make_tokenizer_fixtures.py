#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/tokenizer/: a small CLIP vocabulary, and what transformers' CLIPTokenizer makes of odd texts.

vocab.json, merges.txt   learned by the `tokenizers` library from the words below, numbered as in CLIP
cases.json               texts, and for each variant of the other files the ids without padding (and whether they were cut)

A variant is what a tokenizer folder may hold beside the vocabulary; null for a file that is not there. "drop" are tokens that
its vocabulary lacks. With "single" the vocabulary is in a tokenizer.json, as transformers 5 saves it.
A text is repeated "times" times, so that long ones stay short here.

Run: python make_tokenizer_fixtures.py   (see requirements.txt)
"""

import json
import logging
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "tokenizer"
START, END = "<|startoftext|>", "<|endoftext|>"
logging.getLogger("transformers").setLevel(logging.ERROR)

WORDS = """a photo of an astronaut riding a horse on mars a red apple and a green apple on a wooden table watercolor painting of the
sea at night stars moon over mountains the cat's hat isn't there they're here we've gone i'll stay i'd rather not i'm the best
highly detailed 4k 8k trending on artstation cinematic lighting it's raining don't can't won't banana strawberry dog cat house
tree flower sunset snow winter summer città straße naïve café über 山 水 日本 你好 привет мир 😀 🍎 the of and in to is on that by
photograph photographs photographer painting painted paints riding rides rider highest higher nights lights""".split()

TEXTS = [
    "", " ", "   \t\n ", "a", "a photo of an astronaut riding a horse on mars", "A PHOTO of An AstroNaut",
    "a red apple, a green apple", "hello world", "the the the", "photographphotograph", "artstation", "stations in art",
    "it's", "IT'S", "isn't", "we've they're i'll i'd i'm he's", "'s", "'", "''s", "'S'T'RE", "rock'n'roll", "l'été", "don''t",
    "cat's'hat", "'ss", "'res", "'llama", "'dog", "'m'm", "!'s", "'s!", "’s curly", "1girl", "4k 8k 16k", "123456", "1,000.50",
    "3.14159", "a1b2c3", "½ cup", "Ⅷ century", "x² + y² = z²", "١٢٣", "1st 2nd", "0", "007agent", "a!!", "a!!!b", "!", "! !",
    "hello, world!", "...", "-", "--", "a-b_c", "#hashtag @user", "(a:1.2), [b], {c}", "50% off $9.99", "a/b\\c|d", "<b>bold</b>",
    "&amp; &lt;b&gt; &#39; &nbsp;", "http://example.com/a?b=c&d=e", "a\u00a0b", "a\u3000b", "a\u2003b\u2009c", "a\u200bb", "a\ufeffb",
    "a\u0085b", "a\u001cb", "a\u180eb", "tab\there", "new\nline", "cr\r\nlf", "many    spaces     here", "  lead and trail  ",
    "\x00null", "bell\x07", "\x7f", "e\u0301", "é", "cafe\u0301 café", "n\u0303 ñ", "A\u030a Å \u212b", "\u0301alone", "a\u0301\u0327b",
    "a\u0327\u0301b", "ế", "e\u0302\u0301", "한국어", "\u1112\u1161\u11ab", "ﬁ ﬂ", "①②③", "ＦＵＬＬ　ｗｉｄｔｈ", "ΣΊΣΥΦΟΣ", "ΟΔΟΣ σς", "İstanbul I ı i", "STRASSE straße ẞ",
    "Ǆ ǅ ǆ", "Привет, мир!", "你好世界", "日本の山と水", "山水", "山 水", "ประเทศไทย", "हिन्दी", "العربية", "עברית", "தமிழ்", "𝔸𝕓𝕔", "𐐀𐐨",
    "😀", "😀😀", "a😀b", "👍🏽", "👨‍👩‍👧‍👦", "❤️", "🇩🇪", "1️⃣", "☃", "→ ← ↑", "©®™", "\ufffd", "\U0001f9ff\U0001fae0",
    "<|endoftext|>", "<|startoftext|>", "a <|endoftext|> b", "a<|endoftext|>b", "<|ENDOFTEXT|>", "<|StartOfText|>x", "<|endoftext|", "x<|endoftext|>!",
    "!<|endoftext|>", "<|endoftext|><|endoftext|>", "<| endoftext |>", "<concept>", "a <concept> b", "<CONCEPT>", "my<concept>s", "<Shout>", "<shout>",
    "<concept", "two words token", "TWO  WORDS token", "twowords", "</w>", "a</w>", "Ġ Ċ", "ðŁĺĢ", "\u00ad", "\u2028x\u2029", "़a", "a़",
]
LONG = [
    ("a ", 74), ("a ", 75), ("a ", 76), ("a", 75), ("a", 76), ("apple ", 40), ("photo of a cat, ", 100), ("ab", 5000), ("1", 200), ("!", 300),
    ("😀", 100), ("<|endoftext|>", 80), ("x<|endoftext|>", 40), (" ", 100000), ("photograph", 10000), ("a1!", 33334), ("山", 20000), ("\u0301\u0327", 500),
]


def added(content, normalized, special=None, typed=False):
    token = {"content": content, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False}
    if special is not None:
        token["special"] = special
    return {"__type": "AddedToken", **token} if typed else token


def special_tokens(pad, typed):
    return {
        "bos_token": added(START, True, typed=typed),
        "eos_token": added(END, True, typed=typed),
        "pad_token": pad,
        "unk_token": added(END, True, typed=typed),
    }


def train():
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=900, end_of_word_suffix="</w>", initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    assert set(alphabet) == set(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(merge) for merge in merges] + [START, END]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges


def variants(vocab):
    size = len(vocab)
    concept = {"additional_special_tokens": ["<concept>", added("<Shout>", True, typed=True)]}
    sd1 = {**special_tokens(END, True), "add_prefix_space": False, "do_lower_case": True, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    yield {"name": "sd1", "tokenizer_config": sd1, "special_tokens_map": special_tokens(END, False)}
    # The two files disagree in Stable Diffusion 2's folder: the map counts.
    yield {"name": "sd2", "tokenizer_config": sd1, "special_tokens_map": special_tokens("!", False)}
    yield {"name": "bare", "tokenizer_config": None, "special_tokens_map": None}
    yield {
        "name": "plain-strings",
        "tokenizer_config": {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "<pad>", "model_max_length": 16},
        "special_tokens_map": None,
    }
    yield {
        "name": "decoder",
        "tokenizer_config": {
            **special_tokens("!", False),
            "bos_token": START,
            "eos_token": END,
            "unk_token": END,
            "model_max_length": 32,
            "added_tokens_decoder": {
                "0": added("!", False, True),
                str(size - 2): added(START, True, True),
                str(size - 1): added(END, False, True),
                str(size): added("<concept>", True, False),
                str(size + 1): added("<Shout>", False, False),
                str(size + 2): added("two words", True, False),
            },
        },
        "special_tokens_map": special_tokens(END, False),
    }
    yield {"name": "concepts", "tokenizer_config": {**sd1, **concept}, "special_tokens_map": None}
    yield {
        "name": "added-tokens",
        "tokenizer_config": sd1,
        "special_tokens_map": special_tokens(END, False),
        "added_tokens": {"<concept>": size, "<Shout>": size + 1},
    }
    yield {
        "name": "few-bytes",
        "tokenizer_config": sd1,
        "special_tokens_map": special_tokens(END, False),
        "drop": ["!", "!</w>", "ð</w>", "Ł", "1</w>", "å", "æ</w>"],
    }
    yield {"name": "single-file", "tokenizer_config": {"model_max_length": 24, "pad_token": "!"}, "special_tokens_map": None, "single": True}


def write_folder(folder, variant, vocab, merges):
    vocab = {token: i for token, i in vocab.items() if token not in variant.get("drop", [])}
    dump = lambda name, value: (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    dump("vocab.json", vocab)
    merges = [pair for pair in merges if pair[0] in vocab and pair[1] in vocab]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in merges), encoding="utf-8")
    for name in ("tokenizer_config", "special_tokens_map", "added_tokens"):
        if variant.get(name) is not None:
            dump(name + ".json", variant[name])
    if variant.get("single"):
        CLIPTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "vocab.json").unlink()
        (folder / "merges.txt").unlink()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    vocab, merges = train()
    (OUT / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    (OUT / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in merges), encoding="utf-8")
    texts = [(text, 1) for text in TEXTS] + LONG
    results = []
    for variant in variants(vocab):
        with tempfile.TemporaryDirectory() as temp:
            folder = Path(temp)
            write_folder(folder, variant, vocab, merges)
            tokenizer = CLIPTokenizer.from_pretrained(folder)
            if variant.get("single"):
                variant["tokenizer_json"] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            length = min(tokenizer.model_max_length, 77)
            ids, truncated = [], []
            for number, (text, times) in enumerate(texts):
                whole = tokenizer(text * times).input_ids
                cut = tokenizer(text * times, truncation=True, max_length=length).input_ids
                padded = tokenizer(text * times, truncation=True, max_length=length, padding="max_length").input_ids
                assert padded == cut + [tokenizer.pad_token_id] * (length - len(cut))
                ids.append(cut)
                if len(whole) > length:
                    truncated.append(number)
        results.append({**variant, "length": length, "pad": tokenizer.pad_token_id, "ids": ids, "truncated": truncated})
    cases = {"texts": [{"text": text, "times": times} for text, times in texts], "variants": results}
    # A line for each text and each list of ids, in ASCII so that no editor composes a character.
    lines = json.dumps(cases).replace('{"text"', '\n{"text"').replace('{"name"', '\n{"name"').replace("[[", "[\n[").replace("], [", "],\n[")
    (OUT / "cases.json").write_text(lines + "\n", encoding="utf-8")
    print(len(texts), "texts,", len(results), "variants,", len(vocab), "tokens")


main()
