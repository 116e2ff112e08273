#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""A process of its own that loads a pipeline on the CPU and says what that took: see LoadProbe, whose lines it prints.

Arguments: model folder, precision, and whether every page of the weights is read as well, which from_pretrained leaves to
the first call where it need not convert them.
"""

import sys

import torch
from diffusers import DiffusionPipeline

folder, precision, touch = sys.argv[1:4]
PAGE = 4096


def memory(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return -1


pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, precision.lower()), local_files_only=True)
if touch == "touch":
    for network in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        for weight in network.parameters():
            weight.detach().reshape(-1)[:: PAGE // weight.element_size()].float().sum().item()
print("ready", flush=True)
with torch.no_grad():
    dtype = pipeline.unet.dtype
    texts = pipeline.text_encoder(torch.zeros(2, 77, dtype=torch.long))[0]
    pipeline.unet(torch.zeros(2, pipeline.unet.config.in_channels, 8, 8, dtype=dtype), 500, texts)
print("stepped", flush=True)
print(f"memory 0 {memory('VmHWM:'):.3f} {memory('RssAnon:'):.3f}", flush=True)
sys.stdin.readline()
