/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.weights.AllowedLora;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** LoRAs that requests name, and the denoising network's layers that they change. */
final class Adapters {
  private final SortedMap<String, AllowedLora> allowed;
  private final int resident;
  private final Optional<AdaptedLayers> denoising;

  private Adapters(
      SortedMap<String, AllowedLora> allowed, int resident, Optional<AdaptedLayers> denoising) {
    this.allowed = allowed;
    this.resident = resident;
    this.denoising = denoising;
  }

  /**
   * Opens the LoRAs and adds to the denoising network's graph the methods that take them.
   *
   * @param network the component whose graph it is
   * @param methods of the graph, the first of which has all layers
   * @param texts the components of text encoders, which add {@link #layers} of their own
   * @throws WeightsException for a file that does not fit
   */
  static Adapters open(
      AdapterSettings settings,
      Components components,
      String network,
      Graph graph,
      List<String> methods,
      Set<String> texts) {
    SortedMap<String, AllowedLora> allowed = new TreeMap<>();
    Set<String> networks = new TreeSet<>(texts);
    networks.add(network);
    settings
        .files()
        .forEach(
            (name, file) ->
                allowed.put(name, AllowedLora.open(name, file, components.folder(), networks)));
    return new Adapters(
        allowed,
        settings.resident(),
        AdaptedLayers.open(network, allowed, settings.resident(), graph, methods));
  }

  /**
   * Adds to a text encoder's graph the methods that take the LoRAs' factors.
   *
   * @param methods the first of which has all layers
   * @return empty if no LoRA changes it
   */
  Optional<AdaptedLayers> layers(String network, Graph graph, List<String> methods) {
    return AdaptedLayers.open(network, allowed, resident, graph, methods);
  }

  /** A denoiser that takes {@link #inputs} after those that it has. */
  Denoiser on(Denoiser denoiser) {
    return denoising
        .map(
            layers ->
                denoiser.andGated(
                    AdaptedLayers::methodLike,
                    Denoiser.Input.vectors(layers.width()),
                    Denoiser.Input.floats(Denoiser.Input.ANY)))
        .orElse(denoiser);
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
    if (denoising.isEmpty()) {
      return beginning;
    }
    List<Object> more = inputs(denoising.get(), asked);
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

  /** Bytes of the factors that a row of a request brings to a call. */
  long rowBytes(GenerationRequest request) {
    return denoising.map(layers -> layers.bytes(layers.own(RequestedLora.of(request)))).orElse(0L);
  }

  private static List<Object> inputs(AdaptedLayers layers, List<RequestedLora> asked) {
    List<RequestedLora> own = layers.own(asked);
    Supplier<float[]> factors = () -> layers.factors(own);
    return List.of(factors, layers.scales(own));
  }
}
