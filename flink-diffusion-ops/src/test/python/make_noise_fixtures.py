#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes what torch.randn draws on the CPU in float32, for the generator tests to compare with.

    python make_noise_fixtures.py

sizes.json   every size from 1 to 4096 once, spread over 50 seeds: CRC-32 of the little-endian bytes
streams.json 50 seeds, each one generator asked for many sizes in turn, so that short draws (which come in pairs) and long ones
             interleave: CRC-32 of every draw
brownian.json increments of torchsde's Brownian trees over intervals of odd lengths, and NumPy's seeds: CRC-32 of each
samples.json some draws as numbers: the first and last four values and the sum
"""

import json
import pathlib
import zlib

import numpy as np
import torch
import torchsde

SEEDS = [0, 1, 2, 3, 7, 42, 123, 1234, 5489, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1] + [
    1000003 * i + 17 for i in range(1, 35)
]
STREAM = [1, 16, 1, 1, 3, 17, 2, 100, 5, 4096, 15, 15, 31, 32, 33, 7, 1023, 1, 624, 16, 13, 4095, 2, 2]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def crc(values):
    return zlib.crc32(values.numpy().astype("<f4").tobytes())


def brownian():
    """Trees as DPMSolverSDEScheduler builds them, each asked for times that are not multiples of 1e-6, out of order and beyond the ends."""
    cases = []
    for entropy, size, end in [(0, 768, 14.614641), (5, 32, 157.40706), (123, 7, 9.0), (2**31 - 1, 100, 14.614641), (2**40 + 7, 16, 20000.123456)]:
        tree = torchsde.BrownianInterval(t0=0.029167533, t1=end, size=(size,), dtype=torch.float32, entropy=entropy, tol=1e-6, pool_size=24, halfway_tree=True)
        shares = [0, 0.0001, 0.1234567, 0.25, 0.5, 0.77, 0.9999999, 1, 0.3, 0.31]
        times = [0.029167533 + share * (end - 0.029167533) for share in shares]
        for first, second in zip(times, times[1:] + [end + 1]):
            first, second = min(first, second), max(first, second)
            cases.append([entropy, size, end, first, second, crc(tree(first, second))])
    seeds = [[entropy, list(key), np.random.SeedSequence(entropy, spawn_key=key, pool_size=24).generate_state(4).tolist()]
             for entropy in (0, 1, 2**32, 2**63 - 1) for key in ((), (0, 0), (5, 3), (2**33 + 1, 34))]
    return [{"increments": cases}, {"seeds": seeds}]


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "resources/fixtures/noise"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = []
    for size in range(1, 4097):
        seed = SEEDS[size % len(SEEDS)]
        values = torch.randn(size, generator=generator(seed))
        sizes.append([seed, size, crc(values)])
    streams = []
    for seed in SEEDS:
        g = generator(seed)
        streams.append({"seed": seed, "draws": [[n, crc(torch.randn(n, generator=g))] for n in STREAM]})
    samples = []
    for seed in SEEDS:
        for size in [1, 2, 5, 15, 16, 17, 31, 64, 1000, 4096]:
            values = torch.randn(size, generator=generator(seed)).double().tolist()
            samples.append({"seed": seed, "size": size, "first": values[:4], "last": values[-4:], "sum": sum(values)})
    for name, content in (("sizes", sizes), ("streams", streams), ("samples", samples), ("brownian", brownian())):
        (folder / f"{name}.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in content) + "\n]\n")


if __name__ == "__main__":
    main()
