#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Writes src/test/resources/fixtures/nifti/: volumes stored in different orders, all of the same patient.

Run: python make_nifti_fixtures.py   (see requirements-formats.txt)

NiftiTest.java knows the values: of the voxel x from the left, y from the back, z from below, t in time, 1 + x + 10 y + 100 z + 1000 t.
"""

from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

OUT = Path(__file__).parents[1] / "resources" / "fixtures" / "nifti"
OUT.mkdir(parents=True, exist_ok=True)
SIZE = (7, 5, 4)
x, y, z = np.mgrid[0:7, 0:5, 0:4]
VALUES = 1 + x + 10 * y + 100 * z
AFFINE = np.array([[2.0, 0, 0, -6], [0, 3, 0, -5], [0, 0, 4, 10], [0, 0, 0, 1]])


def stored(codes, values=VALUES, affine=AFFINE):
    """The same volume with its axes in another order."""
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    return nibabel.orientations.apply_orientation(values, turn), affine @ inv_ornt_aff(turn, values.shape[:3])


def save(name, values, affine, dtype=np.int16, kind=nibabel.Nifti1Image, sform=True, qform=True, edit=None):
    volume = kind(np.ascontiguousarray(values).astype(dtype), affine, dtype=dtype)
    volume.header.set_xyzt_units("mm")
    volume.set_sform(affine if sform else None, code=1 if sform else 0)
    volume.set_qform(affine if qform else None, code=1 if qform else 0)
    if edit:
        edit(volume.header)
    nibabel.save(volume, OUT / name)


for codes in ("RAS", "LPS", "PIR", "SAL"):
    save(f"{codes}.nii", *stored(codes))
save("LPS-qform.nii.gz", *stored("LPS"), sform=False)
save("ASL-2.nii", *stored("ASL"), kind=nibabel.Nifti2Image)
big = nibabel.Nifti1Header(endianness=">")
big.set_data_dtype(">i2")
save("big-endian.nii", *stored("LPS"), kind=lambda data, affine, dtype: nibabel.Nifti1Image(data.astype(dtype), affine, header=big), dtype=">i2")


def calibrated(header):
    header["cal_min"], header["cal_max"] = 100, 300


save("calibrated.nii", *stored("RAS"), edit=calibrated)
four = np.stack([VALUES + 1000 * t for t in range(3)], axis=3)
save("four.nii.gz", four[::-1, ::-1], stored("LPS")[1])
turned = np.array([[0.9, -0.3, 0.1, 0], [0.3, 0.9, 0.05, 0], [-0.1, 0, 1, 0], [0, 0, 0, 1]]) @ AFFINE
save("oblique.nii", *stored("LPS", affine=turned), dtype=np.float32)
colors = np.zeros(SIZE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
colors["R"], colors["G"], colors["B"] = x * 10, y * 10, z * 10
nibabel.save(nibabel.Nifti1Image(colors, AFFINE), OUT / "rgb.nii")
