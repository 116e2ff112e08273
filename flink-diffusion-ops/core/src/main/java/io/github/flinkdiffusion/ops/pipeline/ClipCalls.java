/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextProjection;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Network calls of CLIP's text encoder: rows of tokens give states, and what is pooled beside them.
 * Device thread only.
 */
final class ClipCalls {
  /** Numbers of LoRAs' factors in a call; a single row may have more. */
  private static final int MOST_FACTORS = 1 << 24;

  /** Of methods that take a mask. */
  private static final String MASKED = "_masked";

  /** Added to a score that must not count; also a number of 16 bits. */
  private static final float UNSEEN = -10_000;

  /** What a pipeline takes of a text encoder, before a request leaves out layers. */
  enum Taken {
    /** The last layer's states, with the final norm. */
    NORMED,
    /** The last layer's states without it, and with it that of the text's end. */
    OUTERMOST_AND_END,
    /** The states of the layer before, without it. */
    INNER,
    /** Those, and the projected state of the text's end, of one run. */
    INNER_AND_POOLED
  }

  /** Prompts that can share a call. */
  record Kind(boolean skipping, boolean adapted, boolean masked) {}

  private final Network network;
  private final int length;
  private final int hiddenSize;
  private final int layers;
  private final int pooledSize;
  private final Taken taken;
  private final Optional<AdaptedLayers> adapted;

  /**
   * @param network with {@link #methods}
   * @param length tokens of a row
   */
  ClipCalls(
      Network network,
      ClipTextConfig config,
      int length,
      Taken taken,
      Optional<AdaptedLayers> adapted) {
    this.network = network;
    this.length = length;
    this.hiddenSize = config.hiddenSize();
    boolean outermost = taken == Taken.NORMED || taken == Taken.OUTERMOST_AND_END;
    this.layers = outermost ? config.layers() : config.layers() - 1;
    this.pooledSize =
        switch (taken) {
          case NORMED, INNER -> 0;
          case OUTERMOST_AND_END -> config.hiddenSize();
          case INNER_AND_POOLED -> config.projectionSize();
        };
    this.taken = taken;
    this.adapted = adapted;
  }

  /** How many layers may be left out: those before the one whose states are taken. */
  int layers() {
    return layers;
  }

  /** Size of the projected state of a text's end; 0 where it is not asked for. */
  int pooledSize() {
    return pooledSize;
  }

  /**
   * Names of a graph's methods that are called.
   *
   * @param masked whether one is called, and so added, whose tokens may be hidden from others
   */
  static List<String> methods(Graph graph, Taken taken, boolean masked) {
    List<String> methods = new ArrayList<>();
    if (taken == Taken.NORMED) {
      methods.add(ClipText.FORWARD);
    }
    methods.add(layersMethod(taken));
    if (masked) {
      addMasked(graph, layersMethod(taken));
      methods.add(layersMethod(taken) + MASKED);
    }
    return methods;
  }

  /**
   * States and pooled state of each row, one row after the other.
   *
   * @param prompts each row's
   */
  float[] call(List<Prompt> prompts, List<CompelTexts.TokenRow> tokens, Kind kind) {
    int rows = tokens.size();
    long[] ids = new long[rows * length];
    long[] used = new long[rows];
    for (int row = 0; row < rows; row++) {
      used[row] = (long) layers - prompts.get(row).clipSkip();
      for (int j = 0; j < length; j++) {
        ids[row * length + j] = tokens.get(row).ids()[j];
      }
    }
    return kind.adapted() || kind.masked()
        ? inParts(prompts, tokens, ids, used, kind)
        : encoded(
            new HostTensor.Longs(ids, rows, length),
            new HostTensor.Longs(used, rows),
            rows,
            kind.skipping());
  }

  private float[] encoded(
      HostTensor.Longs input, HostTensor.Longs layersUsed, int rows, boolean skipping) {
    return switch (taken) {
      case NORMED ->
          skipping
              ? network.call(ClipText.AT_LAYER_NORMED, input, layersUsed).data()
              : network.call(ClipText.FORWARD, input).data();
      case OUTERMOST_AND_END ->
          beside(
              network.call(ClipText.AT_LAYER, input, layersUsed).data(),
              network.call(ClipText.POOLED, input).data(),
              rows);
      case INNER -> network.call(ClipText.AT_LAYER, input, layersUsed).data();
      case INNER_AND_POOLED ->
          network.call(ClipTextProjection.STATES_AND_POOLED, input, layersUsed).data();
    };
  }

  /**
   * Rows with LoRAs, or tokens that others do not see: in calls of as many rows as the factors
   * leave room for.
   */
  private float[] inParts(
      List<Prompt> prompts, List<CompelTexts.TokenRow> tokens, long[] ids, long[] used, Kind kind) {
    int lines =
        kind.adapted()
            ? prompts.stream()
                .mapToInt(each -> adapted.orElseThrow().scales(each.loras()).length)
                .max()
                .orElseThrow()
            : 0;
    int table = kind.adapted() ? Math.multiplyExact(lines, adapted.orElseThrow().width()) : 0;
    int together = Math.max(1, MOST_FACTORS / Math.max(table, length * length));
    boolean whole = taken == Taken.NORMED && !kind.skipping() && !kind.masked();
    String method = whole ? ClipText.FORWARD : layersMethod(taken);
    method = kind.masked() ? method + MASKED : method;
    method = kind.adapted() ? AdaptedLayers.methodLike(method) : method;
    int rowSize = length * hiddenSize + pooledSize;
    float[] encoded = new float[prompts.size() * rowSize];
    for (int first = 0; first < prompts.size(); first += together) {
      int end = Math.min(prompts.size(), first + together);
      int rows = end - first;
      List<Tensor> arguments = new ArrayList<>();
      arguments.add(
          new HostTensor.Longs(
              Arrays.copyOfRange(ids, first * length, end * length), rows, length));
      if (!whole) {
        arguments.add(new HostTensor.Longs(Arrays.copyOfRange(used, first, end), rows));
      }
      if (kind.masked()) {
        arguments.add(mask(tokens.subList(first, end)));
      }
      if (kind.adapted()) {
        AdaptedLayers changed = adapted.orElseThrow();
        float[] factors = new float[rows * table];
        float[] scales = new float[rows * lines];
        for (int row = 0; row < rows; row++) {
          List<RequestedLora> loras = prompts.get(first + row).loras();
          float[] own = changed.factors(loras);
          System.arraycopy(own, 0, factors, row * table, own.length);
          float[] ownScales = changed.scales(loras);
          System.arraycopy(ownScales, 0, scales, row * lines, ownScales.length);
        }
        arguments.add(new HostTensor.Floats(factors, rows, lines, changed.width()));
        arguments.add(new HostTensor.Floats(scales, rows, lines));
      }
      float[] part = network.call(method, arguments.toArray(Tensor[]::new)).data();
      System.arraycopy(part, 0, encoded, first * rowSize, part.length);
    }
    return encoded;
  }

  /** What is added to scores: no token sees later ones, and hidden ones are seen by none. */
  private HostTensor.Floats mask(List<CompelTexts.TokenRow> rows) {
    float[] mask = new float[rows.size() * length * length];
    int at = 0;
    for (CompelTexts.TokenRow row : rows) {
      boolean[] hidden = row.hidden().orElseGet(() -> new boolean[length]);
      for (int from = 0; from < length; from++) {
        for (int to = 0; to < length; to++) {
          mask[at++] = to > from || hidden[to] ? UNSEEN : 0;
        }
      }
    }
    return new HostTensor.Floats(mask, rows.size(), 1, length, length);
  }

  /** The method that takes the number of layers, too. */
  private static String layersMethod(Taken taken) {
    return switch (taken) {
      case NORMED -> ClipText.AT_LAYER_NORMED;
      case INNER, OUTERMOST_AND_END -> ClipText.AT_LAYER;
      case INNER_AND_POOLED -> ClipTextProjection.STATES_AND_POOLED;
    };
  }

  /** Adds a method like another one that takes a mask instead of hiding later tokens by itself. */
  private static void addMasked(Graph graph, String name) {
    Method of =
        graph.methods().stream()
            .filter(method -> method.name().equals(name))
            .findFirst()
            .orElseThrow();
    graph.variant(
        name + MASKED,
        of,
        m -> {
          Value mask = m.input("mask", 4);
          return (target, operation, inputs) ->
              operation.op() == Op.ATTENTION
                  ? Optional.of(
                      m.attention(
                          inputs.get(0),
                          inputs.get(1),
                          inputs.get(2),
                          m.castAs(mask, inputs.get(0))))
                  : Optional.empty();
        });
  }

  /** Each row of one tensor, then that of the other. */
  private static float[] beside(float[] first, float[] second, int rows) {
    int a = first.length / rows;
    int b = second.length / rows;
    float[] both = new float[first.length + second.length];
    for (int i = 0; i < rows; i++) {
      System.arraycopy(first, i * a, both, i * (a + b), a);
      System.arraycopy(second, i * b, both, i * (a + b) + a, b);
    }
    return both;
  }
}
