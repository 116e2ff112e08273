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
 * Tensors of a store under other names: whole, a range of their rows, a matrix transposed, or with
 * the halves of the rows exchanged. Nothing is copied but what is transposed, when it is read.
 * Closing it closes the store.
 */
final class MappedTensors implements TensorStore {

  /**
   * Where a tensor comes from.
   *
   * @param info as it is shown
   * @param original its tensor in the store
   * @param firstElement where it begins there
   * @param order how the elements follow each other
   */
  private record Origin(TensorInfo info, String original, long firstElement, Order order) {}

  private enum Order {
    /** As in the store. */
    KEPT(""),
    /** Rows and columns are exchanged. */
    TRANSPOSED(" transposed"),
    /** The second half of the rows comes first. */
    HALVES_EXCHANGED(" halves exchanged"),
    /** A matrix of ones and zeros, of the type of the store's tensor. */
    IDENTITY(" identity");

    /** Part of digests. */
    private final String mark;

    Order(String mark) {
      this.mark = mark;
    }
  }

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
      return put(new Origin(TensorInfo.of(name, info.dtype(), shown), original, 0, Order.KEPT));
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
      return put(new Origin(shown, original, part * shown.elements(), Order.KEPT));
    }

    Builder addTransposed(String name, String original) {
      TensorInfo info = store.info(original);
      long[] shape = info.shape();
      if (shape.length != 2) {
        throw unexpected(info, "a matrix");
      }
      TensorInfo shown = TensorInfo.of(name, info.dtype(), shape[1], shape[0]);
      return put(new Origin(shown, original, 0, Order.TRANSPOSED));
    }

    /** A range of rows. */
    Builder addRowRange(String name, String original, long firstRow, long rows) {
      TensorInfo info = store.info(original);
      long[] shape = info.shape();
      if (shape.length == 0 || firstRow < 0 || rows < 0 || firstRow + rows > shape[0]) {
        throw unexpected(info, "at least %d rows".formatted(firstRow + rows));
      }
      shape[0] = rows;
      TensorInfo shown = TensorInfo.of(name, info.dtype(), shape);
      long rowElements = rows == 0 ? 0 : shown.elements() / rows;
      return put(new Origin(shown, original, firstRow * rowElements, Order.KEPT));
    }

    /** The whole tensor, of whose two halves of rows the second one comes first. */
    Builder addExchanged(String name, String original) {
      TensorInfo info = store.info(original);
      long[] shape = info.shape();
      if (shape.length == 0 || shape[0] % 2 != 0) {
        throw unexpected(info, "rows in 2 equal parts");
      }
      TensorInfo shown = TensorInfo.of(name, info.dtype(), shape);
      return put(new Origin(shown, original, 0, Order.HALVES_EXCHANGED));
    }

    /** An identity matrix in a tensor's type. */
    Builder addIdentity(String name, String like, int size) {
      DType dtype = store.info(like).dtype();
      TensorInfo shown =
          TensorInfo.of(name, dtype.isEightBitFloating() ? DType.F32 : dtype, size, size);
      return put(new Origin(shown, like, 0, Order.IDENTITY));
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

    TensorStore store() {
      return store;
    }

    /** Which rows of matrices the added tensors are. */
    List<OriginalLayers.Part> parts() {
      return origins.values().stream()
          .map(
              origin -> {
                long columns = origin.info.shape()[1];
                long rows = origin.info.shape()[0];
                return new OriginalLayers.Part(
                    origin.info.name(),
                    origin.order == Order.HALVES_EXCHANGED
                        ? rows / 2
                        : origin.firstElement / columns);
              })
          .toList();
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
    return data(name, 0, info(name).elements());
  }

  @Override
  public List<ByteBuffer> data(String name, long first, long elements) {
    Origin origin = origin(name);
    return switch (origin.order) {
      case KEPT -> store.data(origin.original, origin.firstElement + first, elements);
      case TRANSPOSED -> {
        int bytes = origin.info.dtype().bytes();
        yield TensorReads.range(
            List.of(transpose(origin.info, store.data(origin.original))),
            first * bytes,
            elements * bytes);
      }
      case IDENTITY -> TensorReads.identity(origin.info, first, elements);
      case HALVES_EXCHANGED -> {
        long half = origin.info.elements() / 2;
        long ofFirst = Math.max(0, Math.min(half - first, elements));
        List<ByteBuffer> both = new ArrayList<>();
        if (ofFirst > 0) {
          both.addAll(store.data(origin.original, half + first, ofFirst));
        }
        if (ofFirst < elements) {
          both.addAll(store.data(origin.original, first + ofFirst - half, elements - ofFirst));
        }
        yield both;
      }
    };
  }

  @Override
  public Optional<TensorPlace> place(String name) {
    Origin origin = origin(name);
    return origin.order != Order.KEPT
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
                    .add(origin.firstElement + origin.order.mark));
    return sha256.hex();
  }

  @Override
  public void close() {
    store.close();
  }
}
