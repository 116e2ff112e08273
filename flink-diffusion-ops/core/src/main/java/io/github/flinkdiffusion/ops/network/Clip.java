/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * A whole CLIP (Radford et al. 2021), as transformers has it in CLIPModel: its two networks in one
 * graph, so that their weights are placed once.
 */
@Internal
public final class Clip {
  /** Normalised {@code pixels} [N,channels,image_size,image_size] to [N,projection_dim]. */
  public static final String IMAGES = "images";

  /** {@code ids} int64 [N,tokens] to [N,projection_dim]. */
  public static final String TEXTS = "texts";

  private final ClipVisionConfig vision;
  private final ClipTextConfig text;

  /**
   * @param text whose projection is as large as the vision network's
   */
  public Clip(ClipVisionConfig vision, ClipTextConfig text) {
    this.vision = vision;
    this.text = text;
  }

  /**
   * @param tokens length of every text, at most {@code max_position_embeddings}
   */
  public Graph graph(int tokens) {
    Graph graph = new Graph();
    Method m = graph.method(IMAGES);
    Value pixels = m.input("pixels", 4);
    m.returns(m.toFloat(new ClipVision(vision).emit(new Scope(m, ""), pixels)));
    m = graph.method(TEXTS);
    Value ids = m.integers("ids", 2);
    m.returns(m.toFloat(new ClipTextProjection(text).emit(new Scope(m, ""), ids, tokens)));
    return graph;
  }
}
