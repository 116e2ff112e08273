/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;

/**
 * A network's weights with those of linear layers and convolutions in 8 or 4 bits: {@code
 * X.weight}, and {@code X.weight_scale} in float32, by which it is multiplied. Symmetric. Computed
 * when they are read, a tensor at a time.
 *
 * <p>Embeddings, norms and biases stay as they are, and so do layers of less than {@link #LEAST}
 * elements, whose memory is nothing.
 */
@Internal
public final class QuantizedWeights implements TensorStore {
  /** How a layer is stored. */
  public enum Kind {
    /** A whole number of int8 and a scale a row (output channel); the greatest magnitude is 127. */
    INT8(127),
    /**
     * Two elements a byte, the first in the lower half, each 8 more than the number that its
     * group's scale is multiplied by: {@code U8 [O, 16 G]} and {@code F32 [O, G]}, where a row of
     * the flattened weight is in G groups of {@link #GROUP}, the last filled up with zeros.
     */
    INT4(7);

    private final int greatest;

    Kind(int greatest) {
      this.greatest = greatest;
    }

    /** What a layer's type says. */
    static Optional<Kind> of(TensorInfo weight, TensorInfo scale) {
      if (weight.dtype() == DType.I8 && scale.shape().length == 1) {
        return Optional.of(INT8);
      }
      boolean groups =
          weight.dtype() == DType.U8
              && weight.shape().length == 2
              && scale.shape().length == 2
              && weight.shape()[1] == scale.shape()[1] * (GROUP / 2);
      return groups ? Optional.of(INT4) : Optional.empty();
    }
  }

  /** What the name of a weight's scales ends in. */
  public static final String SCALE = "_scale";

  /** Elements of a row that have a scale in common, with {@link Kind#INT4}. */
  public static final int GROUP = 32;

  private static final String WEIGHT = ".weight";

  /** Elements of a layer below which it stays as it is. */
  private static final long LEAST = 4096;

  private static final int ZERO = 8;

  private final TensorStore store;
  private final Kind kind;
  private final Set<String> names;

  /** Scales' names, by their weights'. */
  private final Map<String, String> scales;

  /**
   * @param store of floating-point weights; closed with this
   * @throws WeightsException if it has such weights already
   */
  public QuantizedWeights(TensorStore store, Kind kind) {
    this.store = store;
    this.kind = kind;
    Set<String> all = new TreeSet<>(store.names());
    Map<String, String> found = new LinkedHashMap<>();
    for (String name : store.names()) {
      Optional<Kind> already = kind(store, name);
      if (already.isPresent() || store.info(name).dtype() == DType.I8) {
        throw new WeightsException(
            "Weights %s: tensor '%s' is %s already"
                .formatted(
                    store.source(),
                    name,
                    already.orElse(Kind.INT8).name().toLowerCase(Locale.ROOT)));
      }
      if (isLayer(store.info(name))) {
        found.put(name, name + SCALE);
        all.add(name + SCALE);
      }
    }
    this.names = Collections.unmodifiableSet(all);
    this.scales = Collections.unmodifiableMap(found);
  }

  private static boolean isLayer(TensorInfo info) {
    int rank = info.shape().length;
    return info.dtype().isFloating()
        && (rank == 2 || rank == 4)
        && info.name().endsWith(WEIGHT)
        && !info.name().contains("embed")
        && info.elements() >= LEAST;
  }

  /** How a tensor is stored, if it is so with scales. */
  public static Optional<Kind> kind(TensorStore store, String weight) {
    if (!store.contains(weight) || !store.contains(weight + SCALE)) {
      return Optional.empty();
    }
    TensorInfo of = store.info(weight);
    TensorInfo by = store.info(weight + SCALE);
    return of.shape().length > 0
            && by.dtype().isFloating()
            && by.shape().length > 0
            && by.shape()[0] == of.shape()[0]
        ? Kind.of(of, by)
        : Optional.empty();
  }

  /** Groups of a row of so many elements. */
  public static long groups(long columns) {
    return (columns + GROUP - 1) / GROUP;
  }

  @Override
  public Set<String> names() {
    return names;
  }

  @Override
  public TensorInfo info(String name) {
    boolean isScale = scales.containsValue(name);
    if (!isScale && !scales.containsKey(name)) {
      return store.info(name);
    }
    TensorInfo weight = store.info(isScale ? weight(name) : name);
    long rows = weight.shape()[0];
    if (kind == Kind.INT8) {
      return isScale
          ? TensorInfo.of(name, DType.F32, rows)
          : TensorInfo.of(name, DType.I8, weight.shape());
    }
    long groups = groups(weight.elements() / rows);
    return isScale
        ? TensorInfo.of(name, DType.F32, rows, groups)
        : TensorInfo.of(name, DType.U8, rows, groups * (GROUP / 2));
  }

  private static String weight(String scale) {
    return scale.substring(0, scale.length() - SCALE.length());
  }

  @Override
  public List<ByteBuffer> data(String name) {
    boolean isScale = scales.containsValue(name);
    if (!isScale && !scales.containsKey(name)) {
      return store.data(name);
    }
    String weight = isScale ? weight(name) : name;
    float[] values = store.floats(weight);
    int rows = (int) store.info(weight).shape()[0];
    int columns = values.length / rows;
    int group = kind == Kind.INT8 ? columns : GROUP;
    ByteBuffer computed =
        ByteBuffer.allocate((int) info(name).byteLength()).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < rows; row++) {
      int end = (row + 1) * columns;
      for (int from = row * columns; from < end; from += group) {
        int to = Math.min(from + group, end);
        float scale = scale(weight, values, from, to);
        if (isScale) {
          computed.putFloat(scale);
        } else if (kind == Kind.INT8) {
          for (int i = from; i < to; i++) {
            computed.put((byte) Math.round(values[i] / scale));
          }
        } else {
          for (int i = from; i < from + GROUP; i += 2) {
            int first = i < to ? Math.round(values[i] / scale) : 0;
            int second = i + 1 < to ? Math.round(values[i + 1] / scale) : 0;
            computed.put((byte) (first + ZERO | second + ZERO << 4));
          }
        }
      }
    }
    return List.of(computed.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN));
  }

  private float scale(String weight, float[] values, int from, int to) {
    float greatest = 0;
    for (int i = from; i < to; i++) {
      if (!Float.isFinite(values[i])) {
        throw new WeightsException(
            "Weights %s: tensor '%s' has an element that is not finite"
                .formatted(source(), weight));
      }
      greatest = Math.max(greatest, Math.abs(values[i]));
    }
    return greatest == 0 ? 1 : greatest / kind.greatest;
  }

  @Override
  public void requireUnchanged() {
    store.requireUnchanged();
  }

  @Override
  public String source() {
    return store.source();
  }

  @Override
  public String digest() {
    return new Sha256().add(kind.name().toLowerCase(Locale.ROOT)).add(store.digest()).hex();
  }

  @Override
  public void close() {
    store.close();
  }
}
