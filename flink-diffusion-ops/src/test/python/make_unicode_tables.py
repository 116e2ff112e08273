#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Asks the reference tokenizer what it takes each code point for, and writes that down.

    venv/bin/python make_unicode_tables.py

CLIPTokenizer works with the `tokenizers` library, which has its idea of Unicode from three places, each of its own version: letters, digits
and white space from the regular expressions of Oniguruma, lower case from Rust, composition (NFC) from a crate. No library for Java has
just these versions, and every JDK has another one. So the tables are taken from the reference itself, one code point after the other:

main/resources/.../tokenizer/unicode.txt.gz   what Words.java reads: ranges of letters, digits and white space, lower case, combining
                                              classes, decompositions, and which of them are not composed again
fixtures/tokenizer/unicode.json               digests of what the reference makes of every code point between two letters, 256 at a time,
                                              and of 5,000 random texts, 50 at a time
"""

import gzip
import json
import unicodedata
import zlib
from array import array
from pathlib import Path

import tokenizers
import transformers
from tokenizers import Regex, normalizers
from transformers import CLIPTokenizer

from fixture_tools import FIXTURES

MAIN = Path(__file__).resolve().parents[3] / "core/src/main/resources/io/github/flinkdiffusion/ops/tokenizer/unicode.txt.gz"
DIGESTS = FIXTURES.parent / "tokenizer" / "unicode.json"
TOKENIZER = FIXTURES / "tiny-sd1" / "tokenizer"
ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)
TEXTS, TEXTS_PER_DIGEST, BLOCK = 5000, 50, 256
MASK = (1 << 64) - 1


def members(pattern):
    """The code points that a regular expression of the reference matches."""
    mark = "\0"
    text = "".join(map(chr, ALL))
    out = normalizers.Replace(Regex(pattern), mark).normalize_str(text)
    assert len(out) == len(text)
    return [c for c, there in zip(ALL, out) if there == mark and c != 0]


def ranges(points):
    found = []
    for point in points:
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return " ".join(f"{a:X}" if a == b else f"{a:X}-{b:X}" for a, b in found)


def combining_class(point, nfd):
    """Python's tables know the classes of Unicode 14; the reference says whether it orders by them."""
    known = unicodedata.combining(chr(point))
    # A mark is one to the reference if it changes places with one of a lower class, or a higher one with it.
    low, high = "\u0334", "\u0345"  # classes 1 and 240
    moves = nfd(f"a{chr(point)}{low}") == f"a{low}{chr(point)}" or nfd(f"a{high}{chr(point)}") == f"a{chr(point)}{high}"
    return known, moves


def newer_class(point, nfd):
    """The class of a mark that Python does not know: the place that it takes among marks of every class."""
    samples = {}
    for other in range(0x300, 0x1E94B):
        value = unicodedata.combining(chr(other))
        if value and unicodedata.normalize("NFD", chr(other)) == chr(other):
            samples.setdefault(value, chr(other))
    lower = [value for value, mark in samples.items() if nfd(f"a{chr(point)}{mark}") == f"a{mark}{chr(point)}"]
    higher = [value for value, mark in samples.items() if nfd(f"a{mark}{chr(point)}") == f"a{chr(point)}{mark}"]
    same = sorted(set(samples) - set(lower) - set(higher))
    assert len(same) == 1, (hex(point), same)
    return same[0]


def tables():
    nfd, nfc, lowercase = normalizers.NFD().normalize_str, normalizers.NFC().normalize_str, normalizers.Lowercase().normalize_str
    lower, classes, decompositions, uncomposed, composites = [], {}, [], [], set()
    for point in ALL:
        character = chr(point)
        small = lowercase(character)
        if small != character:
            lower.append(f"{point:X}:{','.join(f'{ord(c):X}' for c in small)}")
        parts = nfd(character)
        if parts != character and point not in HANGUL:
            decompositions.append(f"{point:X}:{','.join(f'{ord(c):X}' for c in parts)}")
            if nfc(parts) != character:
                uncomposed.append(point)
            else:
                composites.add(parts)
                assert len(parts) == 2 or parts[:-1] in composites or len(nfc(parts[:-1])) == 1, hex(point)
        if point >= 0x300 and parts == character:
            known, moves = combining_class(point, nfd)
            if moves:  # marks that are newer than the crate do not
                classes.setdefault(known or newer_class(point, nfd), []).append(point)
    lines = [
        f"letters {ranges(members(chr(92) + 'p{L}'))}",
        f"digits {ranges(members(chr(92) + 'p{N}'))}",
        f"spaces {ranges(members(chr(92) + 's'))}",
        "lower " + " ".join(lower),
        *(f"class {value} {ranges(points)}" for value, points in sorted(classes.items())),
        "decompositions " + " ".join(decompositions),
        f"uncomposed {ranges(uncomposed)}",
    ]
    return "\n".join(lines) + "\n"


class Numbers:
    """SplitMix64, which the Java test has, too."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 33) % bound


def random_text(numbers):
    """Mixes plain text, marks, scripts and whatever else there is."""
    text = []
    for _ in range(1 + numbers.below(40)):
        kind = numbers.below(8)
        if kind <= 2:
            point = 0x20 + numbers.below(0x5F)
        elif kind == 3:
            point = 0x300 + numbers.below(0x70)
        elif kind == 4:
            point = 0xA0 + numbers.below(0x2F60)
        elif kind == 5:
            point = 0x3000 + numbers.below(0xA800)
        elif kind == 6:
            point = 0x10000 + numbers.below(0x20000)
        else:
            point = (0x1100 + numbers.below(0x100), 0xAC00 + numbers.below(11172), 0x1E00 + numbers.below(0x200), 0x0900 + numbers.below(0x500))[numbers.below(4)]
        text.append(chr(point))
    return "".join(text)


def digest(rows):
    """CRC-32 of the ids, each 32 bits, and of a -1 behind each text."""
    values = array("i")
    for row in rows:
        values.extend(row)
        values.append(-1)
    return zlib.crc32(values.tobytes())


def digests():
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    raw = tokenizer._tokenizer
    raw.no_padding()
    raw.no_truncation()
    blocks = []
    for start in range(0, 0x110000, BLOCK):
        if 0xD800 <= start <= 0xDFFF:
            blocks.append(0)
            continue
        texts = [f"a{chr(point)}b" for point in range(start, start + BLOCK)]
        blocks.append(digest([encoding.ids for encoding in raw.encode_batch(texts, add_special_tokens=False)]))
    numbers, random = Numbers(7), []
    texts = [random_text(numbers) for _ in range(TEXTS)]
    ids = tokenizer(texts, padding="max_length", max_length=77, truncation=True).input_ids
    for start in range(0, TEXTS, TEXTS_PER_DIGEST):
        random.append(digest(ids[start : start + TEXTS_PER_DIGEST]))
    return {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__, "blocks": blocks, "texts": random}


def main():
    text = tables()
    with open(MAIN, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=9) as packed:
        packed.write(text.encode())
    DIGESTS.write_text(json.dumps(digests()) + "\n")
    print(len(text), "characters,", MAIN.stat().st_size, "bytes packed")


if __name__ == "__main__":
    main()
