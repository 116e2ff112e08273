"""A process of its own that loads a pipeline on the CPU and says what that took: see LoadProbe.

Arguments: model folder, precision, and whether every page of the weights is read as well, which from_pretrained leaves to
the first call. Prints seconds, 0 for the heap, and peak resident memory in MiB.
"""

import resource
import sys
import time

import torch
from diffusers import DiffusionPipeline

folder, precision, touch = sys.argv[1:4]
PAGE = 4096
begin = time.perf_counter()
pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, precision.lower()), local_files_only=True)
if touch == "touch":
    for network in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        for weight in network.parameters():
            weight.detach().reshape(-1)[:: PAGE // weight.element_size()].float().sum().item()
took = time.perf_counter() - begin
print(f"{took:.6f} 0 {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.3f}", flush=True)
