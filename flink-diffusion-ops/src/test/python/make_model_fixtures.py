#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes every fixture under src/test/resources/fixtures/models. See README.md beside this file."""

import argparse
import os
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import diffusers  # noqa: E402
import transformers  # noqa: E402

import block_fixtures  # noqa: E402
import dense_fixtures  # noqa: E402
import network_fixtures  # noqa: E402
import pipeline_fixtures  # noqa: E402
import text_to_image_fixtures  # noqa: E402
import variant_fixtures  # noqa: E402
from fixture_tools import FIXTURES, configure_torch, write_json  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="also print how far a tiny change of the noise moves each picture")
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    configure_torch()
    start = time.time()
    write_json(FIXTURES / "networks.json", {"networks": text_to_image_fixtures.make(arguments.report)})
    networks = network_fixtures.make(FIXTURES, FIXTURES / "tiny-sd1" / "tokenizer", arguments.report)
    more, runs = pipeline_fixtures.make(FIXTURES, arguments.report)
    networks += more
    runs += variant_fixtures.make(FIXTURES, arguments.report)
    runs += dense_fixtures.make(FIXTURES, arguments.report)
    write_json(FIXTURES / "pipelines.json", {"textToImage": ["tiny-sd1/golden/cases.json", "tiny-sd2/golden/cases.json"], "runs": runs})
    write_json(FIXTURES / "networks-family.json", {"networks": networks})
    block_fixtures.make(FIXTURES, arguments.report)
    size = sum(path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
