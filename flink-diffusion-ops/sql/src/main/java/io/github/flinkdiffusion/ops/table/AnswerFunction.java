/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;

/** {@code ANSWER(image, question [, MAP[...]])}: the answer to a question about an image. */
@Internal
@FunctionHint(output = @DataTypeHint("STRING"))
public final class AnswerFunction extends TextFunction {
  private static final long serialVersionUID = 1L;

  AnswerFunction(FunctionSettings settings) {
    super("ANSWER", settings);
  }

  /** With the module's values for everything else. */
  public void eval(CompletableFuture<String> result, byte[] image, String question) {
    eval(result, image, question, Map.of());
  }

  /** With other values for some parameters: keys are those of the module's options. */
  public void eval(
      CompletableFuture<String> result,
      byte[] image,
      String question,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config) {
    eval(result, image, question, config, Map.of());
  }

  /** With further images, such as {@code image-2}. */
  public void eval(
      CompletableFuture<String> result,
      byte[] image,
      String question,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config,
      @DataTypeHint("MAP<STRING, BYTES>") Map<String, byte[]> images) {
    if (image == null || question == null || config == null || images == null) {
      result.complete(null);
      return;
    }
    generate(
        result,
        config,
        Arguments.NONE.with(Parameters.PROMPT, question),
        Map.of(Parameters.IMAGE, image),
        images);
  }
}
