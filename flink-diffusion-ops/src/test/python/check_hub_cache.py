#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Exchanges the hub's cache between `examples/model` and Python's huggingface_hub, in both directions.

    python check_hub_cache.py [--command "examples/model"] [MODEL_FOLDER]

Serves a model folder by the local hub (a stand-in for the real one), then:
  1. Java downloads, Python opens without network: snapshot_download, hf_hub_download, and cache scan;
  2. Python downloads with the hub there, and asks the server for no file, since Java has them all;
  3. Python downloads into an empty cache, Java opens it without network, at the same path;
  4. two Java processes download into one empty cache at the same time.
Needs huggingface_hub. Prints one line for each check and fails at the first that does not hold.
"""

import argparse
import filecmp
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_MODEL = HERE.parent / "resources/fixtures/models/tiny-sd1"
REPOSITORY = "owner/tiny"
NEEDED = ["*.json", "*.txt", "*.safetensors"]

PYTHON = """
import sys, huggingface_hub as hub
what, patterns = sys.argv[1], sys.argv[2].split(",")
if what == "offline":
    print(hub.snapshot_download("owner/tiny", allow_patterns=patterns, local_files_only=True))
elif what == "online":
    print(hub.snapshot_download("owner/tiny", allow_patterns=patterns))
elif what == "file":
    print(hub.hf_hub_download("owner/tiny", patterns[0], local_files_only=True))
elif what == "scan":
    info = hub.scan_cache_dir()
    print(len(info.repos), len(info.warnings), info.warnings)
"""


def environment(home, endpoint, **more):
    return {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, **more}


def run(arguments, env):
    done = subprocess.run(arguments, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def python(env, what, patterns):
    return run([sys.executable, "-c", PYTHON, what, ",".join(patterns)], env)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def check(holds, what):
    print(("ok    " if holds else "WRONG ") + what, flush=True)
    if not holds:
        sys.exit(1)


def same(folder, model):
    return all(filecmp.cmp(Path(folder) / f, model / f, shallow=False) for f in files(folder))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--command", default=str(HERE.parents[3] / "examples/model"))
    options = parser.parse_args()
    command, model = shlex.split(options.command), options.model.resolve()
    server = subprocess.Popen(
        [*command, "serve", "--port", "0", f"{REPOSITORY}={model}"], stdout=subprocess.PIPE, text=True
    )
    try:
        endpoint = server.stdout.readline().strip().split("=", 1)[1]
        with tempfile.TemporaryDirectory() as scratch:
            exchange(command, model, endpoint, Path(scratch))
    finally:
        server.terminate()
        server.wait()


def exchange(command, model, endpoint, scratch):
    download = [*command, "download", f"hf://{REPOSITORY}"]
    home = scratch / "java"
    folder = run(download, environment(home, endpoint))
    got = files(folder)
    check(same(folder, model), f"Java downloaded {len(got)} of the {len(files(model))} files to {Path(folder).relative_to(home)}")
    # Python checks completeness against what it is asked for: what Java holds complete back is what it needs.
    offline = environment(home, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    check(python(offline, "offline", got) == folder, "Python opens Java's snapshot without network")
    weights = [f for f in got if f.endswith(".safetensors")]
    check(
        all(python(offline, "file", [f]) == f"{folder}/{f}" for f in weights),
        f"Python finds each of {len(weights)} weights files without network",
    )
    scan = python(offline, "scan", ["-"])
    check(scan == "1 0 []", f"Python's scan finds 1 repository and nothing odd ({scan})")
    blobs = {p: p.stat().st_mtime_ns for p in Path(folder).parents[1].glob("blobs/*")}
    check(python(environment(home, endpoint), "online", got) == folder, "Python takes Java's snapshot with the hub there")
    check(
        blobs == {p: p.stat().st_mtime_ns for p in Path(folder).parents[1].glob("blobs/*")},
        f"and has written none of {len(blobs)} blobs again",
    )

    home = scratch / "python"
    folder = python(environment(home, endpoint), "online", NEEDED)
    again = run(download, environment(home, "http://127.0.0.1:9", HF_HUB_OFFLINE="1"))
    check(again == folder and same(folder, model), "Java opens Python's snapshot without network")
    check(run(download, environment(home, endpoint)) == folder, "Java takes Python's snapshot with the hub there")

    home = scratch / "two"
    both = [subprocess.Popen(download, env=environment(home, endpoint), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = [process.communicate()[0].strip() for process in both]
    check(
        all(process.returncode == 0 for process in both) and paths[0] == paths[1] and same(paths[0], model),
        "two Java processes download into one cache at the same time",
    )
    check(not list(home.rglob("*.incomplete")), "and nothing incomplete is left")


if __name__ == "__main__":
    main()
