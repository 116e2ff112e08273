/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/**
 * JPEG-LS files (ITU-T T.87), lossless and near-lossless, of 2 to 16 bits, with components in one
 * scan each, by line or by sample. Mapping tables and restarts are refused. The segments are read
 * here, what they hold in {@link JpegLsScan}.
 */
final class JpegLsDecoder {
  private static final int MOST_COMPONENTS = 4;

  private final byte[] file;
  private final int mostWidth;
  private final int mostHeight;
  private int at;
  private int precision;
  private int width;
  private int height;
  private int[] ids = new int[0];
  private int[] planes;
  private boolean[] decoded;

  private JpegLsScan.Parameters given = JpegLsScan.Parameters.DEFAULTS;

  private JpegLsDecoder(byte[] file, int mostWidth, int mostHeight) {
    this.file = file;
    this.mostWidth = mostWidth;
    this.mostHeight = mostHeight;
  }

  /**
   * @param mostWidth and {@code mostHeight}: a file that says more is refused
   */
  static JpegDecoder.Image decode(byte[] file, int mostWidth, int mostHeight) {
    return new JpegLsDecoder(file, mostWidth, mostHeight).image();
  }

  private int word(int place) {
    return (file[place] & 0xFF) << 8 | file[place + 1] & 0xFF;
  }

  static ImageException damaged(String what) {
    return new ImageException("Corrupt JPEG-LS data: " + what);
  }

  private JpegDecoder.Image image() {
    if (file.length < 4 || word(0) != 0xFFD8) {
      throw damaged("it does not begin as such");
    }
    at = 2;
    while (true) {
      while (at + 1 < file.length && word(at) == 0xFFFF) {
        at++;
      }
      if (at + 4 > file.length || (file[at] & 0xFF) != 0xFF) {
        throw damaged("a marker is expected at byte " + at);
      }
      int marker = file[at + 1] & 0xFF;
      int length = word(at + 2);
      at += 4;
      int end = at + length - 2;
      if (marker == 0xD9 || length < 2 || end > file.length) {
        throw damaged("it ends too early");
      }
      switch (marker) {
        case 0xF7 -> frame(end);
        case 0xF8 -> parameters(end);
        case 0xDA -> {
          end = scan(end);
          if (allDecoded()) {
            return new JpegDecoder.Image(width, height, ids.length, precision, planes);
          }
        }
        case 0xDD -> {
          need(2, end);
          if (word(at) != 0) {
            throw new ImageException("JPEG-LS data with restarts; none are supported");
          }
        }
        case 0xE8 -> {
          if (length >= 7
              && new String(file, at, 4, DicomDataSet.LATIN).equals("mrfx")
              && file[at + 4] != 0) {
            throw new ImageException(
                "JPEG-LS data with color transform %d; 0 is supported".formatted(file[at + 4]));
          }
        }
        default -> {}
      }
      at = end;
    }
  }

  private boolean allDecoded() {
    for (boolean one : decoded) {
      if (!one) {
        return false;
      }
    }
    return true;
  }

  private void need(int bytes, int end) {
    if (bytes > end - at) {
      throw damaged("a segment is too short");
    }
  }

  private void frame(int end) {
    need(6, end);
    if (ids.length > 0) {
      throw damaged("it has two frames");
    }
    precision = file[at] & 0xFF;
    height = word(at + 1);
    width = word(at + 3);
    int count = file[at + 5] & 0xFF;
    if (width < 1 || height < 1 || width > mostWidth || height > mostHeight) {
      throw new ImageException(
          "Corrupt DICOM file: JPEG-LS data of %d x %d pixels in a frame of %d x %d"
              .formatted(width, height, mostWidth, mostHeight));
    }
    if (precision < 2 || precision > 16 || count < 1 || count > MOST_COMPONENTS) {
      throw new ImageException(
          "JPEG-LS data of %d components of %d bits; 1 to 4 of 2 to 16 bits are supported"
              .formatted(count, precision));
    }
    at += 6;
    need(3 * count, end);
    ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = file[at + 3 * i] & 0xFF;
      if (file[at + 3 * i + 1] != 0x11) {
        throw new ImageException(
            "JPEG-LS data whose components differ in size; the same is supported");
      }
    }
    planes = new int[count * width * height];
    decoded = new boolean[count];
  }

  private void parameters(int end) {
    need(1, end);
    int kind = file[at];
    if (kind != 1) {
      throw new ImageException(
          "JPEG-LS data with parameters of kind %d; those of kind 1 are supported".formatted(kind));
    }
    need(11, end);
    given =
        new JpegLsScan.Parameters(
            word(at + 1), word(at + 3), word(at + 5), word(at + 7), word(at + 9));
  }

  private int scan(int end) {
    need(1, end);
    int count = file[at] & 0xFF;
    need(4 + 2 * count, end);
    if (count < 1 || count > ids.length) {
      throw damaged("a scan of %d of %d components".formatted(count, ids.length));
    }
    int[] scanned = new int[count];
    for (int i = 0; i < count; i++) {
      int id = file[at + 1 + 2 * i] & 0xFF;
      if (file[at + 2 + 2 * i] != 0) {
        throw new ImageException("JPEG-LS data with mapping tables; none are supported");
      }
      scanned[i] = -1;
      for (int c = 0; c < ids.length; c++) {
        if (ids[c] == id && !decoded[c]) {
          scanned[i] = c;
          decoded[c] = true;
          break;
        }
      }
      if (scanned[i] < 0) {
        throw damaged("a scan names component " + id);
      }
    }
    int near = file[at + 1 + 2 * count] & 0xFF;
    int interleave = file[at + 2 + 2 * count] & 0xFF;
    int transform = file[at + 3 + 2 * count] & 0xFF;
    if (interleave > 2 || interleave == 0 && count != 1 || transform != 0) {
      throw new ImageException(
          "JPEG-LS data of %d components interleaved as %d, with point transform %d; 0 (one component), 1 and 2, without a transform, are supported"
              .formatted(count, interleave, transform));
    }
    JpegLsBits bits = new JpegLsBits(file, end);
    JpegLsScan scan = new JpegLsScan(given, precision, near, width, height, planes, bits);
    if (interleave == 2 && count > 1) {
      scan.bySample(scanned);
    } else {
      scan.byLine(scanned);
    }
    return bits.end();
  }
}
