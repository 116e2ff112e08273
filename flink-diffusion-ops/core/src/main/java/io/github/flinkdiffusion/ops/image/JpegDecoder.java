/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.Arrays;

/**
 * JPEG files that Java's decoder does not read (ITU-T T.81, Huffman codes): lossless ones of 2 to
 * 16 bits with all predictors, and sequential ones of 8 and 12 bits. Components have the same size.
 */
final class JpegDecoder {
  private static final int MOST_COMPONENTS = 4;

  /** In zigzag order, where a coefficient stands in its block. */
  private static final int[] ZIGZAG = new int[64];

  /** The cosines of the transform, with its factors. */
  private static final double[] COSINES = new double[64];

  static {
    int x = 0;
    int y = 0;
    for (int i = 0; i < 64; i++) {
      ZIGZAG[i] = y * 8 + x;
      boolean up = (x + y) % 2 == 0;
      if (up && x == 7 || !up && y == 7) {
        y += up ? 1 : 0;
        x += up ? 0 : 1;
      } else if (up) {
        x++;
        y -= y > 0 ? 1 : 0;
      } else {
        y++;
        x -= x > 0 ? 1 : 0;
      }
    }
    for (int u = 0; u < 8; u++) {
      for (int i = 0; i < 8; i++) {
        COSINES[u * 8 + i] =
            (u == 0 ? Math.sqrt(0.125) : 0.5) * Math.cos((2 * i + 1) * u * Math.PI / 16);
      }
    }
  }

  /**
   * A decoded image.
   *
   * @param planes all of a component before the next
   */
  record Image(int width, int height, int components, int precision, int[] planes) {}

  private static final class Component {
    int id;
    int table;
    int[] plane;
    JpegCodes dc;
    JpegCodes ac;
    int before;
  }

  private final byte[] file;
  private final int mostWidth;
  private final int mostHeight;
  private final int[][] quantization = new int[4][];
  private final JpegCodes[] dcCodes = new JpegCodes[4];
  private final JpegCodes[] acCodes = new JpegCodes[4];
  private Component[] components = new Component[0];
  private boolean lossless;
  private int precision;
  private int width;
  private int height;
  private int restartInterval;
  private int decoded;
  private int at;

  private JpegDecoder(byte[] file, int mostWidth, int mostHeight) {
    this.file = file;
    this.mostWidth = mostWidth;
    this.mostHeight = mostHeight;
  }

  /**
   * @param mostWidth and {@code mostHeight}: a file that says more is refused
   */
  static Image decode(byte[] file, int mostWidth, int mostHeight) {
    return new JpegDecoder(file, mostWidth, mostHeight).image();
  }

  private Image image() {
    if (file.length < 4 || word(0) != 0xFFD8) {
      throw new ImageException("Corrupt JPEG data: it does not begin as such");
    }
    at = 2;
    while (true) {
      int marker = marker();
      if (marker == 0xD9) {
        break;
      }
      if (at + 2 > file.length) {
        throw truncated();
      }
      int length = word(at);
      int end = at + length;
      if (length < 2 || end > file.length) {
        throw truncated();
      }
      at += 2;
      switch (marker) {
        case 0xC0, 0xC1, 0xC3 -> frame(marker, end);
        case 0xC4 -> codes(end);
        case 0xDB -> quantization(end);
        case 0xDD -> {
          need(2, end);
          restartInterval = word(at);
        }
        case 0xDA -> {
          end = scan(end);
          if (decoded == components.length) {
            // All are there. Some programs leave out the end mark.
            return new Image(width, height, components.length, precision, planes());
          }
        }
        case 0xC2, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF ->
            throw new ImageException(
                "JPEG data of process %X; sequential (C0, C1) and lossless (C3) with Huffman codes are supported"
                    .formatted(marker));
        default -> {}
      }
      at = end;
    }
    throw new ImageException(
        "Corrupt JPEG data: %d of %d components are there".formatted(decoded, components.length));
  }

  private int[] planes() {
    if (components.length == 1) {
      return components[0].plane;
    }
    int[] planes = new int[components.length * width * height];
    for (int i = 0; i < components.length; i++) {
      System.arraycopy(components[i].plane, 0, planes, i * width * height, width * height);
    }
    return planes;
  }

  private static ImageException truncated() {
    return new ImageException("Truncated JPEG data");
  }

  private int word(int place) {
    return (file[place] & 0xFF) << 8 | file[place + 1] & 0xFF;
  }

  private void need(int bytes, int end) {
    if (bytes > end - at) {
      throw new ImageException("Corrupt JPEG data: a segment is too short");
    }
  }

  private int marker() {
    if (at + 2 > file.length || (file[at] & 0xFF) != 0xFF) {
      throw new ImageException("Corrupt JPEG data: a marker is expected at byte %d".formatted(at));
    }
    while (at + 1 < file.length && (file[at + 1] & 0xFF) == 0xFF) {
      at++;
    }
    if (at + 2 > file.length) {
      throw truncated();
    }
    at += 2;
    return file[at - 1] & 0xFF;
  }

  private void frame(int marker, int end) {
    if (components.length > 0) {
      throw new ImageException("Corrupt JPEG data: it has two frames");
    }
    need(6, end);
    lossless = marker == 0xC3;
    precision = file[at] & 0xFF;
    height = word(at + 1);
    width = word(at + 3);
    int count = file[at + 5] & 0xFF;
    if (width < 1 || height < 1 || width > mostWidth || height > mostHeight) {
      throw new ImageException(
          "Corrupt DICOM file: JPEG data of %d x %d pixels in a frame of %d x %d"
              .formatted(width, height, mostWidth, mostHeight));
    }
    if (count < 1
        || count > MOST_COMPONENTS
        || (lossless ? precision < 2 || precision > 16 : precision != 8 && precision != 12)) {
      throw new ImageException(
          "JPEG data of %d components of %d bits; 1 to 4 are supported, of 8 or 12 bits, or lossless of 2 to 16"
              .formatted(count, precision));
    }
    at += 6;
    need(3 * count, end);
    Component[] found = new Component[count];
    for (int i = 0; i < count; i++) {
      found[i] = new Component();
      found[i].id = file[at + 3 * i] & 0xFF;
      found[i].table = file[at + 3 * i + 2] & 3;
      int sampling = file[at + 3 * i + 1] & 0xFF;
      if (sampling != 0x11 && count > 1) {
        throw new ImageException(
            "JPEG data of %d bits whose components differ in size; the same is supported"
                .formatted(precision));
      }
    }
    components = found;
  }

  private void codes(int end) {
    while (at < end) {
      need(17, end);
      int kind = file[at] & 0xFF;
      int[] counts = new int[16];
      int all = 0;
      for (int i = 0; i < 16; i++) {
        counts[i] = file[at + 1 + i] & 0xFF;
        all += counts[i];
      }
      at += 17;
      if (all > 256 || (kind & 0x0F) > 3 || kind > 0x1F) {
        throw new ImageException("Corrupt JPEG data: a table of codes that cannot be");
      }
      need(all, end);
      JpegCodes codes = new JpegCodes(counts, Arrays.copyOfRange(file, at, at + all));
      (kind > 0x0F ? acCodes : dcCodes)[kind & 3] = codes;
      at += all;
    }
  }

  private void quantization(int end) {
    while (at < end) {
      need(1, end);
      int kind = file[at++] & 0xFF;
      int size = kind > 0x0F ? 2 : 1;
      need(64 * size, end);
      int[] steps = new int[64];
      for (int i = 0; i < 64; i++) {
        steps[i] = size == 2 ? word(at + 2 * i) : file[at + i] & 0xFF;
      }
      quantization[kind & 3] = steps;
      at += 64 * size;
    }
  }

  private int scan(int end) {
    need(1, end);
    int count = file[at] & 0xFF;
    need(1 + 2 * count + 3, end);
    if (count < 1 || count > components.length) {
      throw new ImageException(
          "Corrupt JPEG data: a scan of %d of %d components".formatted(count, components.length));
    }
    Component[] scanned = new Component[count];
    for (int i = 0; i < count; i++) {
      int id = file[at + 1 + 2 * i] & 0xFF;
      int tables = file[at + 2 + 2 * i] & 0xFF;
      Component component =
          Arrays.stream(components)
              .filter(one -> one.id == id && one.plane == null)
              .findFirst()
              .orElseThrow(
                  () -> new ImageException("Corrupt JPEG data: a scan names component " + id));
      component.dc = dcCodes[tables >> 4 & 3];
      component.ac = acCodes[tables & 3];
      if (component.dc == null || !lossless && component.ac == null) {
        throw new ImageException("Corrupt JPEG data: a scan without its tables");
      }
      component.plane = new int[width * height];
      scanned[i] = component;
    }
    int predictor = file[at + 1 + 2 * count] & 0xFF;
    int transform = file[at + 3 + 2 * count] & 0x0F;
    JpegBits bits = new JpegBits(file, end);
    if (lossless) {
      if (predictor < 1 || predictor > 7 || transform >= precision) {
        throw new ImageException(
            "JPEG data with predictor %d and point transform %d; 1 to 7 and less than %d bits are supported"
                .formatted(predictor, transform, precision));
      }
      lossless(scanned, predictor, transform, bits);
    } else {
      blocks(scanned, bits);
    }
    decoded += count;
    return bits.end();
  }

  private void lossless(Component[] scanned, int predictor, int transform, JpegBits bits) {
    int first = 1 << precision - transform - 1;
    int mask = (1 << precision - transform) - 1;
    int restarts = 0;
    int left = restartInterval;
    if (restartInterval % width != 0) {
      throw new ImageException(
          "JPEG data that restarts after %d of %d pixels of a row; whole rows are supported"
              .formatted(restartInterval, width));
    }
    boolean fresh = true;
    for (int y = 0; y < height; y++) {
      if (restartInterval > 0 && left == 0) {
        bits.restart(restarts++);
        left = restartInterval;
        fresh = true;
      }
      for (int x = 0; x < width; x++) {
        int i = y * width + x;
        for (Component component : scanned) {
          int[] plane = component.plane;
          int predicted;
          if (fresh) {
            predicted = x == 0 ? first : plane[i - 1];
          } else if (x == 0) {
            predicted = plane[i - width];
          } else {
            predicted = predicted(predictor, plane[i - 1], plane[i - width], plane[i - width - 1]);
          }
          int size = component.dc.next(bits);
          if (size > 16) {
            throw new ImageException("Corrupt JPEG data: a difference of %d bits".formatted(size));
          }
          int difference = size == 16 ? 32768 : bits.signed(size);
          plane[i] = predicted + difference & mask;
        }
      }
      left -= width;
      fresh = false;
    }
    for (Component component : scanned) {
      for (int i = 0; transform > 0 && i < component.plane.length; i++) {
        component.plane[i] <<= transform;
      }
    }
  }

  /** T.81, table H.1. */
  private static int predicted(int predictor, int a, int b, int c) {
    return switch (predictor) {
      case 1 -> a;
      case 2 -> b;
      case 3 -> c;
      case 4 -> a + b - c;
      case 5 -> a + (b - c >> 1);
      case 6 -> b + (a - c >> 1);
      default -> a + b >> 1;
    };
  }

  private void blocks(Component[] scanned, JpegBits bits) {
    int across = (width + 7) / 8;
    int down = (height + 7) / 8;
    int restarts = 0;
    double[] block = new double[64];
    double[] rows = new double[64];
    for (int i = 0; i < across * down; i++) {
      if (restartInterval > 0 && i > 0 && i % restartInterval == 0) {
        bits.restart(restarts++);
        for (Component component : scanned) {
          component.before = 0;
        }
      }
      for (Component component : scanned) {
        coefficients(component, bits, block);
        inverse(block, rows);
        store(component.plane, block, i % across * 8, i / across * 8);
      }
    }
  }

  private void coefficients(Component component, JpegBits bits, double[] block) {
    int[] steps = quantization[component.table];
    if (steps == null) {
      throw new ImageException("Corrupt JPEG data: a component without its quantization");
    }
    Arrays.fill(block, 0);
    int size = component.dc.next(bits);
    if (size > 16) {
      throw new ImageException("Corrupt JPEG data: a coefficient of %d bits".formatted(size));
    }
    component.before += bits.signed(size);
    block[0] = (double) component.before * steps[0];
    for (int k = 1; k < 64; k++) {
      int symbol = component.ac.next(bits);
      int run = symbol >> 4;
      int length = symbol & 0x0F;
      if (length == 0) {
        if (run != 15) {
          return;
        }
        k += 15;
        continue;
      }
      k += run;
      if (k > 63) {
        throw new ImageException("Corrupt JPEG data: more coefficients than a block has");
      }
      block[ZIGZAG[k]] = (double) bits.signed(length) * steps[k];
    }
  }

  private static void inverse(double[] block, double[] rows) {
    for (int v = 0; v < 8; v++) {
      for (int x = 0; x < 8; x++) {
        double sum = 0;
        for (int u = 0; u < 8; u++) {
          sum += block[v * 8 + u] * COSINES[u * 8 + x];
        }
        rows[v * 8 + x] = sum;
      }
    }
    for (int y = 0; y < 8; y++) {
      for (int x = 0; x < 8; x++) {
        double sum = 0;
        for (int v = 0; v < 8; v++) {
          sum += rows[v * 8 + x] * COSINES[v * 8 + y];
        }
        block[y * 8 + x] = sum;
      }
    }
  }

  private void store(int[] plane, double[] block, int left, int top) {
    int most = (1 << precision) - 1;
    int middle = 1 << precision - 1;
    for (int y = top; y < Math.min(top + 8, height); y++) {
      for (int x = left; x < Math.min(left + 8, width); x++) {
        double value = Math.rint(block[(y - top) * 8 + x - left]) + middle;
        plane[y * width + x] = (int) Math.max(0, Math.min(most, value));
      }
    }
  }
}
