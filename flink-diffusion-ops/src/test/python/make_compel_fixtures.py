#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/prompts/compel*: what Compel makes of weighted prompts, by its own parser. Needs compel.

compel.json                 for each of 240 prompts: parts (weight, texts of [text, weight], shares, normalized), or null where Compel
                            fails; chunks of the first text with tiny-sd1's tokenizer: ids and weights, as runs
compel-pictures.json        texts of images
compel-pictures.safetensors images (channels x height x width, 0..1) of seed 3 that diffusers makes of tiny-sd1 and tiny-sdxl with the
                            embeddings of CompelForSD and CompelForSDXL
"""

import itertools
import json
import random

import torch
from compel import Compel, CompelForSD, CompelForSDXL
from compel.prompt_parser import Blend, FlattenedPrompt, PromptParser
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from fixture_tools import FIXTURES, configure_torch, seeded, write_tensors

TARGET = FIXTURES.parent / "prompts"

WRITTEN = [
    "", " ", "normal text", "a cat++ and a dog--", "a (red hat)1.3", "a (red hat)++, (blue)0.5", "(a (b)1.2 c)0.5", "((a))++", "(a)1.3b",
    "(a) 1.3", "a +b", "a+b", "a++b", "a+ b", "+", "-", "++", "a-b", "a -1", "semi-detached house--", "(semi-detached)-", "\"a b\"++",
    "\"a \\\"b\\\" c\"1.2", "\"\"", "\"a", "a\"", "a \"b\" c", "\\(a\\)", "\\(a\\)++", "(\\(a\\) b)1.1", "a\\+", "a\\++", "a\\,b", "a,b,c",
    "(a,b)1.2", "a. b. c.", "(a. b)+", "(a.b)+", "a.b+", "a=b", "(a=b)2", "(", ")", "(a", "a)", "(a))", "((a)", "(a b) c)", "a(b)", "a(b)c",
    "(a)(b)1.2", "(a).attend(1.5)", "a.attend(++)", "a.attend(--)", "a .attend ( 1.2 )", "(a b).attend(0.5) c", "a.attend(x)",
    "(\"a cat\", \"a dog\").and()", "(\"a cat\", \"a dog\").and(1, 0.5)", "(\"a cat++\", \"a (dog)0.5\").and(1,0.5)", "(a, b).and()",
    "(a b, c).and()", "((a b), c).and(0.5, 2)", "(\"a\", \"b\").add(1, 1)", "(\"a\").and()", "(\"a\", \"b\").blend(0.7, 0.3)",
    "(\"a cat\", \"a dog\", \"night\").blend(1, 1, 1)", "(\"a\", \"b\").blend(1, 0.5, no_normalize)", "(\"a\", \"b\").blend()",
    "(\"a, b\", \"c. d\").and()", "(\"a (b)1.2\", \"c\").blend(-1, 2)", "(\"a\", \"b\").blend(1, 1) c", "c (\"a\", \"b\").blend(1, 1)",
    "(\"a\", \"b\").and(1)", "(\"a\", \"b\").and(x, y)", "(a, ).and()", "(\"\", \"a\").and()", "a 1.5 b", "(a)1", "(a)0", "(a)-1", "(a)+1",
    "(a)--1", "(a).5", "(a)1.", "4k photo", "iso-400 film", "(iso-400)+ film", "f/1.8", "(f/1.8)1.2", "a:1.3", "(a:1.3)", "[a]", "[a]++",
    "a\nb", "a\tb++", "été (naïve)1.3 日本語 (猫)0.8 🦊", "a\u00a0b+", "word " * 100, "(word)1.2 " * 90, "a cat, in a tree. " * 20,
    "one two three four five six, " * 15, "(red hat)0.5 " + "word " * 80, "(a, b)++.", "(a)++, (b)--.", "...", "a , b", "(a )+", "( a)+",
    "(a) +", "a\\", "\\", "a\\b", "(a\\)b)+", "a'b+", "don't--", "\"a\" \"b\"", "(\"a\")++", "(\"a b\" c)1.2", "a \"b (c)1.3\" d",
    "()", "()++", "a () b", "a+, b-, c", "a+. b", "(a+ b)1.5", "((a+)+)+", "-a", "--a", "a--b", "(a--b)", "(-5)1.2", "-5", "(x-5)1.2",
]
WORDS = ["cat", "dog", "red", "blue", "tree", "by the sea", "of", "a", "in oil", "photo", "4k", "night", "semi-dark", "don't"]

PICTURES = {
    "weights": ("a red++ cat, a (tree)0.6 by the (sea)1.3", "a dog-- at night"),
    "and": ("(\"a red++ cat\", \"a (tree)0.5 of night\").and(1, 0.5)", "dog"),
    "joined": ("(\"a red++ cat\", \"a (tree)0.5 of night\").and()", "dog"),
    "blend": ("(\"a red cat\", \"a blue (tree)1.4\").blend(0.7, 0.5)", ""),
    "long": ("a red+ cat, in a tree. " * 12 + "(at night)0.4", "(dog)1.2"),
}


def random_prompt(draws, depth=0):
    kinds = ["word"] * 6 + ["plus", "round", "weight", "quote", "noise", "comma", "dot"]
    parts = []
    for _ in range(draws.randint(1, 5 if depth == 0 else 3)):
        kind = draws.choice(kinds if depth < 3 else ["word"])
        inner = lambda: random_prompt(draws, depth + 1)  # noqa: E731
        parts.append(
            draws.choice(WORDS) if kind == "word"
            else draws.choice(WORDS).split(" ")[-1] + draws.choice(["+", "++", "-", "--", "+++"]) if kind == "plus"
            else f"({inner()}){draws.choice(['', '+', '--'])}" if kind == "round"
            else f"({inner()}){draws.choice(['1.2', '0.7', '2', '.5', '0'])}" if kind == "weight"
            else f'"{draws.choice(WORDS)} (sea)1.1"{draws.choice(["", "+", "1.3"])}' if kind == "quote" and depth == 0
            else draws.choice(["(", ")", "+", "-", ".", "=", "\\(", "\\)", "\\\\", "\""]) if kind == "noise"
            else "." if kind == "dot"
            else ","
        )
    return draws.choice([" ", " ", ""]).join(parts)


def texts(prompt):
    if type(prompt) is not FlattenedPrompt:
        raise ValueError(prompt)
    return [[fragment.text, fragment.weight] for fragment in prompt.children]


def parts(prompt):
    conjunction = PromptParser().parse_conjunction(prompt)
    if conjunction.lora_weights or not conjunction.prompts:
        raise ValueError("not an encoding")
    result = []
    for part, weight in zip(conjunction.prompts, conjunction.weights):
        if type(part) is Blend:
            blended = [texts(each) for each in part.prompts]
            if len(blended) != len(part.weights):
                raise ValueError("not as many texts as weights")
            result.append({"weight": weight, "texts": blended, "shares": part.weights, "normalized": part.normalize_weights})
        else:
            result.append({"weight": weight, "texts": [texts(part)], "shares": [1.0], "normalized": True})
    return result


def runs(values):
    return [[value, len(list(group))] for value, group in itertools.groupby(values)]


def case(compel, prompt):
    try:
        read = parts(prompt)
        fragments = read[0]["texts"][0]
    except Exception:
        return {"prompt": prompt, "parts": None, "chunks": []}
    ids, weights, _ = compel.conditioning_provider.get_token_ids_and_expand_weights(
        [text for text, _ in fragments], [weight for _, weight in fragments], device="cpu")
    size = 77
    chunks = [
        {"ids": runs(ids[at : at + size].tolist()), "weights": runs([round(each, 6) for each in weights[at : at + size].tolist()])}
        for at in range(0, len(ids), size)
    ]
    return {"prompt": prompt, "parts": read, "chunks": chunks}


def picture(pipe, compel, prompt, negative):
    made = compel(prompt, negative_prompt=negative)
    pooled = {} if made.pooled_embeds is None else {
        "pooled_prompt_embeds": made.pooled_embeds, "negative_pooled_prompt_embeds": made.negative_pooled_embeds}
    return pipe(
        prompt_embeds=made.embeds, negative_prompt_embeds=made.negative_embeds, **pooled, num_inference_steps=4, guidance_scale=5.0,
        width=32, height=32, generator=seeded(3), output_type="pt",
    ).images[0]


def main():
    configure_torch()
    pipe = StableDiffusionPipeline.from_pretrained(FIXTURES / "tiny-sd1", safety_checker=None)
    xl = StableDiffusionXLPipeline.from_pretrained(FIXTURES / "tiny-sdxl")
    for each in (pipe, xl):
        each.set_progress_bar_config(disable=True)
    compel = Compel(tokenizer=pipe.tokenizer, text_encoder=pipe.text_encoder, truncate_long_prompts=False)
    draws = random.Random(1)
    prompts = list(dict.fromkeys(WRITTEN + [random_prompt(draws) for _ in range(200)]))[:270]
    lines = [json.dumps(case(compel, prompt), ensure_ascii=False) for prompt in prompts]
    print(len(lines), "prompts,", sum('"parts": null' in line for line in lines), "that Compel does not read")
    (TARGET / "compel.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    (TARGET / "compel-pictures.json").write_text(json.dumps(PICTURES, indent=1) + "\n")
    images = {f"sd1-{name}": picture(pipe, CompelForSD(pipe), *each).float() for name, each in PICTURES.items()}
    for name, each in PICTURES.items():
        if name != "and":  # Compel 2.5.1 fails at weights of .and() where pooled states are asked for.
            images[f"xl-{name}"] = picture(xl, CompelForSDXL(xl), *each).float()
    write_tensors(TARGET / "compel-pictures.safetensors", images)


if __name__ == "__main__":
    with torch.no_grad():
        main()
