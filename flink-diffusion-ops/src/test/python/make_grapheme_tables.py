#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes main/resources/.../tokenizer/graphemes.txt.gz: which code points join others to one user-perceived character.

    venv/bin/python make_grapheme_tables.py        (needs sentencepiece and regex besides)

The `tokenizers` library applies SentencePiece's rules of normalization to user-perceived characters, by tables of its own version of
Unicode. Which code points continue a character is asked of the library itself, with a rule that swallows them; the other properties are
those of the module `regex`, without code points that the library does not know yet.
"""

import gzip
import io
import tempfile
from pathlib import Path

import regex
import sentencepiece
from tokenizers import normalizers
from transformers.convert_slow_tokenizer import import_protobuf

from make_unicode_tables import ALL, MAIN, ranges

PROPERTIES = {
    "CONTROL": r"\p{GCB=Control}",
    "EXTEND": r"\p{GCB=Extend}",
    "SPACING": r"\p{GCB=SpacingMark}",
    "PREPEND": r"\p{GCB=Prepend}",
    "PICTURE": r"\p{ExtPict}",
    "CONSONANT": r"\p{InCB=Consonant}",
    "LINKER": r"\p{InCB=Linker}",
    "CONJUNCT": r"\p{InCB=Extend}",
}


def charsmap(rules):
    """SentencePiece's compiled form of rules, lines of two columns of code points."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write(rules)
        file.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["b c d hello world"] * 50), model_writer=model, vocab_size=20, hard_vocab_limit=False,
            normalization_rule_tsv=file.name, minloglevel=2,
        )
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def main():
    swallow = normalizers.Precompiled(charsmap("61\t58\n")).normalize_str
    joining = {point for point in ALL if swallow("a" + chr(point)) == "X"}
    text = []
    for name, pattern in PROPERTIES.items():
        points = [point for point in ALL if regex.match(pattern, chr(point))]
        if name in ("EXTEND", "SPACING"):
            points = [point for point in points if point in joining and point != 0x200D]
        text.append(f"{name} {ranges(points)}\n")
    known = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]")
    strange = [f"{point:X}" for point in sorted(joining) if not known.match(chr(point))]
    assert not strange, strange
    with open(Path(MAIN).with_name("graphemes.txt.gz"), "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=9) as packed:
        packed.write("".join(text).encode())


if __name__ == "__main__":
    main()
