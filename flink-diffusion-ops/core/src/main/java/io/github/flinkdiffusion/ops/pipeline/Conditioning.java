/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.List;
import java.util.Optional;
import java.util.function.ToIntFunction;

/**
 * What a family of Stable Diffusion networks is conditioned on beside the sample and its timestep:
 * a text, and what else the family's network wants to know. Threads and errors are those of {@link
 * Task}.
 */
interface Conditioning {

  /** A signature that has the prompt and the picture's size, with the family's own parameters. */
  Signature describe(Signature signature);

  /**
   * Checks what the signature cannot.
   *
   * @throws InvalidRequestException for what cannot be done
   */
  void check(GenerationRequest request);

  /**
   * Checks prompts whose texts change with the network's calls, too.
   *
   * @param calls of the network, for a request
   */
  default void check(GenerationRequest request, ToIntFunction<GenerationRequest> calls) {
    check(request);
  }

  /** See {@link Model#encodedTokens}. */
  default long tokens(GenerationRequest request) {
    return 0;
  }

  /** The denoising network's inputs after sample and timestep. */
  Denoiser.Input[] inputs();

  /**
   * Encodes all texts of all requests in as few calls as can be. Device thread.
   *
   * @return of rows with nothing appended to the sample
   */
  List<Conditions> encode(List<GenerationRequest> requests);

  /**
   * How some of a request's calls are conditioned otherwise than the rest.
   *
   * @param conditions of the rest
   */
  default Optional<Beginning.Stretch> stretch(GenerationRequest request, Conditions conditions) {
    return Optional.empty();
  }

  /**
   * As {@link #encode(List)}, of prompts whose texts may change with the network's calls.
   *
   * @param calls of the network, for a request
   */
  default List<Conditions> encode(
      List<GenerationRequest> requests, ToIntFunction<GenerationRequest> calls) {
    return encode(requests);
  }
}
