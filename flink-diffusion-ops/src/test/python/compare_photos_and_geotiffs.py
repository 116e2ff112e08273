#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Compares what this project reads from PNG, JPEG, WebP, GIF, BMP and TIFF files with Pillow, rasterio and tifffile.

Run: python compare_photos_and_geotiffs.py --classpath CLASSPATH FOLDER...   (needs pillow, rasterio, tifffile, imagecodecs)

CLASSPATH holds this module's classes, its test classes and their dependencies. Lossless values have to be equal, and so has where there is no data; lossy ones
within a few levels, because decoders round differently. Samples are compared as they stand in the file: no color profile is applied, but EXIF turns an image.
The last lines count files: those that the reference reads, and of these the ones read and equal. What is refused is printed with its reason.
"""

import argparse
import collections
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import rasterio
import tifffile
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
MOST_PIXELS = 1 << 22
FILES_AT_ONCE = 40
KINDS = {"png", "jpg", "jpeg", "jpe", "webp", "gif", "bmp", "dib", "tif", "tiff"}
TOLERANCE = {"JPEG": 2}


def photo(path):
    with Image.open(path) as image:
        kind = image.format
        if kind not in ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB"):
            return None
        kind = {"MPO": "JPEG", "DIB": "BMP"}.get(kind, kind)
        deep = kind == "PNG" and path.read_bytes()[24] == 16
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too large to compare")
        image = ImageOps.exif_transpose(image)
        clear = "transparency" in image.info
        if deep:
            values = imagecodecs.png_decode(path.read_bytes()).astype(float)
        elif image.mode == "1":
            values = np.asarray(image.convert("LA" if clear else "L")).astype(float)
        elif image.mode in ("L", "RGB") and clear:
            values = np.asarray(image.convert(image.mode + "A" if image.mode == "RGB" else "LA")).astype(float)
        elif image.mode == "P":
            values = np.asarray(image.convert("RGBA" if clear else "RGB")).astype(float)
        elif image.mode == "CMYK":
            values = np.asarray(image.convert("RGB")).astype(float)
        else:
            values = np.asarray(image).astype(float)
        lossless = kind == "WEBP" and path.read_bytes()[12:16] == b"VP8L"
        few = kind == "BMP" and path.read_bytes()[28] == 16
        return kind, 0 if lossless else 1 if few else TOLERANCE.get(kind, 0), values[..., None] if values.ndim == 2 else values


def tiff(path):
    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if not page.keyframe.subfiletype & 5] or file.pages[:1]
        page = pages[0]
        if page.imagewidth * page.imagelength > MOST_PIXELS:
            raise ValueError("too large to compare")
        bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
        photometric, compression = int(page.photometric), int(page.compression)
        extra = list(page.extrasamples)
        orientation = page.tags.get(274)
        orientation = orientation.value if orientation else 1
        placed = 33550 in page.tags or 34264 in page.tags
        colors = page.tags.get(320)
        colors = None if colors is None else np.array(colors.value, float).reshape(3, -1)
    try:
        with rasterio.open(path) as file:
            if not file.count:
                return None
            values = file.read().astype(float).transpose(1, 2, 0)
            missing = file.read_masks().transpose(1, 2, 0) == 0 if not extra or file.nodata is not None else np.zeros(values.shape, bool)
            if file.nodata is None and all(rasterio.enums.MaskFlags.alpha in flags for flags in file.mask_flag_enums):
                missing[:] = False
    except Exception:
        values = tifffile.imread(path, key=0).astype(float)
        values = values[..., None] if values.ndim == 2 else values
        missing = np.zeros(values.shape, bool)
    if compression == 7:
        # libtiff, and so rasterio, does not smooth chroma as libjpeg does for JPEG files, and makes RGB of CMYK.
        decoded = tifffile.imread(path, key=0).astype(float)
        decoded = decoded[..., None] if decoded.ndim == 2 else decoded if page.planarconfig == 1 else decoded.transpose(1, 2, 0)
        if decoded.shape != values.shape:
            missing = np.zeros(decoded.shape, bool)
        values = decoded
    lossy = {6: 2, 7: 2, 50001: 4, 34892: 2}.get(compression, 0)
    if photometric == 3 and values.shape[2] == 1:
        values, missing = (colors.T[values[..., 0].astype(int)] / 65535 * 255).round(), np.repeat(missing, 3, 2)
        lossy = 1
    elif photometric == 5 and values.shape[2] == 4:
        top = 2.0**bits - 1
        values, missing = (top - values[..., :3]) * (top - values[..., 3:]) / top, missing[..., :3]
        lossy = 1
    elif bits < 8:
        values = values * 255 / (2**bits - 1)
        lossy = 0.5
    elif extra[:1] == [1] and values.shape[2] in (2, 4):
        top = 2**bits - 1
        alpha = values[..., -1:]
        values = np.concatenate([np.where(alpha > 0, values[..., :-1] * top / np.maximum(alpha, 1), 0), alpha], 2)
        lossy = 1
    if orientation != 1 and not placed:
        turn = {2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1)}
        turn |= {6: lambda a: a[::-1].swapaxes(0, 1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: a[:, ::-1].swapaxes(0, 1)}
        values, missing = turn[orientation](values), turn[orientation](missing)
    values[missing] = np.nan
    return f"TIFF {compression}", lossy, values


def reference(path):
    if path.suffix.lower() in (".tif", ".tiff"):
        return tiff(path)
    return photo(path)


def read(file):
    with open(file, "rb") as stream:
        shape = struct.unpack(">iii", stream.read(12))
        return np.frombuffer(stream.read(8 * int(np.prod(shape))), ">f8").reshape(shape).transpose(1, 2, 0)


def verdict(expected, tolerance, actual):
    if actual.shape[2] == expected.shape[2] + 2 and expected.shape[2] < 3:
        # The reference makes gray of a palette of grays.
        expected = np.concatenate([np.repeat(expected[..., :1], 3, 2), expected[..., 1:]], 2)
    if actual.shape == expected.shape and expected.shape[2] == 4:
        # What is clear has no color.
        clear = (actual[..., 3] == 0) & (expected[..., 3] == 0)
        actual, expected = np.where(clear[..., None], 0, actual), np.where(clear[..., None], 0, expected)
    if actual.shape != expected.shape:
        return f"shape {actual.shape} instead of {expected.shape}"
    if (np.isnan(actual) != np.isnan(expected)).any():
        return f"no data at {int(np.isnan(actual).sum())} samples instead of {int(np.isnan(expected).sum())}"
    known = ~np.isnan(expected)
    if not known.any():
        return None
    off = np.abs(actual[known] - expected[known]).max()
    span = max(1.0, np.abs(expected[known]).max())
    # A raster holds floats: 24 bits of a number.
    return f"by {off:.6g} of {span:.6g}" if off > tolerance + 1e-6 * span else None


def unlimited():
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def too_slow(*_):
    raise TimeoutError("too slow")


def compare(paths, classpath, totals):
    cases, unread = [], []
    for path in paths:
        try:
            # Some files are made to hang readers, or to take all memory.
            signal.alarm(20)
            found = reference(path)
        except Exception as e:
            unread.append((path, f"{type(e).__name__} {str(e)[:80]}"))
            continue
        finally:
            signal.alarm(0)
        if found is not None:
            cases.append((path, *found))
    with tempfile.TemporaryDirectory() as out:
        listing = Path(out) / "list.txt"
        unread = [(path, why) for path, why in unread if "too large" not in why]
        listing.write_text("".join(f"{path.resolve()}\t0\n" for path, *_ in cases + unread))
        command = ["java", "-Xmx1g", "-Djava.awt.headless=true", "-cp", classpath]
        subprocess.run([*command, "io.github.flinkdiffusion.ops.image.DumpImages", str(listing), out], check=True, preexec_fn=unlimited)
        for i, (path, kind, tolerance, expected) in enumerate(cases):
            count = totals[kind.split()[0]]
            count["files"] += 1
            error = Path(out) / f"{i}.err"
            if error.exists():
                count["refused"] += 1
                print(f"{path} [{kind}] refused: {error.read_text()[:200]}", flush=True)
                continue
            count["read"] += 1
            differs = verdict(expected, tolerance, read(Path(out) / f"{i}.bin"))
            if differs:
                print(f"{path} [{kind}] differs: {differs}", flush=True)
            else:
                count["equal"] += 1
        for i, (path, why) in enumerate(unread, len(cases)):
            error = Path(out) / f"{i}.err"
            said = error.read_text() if error.exists() else "read"
            print(f"{path} no reference ({why}); {said[:100]}")
            totals["no reference"]["crashed" if said.startswith("CRASH") else "read" if said == "read" else "refused"] += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--classpath", required=True)
    parser.add_argument("folders", nargs="+")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, too_slow)
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    paths = [path for folder in arguments.folders for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.suffix[1:].lower() in KINDS]
    totals = collections.defaultdict(collections.Counter)
    for begin in range(0, len(paths), FILES_AT_ONCE):
        compare(paths[begin : begin + FILES_AT_ONCE], arguments.classpath, totals)
    for kind, count in totals.items():
        print(kind, dict(count))
    known = [count for kind, count in totals.items() if kind != "no reference"]
    files, got, equal = (sum(count[name] for count in known) for name in ("files", "read", "equal"))
    print(f"read {got} of {files} files that the references read ({100 * got / max(1, files):.1f} %), equal {equal} of those ({100 * equal / max(1, got):.1f} %)")
    return 0 if equal == got else 1


if __name__ == "__main__":
    sys.exit(main())
