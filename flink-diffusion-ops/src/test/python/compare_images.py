#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Compares what this project reads from DICOM and NIfTI files with pydicom and nibabel.

Run: python compare_images.py --classpath CLASSPATH FOLDER...   (see requirements-formats.txt)

CLASSPATH holds this module's classes, its test classes and their dependencies. Of multi-frame files and volumes the first, the middle and the last frame or slice
are compared. Lossless values have to be equal; lossy ones within a few levels, because decoders round differently. The last lines count files: with pixels, read,
and of those equal. Files that the reference itself cannot decode are counted as "no reference".
"""

import argparse
import collections
import gzip
import struct
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

warnings.simplefilter("ignore")
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.91"}
MOST_BYTES_AT_ONCE = 256 << 20  # of expected values in memory, and about as much on disk
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def picks(count):
    return sorted({0, count // 2, count - 1})


def group(data, name, index):
    """A functional group's attributes: the frame's, else the shared ones, else the file's."""
    for sequence, item in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        items = data.get(sequence)
        if items is not None and item < len(items) and name in items[item]:
            return items[item][name].value[0]
    return data


def gray(data, frame, index):
    if "ModalityLUTSequence" in data:
        values = apply_modality_lut(frame, data).astype(float)
    else:
        of = group(data, "PixelValueTransformationSequence", index)
        values = frame.astype(float) * float(of.get("RescaleSlope") or data.get("DoseGridScaling") or 1) + float(of.get("RescaleIntercept") or 0)
    of = group(data, "FrameVOILUTSequence", index)
    if of.get("WindowCenter") is not None and of.get("WindowWidth") is not None:
        if of.get("VOILUTFunction") == "SIGMOID":
            center, width = (np.atleast_1d(of[n].value)[0] for n in ("WindowCenter", "WindowWidth"))
            values = 1 / (1 + np.exp(-4 * (values - float(center)) / float(width)))
    elif "VOILUTSequence" in of:
        values = apply_voi_lut(values.astype(np.int64), of, prefer_lut=True).astype(float)
    if "PixelPaddingValue" in data:
        ends = sorted((data.PixelPaddingValue, data.get("PixelPaddingRangeLimit", data.PixelPaddingValue)))
        values = np.where((frame >= ends[0]) & (frame <= ends[1]), np.nan, values)
    for kind in ("Float", "DoubleFloat"):
        padding = data.get(f"{kind}PixelPaddingValue")
        if padding is not None:
            ends = sorted((padding, data.get(f"{kind}PixelPaddingRangeLimit", padding)))
            values = np.where((frame >= ends[0]) & (frame <= ends[1]) | np.isnan(frame) & np.isnan(padding), np.nan, values)
    return values[None]


def dicom(path, data):
    frames = int(data.get("NumberOfFrames") or 1)
    for index in picks(frames):
        frame = pixel_array(data, index=index)
        if data.PhotometricInterpretation == "PALETTE COLOR":
            if index == 0 and not data.original_encoding[1]:
                # pydicom takes a big-endian file's palette for a little-endian one.
                for name in ("Red", "Green", "Blue"):
                    if f"{name}PaletteColorLookupTableData" not in data:
                        continue
                    entries = data[f"{name}PaletteColorLookupTableData"]
                    entries.value = np.frombuffer(entries.value, ">u2").astype("<u2").tobytes()
            values = apply_color_lut(frame, data).astype(float)[..., :3].transpose(2, 0, 1)
        elif frame.ndim == 3:
            values = frame.astype(float).transpose(2, 0, 1)
        else:
            values = gray(data, frame, index)
        yield index, values


def nifti(path):
    volume = nibabel.as_closest_canonical(nibabel.load(path))
    values = np.asarray(volume.dataobj, dtype=float)
    values = values.reshape(values.shape + (1,) * (3 - values.ndim))
    slices = values.reshape(values.shape[0], values.shape[1], -1, order="F")
    for index in picks(slices.shape[2]):
        # The front is at the top, the left on the left.
        yield index, slices[:, ::-1, index].T[None]


def is_nifti(path):
    try:
        opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
        with opened as file:
            head = file.read(348)
        return head[344:347] == b"n+1" or head[4:7] == b"n+2"
    except (OSError, EOFError):
        return False


def references(path):
    """Its frames by number with their values, or None if it has no pixels."""
    if is_nifti(path):
        return "nifti", nifti(path)
    try:
        data = pydicom.dcmread(path, force=True)
    except Exception:
        return None
    if not any(name in data for name in PIXELS) or "Rows" not in data:
        return None
    syntax = str(data.file_meta.get("TransferSyntaxUID", "")) if hasattr(data, "file_meta") else ""
    if not syntax:
        data.ensure_file_meta()
        implicit, little = data.original_encoding
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
    return syntax or "none", dicom(path, data)


def read(file):
    with open(file, "rb") as stream:
        shape = struct.unpack(">iii", stream.read(12))
        return np.frombuffer(stream.read(8 * int(np.prod(shape))), ">f8").reshape(shape)


def compare(cases, seen, classpath):
    """Has the files read, and adds to what is seen of each how the values differ."""
    with tempfile.TemporaryDirectory() as out:
        listing = Path(out) / "list.txt"
        listing.write_text("".join(f"{path.resolve()}\t{index}\n" for path, index, _ in cases))
        subprocess.run(["java", "-Xmx3g", "-Djava.awt.headless=true", "-cp", classpath, "io.github.flinkdiffusion.ops.image.DumpImages", str(listing), out], check=True)
        for i, (path, index, expected) in enumerate(cases):
            syntax, verdicts = seen[path]
            error = Path(out) / f"{i}.err"
            if error.exists():
                verdicts.append("refused: " + error.read_text()[:200])
                continue
            actual = read(Path(out) / f"{i}.bin")
            if expected is None:
                continue
            if actual.shape != expected.shape:
                verdicts.append(f"differs: shape {actual.shape} instead of {expected.shape}")
                continue
            if not np.array_equal(np.isnan(actual), np.isnan(expected)):
                verdicts.append(f"differs: {np.isnan(actual).sum()} pixels without data instead of {np.isnan(expected).sum()}")
                continue
            actual, expected = np.nan_to_num(actual), np.nan_to_num(expected)
            span = max(1.0, np.abs(expected).max(initial=0))
            off = np.abs(actual - expected).max()
            if syntax in LOSSY:
                good = off <= max(8, 4e-3 * span) and np.abs(actual - expected).mean() <= max(1, 5e-4 * span)
            else:
                good = off <= 2e-6 * span if span > 1 or syntax == "nifti" else off <= 1e-6
            if not good:
                verdicts.append(f"differs: frame {index} by {off} of {span}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--classpath", required=True)
    parser.add_argument("folders", nargs="+")
    arguments = parser.parse_args()
    seen, batch, held = {}, [], 0
    for folder in arguments.folders:
        for path in sorted(Path(folder).rglob("*")):
            if not path.is_file():
                continue
            found = references(path)
            if found is None:
                continue
            syntax, frames = found
            seen[path] = [syntax, []]
            try:
                for index, values in frames:
                    batch.append((path, index, values))
                    held += values.nbytes
            except Exception as e:
                seen[path][1].append(f"no reference: {type(e).__name__} {str(e)[:100]}")
                batch.append((path, 0, None))
            if held > MOST_BYTES_AT_ONCE:
                compare(batch, seen, arguments.classpath)
                batch, held = [], 0
    compare(batch, seen, arguments.classpath)
    totals = collections.Counter()
    for path, (syntax, verdicts) in seen.items():
        words = " | ".join(dict.fromkeys(verdicts))
        refused = "refused: " in words
        differs = "differs: " in words
        unknown = "no reference" in words
        totals["with pixels"] += 1
        totals["no reference"] += unknown
        totals["read"] += not refused
        totals["equal"] += not refused and not differs and not unknown
        totals["compared"] += not refused and not unknown
        if words:
            print(f"{path.name} [{syntax}]: {words}")
    print(dict(totals))
    print(f"read {100 * totals['read'] / max(1, totals['with pixels']):.1f} % of the files with pixels, equal {100 * totals['equal'] / max(1, totals['compared']):.1f} % of those compared")
    return 0 if totals["equal"] == totals["compared"] else 1


if __name__ == "__main__":
    sys.exit(main())
