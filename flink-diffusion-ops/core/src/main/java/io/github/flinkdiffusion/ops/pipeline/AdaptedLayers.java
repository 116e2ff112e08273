/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.network.RowAdapters;
import io.github.flinkdiffusion.ops.weights.AllowedLora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeSet;

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
    Method whole = method(graph, methods.get(0));
    for (AllowedLora lora : allowed.values()) {
      // Each by itself, so that a message names the file.
      check(whole, lora, network);
      weights.addAll(lora.ranks(network).keySet());
    }
    if (weights.isEmpty()) {
      return Optional.empty();
    }
    RowAdapters layers = RowAdapters.of(whole, weights);
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
      throw new WeightsException(
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
    float[] scales = new float[own.stream().mapToInt(this::rank).sum()];
    int line = 0;
    for (RequestedLora each : own) {
      Arrays.fill(scales, line, line + rank(each), (float) each.scale());
      line += rank(each);
    }
    return scales;
  }

  /** Of the factors and their scales. */
  long bytes(List<RequestedLora> own) {
    long lines = own.stream().mapToInt(this::rank).sum();
    return lines * (layers.width() + 1) * Float.BYTES;
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
    float[] known = tables.get(name);
    if (known != null) {
      return known;
    }
    AllowedLora lora = allowed.get(name);
    float[] table = new float[Math.multiplyExact(lora.rank(network), layers.width())];
    try {
      for (AllowedLora.Factors each : lora.factors(network)) {
        layers.write(each.weight(), each.rank(), each.down(), each.up(), table);
      }
    } catch (WeightsException e) {
      // The requests that name it fail, and not the job: the batcher tries each row by itself.
      throw new InvalidRequestException(
          "loras has '%s', whose file cannot be used any more: %s".formatted(name, e.getMessage()),
          e);
    }
    tables.put(name, table);
    if (tables.size() > resident) {
      Iterator<String> eldest = tables.keySet().iterator();
      eldest.next();
      eldest.remove();
    }
    return table;
  }
}
