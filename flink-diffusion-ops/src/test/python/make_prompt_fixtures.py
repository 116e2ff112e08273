#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/prompts: what AUTOMATIC1111's web UI makes of weighted prompts, by its own parser.

a1111.json           for each of 240 prompts: parts (parse_prompt_attention), prompts (get_multicond_prompt_list), stages (its
                     schedule of ten steps), and for each chunk of 77 tokens of tiny-sd1's tokenizer their ids and weights, as runs
tiny-sd1.safetensors pictures (channels x height x width, 0..1) of seed 3 that diffusers makes of tiny-sd1 and the encodings of the prompts
                     in PICTURES, weighted as the web UI's emphasis "Original" does

Run: python make_prompt_fixtures.py WEBUI   (a checkout of AUTOMATIC1111/stable-diffusion-webui; see requirements.txt, and lark)
"""

import itertools
import json
import random
import sys
import types

import torch
from diffusers import StableDiffusionPipeline

from fixture_tools import FIXTURES, configure_torch, seeded, write_tensors

TARGET = FIXTURES.parent / "prompts"
STEPS = 10

WRITTEN = [
    "", " ", "normal text", "an (important) word", "(unbalanced", "unbalanced)", "\\(literal\\]", "(unnecessary)(parens)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", "[[[less]]]", "(more:)", "(a:b)", "(a:b:1.2)", "(a : 1.2 )", "(a:-1)",
    "(a:+.5)", "a:1.5", "a:1.5)", "[a:1.5)", "(a [b) c]", "([)]", "\\\\", "\\(a\\) (b)", "a \\x b", "a BREAK b", "a BREAK  BREAK b",
    "(a BREAK b:1.2)", "BREAK", "BREAKfast", "a\nBREAK\nb", "a AND b", "a :1.2 AND b:.5 AND c : -1", "AND", "a ANDb", "sANDy", "a AND",
    "(a:1.2) AND [b]", "a [b:3]", "a [b: 3]", "a [b:3 ]", "a [[[b]]:2]", "[(a:2):3]", "a [b : c : 1] d", "a[b:[c:d:2]:1]e",
    "a [unbalanced", "a [b:.5] c", "a [b:c:0.5] d", "a [b::0.25] d", "a [:b:0.25] d", "((a][:b:c [d:3]", "[a|(b:1.1)]", "[fe|]male",
    "[fe|||]male", "[a|b|c] d [e:f:0.3]", "[a:b:0]", "[a:b:0.0]", "[a:b:1.0]", "[a:b:10]", "[a:b:11]", "[a:b:-1]", "[a:b:c]", "[a:b:1e0]",
    "[a:b:c:1]", "a | b", "(a | b)", "[a|b:c]", "[a|b", "\\[a:b:1\\]", "[\\[a:b:3]", "[a BREAK b:c:4]", "a [b AND c:5]",
    "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75][ in foreground::0.6][ in background:0.25] "
    "[shoddy:masterful:0.5]",
    "été (naïve:1.3) [Ünïcödé] 日本語 (猫:0.8), 🦊", "a\tb (c\u00a0d:1.1)\u3000e", "a, b, c, " * 20, "word " * 160, "(word:1.2) " * 90,
    "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen, sixteen, seventeen, "
    "(eighteen, nineteen:1.3), twenty, twentyone, twentytwo",
]
WORDS = ["cat", "dog", "red", "blue", "tree", "by the sea", "of", "a", "in oil", "photo", "4k", "night"]

PICTURES = {
    "weights": ("a (red:1.5) cat, [on] a ((tree))", "blue, (dog:0.6)"),
    "long": ("a photo of a cat, " * 12 + "(at night:1.4)", "dog"),
    "breaks": ("a red cat BREAK a (blue:1.2) tree", "dog BREAK night BREAK of"),
}


def random_prompt(draws, depth=0):
    kinds = ["word"] * 6 + ["round", "weight", "square", "schedule", "later", "alternate", "noise", "break", "and", "comma"]
    parts = []
    for _ in range(draws.randint(1, 5 if depth == 0 else 2)):
        kind = draws.choice(kinds if depth < 3 else ["word"])
        inner = lambda: random_prompt(draws, depth + 1)  # noqa: E731
        parts.append(
            draws.choice(WORDS) if kind == "word"
            else f"({inner()})" if kind == "round"
            else f"({inner()}:{draws.choice(['1.2', '0.7', '2', ' 1.05 '])})" if kind == "weight"
            else f"[{inner()}]" if kind == "square"
            else f"[{inner()}:{inner()}:{draws.choice(['3', '0.5', '.25', '7'])}]" if kind == "schedule"
            else f"[{inner()}:{draws.choice(['2', '0.8'])}]" if kind == "later"
            else f"[{inner()}|{inner()}]" if kind == "alternate"
            else draws.choice(["(", ")", "[", "]", ":", "\\(", "\\]", "\\\\"]) if kind == "noise"
            else " BREAK " if kind == "break" and depth == 0
            else f" :{draws.choice(['1.5', '0.5'])} AND " if kind == "and" and depth == 0
            else ", "
        )
    return draws.choice([" ", "", " "]).join(parts)


def web_ui(folder):
    """The web UI's modules, without the ones that its tokenization names and does not need."""
    sys.path.insert(0, folder)
    package = types.ModuleType("modules")
    package.__path__ = [folder + "/modules"]
    sys.modules["modules"] = package
    for name in ("devices", "sd_hijack", "sd_emphasis", "shared"):
        module = types.ModuleType("modules." + name)
        setattr(package, name, module)
        sys.modules["modules." + name] = module
    package.shared.opts = types.SimpleNamespace(emphasis="Original", comma_padding_backtrack=20)
    from modules import prompt_parser, sd_hijack_clip

    class Embedder(sd_hijack_clip.FrozenCLIPEmbedderWithCustomWordsBase):
        def __init__(self, tokenizer):
            self.tokenizer = tokenizer
            self.chunk_length = 75
            self.comma_token = tokenizer.get_vocab().get(",</w>", None)
            self.id_start, self.id_end = tokenizer.bos_token_id, tokenizer.eos_token_id
            none = types.SimpleNamespace(find_embedding_at_position=lambda tokens, position: (None, None))
            self.hijack = types.SimpleNamespace(embedding_db=none)

        def tokenize(self, texts):
            return self.tokenizer(texts, truncation=False, add_special_tokens=False)["input_ids"]

    return prompt_parser, Embedder


def runs(values):
    return [[value, len(list(group))] for value, group in itertools.groupby(values)]


def case(parser, embedder, prompt):
    indexes, flat, _ = parser.get_multicond_prompt_list([prompt])
    return {
        "prompt": prompt,
        "parts": parser.parse_prompt_attention(prompt),
        "prompts": [[flat[index], weight] for index, weight in indexes[0]],
        "stages": parser.get_learned_conditioning_prompt_schedules([prompt], STEPS)[0],
        "chunks": [{"ids": runs(chunk.tokens), "weights": runs(chunk.multipliers)} for chunk in embedder.tokenize_line(prompt)[0]],
    }


def encode(pipe, embedder, prompt):
    encoded = []
    for chunk in embedder.tokenize_line(prompt)[0]:
        states = pipe.text_encoder(torch.tensor([chunk.tokens])).last_hidden_state
        mean = states.mean()
        states = states * torch.tensor(chunk.multipliers).reshape(1, -1, 1)
        encoded.append(states * (mean / states.mean()))
    return encoded


def picture(pipe, embedder, prompt, negative):
    wanted, unwanted = encode(pipe, embedder, prompt), encode(pipe, embedder, negative)
    empty = encode(pipe, embedder, "")
    longest = max(len(wanted), len(unwanted))
    wanted, unwanted = (torch.cat(each + empty * (longest - len(each)), dim=1) for each in (wanted, unwanted))
    return pipe(
        prompt_embeds=wanted, negative_prompt_embeds=unwanted, num_inference_steps=4, guidance_scale=5.0, generator=seeded(3),
        output_type="pt",
    ).images[0]


def main():
    configure_torch()
    parser, kind = web_ui(sys.argv[1])
    pipe = StableDiffusionPipeline.from_pretrained(FIXTURES / "tiny-sd1", safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    embedder = kind(pipe.tokenizer)
    draws = random.Random(1)
    prompts = list(dict.fromkeys(WRITTEN + [random_prompt(draws) for _ in range(200)]))[:240]
    TARGET.mkdir(exist_ok=True)
    lines = [json.dumps(case(parser, embedder, prompt), ensure_ascii=False) for prompt in prompts]
    (TARGET / "a1111.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    (TARGET / "pictures.json").write_text(json.dumps(PICTURES, indent=1) + "\n")
    write_tensors(
        TARGET / "tiny-sd1.safetensors", {name: picture(pipe, embedder, *texts).float() for name, texts in PICTURES.items()}
    )


if __name__ == "__main__":
    main()
