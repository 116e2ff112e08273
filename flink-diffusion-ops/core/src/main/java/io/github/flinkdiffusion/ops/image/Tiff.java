/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** Numbers of the TIFF standard, of GeoTIFF, and of GDAL's tags. */
final class Tiff {
  static final int SUBFILE_TYPE = 254;
  static final int OLD_SUBFILE_TYPE = 255;
  static final int WIDTH = 256;
  static final int HEIGHT = 257;
  static final int BITS = 258;
  static final int COMPRESSION = 259;
  static final int PHOTOMETRIC = 262;
  static final int FILL_ORDER = 266;
  static final int STRIP_OFFSETS = 273;
  static final int ORIENTATION = 274;
  static final int SAMPLES = 277;
  static final int ROWS_PER_STRIP = 278;
  static final int STRIP_BYTES = 279;
  static final int X_RESOLUTION = 282;
  static final int Y_RESOLUTION = 283;
  static final int PLANAR = 284;
  static final int RESOLUTION_UNIT = 296;
  static final int PREDICTOR = 317;
  static final int COLOR_MAP = 320;
  static final int TILE_WIDTH = 322;
  static final int TILE_HEIGHT = 323;
  static final int TILE_OFFSETS = 324;
  static final int TILE_BYTES = 325;
  static final int EXTRA_SAMPLES = 338;
  static final int JPEG_TABLES = 347;
  static final int SAMPLE_FORMAT = 339;
  static final int GEO_PIXEL_SCALE = 33550;
  static final int GEO_TIEPOINTS = 33922;
  static final int GEO_TRANSFORMATION = 34264;
  static final int GEO_KEYS = 34735;
  static final int GEO_DOUBLES = 34736;
  static final int GEO_ASCII = 34737;
  static final int GDAL_METADATA = 42112;
  static final int GDAL_NODATA = 42113;

  // Bits of SUBFILE_TYPE.
  static final int REDUCED = 1;
  static final int MASK = 4;

  // Values of COMPRESSION.
  static final int UNCOMPRESSED = 1;
  static final int FAX_HUFFMAN = 2;
  static final int FAX_3 = 3;
  static final int FAX_4 = 4;
  static final int LZW = 5;
  static final int JPEG = 7;
  static final int DEFLATE = 8;
  static final int PACK_BITS = 32773;
  static final int OLD_DEFLATE = 32946;
  static final int LZMA = 34925;
  static final int ZSTD = 50000;
  static final int LERC = 34887;
  static final int OLD_JPEG = 6;
  static final int WEBP = 50001;

  // Values of PHOTOMETRIC.
  static final int WHITE_IS_ZERO = 0;
  static final int BLACK_IS_ZERO = 1;
  static final int RGB = 2;
  static final int PALETTE = 3;
  static final int TRANSPARENCY_MASK = 4;
  static final int CMYK = 5;
  static final int YCBCR = 6;

  // Values of SAMPLE_FORMAT.
  static final int UNSIGNED = 1;
  static final int SIGNED = 2;
  static final int FLOATING = 3;

  // Values of EXTRA_SAMPLES.
  static final int ASSOCIATED_ALPHA = 1;
  static final int UNASSOCIATED_ALPHA = 2;

  // Values of RESOLUTION_UNIT.
  static final int INCH = 2;
  static final int CENTIMETRE = 3;

  private Tiff() {}
}
