/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.GenerationService;

/** A function whose value is a picture as a PNG file; of an ensemble, the samples' mean. */
abstract class PictureFunction extends ImageFunction<byte[]> {
  private static final long serialVersionUID = 1L;

  PictureFunction(String name, FunctionSettings settings) {
    super(name, settings);
  }

  @Override
  final byte[] value(GenerationService service, Answer answer) {
    if (answer.picture() == null) {
      throw new InvalidRequestException(
          "Model %s writes texts; use CAPTION or ANSWER for it.".formatted(answer.audit().model()));
    }
    return service.encode(answer.picture(), answer.audit());
  }
}
