/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import java.util.List;

/**
 * What makes one kind of model that writes texts different from the others; {@link TextPipeline}
 * does the rest. Threads and errors are those of {@link DiffusionPipeline}.
 */
interface TextTask extends AutoCloseable {

  /**
   * What a text follows from, besides its tokens.
   *
   * @param prompt tokens that it begins with, at least one
   * @param states what the network looks at, [length, size]
   * @param length of them
   */
  record Beginning(int[] prompt, float[] states, int length) {}

  /**
   * A text under way.
   *
   * @param tokens with those of the prompt
   */
  record Row(Beginning beginning, int[] tokens) {}

  /** What its requests may say. */
  Signature signature();

  /** As audit records name it. */
  String name();

  /**
   * Checks what the signature cannot. Pure.
   *
   * @throws InvalidRequestException for what cannot be done
   */
  void check(GenerationRequest request);

  /** The token that ends a text. */
  int end();

  /** Pixels of an image that the network sees. */
  long imagePixels();

  /** Bytes of {@link Beginning#states}. */
  long stateBytes();

  /** Encodes what texts follow from. */
  List<Beginning> begin(List<GenerationRequest> requests);

  /** Scores of each row's next token, [rows, vocabulary]. */
  HostTensor.Floats next(List<Row> rows);

  /** The text of tokens, those of the prompt among them, without special ones. */
  String text(int[] tokens);

  @Override
  void close();
}
