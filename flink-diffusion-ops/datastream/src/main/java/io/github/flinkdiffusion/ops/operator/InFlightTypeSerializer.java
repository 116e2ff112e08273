/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.ByteArrayOutputStream;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * Lets Flink hold {@link InFlight} as objects and write them in a checkpoint's asynchronous part,
 * while the task works. They are immutable, so nothing is copied before.
 *
 * <p>An item's bytes, {@link InFlightSerializer}'s, come in pieces: (int length, bytes) as often as
 * necessary, then int 0. So neither side has to know how long an item is, and damaged bytes do not
 * allocate the heap.
 */
final class InFlightTypeSerializer extends TypeSerializerSingleton<InFlight> {
  private static final long serialVersionUID = 1L;

  static final InFlightTypeSerializer INSTANCE = new InFlightTypeSerializer();

  private static final int PIECE = 64 << 10;

  private InFlightTypeSerializer() {}

  @Override
  public boolean isImmutableType() {
    return true;
  }

  @Override
  public InFlight createInstance() {
    return null;
  }

  @Override
  public InFlight copy(InFlight from) {
    return from;
  }

  @Override
  public InFlight copy(InFlight from, InFlight reuse) {
    return from;
  }

  @Override
  public int getLength() {
    return -1;
  }

  @Override
  public void serialize(InFlight item, DataOutputView target) throws IOException {
    try (DataOutputStream out = new DataOutputStream(new Pieces(target))) {
      InFlightSerializer.write(item, out);
    }
  }

  @Override
  public InFlight deserialize(DataInputView source) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int length = length(source); length > 0; length = length(source)) {
      byte[] piece = new byte[length];
      source.readFully(piece);
      bytes.write(piece);
    }
    return InFlightSerializer.deserialize(bytes.toByteArray());
  }

  @Override
  public InFlight deserialize(InFlight reuse, DataInputView source) throws IOException {
    return deserialize(source);
  }

  @Override
  public void copy(DataInputView source, DataOutputView target) throws IOException {
    int length;
    do {
      length = length(source);
      byte[] piece = new byte[length];
      source.readFully(piece);
      target.writeInt(length);
      target.write(piece);
    } while (length > 0);
  }

  private static int length(DataInput source) throws IOException {
    int length = source.readInt();
    if (length < 0 || length > PIECE) {
      throw new DiffusionException(
          "A request in the restored state cannot be read: a piece of it has %d bytes, 0 to %d are possible."
              .formatted(length, PIECE));
    }
    return length;
  }

  @Override
  public InFlightTypeSerializerSnapshot snapshotConfiguration() {
    return new InFlightTypeSerializerSnapshot();
  }

  /** Names this serializer in savepoints; what an item's bytes mean says their own version. */
  public static final class InFlightTypeSerializerSnapshot
      extends SimpleTypeSerializerSnapshot<InFlight> {
    public InFlightTypeSerializerSnapshot() {
      super(() -> INSTANCE);
    }
  }

  /** Cuts what is written into pieces; closing it writes the end, and leaves the target open. */
  private static final class Pieces extends OutputStream {
    private final DataOutput target;
    private final byte[] piece = new byte[PIECE];
    private int filled;
    private boolean closed;

    Pieces(DataOutput target) {
      this.target = target;
    }

    @Override
    public void write(int b) throws IOException {
      if (filled == PIECE) {
        writePiece();
      }
      piece[filled++] = (byte) b;
    }

    @Override
    public void write(byte[] bytes, int offset, int count) throws IOException {
      int at = offset;
      for (int left = count; left > 0; ) {
        if (filled == PIECE) {
          writePiece();
        }
        int now = Math.min(left, PIECE - filled);
        System.arraycopy(bytes, at, piece, filled, now);
        filled += now;
        at += now;
        left -= now;
      }
    }

    private void writePiece() throws IOException {
      target.writeInt(filled);
      target.write(piece, 0, filled);
      filled = 0;
    }

    @Override
    public void close() throws IOException {
      if (closed) {
        return;
      }
      closed = true;
      if (filled > 0) {
        writePiece();
      }
      target.writeInt(0);
    }
  }
}
