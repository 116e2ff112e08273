#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Counts the runs of diffusers that the tests compare, of each pipeline class: python3 count_runs.py [part of a class's name ...]

Stored folders are those of fixtures/models; PipelineParityTest makes each run, restores it after every step, and lets those of diffusion
transformers share network calls. Described folders are those of fixtures/folders, which FolderParityTest writes. Needs nothing but Python.
"""

import collections
import gzip
import json
import sys
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "resources" / "fixtures"


def stored():
    """Pipeline class and folder of each run."""
    for manifest in ("pipelines.json", "pipelines-transformers.json", "pipelines-joint.json"):
        for lists in json.loads((FIXTURES / "models" / manifest).read_text(encoding="utf-8")).values():
            for file in lists:
                runs = json.loads((FIXTURES / "models" / file).read_text(encoding="utf-8"))
                for run in runs["cases"]:
                    yield run.get("pipeline", "StableDiffusionPipeline"), runs.get("folder", file.split("/")[0])


def described():
    """Pipeline class of each folder, and whether diffusers refuses it."""
    for file in sorted((FIXTURES / "folders").rglob("*.json.gz")):
        for case in json.loads(gzip.decompress(file.read_bytes())):
            yield case.get("as", case["pipeline"]), "refused" in case["expected"][0]


def main():
    wanted = sys.argv[1:] or [""]
    folders, runs, made, refused = collections.defaultdict(set), collections.Counter(), collections.Counter(), collections.Counter()
    for pipeline, folder in stored():
        folders[pipeline].add(folder)
        runs[pipeline] += 1
    for pipeline, no in described():
        (refused if no else made)[pipeline] += 1
    row = "{:45} {:>15} {:>6} {:>18} {:>8}"
    print(row.format("", "stored folders", "runs", "described folders", "refused"))
    shown = [each for each in sorted({*runs, *made, *refused}) if any(part in each for part in wanted)]
    for each in shown:
        print(row.format(each, len(folders[each]), runs[each], made[each], refused[each]))
    print(row.format("all", len(set().union(*(folders[each] for each in shown))), *(sum(counts[each] for each in shown) for counts in (runs, made, refused))))


if __name__ == "__main__":
    main()
