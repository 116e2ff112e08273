/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.zip.GZIPInputStream;

/**
 * Slices of NIfTI-1 and NIfTI-2 volumes, plain or packed with gzip, in any {@link SlicePlane} and
 * seen as it says, whatever the order in which the file stores its axes. {@link ReadOptions#page()}
 * counts the slices of the first volume, then those of the next. A packed volume is unpacked up to
 * the slice and no further, and only the slice is held.
 *
 * <p>A value is the stored one times the slope plus the intercept. What is black and white is, if
 * the header says it (cal_min, cal_max), what it says; of bytes all that they can be; else the
 * slice's 1st and 99th percentile. The texts say which. Nothing of the header's descriptions is
 * kept, since they may name a patient.
 */
final class NiftiCodec implements ImageFormat {
  private static final int BUFFER = 1 << 14;

  /** A stretch of the file of which a part is used. */
  private static final long MOST_STRETCH = 16 << 20;

  @Override
  public ImageKind kind() {
    return ImageKind.NIFTI;
  }

  /** Whether these are the first bytes of such a file. */
  static boolean hasMark(byte[] file) {
    if (file.length > 2 && (file[0] & 0xFF) == 0x1F && (file[1] & 0xFF) == 0x8B) {
      try (InputStream in = unpacked(new ByteArrayInputStream(file))) {
        return NiftiHeader.hasMark(in.readNBytes(NiftiHeader.SIZE_2));
      } catch (IOException e) {
        return false;
      }
    }
    return NiftiHeader.hasMark(file);
  }

  private static InputStream unpacked(InputStream file) throws IOException {
    InputStream buffered = new BufferedInputStream(file, BUFFER);
    buffered.mark(2);
    boolean packed = buffered.read() == 0x1F && buffered.read() == 0x8B;
    buffered.reset();
    return packed ? new GZIPInputStream(buffered, BUFFER) : buffered;
  }

  /** See {@link Images#unpacked}. No more is unpacked than the header says that there is. */
  static Optional<Path> unpacked(Path file, Path folder) {
    try (InputStream packed = Files.newInputStream(file)) {
      if (packed.read() != 0x1F || packed.read() != 0x8B) {
        return Optional.empty();
      }
    } catch (IOException e) {
      throw new ImageException("Cannot read the image file " + file + ": " + e, e);
    }
    Path plain = null;
    try (InputStream in = unpacked(Files.newInputStream(file))) {
      byte[] head = in.readNBytes(NiftiHeader.SIZE_2);
      if (!NiftiHeader.hasMark(head)) {
        return Optional.empty();
      }
      long left = NiftiHeader.of(head).fileBytes() - head.length;
      plain = Files.createTempFile(folder, "volume-", ".nii");
      try (OutputStream out = Files.newOutputStream(plain)) {
        out.write(head);
        byte[] buffer = new byte[BUFFER];
        int length;
        while (left > 0 && (length = in.read(buffer, 0, (int) Math.min(left, BUFFER))) > 0) {
          out.write(buffer, 0, length);
          left -= length;
        }
      }
      return Optional.of(plain);
    } catch (IOException | RuntimeException e) {
      try {
        if (plain != null) {
          Files.deleteIfExists(plain);
        }
      } catch (IOException more) {
        e.addSuppressed(more);
      }
      throw e instanceof ImageException known
          ? known
          : new ImageException("Cannot unpack the NIfTI file " + file + ": " + e, e);
    }
  }

  /**
   * The header of a file whose first bytes these are.
   *
   * @throws IOException if they do not suffice
   */
  static NiftiHeader header(byte[] head) throws IOException {
    try (InputStream in = unpacked(new ByteArrayInputStream(head))) {
      return NiftiHeader.of(in.readNBytes(NiftiHeader.SIZE_2));
    }
  }

  @Override
  public Raster read(byte[] file, ReadOptions options) {
    return read(new ByteArrayInputStream(file), options);
  }

  @Override
  public Raster read(SeekableByteChannel file, ReadOptions options) {
    try {
      file.position(0);
    } catch (IOException e) {
      throw new ImageException("Cannot read the NIfTI file: " + e.getMessage(), e);
    }
    // Skipping a file's bytes reads none of them.
    return read(Channels.newInputStream(file), options);
  }

  private static Raster read(InputStream file, ReadOptions options) {
    try {
      InputStream in = unpacked(file);
      byte[] head = in.readNBytes(NiftiHeader.SIZE_2);
      NiftiHeader header = NiftiHeader.of(head);
      return slice(header, new Voxels(head, in, header.start()), options);
    } catch (EOFException e) {
      throw new ImageException(
          "Truncated NIfTI file: it ends before slice %d does".formatted(options.page()), e);
    } catch (IOException e) {
      throw new ImageException("Corrupt NIfTI file: " + e.getMessage(), e);
    }
  }

  /** A file's voxels, read from front to back. */
  private static final class Voxels {
    private final byte[] head;
    private final InputStream in;
    private final long start;
    private long at;

    Voxels(byte[] head, InputStream in, long start) {
      this.head = head;
      this.in = in;
      this.start = start;
      this.at = head.length;
    }

    void read(long offset, byte[] into, int length) throws IOException {
      long from = start + offset;
      int filled = 0;
      // The shorter header has voxels where the longer one still goes on.
      while (from < head.length && filled < length) {
        into[filled++] = head[(int) from++];
      }
      if (filled < length) {
        in.skipNBytes(from - at);
        if (in.readNBytes(into, filled, length - filled) < length - filled) {
          throw new EOFException();
        }
        at = from + length - filled;
      }
    }
  }

  private static Raster slice(NiftiHeader header, Voxels voxels, ReadOptions options)
      throws IOException {
    SlicePlane plane = options.plane();
    int[] stored = header.storedAxes();
    int[] dims = header.dims();
    int width = dims[stored[plane.columns]];
    int height = dims[stored[plane.rows]];
    int slices = dims[stored[plane.slices]];
    if (options.page() >= (long) slices * header.volumes()) {
      throw new ImageException(
          "Slice %d of a NIfTI file that has %d, counted from 0"
              .formatted(options.page(), (long) slices * header.volumes()));
    }
    int channels = header.kind().channels;
    options.limits().check(width, height, channels);
    int volume = options.page() / slices;
    int slice = options.page() % slices;
    double[] values =
        values(header, voxels, plane, stored, new Place(volume, slice), width, height);
    return raster(header, values, width, height, plane, stored, slices, options);
  }

  /** Which slice of which volume. */
  private record Place(int volume, int slice) {}

  /** Whether the stored axis along a world axis runs against it. */
  private static boolean backwards(NiftiHeader header, int[] stored, int world) {
    return header.axes()[stored[world]][world] < 0;
  }

  /** The slice's stored values as it is seen, all of a channel before the next. */
  private static double[] values(
      NiftiHeader header,
      Voxels voxels,
      SlicePlane plane,
      int[] stored,
      Place place,
      int width,
      int height)
      throws IOException {
    int[] dims = header.dims();
    long[] strides = {1, dims[0], (long) dims[0] * dims[1]};
    int slices = dims[stored[plane.slices]];
    int at = backwards(header, stored, plane.slices) ? slices - 1 - place.slice() : place.slice();
    long base = (long) place.volume() * strides[2] * dims[2] + at * strides[stored[plane.slices]];
    long strideX = strides[stored[plane.columns]];
    long strideY = strides[stored[plane.rows]];
    boolean flipX = backwards(header, stored, plane.columns) != plane.fromEndX;
    boolean flipY = backwards(header, stored, plane.rows) != plane.fromEndY;
    // The file is read from front to back, so the outer loop is along the slower axis.
    boolean rowsOuter = strideY >= strideX;
    int outer = rowsOuter ? height : width;
    int inner = rowsOuter ? width : height;
    long outerStride = rowsOuter ? strideY : strideX;
    long innerStride = rowsOuter ? strideX : strideY;
    NiftiHeader.Kind kind = header.kind();
    long stretch = ((inner - 1) * innerStride + 1) * kind.bytes();
    boolean atOnce = stretch <= MOST_STRETCH;
    byte[] bytes = new byte[(int) (atOnce ? stretch : kind.bytes())];
    ByteBuffer numbers = ByteBuffer.wrap(bytes).order(header.order());
    double[] values = new double[kind.channels * width * height];
    for (int i = 0; i < outer; i++) {
      long first = base + i * outerStride;
      if (atOnce) {
        voxels.read(first * kind.bytes(), bytes, bytes.length);
      }
      for (int j = 0; j < inner; j++) {
        if (!atOnce) {
          voxels.read((first + j * innerStride) * kind.bytes(), bytes, bytes.length);
        }
        int from = atOnce ? (int) (j * innerStride * kind.bytes()) : 0;
        int x = rowsOuter ? j : i;
        int y = rowsOuter ? i : j;
        int to = (flipY ? height - 1 - y : y) * width + (flipX ? width - 1 - x : x);
        for (int c = 0; c < kind.channels; c++) {
          values[c * width * height + to] = kind.value(numbers, from + c * kind.size);
        }
      }
    }
    return values;
  }

  private static Raster raster(
      NiftiHeader header,
      double[] values,
      int width,
      int height,
      SlicePlane plane,
      int[] stored,
      int slices,
      ReadOptions options) {
    NiftiHeader.Kind kind = header.kind();
    boolean color = kind.channels > 1;
    boolean scaled = !color && (header.slope() != 1 || header.intercept() != 0);
    for (int i = 0; i < values.length; i++) {
      double value = scaled ? values[i] * header.slope() + header.intercept() : values[i];
      values[i] = options.finite(value, "NIfTI");
    }
    SampleType type =
        scaled
            ? SampleType.FLOAT32
            : switch (kind) {
              case UINT8, RGB, RGBA -> SampleType.UINT8;
              case INT16, INT8 -> SampleType.INT16;
              case UINT16 -> SampleType.UINT16;
              default -> SampleType.FLOAT32;
            };
    SortedMap<String, String> texts = new TreeMap<>();
    boolean own = color || options.rangeGiven();
    ValueRange range = own ? type.fullRange() : range(header, values, type, texts);
    float[] data = new float[values.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) range.unit(values[i]);
    }
    texts.put(
        "Slice",
        "%d of %d, %s%s"
            .formatted(
                options.page() % slices + 1,
                slices,
                plane.name().toLowerCase(Locale.ROOT),
                header.placed() ? "" : ", orientation not given"));
    if (header.volumes() > 1) {
      texts.put("Volume", "%d of %d".formatted(options.page() / slices + 1, header.volumes()));
    }
    ImageMetadata metadata = ImageMetadata.NONE.withTexts(texts);
    double x = header.length(stored[plane.columns]);
    double y = header.length(stored[plane.rows]);
    if (header.millimetres() && x > 0 && y > 0) {
      metadata = metadata.withSpacing(new PixelSpacing(x, y));
    }
    SortedMap<Integer, String> attributes = new TreeMap<>();
    double thickness = header.length(stored[plane.slices]);
    if (header.millimetres() && thickness > 0) {
      attributes.put(0x00180050, DicomElements.decimal(thickness));
    }
    metadata =
        metadata.withMedical(
            new MedicalSource(
                place(header, plane, stored, options.page() % slices), attributes, false));
    Bands bands = color ? Bands.ofPicture(kind.channels) : Bands.GRAY;
    return new Raster(
        kind.channels, height, width, data, new PixelFormat(bands, type, range), metadata);
  }

  /** Where a slice lies, if the header says it. */
  private static Optional<SlicePlace> place(
      NiftiHeader header, SlicePlane plane, int[] stored, int slice) {
    if (!header.placed() || !header.millimetres()) {
      return Optional.empty();
    }
    double[] position = header.origin().clone();
    double[][] directions = new double[3][];
    int[] worlds = {plane.columns, plane.rows, plane.slices};
    boolean[] fromEnd = {plane.fromEndX, plane.fromEndY, false};
    for (int i = 0; i < 3; i++) {
      double[] axis = header.axes()[stored[worlds[i]]];
      int last = header.dims()[stored[worlds[i]]] - 1;
      boolean flip = backwards(header, stored, worlds[i]) != fromEnd[i];
      int steps = i < 2 ? flip ? last : 0 : flip ? last - slice : slice;
      double length = header.length(stored[worlds[i]]);
      if (!(length > 0)) {
        return Optional.empty();
      }
      directions[i] = new double[3];
      for (int k = 0; k < 3; k++) {
        position[k] += steps * axis[k];
        directions[i][k] = (flip ? -1 : 1) * axis[k] / length;
      }
    }
    return Optional.of(
        new SlicePlace(inPatient(position), inPatient(directions[0]), inPatient(directions[1])));
  }

  /** NIfTI counts to the right and the front, DICOM to the left and the back. */
  private static SlicePlace.Vector inPatient(double[] vector) {
    return new SlicePlace.Vector(0.0 - vector[0], 0.0 - vector[1], vector[2]);
  }

  private static ValueRange range(
      NiftiHeader header, double[] values, SampleType type, SortedMap<String, String> texts) {
    double low = header.calMin();
    double high = header.calMax();
    String source = "cal_min and cal_max of the header";
    if (!(low < high) || !Double.isFinite(low) || !Double.isFinite(high)) {
      if (type == SampleType.UINT8) {
        return type.fullRange();
      }
      double[] sorted = values.clone();
      Arrays.sort(sorted);
      low = sorted[(int) Math.round(0.01 * (sorted.length - 1))];
      high = sorted[(int) Math.round(0.99 * (sorted.length - 1))];
      source = "1st and 99th percentile of the slice";
      if (low == high) {
        low = sorted[0];
        high = sorted[sorted.length - 1];
        source = "least and largest value of the slice";
      }
      if (low == high) {
        high = low + Math.max(1, Math.ulp(low));
        source = "all values of the slice are the same";
      }
    }
    texts.put("Window", "%s to %s (%s)".formatted(low, high, source));
    return new ValueRange(low, high);
  }

  @Override
  public byte[] write(Raster image) {
    return NiftiWriter.write(image);
  }
}
