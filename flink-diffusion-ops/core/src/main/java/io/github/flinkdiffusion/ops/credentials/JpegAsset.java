/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.AssetBytes.Range;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * JPEG: segments APP11 (ISO 19566-5), after the segments APP0. Each repeats the length and type of
 * the box that they are parts of.
 */
final class JpegAsset implements AssetFormat {
  private static final int START = 2;
  private static final int APP0 = 0xe0;
  private static final int APP11 = 0xeb;
  private static final int START_OF_SCAN = 0xda;
  private static final int END_OF_IMAGE = 0xd9;
  private static final int MOST_IN_A_SEGMENT = 64_000;

  /** Marker, length, 'JP', number of the box, number of the segment. */
  private static final int HEAD = 12;

  private static final int BOX_HEAD = 8;
  private static final short EXTENSION = 0x4a50;
  private static final short BOX_NUMBER = 0x0211;
  private static final int STORE = 0x63327061;

  /** A segment with a length, in front of the first scan. */
  private record Segment(int marker, long at, int length) {
    long end() {
      return at + 2 + length;
    }
  }

  @Override
  public String mediaType() {
    return "image/jpeg";
  }

  @Override
  public Optional<Found> find(AssetBytes file) throws IOException {
    ByteArrayOutputStream store = new ByteArrayOutputStream();
    List<Range> where = new ArrayList<>();
    int number = -1;
    for (Segment segment : segments(file)) {
      if (segment.marker() != APP11 || segment.length() < 2 + 16) {
        continue;
      }
      byte[] bytes = file.bytes(segment.at() + 4, segment.length() - 2);
      ByteBuffer head = ByteBuffer.wrap(bytes);
      boolean continues = number >= 0 && head.getShort(2) == (short) number;
      if (!continues && (bytes.length <= 28 || head.getInt(24) != STORE)) {
        continue;
      }
      if (!continues && number >= 0) {
        throw new CredentialsException("The file has more than one manifest store");
      }
      if (continues && head.getInt(4) != where.size() + 1) {
        throw new CredentialsException(
            "Segment %d of the manifest store is number %d"
                .formatted(where.size() + 1, head.getInt(4)));
      }
      number = head.getShort(2) & 0xffff;
      int from = continues ? 16 : 8;
      store.write(bytes, from, bytes.length - from);
      where.add(new Range(segment.at(), segment.end() - segment.at()));
    }
    return number < 0 ? Optional.empty() : Optional.of(new Found(store.toByteArray(), where));
  }

  @Override
  public Embedding embed(AssetBytes file, byte[] store) throws IOException {
    long at = START;
    for (Segment segment : segments(file)) {
      if (segment.marker() == APP0) {
        at = segment.end();
      }
    }
    ByteArrayOutputStream segments = new ByteArrayOutputStream();
    int number = 1;
    for (int from = 0; from < store.length; from += MOST_IN_A_SEGMENT, number++) {
      int to = Math.min(store.length, from + MOST_IN_A_SEGMENT);
      int repeated = from == 0 ? 0 : BOX_HEAD;
      segments.writeBytes(
          ByteBuffer.allocate(HEAD + repeated + to - from)
              .putShort((short) (0xff00 | APP11))
              .putShort((short) (HEAD - 2 + repeated + to - from))
              .putShort(EXTENSION)
              .putShort(BOX_NUMBER)
              .putInt(number)
              .put(Arrays.copyOf(store, repeated))
              .put(store, from, to - from)
              .array());
    }
    return new Embedding(
        List.of(new Edit(at, 0, segments.toByteArray())), new Range(at, segments.size()));
  }

  private static List<Segment> segments(AssetBytes file) throws IOException {
    List<Segment> segments = new ArrayList<>();
    long at = START;
    while (true) {
      ByteBuffer head = file.buffer(at, 4, ByteOrder.BIG_ENDIAN);
      int marker = head.get(1) & 0xff;
      if (head.get(0) != (byte) 0xff) {
        throw new CredentialsException("The JPEG file has no marker at byte " + at);
      }
      if (marker == 0xff) {
        at++;
        continue;
      }
      if (marker == START_OF_SCAN || marker == END_OF_IMAGE) {
        return segments;
      }
      Segment segment = new Segment(marker, at, head.getShort(2) & 0xffff);
      segments.add(segment);
      at = segment.end();
    }
  }
}
