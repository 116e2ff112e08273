"""A process of its own that loads a pipeline on the CPU and says what that took: see LoadProbe.

Arguments: model folder, precision. Prints seconds, 0 for the heap, and peak resident memory in MiB.
"""

import resource
import sys
import time

import torch
from diffusers import DiffusionPipeline

folder, precision = sys.argv[1:3]
begin = time.perf_counter()
DiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, precision.lower()), local_files_only=True)
took = time.perf_counter() - begin
print(f"{took:.6f} 0 {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.3f}", flush=True)
