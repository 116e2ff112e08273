#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/formats/: JPEG files as Pillow writes them, DICOM files as pydicom and NIfTI files as nibabel does, with their numbers.

expected.json   for JPEG files rows of pixels as Pillow decodes them, for DICOM files values after rescale

Run: python make_format_fixtures.py   (see requirements-formats.txt)
"""

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "formats"
OUT.mkdir(parents=True, exist_ok=True)
expected = {"jpeg": {}, "dicom": {}}
y, x = np.mgrid[0:24, 0:32]
smooth = np.stack([x * 8, y * 10, 255 - x * 4 - y * 5], axis=2).clip(0, 255).astype(np.uint8)


def jpeg(name, image, **options):
    image.save(OUT / f"{name}.jpg", **options)
    pixels = np.asarray(Image.open(OUT / f"{name}.jpg"))
    expected["jpeg"][name] = pixels.reshape(image.height, image.width, -1).tolist()


jpeg("color", Image.fromarray(smooth), quality=90, subsampling=0, dpi=(254, 127))
jpeg("progressive", Image.fromarray(smooth), quality=90, progressive=True, subsampling=0)
jpeg("gray", Image.fromarray(smooth[:, :, 0]), quality=90)
Image.fromarray(smooth).convert("CMYK").save(OUT / "cmyk.jpg")


def dicom(name, pixels, syntax, **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    data = FileDataset(str(OUT / f"{name}.dcm"), {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName = "Doe^Jane"
    data.PatientID = "4711"
    data.StudyDate = "20240102"
    data.InstitutionName = "Example Hospital"
    data.Modality = "CT"
    data.SliceThickness = "2.5"
    inner = pydicom.Dataset()
    inner.PatientID = "inner"
    data.ReferencedImageSequence = Sequence([inner])
    data["ReferencedImageSequence"].is_undefined_length = True
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = tags.pop("photometric", "MONOCHROME2")
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = pixels.dtype.itemsize * 8
    data.BitsStored = tags.pop("stored", data.BitsAllocated)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    data.PixelData = pixels.tobytes()
    for key, value in tags.items():
        setattr(data, key, value)
    data.save_as(OUT / f"{name}.dcm", implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    read = pydicom.dcmread(OUT / f"{name}.dcm")
    values = read.pixel_array * float(tags.get("RescaleSlope", 1)) + float(tags.get("RescaleIntercept", 0))
    expected["dicom"][name] = values.tolist()


counts = (np.arange(12 * 10).reshape(12, 10) * 31 % 4096).astype(np.uint16)
dicom("ct", counts, ExplicitVRLittleEndian, stored=12, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter=["40", "400"], WindowWidth=["400", "2000"], PixelSpacing=["0.7", "0.5"])
dicom("implicit", counts, ImplicitVRLittleEndian, stored=12)
dicom("signed", (counts.astype(np.int16) - 2000), ExplicitVRLittleEndian)
dicom("bytes-inverted", (counts % 256).astype(np.uint8), ExplicitVRLittleEndian, photometric="MONOCHROME1", RescaleSlope="0.5", RescaleIntercept="3")
expected["nifti"] = {}
for name, dtype, slope in [("plain.nii", np.int16, None), ("packed.nii.gz", np.float32, None), ("scaled.nii.gz", np.uint8, 0.5)]:
    values = (np.arange(7 * 5 * 3).reshape(7, 5, 3) * 2 + 1).astype(dtype)
    volume = nibabel.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]), dtype=dtype)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = b"Doe^Jane"
    if slope:
        volume.header.set_slope_inter(slope, 10)
    nibabel.save(volume, OUT / name)
    expected["nifti"][name] = nibabel.load(OUT / name).get_fdata().tolist()
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
