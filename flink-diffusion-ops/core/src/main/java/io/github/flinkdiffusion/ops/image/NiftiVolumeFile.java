/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * Writes the slices of a volume into one NIfTI-1 file, one after the other, so that memory is that
 * of a slice. All have one size and type; each lies as far from the one before.
 */
@Internal
public final class NiftiVolumeFile implements AutoCloseable {
  private static final int MOST_SLICES = Short.MAX_VALUE;

  private final Path file;
  private final int slices;
  private final SeekableByteChannel out;
  private final List<SlicePlace> places = new ArrayList<>();
  private int appended;

  /** Of the first slice; null before. */
  private PixelFormat format;

  private ImageMetadata metadata;
  private int width;
  private int height;

  /**
   * @param file to write
   * @param slices that will be appended
   */
  public NiftiVolumeFile(Path file, int slices) {
    if (slices > MOST_SLICES) {
      throw new ImageException(
          "%d slices are too many for a NIfTI-1 file, which has at most %d"
              .formatted(slices, MOST_SLICES));
    }
    this.file = file;
    this.slices = slices;
    try {
      this.out =
          Files.newByteChannel(
              file,
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE,
              StandardOpenOption.TRUNCATE_EXISTING);
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  /**
   * The next slice.
   *
   * @throws ImageException if its size or type is another one than the first slice's
   */
  public void append(Raster slice) {
    NiftiWriter.requirePossible(slice);
    if (format == null) {
      format = slice.format();
      metadata = slice.metadata();
      width = slice.width();
      height = slice.height();
      write(ByteBuffer.allocate(head(Optional.empty()).length));
    }
    if (slice.width() != width
        || slice.height() != height
        || slice.format().type() != format.type()
        || slice.format().bands() != format.bands()) {
      throw new ImageException(
          "Slice %d is %s of %s; slice 0 of the volume is %d x %d pixels of %s"
              .formatted(appended, slice, slice.format().type(), width, height, format.type()));
    }
    ByteBuffer values =
        ByteBuffer.allocate(NiftiWriter.bytes(slice)).order(ByteOrder.LITTLE_ENDIAN);
    NiftiWriter.put(slice, values);
    write(values.flip());
    slice.metadata().medical().flatMap(MedicalSource::place).ifPresent(places::add);
    appended++;
  }

  /**
   * Writes the header, when all slices are there.
   *
   * @throws ImageException if they are no volume: not parallel, or not at equal distances
   */
  public void finish() {
    if (appended != slices) {
      throw new IllegalStateException(appended + " slices of " + slices);
    }
    if (!places.isEmpty() && places.size() < slices) {
      throw new ImageException(
          "%d of %d slices say where they lie; in a volume all do or none"
              .formatted(places.size(), slices));
    }
    List<String> faults =
        SliceOrder.faults(
            places, IntStream.range(0, places.size()).mapToObj(i -> "slice " + i).toList());
    if (!faults.isEmpty()) {
      throw new ImageException(
          ("The slices do not form a volume: %s. Send a request for each, or name a range that is"
                  + " one")
              .formatted(faults.get(0)));
    }
    try {
      out.position(0);
      write(
          ByteBuffer.wrap(
              head(places.size() > 1 ? Optional.of(SliceOrder.step(places)) : Optional.empty())));
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  private byte[] head(Optional<SlicePlace.Vector> step) {
    return NiftiWriter.head(width, height, format, metadata, new NiftiWriter.Stack(slices, step));
  }

  private void write(ByteBuffer bytes) {
    try {
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  private ImageException unwritable(IOException e) {
    return new ImageException("Cannot write the NIfTI file " + file + ": " + e, e);
  }

  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      throw unwritable(e);
    }
  }
}
