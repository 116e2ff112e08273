/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Tensors of a store under other names: whole, a range of their rows, or a matrix transposed.
 * Nothing is copied but what is transposed, when it is read. Closing it closes the store.
 */
final class MappedTensors implements TensorStore {

  /**
   * Where a tensor comes from.
   *
   * @param info as it is shown
   * @param original its tensor in the store
   * @param firstElement where it begins there
   * @param transposed whether rows and columns are exchanged
   */
  private record Origin(TensorInfo info, String original, long firstElement, boolean transposed) {}

  private final TensorStore store;
  private final String source;
  private final Map<String, Origin> origins;

  private MappedTensors(TensorStore store, String source, Map<String, Origin> origins) {
    this.store = store;
    this.source = source;
    this.origins = origins;
  }

  static final class Builder {
    private final TensorStore store;
    private final Map<String, Origin> origins = new LinkedHashMap<>();

    Builder(TensorStore store) {
      this.store = store;
    }

    /** The whole tensor; a 1x1 convolution where a linear layer is wanted becomes that. */
    Builder add(String name, String original, boolean asLinear) {
      TensorInfo info = store.info(original);
      long[] shape = info.shape();
      for (int i = 2; asLinear && i < shape.length; i++) {
        if (shape[i] != 1) {
          throw unexpected(info, "[out, in], or with further dimensions of 1");
        }
      }
      long[] shown = asLinear && shape.length > 2 ? Arrays.copyOf(shape, 2) : shape;
      return put(new Origin(TensorInfo.of(name, info.dtype(), shown), original, 0, false));
    }

    /** The {@code part}-th of {@code parts} equal ranges of rows. */
    Builder addRows(String name, String original, int part, int parts) {
      TensorInfo info = store.info(original);
      long[] shape = info.shape();
      if (shape.length == 0 || shape[0] % parts != 0) {
        throw unexpected(info, "rows in " + parts + " equal parts");
      }
      shape[0] /= parts;
      TensorInfo shown = TensorInfo.of(name, info.dtype(), shape);
      return put(new Origin(shown, original, part * shown.elements(), false));
    }

    Builder addTransposed(String name, String original) {
      TensorInfo info = store.info(original);
      long[] shape = info.shape();
      if (shape.length != 2) {
        throw unexpected(info, "a matrix");
      }
      TensorInfo shown = TensorInfo.of(name, info.dtype(), shape[1], shape[0]);
      return put(new Origin(shown, original, 0, true));
    }

    private Builder put(Origin origin) {
      Origin other = origins.put(origin.info.name(), origin);
      if (other != null) {
        throw new WeightsException(
            "Weights %s: tensors '%s' and '%s' would both be '%s'"
                .formatted(store.source(), other.original, origin.original, origin.info.name()));
      }
      return this;
    }

    private WeightsException unexpected(TensorInfo info, String expected) {
      return new WeightsException(
          "Weights %s: tensor '%s' has shape %s; expected %s"
              .formatted(store.source(), info.name(), Arrays.toString(info.shape()), expected));
    }

    /**
     * @param part of the file that these are, for messages
     */
    MappedTensors build(String part) {
      return new MappedTensors(
          store, store.source() + " [" + part + "]", Collections.unmodifiableMap(origins));
    }
  }

  @Override
  public Set<String> names() {
    return origins.keySet();
  }

  @Override
  public TensorInfo info(String name) {
    return origin(name).info;
  }

  @Override
  public List<ByteBuffer> data(String name) {
    Origin origin = origin(name);
    List<ByteBuffer> whole = store.data(origin.original);
    return origin.transposed
        ? List.of(transpose(origin.info, whole))
        : range(whole, origin.firstElement * origin.info.dtype().bytes(), origin.info.byteLength());
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    Origin origin = origin(name);
    return origin.transposed
        ? Optional.empty()
        : store
            .place(origin.original)
            .map(
                whole ->
                    new TensorPlace(
                        whole.file(),
                        whole.offset() + origin.firstElement * whole.dtype().bytes(),
                        whole.dtype()));
  }

  private static List<ByteBuffer> range(List<ByteBuffer> parts, long begin, long length) {
    List<ByteBuffer> range = new ArrayList<>(parts.size());
    long at = 0;
    for (ByteBuffer part : parts) {
      long from = Math.max(begin, at);
      long to = Math.min(begin + length, at + part.remaining());
      if (from < to) {
        range.add(
            part.slice(part.position() + (int) (from - at), (int) (to - from))
                .order(ByteOrder.LITTLE_ENDIAN));
      }
      at += part.remaining();
    }
    return range;
  }

  private static ByteBuffer transpose(TensorInfo shown, List<ByteBuffer> parts) {
    if (shown.byteLength() > Integer.MAX_VALUE - 8) {
      throw new WeightsException("Tensor %s is transposed and larger than 2 GiB".formatted(shown));
    }
    int bytes = shown.dtype().bytes();
    int rows = (int) shown.shape()[0];
    int columns = (int) shown.shape()[1];
    byte[] to = new byte[(int) shown.byteLength()];
    long element = 0;
    for (ByteBuffer part : parts) {
      while (part.hasRemaining()) {
        // The stored matrix is columns x rows.
        int row = (int) (element % rows);
        int column = (int) (element / rows);
        part.get(to, (row * columns + column) * bytes, bytes);
        element++;
      }
    }
    return ByteBuffer.wrap(to).asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  private Origin origin(String name) {
    Origin origin = origins.get(name);
    if (origin == null) {
      throw TensorReads.noSuchTensor(source, name, names());
    }
    return origin;
  }

  @Override
  public void requireUnchanged() {
    store.requireUnchanged();
  }

  @Override
  public boolean isKnownFinite(String name) {
    return store.isKnownFinite(origin(name).original);
  }

  @Override
  public String source() {
    return source;
  }

  @Override
  public String digest() {
    Sha256 sha256 = new Sha256().add(store.digest());
    origins
        .values()
        .forEach(
            origin ->
                sha256
                    .add(origin.info)
                    .add(origin.original)
                    .add(origin.firstElement + (origin.transposed ? " transposed" : "")));
    return sha256.hex();
  }

  @Override
  public void close() {
    store.close();
  }
}
