/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * Objects and their places as tokens: diffusers' GLIGENTextBoundingboxProjection, section 3.1 of Li
 * et al. 2023.
 *
 * @param type not {@link AttentionType#DEFAULT}
 * @param size of an embedded phrase or image, and of a token
 */
record BoxProjection(AttentionType type, int size) {
  private static final int FREQUENCIES = 8;
  private static final int SHORTEST = 100;

  /** Sine and cosine of four numbers at each frequency. */
  private static final int POSITION = FREQUENCIES * 2 * 4;

  /** The reference has no key for it. */
  private static final int HIDDEN = 512;

  /**
   * Tokens [N,M,size], or [N,2M,size] where images describe objects, too.
   *
   * @param at the scope of {@code position_net}
   * @param dtype what takes the weights' dtype
   */
  Value emit(Scope at, UNet2DCondition.Objects objects, Value dtype) {
    Method m = at.method();
    Value mask = m.castAs(m.unsqueeze(objects.masks(), -1), dtype);
    Value place =
        present(
            m,
            places(m, objects.boxes(), dtype),
            mask,
            at.parameter("null_position_feature", POSITION));
    Value phrases = m.castAs(objects.phrases(), dtype);
    if (type == AttentionType.GATED) {
      return layers(
          at.child("linears"),
          present(m, phrases, mask, at.parameter("null_positive_feature", size)),
          place);
    }
    Value phraseMask = m.castAs(m.unsqueeze(objects.phraseMasks(), -1), dtype);
    Value imageMask = m.castAs(m.unsqueeze(objects.imageMasks(), -1), dtype);
    Value images = m.castAs(objects.images(), dtype);
    return m.concatenate(
        1,
        layers(
            at.child("linears_text"),
            present(m, phrases, phraseMask, at.parameter("null_text_feature", size)),
            place),
        layers(
            at.child("linears_image"),
            present(m, images, imageMask, at.parameter("null_image_feature", size)),
            place));
  }

  /** Boxes [N,M,4] as [N,M,POSITION], computed in float32. */
  private static Value places(Method m, Value boxes, Value dtype) {
    float[] frequencies = new float[FREQUENCIES];
    for (int i = 0; i < FREQUENCIES; i++) {
      frequencies[i] = (float) Math.pow(SHORTEST, (double) i / FREQUENCIES);
    }
    Value frequency = m.unsqueeze(m.graph().constant("box_frequencies", frequencies), -1);
    Value angle = m.multiply(m.unsqueeze(boxes, 2), frequency);
    return m.castAs(m.flatten(m.concatenate(-1, m.sin(angle), m.cos(angle)), 2, 3), dtype);
  }

  /** What is known of objects; of those that are not there, what was learned for them. */
  private static Value present(Method m, Value known, Value mask, Value absent) {
    Value missing = m.add(m.multiply(mask, -1), 1);
    return m.add(m.multiply(known, mask), m.multiply(missing, absent));
  }

  private Value layers(Scope at, Value features, Value place) {
    Method m = at.method();
    Value h = m.concatenate(-1, features, place);
    h = m.silu(at.linear("0", h, size + POSITION, HIDDEN));
    h = m.silu(at.linear("2", h, HIDDEN, HIDDEN));
    return at.linear("4", h, HIDDEN, size);
  }
}
