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

/**
 * {@code IMAGE_TO_IMAGE(image, prompt [, MAP[...] [, images]])}: the picture made anew after the
 * text.
 */
@Internal
@FunctionHint(output = @DataTypeHint("BYTES"))
public final class ImageToImageFunction extends PictureFunction {
  private static final long serialVersionUID = 1L;

  ImageToImageFunction(FunctionSettings settings) {
    super("IMAGE_TO_IMAGE", settings);
  }

  /** With the module's values for everything else. */
  public void eval(CompletableFuture<byte[]> result, byte[] image, String prompt) {
    eval(result, image, prompt, Map.of());
  }

  /** With other values for some parameters: keys are those of the module's options. */
  public void eval(
      CompletableFuture<byte[]> result,
      byte[] image,
      String prompt,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config) {
    eval(result, image, prompt, config, Map.of());
  }

  /** With further images, such as a {@code mask} or a {@code control-image}. */
  public void eval(
      CompletableFuture<byte[]> result,
      byte[] image,
      String prompt,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config,
      @DataTypeHint("MAP<STRING, BYTES>") Map<String, byte[]> images) {
    if (image == null || prompt == null || config == null || images == null) {
      result.complete(null);
      return;
    }
    generate(
        result,
        config,
        Arguments.NONE.with(Parameters.PROMPT, prompt),
        Map.of(Parameters.IMAGE, image),
        images);
  }
}
