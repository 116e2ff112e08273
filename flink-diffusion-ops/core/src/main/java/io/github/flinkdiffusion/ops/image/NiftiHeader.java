/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * What the header of a NIfTI-1 or NIfTI-2 file says, checked.
 *
 * @param dims voxels along the three axes as they are stored, the first one fastest
 * @param volumes of the file, one after the other
 * @param start of the first voxel, in bytes
 * @param slope and {@code intercept}: a value is the stored number times the one plus the other
 * @param calMin and {@code calMax}: what is black and white, if the one is below the other
 * @param axes for each stored axis its direction and length in millimetres (or whatever the file's
 *     unit is) to the patient's right, front and head
 * @param origin of the first voxel, as the axes
 * @param placed whether the header says how the volume lies in the patient
 * @param millimetres whether lengths are known to be millimetres
 */
record NiftiHeader(
    ByteOrder order,
    int[] dims,
    int volumes,
    Kind kind,
    long start,
    double slope,
    double intercept,
    double calMin,
    double calMax,
    double[][] axes,
    double[] origin,
    boolean placed,
    boolean millimetres) {
  static final int SIZE_1 = 348;
  static final int SIZE_2 = 540;

  /** A file that is packed may say that it is any size. */
  private static final long MOST_BYTES = 4L << 30;

  private static final long MOST_EXTENSIONS = 1 << 24;

  /** Of the whole file, without compression. */
  long fileBytes() {
    return start + (long) dims[0] * dims[1] * dims[2] * volumes * kind.bytes();
  }

  /** Types of voxels. */
  enum Kind {
    UINT8(2, 1, 1),
    INT16(4, 2, 1),
    INT32(8, 4, 1),
    FLOAT32(16, 4, 1),
    FLOAT64(64, 8, 1),
    RGB(128, 1, 3),
    INT8(256, 1, 1),
    UINT16(512, 2, 1),
    UINT32(768, 4, 1),
    INT64(1024, 8, 1),
    UINT64(1280, 8, 1),
    RGBA(2304, 1, 4);

    final int code;
    final int size;
    final int channels;

    Kind(int code, int size, int channels) {
      this.code = code;
      this.size = size;
      this.channels = channels;
    }

    int bytes() {
      return size * channels;
    }

    double value(ByteBuffer values, int at) {
      return switch (this) {
        case UINT8, RGB, RGBA -> values.get(at) & 0xFF;
        case INT8 -> values.get(at);
        case INT16 -> values.getShort(at);
        case UINT16 -> values.getShort(at) & 0xFFFF;
        case INT32 -> values.getInt(at);
        case UINT32 -> values.getInt(at) & 0xFFFFFFFFL;
        case INT64 -> values.getLong(at);
        case UINT64 -> {
          long bits = values.getLong(at);
          yield bits >= 0 ? bits : (bits >>> 1) * 2.0;
        }
        case FLOAT32 -> values.getFloat(at);
        case FLOAT64 -> values.getDouble(at);
      };
    }
  }

  /** Whether these are the first bytes of a file of header and voxels in one. */
  static boolean hasMark(byte[] head) {
    return isVersion1(head) || isVersion2(head);
  }

  private static boolean isVersion1(byte[] head) {
    return head.length >= SIZE_1 && head[344] == 'n' && head[345] == '+' && head[346] == '1';
  }

  private static boolean isVersion2(byte[] head) {
    return head.length >= SIZE_2 && head[4] == 'n' && head[5] == '+' && head[6] == '2';
  }

  /**
   * @param head the file's first bytes, at least {@link #SIZE_2} where it has as many
   */
  static NiftiHeader of(byte[] head) {
    boolean second = !isVersion1(head);
    if (second && !isVersion2(head)) {
      throw new ImageException("Not a NIfTI file: its header has no mark");
    }
    ByteBuffer h = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    if (h.getInt(0) != (second ? SIZE_2 : SIZE_1)) {
      h.order(ByteOrder.BIG_ENDIAN);
    }
    long[] dim = new long[8];
    double[] pixdim = new double[8];
    for (int i = 0; i < 8; i++) {
      dim[i] = second ? h.getLong(16 + 8 * i) : h.getShort(40 + 2 * i);
      pixdim[i] = second ? h.getDouble(104 + 8 * i) : h.getFloat(76 + 4 * i);
    }
    int[] dims = new int[3];
    double voxels = 1;
    long volumes = 1;
    boolean good = dim[0] >= 2 && dim[0] <= 7;
    for (int i = 1; i < 8 && good; i++) {
      long length = i <= dim[0] ? dim[i] : 1;
      good = length >= 1 && length <= Integer.MAX_VALUE;
      voxels *= length;
      if (i <= 3) {
        dims[i - 1] = (int) length;
      } else if (voxels <= MOST_BYTES) {
        volumes *= length;
      }
    }
    int code = h.getShort(second ? 12 : 70);
    Kind kind =
        Arrays.stream(Kind.values())
            .filter(one -> one.code == code)
            .findFirst()
            .orElseThrow(
                () ->
                    new ImageException(
                        ("A NIfTI file of data type %d; whole numbers of 8 to 64 bits, floats of"
                                + " 32 and 64, and RGB and RGBA of 8 are supported")
                            .formatted(code)));
    if (!good || voxels * kind.bytes() > MOST_BYTES) {
      throw new ImageException(
          "A NIfTI file of axes %s; 2 to 7 axes and at most %d bytes of voxels are supported"
              .formatted(Arrays.toString(dim), MOST_BYTES));
    }
    double start = second ? h.getLong(168) : h.getFloat(108);
    if (!(start >= (second ? SIZE_2 : SIZE_1) && start <= MOST_EXTENSIONS)) {
      throw new ImageException("Corrupt NIfTI file: its values begin at byte %s".formatted(start));
    }
    double slope = second ? h.getDouble(176) : h.getFloat(112);
    double intercept = second ? h.getDouble(184) : h.getFloat(116);
    // A slope of 0 says that values are not scaled.
    boolean scaled = Double.isFinite(slope) && slope != 0;
    if (scaled && !Double.isFinite(intercept)) {
      throw new ImageException("Corrupt NIfTI file: an intercept of " + intercept);
    }
    int units = second ? h.getInt(500) : h.get(123);
    double factor =
        switch (units & 7) {
          case 1 -> 1000;
          case 3 -> 0.001;
          default -> 1;
        };
    double[][] axes = new double[3][3];
    double[] origin = new double[3];
    boolean placed = affine(h, second, pixdim, axes, origin);
    for (int axis = 0; axis < 3; axis++) {
      origin[axis] *= factor;
      for (int i = 0; i < 3; i++) {
        axes[axis][i] *= factor;
      }
    }
    return new NiftiHeader(
        h.order(),
        dims,
        (int) volumes,
        kind,
        (long) start,
        scaled ? slope : 1,
        scaled ? intercept : 0,
        second ? h.getDouble(200) : h.getFloat(128),
        second ? h.getDouble(192) : h.getFloat(124),
        axes,
        origin,
        placed,
        (units & 7) >= 1 && (units & 7) <= 3);
  }

  /** As nibabel: the sform if it means something, else the qform, else sizes alone. */
  private static boolean affine(
      ByteBuffer h, boolean second, double[] pixdim, double[][] axes, double[] origin) {
    int qform = second ? h.getInt(344) : h.getShort(252);
    int sform = second ? h.getInt(348) : h.getShort(254);
    if (sform > 0) {
      for (int row = 0; row < 3; row++) {
        for (int axis = 0; axis < 4; axis++) {
          double value =
              second
                  ? h.getDouble(400 + 32 * row + 8 * axis)
                  : h.getFloat(280 + 16 * row + 4 * axis);
          if (axis < 3) {
            axes[axis][row] = value;
          } else {
            origin[row] = value;
          }
        }
      }
    } else if (qform > 0) {
      double b = second ? h.getDouble(352) : h.getFloat(256);
      double c = second ? h.getDouble(360) : h.getFloat(260);
      double d = second ? h.getDouble(368) : h.getFloat(264);
      double rest = 1 - (b * b + c * c + d * d);
      double a = Math.sqrt(Math.max(0, rest));
      if (rest < 0) {
        double length = Math.sqrt(b * b + c * c + d * d);
        b /= length;
        c /= length;
        d /= length;
      }
      double[][] turned = {
        {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
        {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
        {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}
      };
      // Sizes have no sign; as nibabel, one that has is taken without it. Only pixdim[0] turns.
      double depth = Math.abs(pixdim[3]);
      double[] sizes = {Math.abs(pixdim[1]), Math.abs(pixdim[2]), pixdim[0] < 0 ? -depth : depth};
      for (int axis = 0; axis < 3; axis++) {
        origin[axis] = second ? h.getDouble(376 + 8 * axis) : h.getFloat(268 + 4 * axis);
        for (int row = 0; row < 3; row++) {
          axes[axis][row] = turned[row][axis] * sizes[axis];
        }
      }
    } else {
      for (int axis = 0; axis < 3; axis++) {
        double size = pixdim[axis + 1];
        // As older programs store: from the patient's left to the right is backwards.
        axes[axis][axis] = (axis == 0 ? -1 : 1) * (size > 0 ? size : 1);
      }
    }
    return sform > 0 || qform > 0;
  }

  /**
   * For each world axis (right, front, head) the stored axis that runs along it most.
   *
   * @throws ImageException if axes have no length or run along each other
   */
  int[] storedAxes() {
    int[] stored = {-1, -1, -1};
    boolean[] taken = new boolean[3];
    double[][] directions = new double[3][3];
    for (int axis = 0; axis < 3; axis++) {
      double length = length(axis);
      if (!(length > 0 && length < Double.MAX_VALUE)) {
        if (dims[axis] > 1) {
          throw new ImageException(
              "Corrupt NIfTI file: axis %d has the direction %s"
                  .formatted(axis, Arrays.toString(axes[axis])));
        }
        continue;
      }
      for (int i = 0; i < 3; i++) {
        directions[axis][i] = axes[axis][i] / length;
      }
    }
    for (int turn = 0; turn < 3; turn++) {
      int best = -1;
      int along = -1;
      double most = -1;
      for (int axis = 0; axis < 3; axis++) {
        for (int world = 0; world < 3; world++) {
          double part = Math.abs(directions[axis][world]);
          if (!taken[axis] && stored[world] < 0 && part > most) {
            most = part;
            best = axis;
            along = world;
          }
        }
      }
      taken[best] = true;
      stored[along] = best;
    }
    return stored;
  }

  double length(int axis) {
    return Math.sqrt(
        axes[axis][0] * axes[axis][0]
            + axes[axis][1] * axes[axis][1]
            + axes[axis][2] * axes[axis][2]);
  }
}
