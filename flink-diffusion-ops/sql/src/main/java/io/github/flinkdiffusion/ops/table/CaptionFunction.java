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

/** {@code CAPTION(image [, MAP[...]])}: a text that describes an image. */
@Internal
@FunctionHint(output = @DataTypeHint("STRING"))
public final class CaptionFunction extends TextFunction {
  private static final long serialVersionUID = 1L;

  CaptionFunction(FunctionSettings settings) {
    super("CAPTION", settings);
  }

  /** With the module's values for everything else. */
  public void eval(CompletableFuture<String> result, byte[] image) {
    eval(result, image, Map.of());
  }

  /** With other values for some parameters: keys are those of the module's options. */
  public void eval(
      CompletableFuture<String> result,
      byte[] image,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config) {
    if (image == null || config == null) {
      result.complete(null);
      return;
    }
    generate(result, config, Arguments.NONE, Map.of(Parameters.IMAGE, image));
  }
}
