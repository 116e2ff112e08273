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
   * @param read what the network keeps of all tokens but the last one; null where that is not at
   *     hand, and all are read again
   */
  record Row(Beginning beginning, int[] tokens, ReadTokens read) {}

  /**
   * What follows from a call.
   *
   * @param scores of each row's next token, [rows, vocabulary]
   * @param read what the network keeps of each row's tokens; empty for a network that keeps nothing
   */
  record Next(HostTensor.Floats scores, List<ReadTokens> read) {}

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

  /** Bytes that {@link ReadTokens} take for each token. */
  long readBytes();

  /** Reads the tokens that have not been read. */
  Next next(List<Row> rows);

  /**
   * A text that is over, without special tokens.
   *
   * @param prompt the tokens that it began with
   * @param tokens those that were written after them
   */
  String text(int[] prompt, int[] tokens);

  @Override
  void close();
}
