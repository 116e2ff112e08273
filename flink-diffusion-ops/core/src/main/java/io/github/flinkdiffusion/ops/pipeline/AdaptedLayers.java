/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.network.RowAdapters;
import io.github.flinkdiffusion.ops.weights.AddedFileException;
import io.github.flinkdiffusion.ops.weights.AllowedLora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The layers of one network that LoRAs of requests change: each row of a call brings the factors of
 * its own, see {@link RowAdapters}. Factors of the least recently used LoRAs leave the memory; a
 * call that needs them reads them again.
 */
final class AdaptedLayers {
  private static final float[] NOTHING = new float[0];

  private final String network;
  private final SortedMap<String, AllowedLora> allowed;
  private final RowAdapters layers;
  private final int resident;

  /** By name, the least recently used one first. Of the device's thread. */
  private final Map<String, float[]> tables = new LinkedHashMap<>(16, 0.75f, true);

  private AdaptedLayers(
      String network, SortedMap<String, AllowedLora> allowed, RowAdapters layers, int resident) {
    this.network = network;
    this.allowed = allowed;
    this.layers = layers;
    this.resident = resident;
  }

  /**
   * Adds to a network's graph methods like some of its own that take the factors, after their other
   * inputs: see {@link #methodLike}. Without a LoRA that changes the network nothing is added.
   *
   * @param network the component whose graph it is
   * @param methods names of the graph's, the first of which has all layers
   * @throws WeightsException for a LoRA with a layer that cannot have a side path
   */
  static Optional<AdaptedLayers> open(
      String network,
      SortedMap<String, AllowedLora> allowed,
      int resident,
      Graph graph,
      List<String> methods) {
    Set<String> weights = new TreeSet<>();
    Set<String> lengths = new TreeSet<>();
    Method whole = method(graph, methods.get(0));
    for (AllowedLora lora : allowed.values()) {
      // Each by itself, so that a message names the file.
      check(whole, lora, network);
      weights.addAll(lora.ranks(network).keySet());
      lengths.addAll(lora.lengths(network));
    }
    if (weights.isEmpty()) {
      return Optional.empty();
    }
    RowAdapters layers = RowAdapters.of(whole, weights, lengths);
    for (String name : methods) {
      layers.addTo(graph, method(graph, name), methodLike(name));
    }
    return Optional.of(new AdaptedLayers(network, allowed, layers, resident));
  }

  /** The name of the method that takes the factors. */
  static String methodLike(String method) {
    return method + "_adapted";
  }

  private static Method method(Graph graph, String name) {
    return graph.methods().stream()
        .filter(method -> method.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static void check(Method method, AllowedLora lora, String network) {
    try {
      RowAdapters.of(method, lora.ranks(network).keySet());
    } catch (IllegalArgumentException e) {
      throw new AddedFileException(
          "LoRA %s cannot be named by requests: %s. Merge it when the model is loaded (diffusion.model.loras)"
              .formatted(lora, e.getMessage()),
          e);
    }
  }

  /** Numbers of a line of {@link #factors}. */
  int width() {
    return layers.width();
  }

  /** Those that change this network. */
  List<RequestedLora> own(List<RequestedLora> asked) {
    return asked.stream().filter(each -> allowed.get(each.name()).changes(network)).toList();
  }

  /**
   * The scale of each line of the factors.
   *
   * @param own of {@link #own}
   */
  float[] scales(List<RequestedLora> own) {
    float[] scales = new float[lines(own)];
    int line = 0;
    for (RequestedLora each : own) {
      Arrays.fill(scales, line, line + rank(each), (float) each.scale());
      line += rank(each);
    }
    // That of the gains, if there are any.
    Arrays.fill(scales, line, scales.length, 1);
    return scales;
  }

  private int lines(List<RequestedLora> own) {
    return own.stream().mapToInt(this::rank).sum() + (changesLengths(own) ? 1 : 0);
  }

  private boolean changesLengths(List<RequestedLora> own) {
    return own.stream().anyMatch(each -> !allowed.get(each.name()).lengths(network).isEmpty());
  }

  /** Of the factors and their scales. */
  long bytes(List<RequestedLora> own) {
    return (long) lines(own) * (layers.width() + 1) * Float.BYTES;
  }

  private int rank(RequestedLora lora) {
    return allowed.get(lora.name()).rank(network);
  }

  /**
   * The factors of several LoRAs stand one below the other.
   *
   * @param own of {@link #own}
   */
  float[] factors(List<RequestedLora> own) {
    if (own.isEmpty()) {
      return NOTHING;
    }
    if (changesLengths(own)) {
      return kept(RequestedLora.format(own), () -> gained(own));
    }
    if (own.size() == 1) {
      return table(own.get(0).name());
    }
    List<float[]> each = own.stream().map(lora -> table(lora.name())).toList();
    float[] all = new float[each.stream().mapToInt(table -> table.length).sum()];
    int at = 0;
    for (float[] table : each) {
      System.arraycopy(table, 0, all, at, table.length);
      at += table.length;
    }
    return all;
  }

  private float[] table(String name) {
    return kept(
        name,
        () -> {
          AllowedLora lora = allowed.get(name);
          float[] table = new float[Math.multiplyExact(lora.rank(network), layers.width())];
          for (AllowedLora.Factors each : read(name)) {
            layers.write(each.weight(), each.rank(), each.down(), each.up(), table);
          }
          return table;
        });
  }

  private float[] kept(String key, Supplier<float[]> made) {
    float[] known = tables.get(key);
    if (known != null) {
      return known;
    }
    float[] table = made.get();
    tables.put(key, table);
    if (tables.size() > resident) {
      Iterator<String> eldest = tables.keySet().iterator();
      eldest.next();
      eldest.remove();
    }
    return table;
  }

  private List<AllowedLora.Factors> read(String name) {
    try {
      return allowed.get(name).factors(network);
    } catch (WeightsException e) {
      // The requests that name it fail, and not the job: the batcher tries each row by itself.
      throw new InvalidRequestException(
          "loras has '%s', whose file cannot be used any more: %s".formatted(name, e.getMessage()),
          e);
    }
  }

  /** What one LoRA adds to a layer, and where it stands. */
  private record Added(AllowedLora.Factors factors, double scale, int line) {}

  /**
   * The factors of LoRAs of which some change the lengths of weights' rows, as these are merged one
   * after the other: a new length is also a gain of what was there before. The gains are the last
   * line.
   */
  private float[] gained(List<RequestedLora> own) {
    int lines = lines(own);
    float[] table = new float[Math.multiplyExact(lines, layers.width())];
    Map<String, List<Added>> byWeight = new LinkedHashMap<>();
    int line = 0;
    for (RequestedLora each : own) {
      for (AllowedLora.Factors factors : read(each.name())) {
        byWeight
            .computeIfAbsent(factors.weight(), any -> new ArrayList<>())
            .add(new Added(factors, each.scale(), line));
      }
      line += rank(each);
    }
    byWeight.forEach(
        (weight, all) -> {
          boolean plain = all.stream().allMatch(each -> each.factors().magnitudes().isEmpty());
          float[] gains = plain ? null : stretch(weight, all);
          for (Added each : all) {
            AllowedLora.Factors factors = each.factors();
            layers.write(weight, factors.rank(), factors.down(), factors.up(), each.line(), table);
          }
          if (gains != null) {
            layers.writeGains(weight, lines - 1, gains, table);
          }
        });
    return table;
  }

  /** Stretches the rows of the factors, and says by how much more the weight's own rows are. */
  private float[] stretch(String weight, List<Added> all) {
    float[] sum = allowed.get(allowed.firstKey()).weight(network, weight);
    int rows = all.get(0).factors().up().length / all.get(0).factors().rank();
    int columns = sum.length / rows;
    float[] gains = new float[rows];
    IntStream.range(0, rows)
        .parallel()
        .forEach(
            row -> {
              double gain = 1;
              for (int i = 0; i < all.size(); i++) {
                add(all.get(i), row, columns, sum);
                Optional<float[]> magnitudes = all.get(i).factors().magnitudes();
                if (magnitudes.isPresent()) {
                  double factor = magnitudes.get()[row] / length(sum, row, columns);
                  gain *= factor;
                  multiply(sum, row * columns, columns, factor);
                  for (int j = 0; j <= i; j++) {
                    AllowedLora.Factors earlier = all.get(j).factors();
                    multiply(earlier.up(), row * earlier.rank(), earlier.rank(), factor);
                  }
                }
              }
              gains[row] = (float) (gain - 1);
            });
    return gains;
  }

  private static void add(Added added, int row, int columns, float[] sum) {
    AllowedLora.Factors factors = added.factors();
    for (int r = 0; r < factors.rank(); r++) {
      float share = (float) (added.scale() * factors.up()[row * factors.rank() + r]);
      for (int column = 0; column < columns; column++) {
        sum[row * columns + column] += share * factors.down()[r * columns + column];
      }
    }
  }

  private static double length(float[] values, int row, int columns) {
    double squares = 0;
    for (int i = row * columns; i < (row + 1) * columns; i++) {
      squares += (double) values[i] * values[i];
    }
    return Math.sqrt(squares);
  }

  private static void multiply(float[] values, int from, int count, double factor) {
    for (int i = from; i < from + count; i++) {
      values[i] = (float) (factor * values[i]);
    }
  }
}
