#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Checks the DICOM and NIfTI files that results become: with pydicom, highdicom, nibabel and dciodvfy (Debian's dicom3tools).

Run: python check_dicom_out.py --classpath CLASSPATH FILE...   (see requirements-formats.txt; the classpath as for compare_images.py)

Values have to be the source's, in its own numbers; places those of the source; segmentations have to give back the mask that they were made of. An error of
dciodvfy counts if it does not find the same in the source.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut


LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.91"}


def errors(file):
    lines = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True).stderr.splitlines()
    # UIDs are others in a file without the patient's data.
    return {re.sub(r"<[0-9.]{8,}>", "<UID>", line) for line in lines if line.startswith("Error")}


def geometry(data):
    position, orientation, spacing = (np.array(data.get(name) or [], float) for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    if int(data.get("NumberOfFrames") or 1) > 1 and "GridFrameOffsetVector" not in data:
        # The file's own place is that of one of its frames; which one is not said.
        position = orientation = np.array([])
    return [position, orientation, spacing]


def check(source, at, patient):
    wrong = []
    same, twice = (pydicom.dcmread(at(kind)) for kind in ("same.dcm", "twice.dcm"))
    if same.Modality != source.get("Modality", "OT"):
        wrong.append(f"modality {same.Modality}")
    if patient != (str(same.PatientName) == str(source.get("PatientName", ""))) and source.get("PatientName"):
        wrong.append(f"patient {same.PatientName}")
    identity = str(source.get("PatientID", ""))
    if not patient and len(identity) > 4 and identity.encode() in Path(at("same.dcm")).read_bytes():
        wrong.append("the patient's id is in the file")
    for a, b in zip(geometry(same), geometry(source)):
        if a.size and b.size and not np.allclose(a, b, atol=1e-6):
            wrong.append(f"geometry {a} {b}")
    if geometry(source)[2].size and geometry(source)[2].min() > 0:
        if not np.allclose(geometry(twice)[2] * 2, geometry(source)[2]):
            wrong.append("spacing of the larger one")
        if geometry(source)[0].size and geometry(source)[1].size:
            position, orientation, spacing = geometry(source)
            expected = position - orientation[:3] * spacing[1] / 4 - orientation[3:] * spacing[0] / 4
            if not np.allclose(geometry(twice)[0], expected, atol=1e-5):
                wrong.append(f"position of the larger one {geometry(twice)[0]} {expected}")
    if same.SamplesPerPixel == 1 and source.get("NumberOfFrames", 1) in (1, "1", None):
        ours = apply_modality_lut(same.pixel_array, same).astype(float)
        theirs = apply_modality_lut(source.pixel_array, source).astype(float) * float(source.get("DoseGridScaling") or 1)
        if "PixelPaddingValue" in same:
            measured = same.pixel_array != same.PixelPaddingValue
            ours, theirs = ours[measured], theirs[measured]
        if not np.allclose(ours, theirs, atol=np.ptp(theirs) / 65000 + (4 if source.file_meta.TransferSyntaxUID in LOSSY else 1e-6)) and not (source.get("VOILUTFunction") == "SIGMOID" or "VOILUTSequence" in source):
            wrong.append(f"values by {np.abs(ours - theirs).max()}")
    mask = None
    for kind in ("seg.dcm", "shares.dcm"):
        seg = highdicom.seg.segread(at(kind))
        for a, b in zip(geometry(source)[:2], (seg.PerFrameFunctionalGroupsSequence[0], seg.SharedFunctionalGroupsSequence[0])):
            sequence, name = ("PlanePositionSequence", "ImagePositionPatient") if a.size == 3 else ("PlaneOrientationSequence", "ImageOrientationPatient")
            if a.size and not np.allclose(np.array(getattr(getattr(b, sequence)[0], name), float), a, atol=1e-6):
                wrong.append(f"geometry of {kind}")
        pixels = seg.pixel_array
        if kind == "seg.dcm":
            mask = pixels[0]
            if pixels[1].any():
                wrong.append("an empty segment is not empty")
            if source.get("SOPInstanceUID"):
                found = seg.get_source_image_uids()
                if len(found) != 1 or patient and source.SOPInstanceUID.is_valid and source.SOPInstanceUID[0] in "012" and found[0][2] != source.SOPInstanceUID:
                    wrong.append(f"source images {found}")
        elif not ((pixels >= 127.5) == mask.astype(bool))[np.abs(pixels - 127.5) > 0.6].all():
            wrong.append("shares and mask differ")
    if not np.isfinite(np.asarray(nibabel.load(at("nii")).dataobj).astype(float) if same.SamplesPerPixel == 1 else 0).all():
        wrong.append("NIfTI")
    position, orientation, spacing = geometry(source)
    if position.size and orientation.size and spacing.size and spacing.min() > 0:
        affine = nibabel.load(at("nii")).affine
        corner = position + orientation[:3] * spacing[1] * (source.Columns - 1) + orientation[3:] * spacing[0] * (source.Rows - 1)
        for index, place in (((0, 0), position), ((source.Columns - 1, source.Rows - 1), corner)):
            if not np.allclose((affine @ [*index, 0, 1])[:3], place * [-1, -1, 1], atol=1e-2):
                wrong.append(f"NIfTI: voxel {index} lies at {(affine @ [*index, 0, 1])[:3]}")
    known = errors(source.filename)
    kinds = ["same.dcm", "twice.dcm", "seg.dcm", "shares.dcm"]
    if Path(at("volume.dcm")).exists() and not Path(at("volume.err")).exists():
        wrong += check_volume(source, at)
        kinds.append("volume.dcm")
    for kind in kinds:
        wrong += [f"{kind}: {line}" for line in errors(at(kind)) - known]
    return wrong


def check_volume(source, at):
    """A segmentation of several frames: its masks are those of the label volume, and it lies where they lie."""
    wrong = []
    seg, labels = highdicom.seg.segread(at("volume.dcm")), nibabel.load(at("volume.nii"))
    masks = np.asarray(labels.dataobj).transpose(2, 1, 0)
    pixels = seg.pixel_array
    if pixels.shape != (2 * masks.shape[0], *masks.shape[1:]) or not np.array_equal(pixels[0::2], masks > 0) or pixels[1::2].any():
        wrong.append("masks of the volume differ")
    sources = [item.DerivationImageSequence[0].SourceImageSequence[0] for item in seg.PerFrameFunctionalGroupsSequence if "DerivationImageSequence" in item]
    # Classes of one frame are named as a whole.
    numbers = [found.ReferencedFrameNumber for found in sources if "ReferencedFrameNumber" in found]
    if numbers and [int(n) for n in numbers[0::2]] != list(range(1, len(masks) + 1)):
        wrong.append(f"frames that the volume names {numbers}")
    if "PlanePositionSequence" in seg.PerFrameFunctionalGroupsSequence[0]:
        for k in range(len(masks)):
            place = np.array(seg.PerFrameFunctionalGroupsSequence[2 * k].PlanePositionSequence[0].ImagePositionPatient, float)
            if not np.allclose((labels.affine @ [0, 0, k, 1])[:3], place * [-1, -1, 1], atol=2e-2):
                wrong.append(f"slice {k} of the volume lies at {place}, or {(labels.affine @ [0, 0, k, 1])[:3]}")
        if seg.get_volume_geometry() is None:
            wrong.append("highdicom finds no volume")
    return wrong


def decodable(source):
    try:
        return source.pixel_array is not None
    except Exception:
        return False


def checked(source, at, patient):
    try:
        return check(source, at, patient)
    except Exception as e:
        return [f"{type(e).__name__}: {e}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--classpath", required=True)
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    arguments.files = [file for file in arguments.files if hasattr(pydicom.dcmread(file, force=True), "PixelData")]
    bad, refused, unknown = 0, 0, 0
    for patient in (False, True):
        with tempfile.TemporaryDirectory() as out:
            listing = Path(out) / "list.txt"
            listing.write_text("".join(f"{file.resolve()}\n" for file in arguments.files))
            more = ["patient"] if patient else []
            subprocess.run(["java", "-Xmx2g", "-Djava.awt.headless=true", "-cp", arguments.classpath, "io.github.flinkdiffusion.ops.image.WriteMedicalFiles", str(listing), out, *more], check=True)
            for i, file in enumerate(arguments.files):
                error = Path(out) / f"{i}.err"
                source = pydicom.dcmread(file, force=True)
                if error.exists():
                    refused += 1
                    wrong = [f"refused: {error.read_text()}"]
                elif not decodable(source):
                    unknown += 1
                    wrong = ["pydicom cannot decode the source"]
                else:
                    wrong = checked(source, lambda kind: f"{out}/{i}.{kind}", patient)
                    bad += bool(wrong)
                for line in wrong:
                    print(f"{file.name} ({'with' if patient else 'without'} patient): {line}")
    print(f"{2 * len(arguments.files)} checked, {bad} wrong, {refused} refused, {unknown} without reference")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
