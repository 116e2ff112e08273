package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;

/** {@code TEXT_TO_IMAGE(prompt [, negative_prompt, seed, steps, guidance_scale, ...])}. */
@FunctionHint(
    arguments = {
      @ArgumentHint(name = "prompt", type = @DataTypeHint("STRING")),
      @ArgumentHint(name = "negative_prompt", type = @DataTypeHint("STRING"), isOptional = true),
      @ArgumentHint(name = "seed", type = @DataTypeHint("BIGINT"), isOptional = true),
      @ArgumentHint(name = "steps", type = @DataTypeHint("INT"), isOptional = true),
      @ArgumentHint(name = "guidance_scale", type = @DataTypeHint("DOUBLE"), isOptional = true),
      @ArgumentHint(name = "scheduler", type = @DataTypeHint("STRING"), isOptional = true),
      @ArgumentHint(name = "width", type = @DataTypeHint("INT"), isOptional = true),
      @ArgumentHint(name = "height", type = @DataTypeHint("INT"), isOptional = true)
    },
    output = @DataTypeHint("BYTES"))
public final class TextToImageFunction extends ImageFunction {
  private static final long serialVersionUID = 1L;

  TextToImageFunction(FunctionSettings settings) {
    super("TEXT_TO_IMAGE", settings);
  }

  public void eval(
      CompletableFuture<byte[]> result,
      String prompt,
      String negativePrompt,
      Long seed,
      Integer steps,
      Double guidanceScale,
      String scheduler,
      Integer width,
      Integer height) {
    if (prompt == null) {
      result.complete(null);
      return;
    }
    generate(
        result,
        defaults ->
            defaults
                .with(Parameters.PROMPT, prompt)
                .with(Parameters.NEGATIVE_PROMPT, negativePrompt)
                .with(Parameters.SEED, seed)
                .with(Parameters.STEPS, whole(steps))
                .with(Parameters.GUIDANCE_SCALE, guidanceScale)
                .with(Parameters.SCHEDULER, scheduler)
                .with(Parameters.WIDTH, whole(width))
                .with(Parameters.HEIGHT, whole(height)));
  }
}
