#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/dicom/: files in every transfer syntax that is read, whose stored values follow a formula that the test knows.

Run: python make_dicom_fixtures.py   (see requirements-formats.txt)

dicom-*.dcm beside them were made by hand, each odd in one way.
"""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.sequence import Sequence

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "dicom"
ROWS, COLUMNS = 29, 37
UIDS = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big": "1.2.840.10008.1.2.2",
    "rle": "1.2.840.10008.1.2.5",
    "encapsulated": "1.2.840.10008.1.2.1.98",
    "baseline": "1.2.840.10008.1.2.4.50",
    "extended": "1.2.840.10008.1.2.4.51",
    "lossless": "1.2.840.10008.1.2.4.57",
    "jls": "1.2.840.10008.1.2.4.80",
    "jls-near": "1.2.840.10008.1.2.4.81",
    "j2k": "1.2.840.10008.1.2.4.90",
    "j2k-lossy": "1.2.840.10008.1.2.4.91",
}


def values(bits, frame=0, channel=0, signed=False):
    """A slope with noise, a flat part and jumps; DicomSyntaxesTest.java computes the same."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.int64)
    noise = ((x + 31 * y + 7 * frame + 3 * channel) * 2654435761 >> 9) & 7
    level = (x * x + 5 * y + 11 * frame + 17 * channel) * (1 << max(0, bits - 8)) // 8 + noise
    level = np.where((x > 20) & (y > 10) & (y < 20), (1 << bits) // 3, level) % (1 << bits)
    return level - (1 << bits - 1) if signed else level


def smooth(bits, channel=0):
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.int64)
    return (x * 3 + y * 2 + 20 * channel) * (1 << bits - 8)


def dtype(bits, signed=False):
    return np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2 if bits <= 16 else 4}")


def write(name, syntax, pixels, bits, *, frames=1, samples=1, photometric=None, signed=False, planar=0, packed=None, edit=None, **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = UIDS[syntax]
    data = FileDataset(str(OUT / f"{name}.dcm"), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    data.Modality = "OT"
    data.Rows, data.Columns = ROWS, COLUMNS
    data.SamplesPerPixel = samples
    data.PhotometricInterpretation = photometric or ("MONOCHROME2" if samples == 1 else "RGB")
    if samples > 1:
        data.PlanarConfiguration = planar
    if frames > 1:
        data.NumberOfFrames = frames
    size = tags.pop("allocated", dtype(bits).itemsize * 8)
    data.BitsAllocated, data.BitsStored, data.HighBit = size, bits, bits - 1
    data.PixelRepresentation = int(signed)
    little = syntax != "big"
    if packed is not None:
        data.PixelData = packed
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
    else:
        raw = pixels if isinstance(pixels, bytes) else pixels.astype(pixels.dtype.newbyteorder("<" if little else ">")).tobytes()
        data.PixelData = raw + b"\0" * (len(raw) % 2)
        data["PixelData"].VR = "OB" if size <= 8 else "OW"
    for key, value in tags.items():
        setattr(data, key, value)
    if edit:
        edit(data)
    pydicom.dcmwrite(OUT / f"{name}.dcm", data, implicit_vr=syntax == "implicit", little_endian=little, force_encoding=True)


def gray(bits, frame=0, signed=False):
    return values(bits, frame, 0, signed).astype(dtype(bits, signed))


def color(bits, frame=0):
    return np.stack([values(bits, frame, c) for c in range(3)], axis=2).astype(dtype(bits))


def frames_of(count, bits):
    return np.stack([gray(bits, f) for f in range(count)])


# Uncompressed.
for syntax in ("implicit", "explicit", "deflated", "big"):
    write(f"{syntax}-u12", syntax, gray(12), 12)
    write(f"{syntax}-rgb8", syntax, color(8), 8, samples=3)
write("explicit-s12", "explicit", gray(12, signed=True), 12, signed=True)
write("explicit-u1-frames", "explicit", np.packbits(np.stack([values(1, f) for f in range(3)]).astype(np.uint8).ravel(), bitorder="little").tobytes(), 1, frames=3, allocated=1)
write("explicit-u32", "explicit", gray(32), 32)
write("explicit-s32", "explicit", gray(32, signed=True), 32, signed=True)
write("explicit-rgb8-planar", "explicit", np.ascontiguousarray(color(8).transpose(2, 0, 1)), 8, samples=3, planar=1)
write("explicit-rgb16", "explicit", color(16), 16, samples=3)
write("explicit-frames", "explicit", frames_of(3, 12), 12, frames=3)


def real(data, dtype, keyword):
    del data.PixelData, data.BitsStored, data.HighBit, data.PixelRepresentation
    data.BitsAllocated = np.dtype(dtype).itemsize * 8
    setattr(data, keyword, (values(12) / 4096).astype(dtype).tobytes())


write("explicit-float", "explicit", gray(12), 12, edit=lambda d: real(d, "<f4", "FloatPixelData"))
write("explicit-double", "explicit", gray(12), 12, edit=lambda d: real(d, "<f8", "DoubleFloatPixelData"))


def palette(data, segmented=False):
    for c, name in enumerate(("Red", "Green", "Blue")):
        entries = (np.arange(256) * (c + 1) % 256 * 256).astype("<u2")
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        if segmented:
            # A given entry, then a line to the last one.
            setattr(data, f"Segmented{name}PaletteColorLookupTableData", np.array([0, 1, 0, 1, 255, 255 * (c + 1)], "<u2").tobytes())
        else:
            setattr(data, f"{name}PaletteColorLookupTableData", entries.tobytes())


write("explicit-palette", "explicit", gray(8), 8, photometric="PALETTE COLOR", edit=palette)
write("explicit-palette-segmented", "explicit", gray(8), 8, photometric="PALETTE COLOR", edit=lambda d: palette(d, True))
write("explicit-ybr", "explicit", color(8), 8, samples=3, photometric="YBR_FULL")


def window(data):
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = "600", "800", "LINEAR_EXACT"


write("explicit-exact-window", "explicit", gray(12), 12, edit=window)


def table(data):
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.LUTData = (4095 - np.arange(4096)).astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    data.VOILUTSequence = Sequence([item])


write("explicit-voi-lut", "explicit", gray(12), 12, edit=table)


def enhanced(data):
    """Each frame with its own rescale and window; the spacing is shared; sequences without lengths."""
    shared = Dataset()
    measures = Dataset()
    measures.PixelSpacing = ["0.5", "0.25"]
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for f in range(3):
        transformation, view, one = Dataset(), Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept = str(f + 1), str(-100 * f)
        view.WindowCenter, view.WindowWidth = str(100 * (f + 1)), "200"
        one.PixelValueTransformationSequence = Sequence([transformation])
        one.FrameVOILUTSequence = Sequence([view])
        one["FrameVOILUTSequence"].is_undefined_length = True
        one.is_undefined_length_sequence_item = True
        groups.append(one)
    data.PerFrameFunctionalGroupsSequence = Sequence(groups)
    data["PerFrameFunctionalGroupsSequence"].is_undefined_length = True


write("enhanced", "explicit", frames_of(3, 12), 12, frames=3, edit=enhanced)


def overlay(data):
    data.add_new(0x60000010, "US", ROWS)
    data.add_new(0x60000011, "US", COLUMNS)
    data.add_new(0x60003000, "OW", b"\xff" * 136)


write("overlay", "explicit", gray(12), 12, edit=overlay)

# In fragments.
write("encapsulated-u12", "encapsulated", None, 12, packed=encapsulate([gray(12).tobytes()]))


def rle(array, bits, samples=1):
    return RLELosslessEncoder.encode(array, rows=ROWS, columns=COLUMNS, samples_per_pixel=samples, bits_allocated=dtype(bits).itemsize * 8, bits_stored=bits, pixel_representation=0, photometric_interpretation="RGB" if samples > 1 else "MONOCHROME2", planar_configuration=0, number_of_frames=1)


write("rle-u12", "rle", None, 12, packed=encapsulate([rle(gray(12), 12)]))
write("rle-rgb8", "rle", None, 8, samples=3, packed=encapsulate([rle(color(8), 8, 3)]))
write("rle-frames", "rle", None, 12, frames=3, packed=encapsulate([rle(gray(12, f), 12) for f in range(3)]))
for predictor in range(1, 8):
    write(f"lossless-{predictor}-u12", "lossless", None, 12, packed=encapsulate([imagecodecs.jpeg8_encode(gray(12), lossless=True, predictor=predictor, bitspersample=12)]))
write("lossless-u16", "lossless", None, 16, packed=encapsulate([imagecodecs.jpeg8_encode(gray(16), lossless=True, predictor=1, bitspersample=16)]))
write("lossless-s16", "lossless", None, 16, signed=True, packed=encapsulate([imagecodecs.jpeg8_encode(gray(16, signed=True).view(np.uint16), lossless=True, predictor=7, bitspersample=16)]))
write("lossless-rgb8", "lossless", None, 8, samples=3, packed=encapsulate([imagecodecs.jpeg8_encode(color(8), lossless=True, predictor=4, colorspace="RGB", outcolorspace="RGB")]))
for bits in (8, 12, 16):
    write(f"jls-u{bits}", "jls", None, bits, packed=encapsulate([imagecodecs.jpegls_encode(gray(bits))]))
write("jls-rgb8", "jls", None, 8, samples=3, packed=encapsulate([imagecodecs.jpegls_encode(color(8))]))
write("jls-near-u8", "jls-near", None, 8, packed=encapsulate([imagecodecs.jpegls_encode(gray(8), level=3)]))
write("jls-near-u12", "jls-near", None, 12, packed=encapsulate([imagecodecs.jpegls_encode(gray(12), level=2)]))
parts = [imagecodecs.jpegls_encode(gray(12, f)) for f in range(3)]
write("jls-frames-table", "jls", None, 12, frames=3, packed=encapsulate(parts, fragments_per_frame=2, has_bot=True))
write("jls-frames-no-table", "jls", None, 12, frames=3, packed=encapsulate(parts, fragments_per_frame=2, has_bot=False))


def extended_table(data):
    data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(parts)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True


write("jls-frames-extended-table", "jls", None, 12, frames=3, packed=b"", edit=extended_table)
for bits in (8, 12, 16):
    write(f"j2k-u{bits}", "j2k", None, bits, packed=encapsulate([imagecodecs.jpeg2k_encode(gray(bits), codecformat="J2K", reversible=True, bitspersample=bits)]))
write("j2k-s16", "j2k", None, 16, signed=True, packed=encapsulate([imagecodecs.jpeg2k_encode(gray(16, signed=True), codecformat="J2K", reversible=True)]))
write("j2k-rgb8", "j2k", None, 8, samples=3, photometric="YBR_RCT", packed=encapsulate([imagecodecs.jpeg2k_encode(color(8), codecformat="J2K", reversible=True)]))


def pillow_j2k(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG2000", no_jp2=True, **options)
    return file.getvalue()


write("j2k-tiles-u8", "j2k", None, 8, packed=encapsulate([pillow_j2k(gray(8), tile_size=(16, 16), num_resolutions=3)]))
for progression in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL"):
    encoded = pillow_j2k(color(8), progression=progression, num_resolutions=3, precinct_size=(16, 16), codeblock_size=(8, 8), quality_mode="rates", quality_layers=[20, 5, 0], mct=0, tile_size=(32, 24), offset=(3, 5))
    write(f"j2k-{progression}-rgb8", "j2k", None, 8, samples=3, packed=encapsulate([encoded]))
write("j2k-lossy-u8", "j2k-lossy", None, 8, packed=encapsulate([imagecodecs.jpeg2k_encode(smooth(8).astype(np.uint8), codecformat="J2K", reversible=False, level=60)]))
write("j2k-lossy-rgb8", "j2k-lossy", None, 8, samples=3, photometric="YBR_ICT", packed=encapsulate([imagecodecs.jpeg2k_encode(np.stack([smooth(8, c) for c in range(3)], 2).astype(np.uint8), codecformat="J2K", reversible=False, level=60)]))
write("baseline-u8", "baseline", None, 8, packed=encapsulate([imagecodecs.jpeg8_encode(smooth(8).astype(np.uint8), level=98)]))
write("baseline-rgb8", "baseline", None, 8, samples=3, photometric="YBR_FULL_422", packed=encapsulate([imagecodecs.jpeg8_encode(np.stack([smooth(8, c) for c in range(3)], 2).astype(np.uint8), level=98, colorspace="RGB", outcolorspace="YCBCR", subsampling="422")]))
write("extended-u12", "extended", None, 12, packed=encapsulate([imagecodecs.jpeg8_encode(smooth(12).astype(np.uint16), level=98, bitspersample=12)]))


def padding(data):
    data.PixelPaddingValue, data.PixelPaddingRangeLimit = 0, 99
    data.RescaleSlope, data.RescaleIntercept = "1", "-1024"


write("padding", "explicit", gray(12), 12, edit=padding)


def placed(data):
    """A CT slice of a patient, in full."""
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.840.99999.3"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.840.99999.1", "1.2.840.99999.2", "1.2.840.99999.4"
    data.PatientName, data.PatientID, data.StudyDate = "Doe^Jane", "4711", "20240102"
    data.InstitutionName = "Example Hospital"
    data.Modality, data.ImageType, data.KVP, data.SliceThickness = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "120", "2.5"
    data.ImagePositionPatient, data.ImageOrientationPatient = ["-10", "20", "30"], ["1", "0", "0", "0", "1", "0"]
    data.PixelSpacing = ["0.75", "0.5"]
    data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
    data.WindowCenter, data.WindowWidth = "40", "400"


write("placed", "explicit", gray(12), 12, edit=placed)
