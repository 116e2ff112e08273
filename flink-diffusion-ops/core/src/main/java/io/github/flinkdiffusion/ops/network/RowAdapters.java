/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.RowWise;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToIntFunction;
import org.apache.flink.annotation.Internal;

/**
 * Low-rank side paths of a network's layers (Hu et al. 2021) that each row of a call brings along:
 * {@code y + up (scale * (down x))}. So rows with different LoRAs share a call, and a row of zeros
 * is as without.
 *
 * <p>A row's factors of all layers are one table [rank, {@link #width}]: a line of it holds one
 * line of each layer's {@code down} and one column of each {@code up}. So the rank is the call's,
 * and not the graph's.
 */
@Internal
public final class RowAdapters {
  /**
   * A layer.
   *
   * @param at where its numbers begin in a line
   * @param in channels of its input
   * @param window elements of its kernel: 1 or 9
   * @param out channels of its output
   * @param gained whether a line also has a gain of each channel of the output
   */
  private record Layer(int at, int in, int window, int out, boolean gained) {
    int upAt() {
      return at + in * window;
    }

    int gainAt() {
      return upAt() + out;
    }

    int end() {
      return gainAt() + (gained ? out : 0);
    }
  }

  private static final String WEIGHT = ".weight";

  private final Map<String, Layer> layers;
  private final int width;

  private RowAdapters(Map<String, Layer> layers, int width) {
    this.layers = layers;
    this.width = width;
  }

  /**
   * Those of some layers.
   *
   * @param method of the network, of inputs that all have the call's rows
   * @param weights names of the layers' weights
   * @throws IllegalArgumentException naming a weight that is none of a linear layer, or of a
   *     convolution of 1 or 3 pixels that keeps the image's size or halves it
   */
  public static RowAdapters of(Method method, Set<String> weights) {
    return of(method, weights, Set.of());
  }

  /**
   * Those of some layers, of which some may also have another length of each row of their weights
   * (DoRA, Liu et al. 2024).
   *
   * @param gained of the weights
   */
  public static RowAdapters of(Method method, Set<String> weights, Set<String> gained) {
    Map<String, Value> found = new LinkedHashMap<>();
    collect(method, weights, found);
    Map<String, Layer> layers = new LinkedHashMap<>();
    int at = 0;
    for (String weight : new TreeSet<>(weights)) {
      long[] shape = method.graph().parameterShapes().get(weight);
      Value operation = found.get(weight);
      if (operation == null || !isSupported(operation, shape)) {
        throw new IllegalArgumentException(
            weight
                + " is not the weight of a linear layer, or of a convolution of 1x1 or 3x3 pixels"
                + " with stride 1 or 2");
      }
      int window = operation.op() == Op.LINEAR ? 1 : Math.toIntExact(shape[2] * shape[3]);
      Layer layer = new Layer(at, (int) shape[1], window, (int) shape[0], gained.contains(weight));
      layers.put(weight, layer);
      at = layer.end();
    }
    return new RowAdapters(layers, at);
  }

  private static void collect(Method method, Set<String> weights, Map<String, Value> found) {
    List<Value> pending = new ArrayList<>(method.results());
    Set<Value> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    while (!pending.isEmpty()) {
      Value value = pending.remove(pending.size() - 1);
      if (seen.add(value)) {
        weight(value).filter(weights::contains).ifPresent(weight -> found.put(weight, value));
        value.inputs().stream().filter(in -> in != null).forEach(pending::add);
      }
    }
  }

  private static Optional<String> weight(Value operation) {
    if (operation.op() != Op.LINEAR && operation.op() != Op.CONV2D) {
      return Optional.empty();
    }
    Value weight = operation.inputs().get(1);
    return weight != null && weight.op() == Op.PARAMETER
        ? Optional.of((String) weight.attributes().get(0)).filter(name -> name.endsWith(WEIGHT))
        : Optional.empty();
  }

  private static boolean isSupported(Value operation, long[] shape) {
    if (operation.op() == Op.LINEAR) {
      return shape.length == 2;
    }
    List<Object> a = operation.attributes();
    boolean square = shape[2] == shape[3] && (shape[2] == 1 || shape[2] == 3);
    return square
        && (a.get(0).equals(1) || a.get(0).equals(2))
        && a.get(1).equals((int) (shape[2] / 2))
        && a.get(2).equals(1);
  }

  /** Numbers of one line of a row's table. */
  public int width() {
    return width;
  }

  /**
   * Adds a method like another one whose layers have the side paths. After the other's inputs it
   * takes {@code factors} [N,R,width], R whatever the call has, and {@code scales} [N,R], of each
   * line of them.
   *
   * @throws IllegalArgumentException naming a layer that does not see rows as rows
   */
  public Method addTo(Graph graph, Method of, String name) {
    ToIntFunction<Value> ranks = RowWise.ranksOfRows(of);
    return graph.variant(
        name,
        of,
        m -> {
          Value factors = m.input("factors", 3);
          Value scales = m.input("scales", 2);
          return (target, operation, inputs) ->
              weight(operation)
                  .filter(layers::containsKey)
                  .map(
                      weight ->
                          adapted(
                              m,
                              weight,
                              operation,
                              inputs,
                              ranks.applyAsInt(operation.inputs().get(0)),
                              factors,
                              scales));
        });
  }

  private Value adapted(
      Method m,
      String weight,
      Value operation,
      List<Value> inputs,
      int rank,
      Value factors,
      Value scales) {
    Layer layer = layers.get(weight);
    Value x = inputs.get(0);
    Value own = new Value(operation.op(), inputs, operation.attributes());
    Value down = m.castAs(m.narrow(factors, 2, layer.at(), layer.in() * layer.window()), x);
    Value up = m.castAs(m.narrow(factors, 2, layer.upAt(), layer.out()), x);
    Value scale = m.castAs(scales, x);
    Value added;
    if (operation.op() == Op.CONV2D) {
      Value low = layer.window() == 1 ? seen(m, down, x) : seenAround(m, down, x, layer);
      if (operation.attributes().get(0).equals(2)) {
        low = everySecond(m, low, x);
      }
      Value scaled = m.multiply(low, m.unsqueeze(scale, 2));
      added = m.unflattenAs(m.matrixProduct(m.transpose(up, 1, 2), scaled), 2, own, 2);
    } else if (rank == 2 || rank == 3) {
      Value lines = rank == 2 ? m.unsqueeze(x, 1) : x;
      Value low = m.matrixProduct(lines, m.transpose(down, 1, 2));
      added = m.matrixProduct(m.multiply(low, m.unsqueeze(scale, 1)), up);
      added = rank == 2 ? m.squeeze(added, 1) : added;
    } else {
      throw new IllegalArgumentException(
          weight + " belongs to a layer whose rows are not the call's");
    }
    Value sum = m.add(own, m.castAs(added, own));
    return layer.gained()
        ? m.add(sum, gain(m, layer, operation, inputs, own, rank, factors, scale))
        : sum;
  }

  /** What a gain adds to a layer's own output; its bias has no part in it. */
  private static Value gain(
      Method m,
      Layer layer,
      Value operation,
      List<Value> inputs,
      Value own,
      int rank,
      Value factors,
      Value scale) {
    boolean image = operation.op() == Op.CONV2D;
    Value lines = m.castAs(m.narrow(factors, 2, layer.gainAt(), layer.out()), own);
    Value gain = m.matrixProduct(m.castAs(m.unsqueeze(scale, 1), own), lines);
    if (image) {
      gain = m.unsqueeze(m.transpose(gain, 1, 2), 3);
    } else if (rank == 2) {
      gain = m.squeeze(gain, 1);
    }
    Value bias = inputs.size() > 2 ? inputs.get(2) : null;
    if (bias == null) {
      return m.multiply(own, gain);
    }
    return m.multiply(m.subtract(own, image ? m.unsqueeze(m.unsqueeze(bias, 1), 2) : bias), gain);
  }

  /** Of [N,R,HW] the pixels that a stride of 2 leaves. */
  private static Value everySecond(Method m, Value low, Value x) {
    return m.flatten(m.averagePool(m.unflattenAs(low, 2, x, 2), 1, 2, 0), 2, 3);
  }

  /** Of [N,C,H,W] by [N,R,C]: [N,R,HW]. */
  private static Value seen(Method m, Value down, Value x) {
    return m.matrixProduct(down, m.flatten(x, 2, 3));
  }

  /**
   * Of [N,C,H,W] by [N,R,9C]: [N,R,HW]. Channels are summed up first, so that what is moved about
   * has R of them only.
   */
  private static Value seenAround(Method m, Value down, Value x, Layer layer) {
    Value each = m.flatten(m.unflatten(down, 2, layer.window(), layer.in()), 1, 2);
    Value all = m.unflatten(seen(m, each, x), 1, -1, layer.window());
    Value sum = null;
    for (int k = 0; k < layer.window(); k++) {
      Value one = m.unflattenAs(m.squeeze(m.narrow(all, 2, k, 1), 2), 2, x, 2);
      Value moved = moved(m, moved(m, one, 2, k / 3 - 1), 3, k % 3 - 1);
      sum = sum == null ? moved : m.add(sum, moved);
    }
    return m.flatten(sum, 2, 3);
  }

  /** An image whose pixels are those at an offset of -1, 0 or 1, and zeros beyond its edge. */
  private static Value moved(Method m, Value x, int dimension, int offset) {
    if (offset == 0) {
      return x;
    }
    int before = offset < 0 ? 1 : 0;
    Value padded =
        dimension == 2 ? m.pad(x, 0, 0, before, 1 - before) : m.pad(x, before, 1 - before, 0, 0);
    return offset < 0
        ? m.firstAs(padded, dimension, x, dimension)
        : m.lastAs(padded, dimension, x, dimension);
  }

  /**
   * Writes a layer's factors into a table.
   *
   * @param weight the layer's
   * @param rank of the factors; lines of the table from the first on
   * @param down [rank, in * kernel]
   * @param up [out, rank]
   * @param table [at least rank, {@link #width}]
   * @throws IllegalArgumentException for a layer that is not one of these, or other sizes
   */
  public void write(String weight, int rank, float[] down, float[] up, float[] table) {
    write(weight, rank, down, up, 0, table);
  }

  /** The same, from a line of the table on. */
  public void write(
      String weight, int rank, float[] down, float[] up, int firstLine, float[] table) {
    Layer layer = layers.get(weight);
    if (layer == null
        || down.length != rank * layer.in() * layer.window()
        || up.length != rank * layer.out()) {
      throw new IllegalArgumentException("There are no side paths for these factors of " + weight);
    }
    for (int r = 0; r < rank; r++) {
      int line = (firstLine + r) * width;
      for (int c = 0; c < layer.in(); c++) {
        for (int k = 0; k < layer.window(); k++) {
          table[line + layer.at() + k * layer.in() + c] =
              down[(r * layer.in() + c) * layer.window() + k];
        }
      }
      for (int o = 0; o < layer.out(); o++) {
        table[line + layer.upAt() + o] = up[o * rank + r];
      }
    }
  }

  /**
   * Writes how much more of each channel of a layer's own output there is.
   *
   * @param line of the table
   */
  public void writeGains(String weight, int line, float[] gains, float[] table) {
    Layer layer = layers.get(weight);
    if (layer == null || !layer.gained() || gains.length != layer.out()) {
      throw new IllegalArgumentException("There are no gains of " + weight);
    }
    System.arraycopy(gains, 0, table, line * width + layer.gainAt(), gains.length);
  }
}
