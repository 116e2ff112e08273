/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.util.Arrays;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.Test;

/** What a DICOM file may make a process read and hold. */
class DicomMemoryTest {
  private static final int FRAMES = 500;
  private static final int SIDE = 128;

  /** Counts what is read of a file. */
  private static final class Counting implements SeekableByteChannel {
    private final ByteArrayChannel file;
    private long read;

    Counting(byte[] file) {
      this.file = new ByteArrayChannel(file);
    }

    @Override
    public int read(ByteBuffer target) {
      int length = file.read(target);
      read += Math.max(0, length);
      return length;
    }

    @Override
    public int write(ByteBuffer source) {
      throw new UnsupportedOperationException();
    }

    @Override
    public long position() {
      return file.position();
    }

    @Override
    public SeekableByteChannel position(long position) {
      file.position(position);
      return this;
    }

    @Override
    public long size() {
      return file.size();
    }

    @Override
    public SeekableByteChannel truncate(long size) {
      throw new UnsupportedOperationException();
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  private static DicomElements elements(int side, int frames) {
    return new DicomElements()
        .shorts(DicomTag.SAMPLES, "US", 1)
        .text(DicomTag.PHOTOMETRIC, "CS", "MONOCHROME2")
        .text(DicomTag.FRAMES, "IS", Integer.toString(frames))
        .shorts(DicomTag.ROWS, "US", side)
        .shorts(DicomTag.COLUMNS, "US", side)
        .shorts(DicomTag.BITS_ALLOCATED, "US", 16)
        .shorts(DicomTag.BITS_STORED, "US", 12)
        .shorts(DicomTag.HIGH_BIT, "US", 11)
        .shorts(DicomTag.SIGNED, "US", 0);
  }

  @Test
  void oneOfFiveHundredFramesIsReadWithoutTheOthers() {
    int frame = SIDE * SIDE * 2;
    byte[] pixels = new byte[FRAMES * frame];
    ByteBuffer words = ByteBuffer.wrap(pixels).order(ByteOrder.LITTLE_ENDIAN);
    for (int f = 0; f < FRAMES; f++) {
      words.putShort(f * frame, (short) f);
    }
    byte[] file = elements(SIDE, FRAMES).bytes(DicomTag.PIXELS, "OW", pixels).file("1.2", "1.3");
    for (int page : new int[] {0, 250, 499}) {
      Counting channel = new Counting(file);
      Raster image = new DicomCodec().read(channel, ReadOptions.DEFAULT.withPage(page));
      assertThat(image.format().sample(image.data()[0])).isEqualTo(page);
      assertThat(channel.read).isLessThan(2L * frame);
    }
  }

  @Test
  void aFrameOfBillionsOfPixelsIsRefusedByItsHeader() {
    byte[] file = elements(60_000, 1).bytes(DicomTag.PIXELS, "OW", new byte[2]).file("1.2", "1.3");
    assertThatThrownBy(() -> Images.read(file, ReadOptions.DEFAULT))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("60000 x 60000 pixels");
    assertThat(DecodedSize.of(file, file.length, ImageLimits.DEFAULT).peakBytes())
        .as("so that whoever reserves memory refuses it, too")
        .isGreaterThan(60_000L * 60_000);
  }

  @Test
  void aDeflatedFileIsInflatedUpToALimit() throws Exception {
    byte[] meta = DicomCasesTest.fixture("deflated-u12.dcm");
    int head = (int) DicomDataSet.fileMeta(DicomSource.of(meta), 132).end();
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    file.write(Arrays.copyOf(meta, head));
    try (DeflaterOutputStream deflated =
        new DeflaterOutputStream(file, new Deflater(Deflater.BEST_COMPRESSION, true))) {
      byte[] zeros = new byte[1 << 20];
      for (int i = 0; i < 64; i++) {
        deflated.write(zeros);
      }
    }
    assertThat(file.size()).isLessThan(100_000);
    ImageLimits limits = new ImageLimits(1024, 1 << 20, 4, 32 << 20);
    assertThatThrownBy(
            () -> Images.read(file.toByteArray(), ReadOptions.DEFAULT.withLimits(limits)))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("becomes more than 8388608 bytes");
  }
}
