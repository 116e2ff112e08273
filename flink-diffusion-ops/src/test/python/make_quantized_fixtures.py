#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/weights/: quantized weights and what they stand for.

quantized.gguf             a tensor of every type that is read: random bytes as blocks, with scales that are finite
quantized.safetensors      the same tensors as the package gguf dequantizes them; of Q8_K, which it does not, as ggml does
t5-names.txt               what the package gguf calls the tensors of a T5 encoder, and what transformers calls them
float8.safetensors         all 256 codes of both 8-bit types, and scaled tensors as they are exchanged
float8-plain.safetensors   what torch makes of them in float32

Run: python make_quantized_fixtures.py   (see requirements.txt, and the package gguf: pip install --no-deps gguf==0.19.0)
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "weights"
random = np.random.default_rng(22)

ROWS = 3
COLUMNS = 512
# Where the float16 scales are in a block: any other byte may be anything.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
    Type.Q8_K: [],
}


def blocks(kind: Type) -> np.ndarray:
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = ROWS * COLUMNS // elements
    data = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = (random.standard_normal(count) * 10.0 ** random.integers(-7, 2, count)).astype(np.float16)
        data[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
    if kind == Type.Q8_K:
        data[:, :4] = random.standard_normal(count).astype(np.float32).view(np.uint8).reshape(count, 4)
    return data.reshape(ROWS, -1)


def q8_k(data: np.ndarray) -> np.ndarray:
    """ggml's dequantize_row_q8_K: the scale times each of 256 bytes."""
    each = data.reshape(-1, 292)
    d = np.ascontiguousarray(each[:, :4]).view(np.float32)
    return (d * each[:, 4:260].view(np.int8).astype(np.float32)).reshape(ROWS, COLUMNS)


writer = gguf.GGUFWriter(OUT / "quantized.gguf", "flux")
writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
writer.add_string("a long text", "x" * 3000)
writer.add_array("numbers", list(range(2000)))
writer.add_array("words", ["one", "two"])
expected = {}
floats = random.standard_normal((ROWS, 8)).astype(np.float32)
writer.add_tensor("F32", floats)
expected["F32"] = torch.from_numpy(floats)
writer.add_tensor("F16", floats.astype(np.float16))
expected["F16"] = torch.from_numpy(floats.astype(np.float16))
bfloats = gguf.quantize(floats, Type.BF16)
writer.add_tensor("BF16", bfloats, raw_dtype=Type.BF16)
expected["BF16"] = torch.from_numpy(gguf.dequantize(bfloats, Type.BF16)).bfloat16()
for kind in SCALES:
    data = blocks(kind)
    writer.add_tensor(kind.name, data, raw_dtype=kind)
    plain = q8_k(data) if kind == Type.Q8_K else gguf.dequantize(data, kind)
    assert np.isfinite(plain).all()
    expected[kind.name] = torch.from_numpy(plain)
# A convolution whose rows are too short for blocks: its real shape is beside it, as city96's tools write it.
data = blocks(Type.Q8_0)
writer.add_tensor("conv", data, raw_dtype=Type.Q8_0)
writer.add_array("comfy.gguf.orig_shape.conv", [32, 16, 3, 1])
expected["conv"] = torch.from_numpy(gguf.dequantize(data, Type.Q8_0).reshape(32, 16, 3, 1))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(expected, OUT / "quantized.safetensors")

# What a T5 encoder's tensors are called by transformers and, in GGUF files, by llama.cpp.
layers = ["SelfAttention.q", "SelfAttention.k", "SelfAttention.v", "SelfAttention.o"]
names = ["shared", "encoder.final_layer_norm", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias"]
for i in range(2):
    names += [f"encoder.block.{i}.layer.0.{part}" for part in (*layers, "layer_norm")]
    names += [f"encoder.block.{i}.layer.1.{part}" for part in ("DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo", "layer_norm")]
of_ggml = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5ENCODER, 2)
lines = [f"{of_ggml.get_name(name)}.weight {name}.weight" for name in names]
(OUT / "t5-names.txt").write_text("\n".join(lines) + "\n")

codes = torch.arange(256, dtype=torch.int32).to(torch.uint8)
e4m3 = codes.view(torch.float8_e4m3fn)
e5m2 = codes.view(torch.float8_e5m2)
finite = codes[(codes & 0x7F) != 0x7F].reshape(2, 127).view(torch.float8_e4m3fn)
halves = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).to(torch.float8_e5m2)
scale = torch.tensor(0.0123456)
rows = torch.tensor([[0.5], [3.1234567]])
# Text of JSON in bytes, as ComfyUI's newer files say how a layer is quantized.
mark = torch.frombuffer(bytearray(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
save_file(
    {
        "codes.e4m3": e4m3,
        "codes.e5m2": e5m2.clone(),
        "scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn),
        "old.weight": finite,
        "old.scale_weight": scale,
        "old.scale_input": torch.tensor(0.25),
        "old.bias": torch.ones(2, dtype=torch.bfloat16),
        "new.weight": finite.clone(),
        "new.weight_scale": rows,
        "new.input_scale": torch.tensor(0.5),
        "new.comfy_quant": mark,
        "half.weight": halves,
        "half.scale_weight": torch.tensor([2.5]),
    },
    OUT / "float8.safetensors",
)
save_file(
    {
        "codes.e4m3": e4m3.float(),
        "codes.e5m2": e5m2.float(),
        "old.weight": finite.float() * scale,
        "new.weight": finite.float() * rows,
        "half.weight": halves.float() * 2.5,
    },
    OUT / "float8-plain.safetensors",
)
