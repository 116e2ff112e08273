package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;

/** {@code UPSCALE(image [, prompt, seed, steps, ...])}: the picture, enlarged by the model. */
@FunctionHint(
    arguments = {
      @ArgumentHint(name = "image", type = @DataTypeHint("BYTES")),
      @ArgumentHint(name = "prompt", type = @DataTypeHint("STRING"), isOptional = true),
      @ArgumentHint(name = "seed", type = @DataTypeHint("BIGINT"), isOptional = true),
      @ArgumentHint(name = "steps", type = @DataTypeHint("INT"), isOptional = true),
      @ArgumentHint(name = "guidance_scale", type = @DataTypeHint("DOUBLE"), isOptional = true),
      @ArgumentHint(name = "scheduler", type = @DataTypeHint("STRING"), isOptional = true)
    },
    output = @DataTypeHint("BYTES"))
public final class UpscaleFunction extends ImageFunction {
  private static final long serialVersionUID = 1L;

  UpscaleFunction(FunctionSettings settings) {
    super("UPSCALE", settings);
  }

  public void eval(
      CompletableFuture<byte[]> result,
      byte[] image,
      String prompt,
      Long seed,
      Integer steps,
      Double guidanceScale,
      String scheduler) {
    if (image == null) {
      result.complete(null);
      return;
    }
    generate(
        result,
        defaults ->
            defaults
                .with(Parameters.IMAGE, PngCodec.decode(image))
                .with(Parameters.PROMPT, prompt)
                .with(Parameters.SEED, seed)
                .with(Parameters.STEPS, whole(steps))
                .with(Parameters.GUIDANCE_SCALE, guidanceScale)
                .with(Parameters.SCHEDULER, scheduler));
  }
}
