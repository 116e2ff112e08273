package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;

/** {@code IMAGE_TO_IMAGE(image, prompt [, negative_prompt, strength, seed, ...])}. */
@FunctionHint(
    arguments = {
      @ArgumentHint(name = "image", type = @DataTypeHint("BYTES")),
      @ArgumentHint(name = "prompt", type = @DataTypeHint("STRING")),
      @ArgumentHint(name = "negative_prompt", type = @DataTypeHint("STRING"), isOptional = true),
      @ArgumentHint(name = "strength", type = @DataTypeHint("DOUBLE"), isOptional = true),
      @ArgumentHint(name = "seed", type = @DataTypeHint("BIGINT"), isOptional = true),
      @ArgumentHint(name = "steps", type = @DataTypeHint("INT"), isOptional = true),
      @ArgumentHint(name = "guidance_scale", type = @DataTypeHint("DOUBLE"), isOptional = true),
      @ArgumentHint(name = "scheduler", type = @DataTypeHint("STRING"), isOptional = true)
    },
    output = @DataTypeHint("BYTES"))
public final class ImageToImageFunction extends ImageFunction {
  private static final long serialVersionUID = 1L;

  ImageToImageFunction(FunctionSettings settings) {
    super("IMAGE_TO_IMAGE", settings);
  }

  public void eval(
      CompletableFuture<byte[]> result,
      byte[] image,
      String prompt,
      String negativePrompt,
      Double strength,
      Long seed,
      Integer steps,
      Double guidanceScale,
      String scheduler) {
    if (image == null || prompt == null) {
      result.complete(null);
      return;
    }
    generate(
        result,
        defaults ->
            defaults
                .with(Parameters.IMAGE, PngCodec.decode(image))
                .with(Parameters.PROMPT, prompt)
                .with(Parameters.NEGATIVE_PROMPT, negativePrompt)
                .with(Parameters.STRENGTH, strength)
                .with(Parameters.SEED, seed)
                .with(Parameters.STEPS, whole(steps))
                .with(Parameters.GUIDANCE_SCALE, guidanceScale)
                .with(Parameters.SCHEDULER, scheduler));
  }
}
