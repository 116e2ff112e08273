/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** Numbers of the DICOM standard (PS3.6): the group in the upper half, the element in the lower. */
final class DicomTag {
  static final int TRANSFER_SYNTAX = 0x00020010;
  static final int CHARACTER_SET = 0x00080005;
  static final int SAMPLES = 0x00280002;
  static final int PHOTOMETRIC = 0x00280004;
  static final int PLANAR = 0x00280006;
  static final int FRAMES = 0x00280008;
  static final int ROWS = 0x00280010;
  static final int COLUMNS = 0x00280011;
  static final int PIXEL_SPACING = 0x00280030;
  static final int BITS_ALLOCATED = 0x00280100;
  static final int BITS_STORED = 0x00280101;
  static final int HIGH_BIT = 0x00280102;
  static final int SIGNED = 0x00280103;
  static final int PADDING = 0x00280120;
  static final int PADDING_LIMIT = 0x00280121;
  static final int FLOAT_PADDING = 0x00280122;
  static final int DOUBLE_PADDING = 0x00280123;
  static final int FLOAT_PADDING_LIMIT = 0x00280124;
  static final int DOUBLE_PADDING_LIMIT = 0x00280125;
  static final int WINDOW_CENTER = 0x00281050;
  static final int WINDOW_WIDTH = 0x00281051;
  static final int INTERCEPT = 0x00281052;
  static final int SLOPE = 0x00281053;
  static final int WINDOW_FUNCTION = 0x00281056;
  static final int PALETTE_DESCRIPTOR = 0x00281101;
  static final int PALETTE_DATA = 0x00281201;
  static final int SEGMENTED_PALETTE_DATA = 0x00281221;
  static final int MODALITY_LUT = 0x00283000;
  static final int LUT_DESCRIPTOR = 0x00283002;
  static final int LUT_DATA = 0x00283006;
  static final int VOI_LUT = 0x00283010;
  static final int FRAME_OFFSETS = 0x3004000C;
  static final int DOSE_SCALING = 0x3004000E;
  static final int OVERLAY_ROWS = 0x60000010;
  static final int EXTENDED_OFFSETS = 0x7FE00001;
  static final int FLOAT_PIXELS = 0x7FE00008;
  static final int DOUBLE_PIXELS = 0x7FE00009;
  static final int PIXELS = 0x7FE00010;

  // Functional groups of enhanced multi-frame images.
  static final int SHARED_GROUPS = 0x52009229;
  static final int PER_FRAME_GROUPS = 0x52009230;
  static final int PIXEL_MEASURES = 0x00289110;
  static final int FRAME_VOI_LUT = 0x00289132;
  static final int PIXEL_VALUE_TRANSFORMATION = 0x00289145;

  // Structure.
  static final int ITEM = 0xFFFEE000;
  static final int ITEM_END = 0xFFFEE00D;
  static final int SEQUENCE_END = 0xFFFEE0DD;

  private DicomTag() {}

  static int group(int tag) {
    return tag >>> 16;
  }

  static boolean isPixels(int tag) {
    return tag == PIXELS || tag == FLOAT_PIXELS || tag == DOUBLE_PIXELS;
  }
}
