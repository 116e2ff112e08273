#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""A CLIP tokenizer with a vocabulary of under a thousand tokens, in the classic files of Hugging Face folders."""

from collections import Counter

from fixture_tools import write_json

START, END = "<|startoftext|>", "<|endoftext|>"
MERGE_COUNT = 420

# The words whose frequent pairs become merges. Other words are still encodable: they fall into shorter pieces.
TEXT = """
a the an and of on in at with by for to from is are it its over under near between photo photograph picture image painting drawing
sketch watercolor render illustration portrait landscape close up small large big tiny huge red green blue yellow orange purple pink
black white grey brown background foreground sky sea forest mountain river city street house castle bridge garden field desert island
cat dog horse bird fish fox bear lion tiger elephant rabbit mouse owl frog snail butterfly apple banana cherry grape lemon peach pear
strawberry tomato carrot pizza burger cake bread cheese face smile heart star moon sun cloud rain snow fire water rocket car train bus
bicycle airplane boat ship book clock key lamp phone guitar piano drum ball balloon gift flower rose tree leaf cactus mushroom man woman
child person astronaut riding robot dragon knight wizard king queen high low quality blurry sharp detailed realistic cinematic lighting
dramatic beautiful ugly bad good best worst masterpiece trending artstation watermark text signature cropped deformed hands extra fingers
style of oil digital art concept fantasy science fiction vintage modern abstract minimal colorful dark bright soft warm cold sunny rainy
night day morning evening winter summer spring autumn make it look like turn into replace remove add wearing hat glasses wooden metal
glass stone paper plastic golden silver shiny matte old new young ancient futuristic
"""


def byte_alphabet():
    """CLIP's (GPT-2's) printable stand-in for every byte, in the order in which it numbers them: "!" is token 0."""
    printable = list(range(ord("!"), ord("~") + 1)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    characters = [chr(byte) for byte in printable]
    spare = 0
    for byte in range(256):
        if byte not in printable:
            characters.append(chr(256 + spare))
            spare += 1
    return characters


def learn_merges(words, count):
    """Plain byte pair encoding. Among equally frequent pairs the alphabetically first wins, so the result is fixed."""
    splits = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, pieces in splits.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in splits.values():
            i = 0
            while i < len(pieces) - 1:
                if (pieces[i], pieces[i + 1]) == best:
                    pieces[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def write_tokenizer(folder, pad_token):
    """Writes vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json, as SD 1.x and 2.x folders have them.

    Returns the vocabulary's size. The end token has the highest id, as in CLIP.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(Counter(TEXT.split()), MERGE_COUNT)
    alphabet = byte_alphabet()
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(pair) for pair in merges] + [START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    write_json(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def added(token, normalized):
        return {"content": token, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False}

    write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "bos_token": {"__type": "AddedToken", **added(START, True)},
            "do_lower_case": True,
            "eos_token": {"__type": "AddedToken", **added(END, True)},
            "errors": "replace",
            "model_max_length": 77,
            "pad_token": pad_token,
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": {"__type": "AddedToken", **added(END, True)},
        },
    )
    write_json(
        folder / "special_tokens_map.json",
        {"bos_token": added(START, True), "eos_token": added(END, True), "pad_token": pad_token, "unk_token": added(END, True)},
    )
    return len(vocabulary)
