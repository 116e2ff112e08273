/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.network.RowAdapters;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.weights.AllowedLora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * LoRAs that requests name: each row of a call brings the factors of its own, see {@link
 * RowAdapters}. Factors of the least recently used LoRAs leave the memory; a call that needs them
 * reads them again.
 */
final class Adapters {
  /** The network's method with side paths. */
  static final String METHOD = "adapted";

  private static final float[] NOTHING = new float[0];

  private final SortedMap<String, AllowedLora> allowed;
  private final RowAdapters layers;
  private final int resident;

  /** By name, the least recently used one first. Of the device's thread. */
  private final Map<String, float[]> tables = new LinkedHashMap<>(16, 0.75f, true);

  private Adapters(SortedMap<String, AllowedLora> allowed, RowAdapters layers, int resident) {
    this.allowed = allowed;
    this.layers = layers;
    this.resident = resident;
  }

  /**
   * Opens the LoRAs and adds to a network's graph the method that takes them.
   *
   * @param network the component whose graph it is
   * @throws WeightsException for a file that does not fit
   */
  static Adapters open(
      AdapterSettings settings, Components components, String network, Graph graph) {
    SortedMap<String, AllowedLora> allowed = new TreeMap<>();
    Set<String> weights = new TreeSet<>();
    Method forward =
        graph.methods().stream()
            .filter(method -> method.name().equals(UNet2DCondition.FORWARD))
            .findFirst()
            .orElseThrow();
    settings
        .files()
        .forEach(
            (name, file) -> {
              AllowedLora lora = AllowedLora.open(name, file, components.folder(), network);
              // Each by itself, so that a message names the file.
              layers(forward, lora.ranks().keySet(), lora);
              weights.addAll(lora.ranks().keySet());
              allowed.put(name, lora);
            });
    RowAdapters layers = RowAdapters.of(forward, weights);
    layers.addTo(graph, forward, METHOD);
    return new Adapters(allowed, layers, settings.resident());
  }

  private static void layers(Method forward, Set<String> weights, AllowedLora lora) {
    try {
      RowAdapters.of(forward, weights);
    } catch (IllegalArgumentException e) {
      throw new WeightsException(
          "LoRA %s cannot be named by requests: %s. Merge it when the model is loaded (diffusion.model.loras)"
              .formatted(lora, e.getMessage()),
          e);
    }
  }

  /** A denoiser that takes {@link #inputs} after those that it has. */
  Denoiser on(Denoiser denoiser) {
    return denoiser.andGated(
        METHOD, Denoiser.Input.vectors(layers.width()), Denoiser.Input.floats(Denoiser.Input.ANY));
  }

  /**
   * The request with its LoRAs as they are written everywhere: with scales, and the digests of
   * their files.
   *
   * @throws InvalidRequestException for one that is not allowed, or has another digest now
   */
  GenerationRequest check(GenerationRequest request) {
    String text = request.get(Parameters.LORAS);
    if (text == null) {
      return request;
    }
    List<RequestedLora> known = new ArrayList<>();
    for (RequestedLora asked : RequestedLora.parse(text)) {
      AllowedLora lora = allowed.get(asked.name());
      if (lora == null) {
        throw new InvalidRequestException(
            "loras has '%s', which this job does not allow; it allows %s."
                .formatted(asked.name(), allowedNames()));
      }
      String digest = digest(lora);
      if (asked.digest().isPresent() && !asked.digest().get().equals(digest)) {
        throw new InvalidRequestException(
            "loras has '%s' with the digest %s; the file that this job has under this name has %s."
                .formatted(asked.name(), asked.digest().get(), digest));
      }
      known.add(asked.withDigest(digest));
    }
    return new GenerationRequest(
        request.id(), request.arguments().with(Parameters.LORAS, RequestedLora.format(known)));
  }

  private static String digest(AllowedLora lora) {
    try {
      return lora.digest();
    } catch (WeightsException e) {
      throw new InvalidRequestException(
          "loras has '%s', whose file cannot be read: %s".formatted(lora.name(), e.getMessage()));
    }
  }

  private String allowedNames() {
    int shown = 20;
    String names = allowed.keySet().stream().limit(shown).collect(Collectors.joining(", "));
    return allowed.size() > shown ? names + " and " + (allowed.size() - shown) + " more" : names;
  }

  /** A beginning whose rows bring the factors of the request's LoRAs. */
  Beginning of(GenerationRequest request, Beginning beginning) {
    // Saved requests are not prepared again, and their file may be another one by now.
    List<RequestedLora> asked = RequestedLora.of(check(request));
    List<Object> more = inputs(asked);
    return beginning.conditioned(
        beginning
            .lead()
            .map(lead -> new Beginning.Lead(lead.calls(), with(lead.conditions(), more))),
        beginning.phases().stream()
            .map(phase -> new Beginning.Lead(phase.calls(), with(phase.conditions(), more)))
            .toList(),
        with(beginning.conditions(), more));
  }

  private static Conditions with(Conditions conditions, List<Object> more) {
    return conditions.withRows(row -> row.and(more));
  }

  private List<Object> inputs(List<RequestedLora> asked) {
    int lines = 0;
    for (RequestedLora each : asked) {
      lines += allowed.get(each.name()).rank();
    }
    float[] scales = new float[lines];
    int line = 0;
    for (RequestedLora each : asked) {
      int rank = allowed.get(each.name()).rank();
      Arrays.fill(scales, line, line + rank, (float) each.scale());
      line += rank;
    }
    Supplier<float[]> factors = asked.isEmpty() ? () -> NOTHING : () -> factors(asked);
    return List.of(factors, scales);
  }

  /** The factors of several LoRAs stand one below the other. */
  private float[] factors(List<RequestedLora> asked) {
    if (asked.size() == 1) {
      return table(asked.get(0).name());
    }
    List<float[]> each = asked.stream().map(lora -> table(lora.name())).toList();
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
    float[] table = new float[Math.multiplyExact(lora.rank(), layers.width())];
    try {
      for (AllowedLora.Factors each : lora.factors()) {
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
