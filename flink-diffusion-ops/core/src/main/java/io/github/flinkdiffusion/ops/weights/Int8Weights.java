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
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;

/**
 * A network's weights with those of linear layers and convolutions in int8: {@code X.weight} as
 * int8, and {@code X.weight_scale} in float32, one for each row (output channel), by which the row
 * is multiplied. Symmetric: the greatest magnitude of a row is 127. Computed when they are read, a
 * tensor at a time.
 *
 * <p>Embeddings, norms and biases stay as they are, and so do layers of less than {@link #LEAST}
 * elements, whose memory is nothing.
 */
@Internal
public final class Int8Weights implements TensorStore {
  /** What the name of a weight's scales ends in. */
  public static final String SCALE = "_scale";

  private static final String WEIGHT = ".weight";

  /** Elements of a layer below which it stays as it is. */
  private static final long LEAST = 4096;

  private static final int GREATEST = 127;

  private final TensorStore store;
  private final Set<String> names;

  /** Scales' names, by their weights'. */
  private final Map<String, String> scales;

  /**
   * @param store of floating-point weights; closed with this
   * @throws WeightsException if it has int8 weights already
   */
  public Int8Weights(TensorStore store) {
    this.store = store;
    Set<String> all = new TreeSet<>(store.names());
    Map<String, String> found = new LinkedHashMap<>();
    for (String name : store.names()) {
      if (store.info(name).dtype() == DType.I8) {
        throw new WeightsException(
            "Weights %s: tensor '%s' is int8 already".formatted(store.source(), name));
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

  /** Whether a tensor holds the scales of another one's rows, which is int8. */
  static boolean isScaleOf(TensorStore store, String weight, String scale) {
    if (!store.contains(weight) || !scale.equals(weight + SCALE)) {
      return false;
    }
    TensorInfo of = store.info(weight);
    TensorInfo by = store.info(scale);
    return of.dtype() == DType.I8
        && of.shape().length > 0
        && by.dtype().isFloating()
        && by.shape().length == 1
        && by.shape()[0] == of.shape()[0];
  }

  @Override
  public Set<String> names() {
    return names;
  }

  @Override
  public TensorInfo info(String name) {
    if (scales.containsKey(name)) {
      return TensorInfo.of(name, DType.I8, store.info(name).shape());
    }
    return scales.containsValue(name)
        ? TensorInfo.of(name, DType.F32, store.info(weight(name)).shape()[0])
        : store.info(name);
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
    ByteBuffer computed =
        ByteBuffer.allocate(isScale ? rows * Float.BYTES : values.length)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < rows; row++) {
      float scale = scale(weight, values, row * columns, columns);
      if (isScale) {
        computed.putFloat(scale);
      } else {
        for (int i = row * columns; i < (row + 1) * columns; i++) {
          computed.put((byte) Math.round(values[i] / scale));
        }
      }
    }
    return List.of(computed.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN));
  }

  private float scale(String weight, float[] values, int from, int columns) {
    float greatest = 0;
    for (int i = from; i < from + columns; i++) {
      if (!Float.isFinite(values[i])) {
        throw new WeightsException(
            "Weights %s: tensor '%s' has an element that is not finite"
                .formatted(source(), weight));
      }
      greatest = Math.max(greatest, Math.abs(values[i]));
    }
    return greatest == 0 ? 1 : greatest / GREATEST;
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
    return new Sha256().add("int8").add(store.digest()).hex();
  }

  @Override
  public void close() {
    store.close();
  }
}
