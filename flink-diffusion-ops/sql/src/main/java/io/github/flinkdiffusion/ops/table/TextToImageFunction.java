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

/** {@code TEXT_TO_IMAGE(prompt [, MAP[...] [, images]])}: a picture of what the text says. */
@Internal
@FunctionHint(output = @DataTypeHint("BYTES"))
public final class TextToImageFunction extends PictureFunction {
  private static final long serialVersionUID = 1L;

  TextToImageFunction(FunctionSettings settings) {
    super("TEXT_TO_IMAGE", settings);
  }

  /** With the module's values for everything else. */
  public void eval(CompletableFuture<byte[]> result, String prompt) {
    eval(result, prompt, Map.of());
  }

  /** With other values for some parameters: keys are those of the module's options. */
  public void eval(
      CompletableFuture<byte[]> result,
      String prompt,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config) {
    eval(result, prompt, config, Map.of());
  }

  /** With images that the text goes with, such as a {@code control-image}. */
  public void eval(
      CompletableFuture<byte[]> result,
      String prompt,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config,
      @DataTypeHint("MAP<STRING, BYTES>") Map<String, byte[]> images) {
    if (prompt == null || config == null || images == null) {
      result.complete(null);
      return;
    }
    generate(result, config, Arguments.NONE.with(Parameters.PROMPT, prompt), Map.of(), images);
  }
}
