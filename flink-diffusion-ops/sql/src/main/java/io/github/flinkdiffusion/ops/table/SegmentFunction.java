/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;

/**
 * {@code SEGMENT(image [, MAP[...]])}: the mask as a PNG file (white inside, or the numbers of more
 * than two classes) and, with an {@code ensemble-size} of 2 or more, how much the samples differ.
 */
@Internal
@FunctionHint(
    output = @DataTypeHint(value = "ROW<mask BYTES, uncertainty BYTES>", bridgedTo = RowData.class))
public final class SegmentFunction extends ImageFunction<RowData> {
  private static final long serialVersionUID = 1L;

  SegmentFunction(FunctionSettings settings) {
    super("SEGMENT", settings);
  }

  /** With the module's values for everything else. */
  public void eval(CompletableFuture<RowData> result, byte[] image) {
    eval(result, image, Map.of());
  }

  /** With other values for some parameters: keys are those of the module's options. */
  public void eval(
      CompletableFuture<RowData> result,
      byte[] image,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config) {
    if (image == null || config == null) {
      result.complete(null);
      return;
    }
    generate(result, config, Arguments.NONE, Map.of(Parameters.IMAGE, image));
  }

  @Override
  RowData value(GenerationService service, Answer answer) {
    Raster mask =
        answer
            .mask()
            .orElseThrow(
                () ->
                    new InvalidRequestException(
                        ("The model %s of SEGMENT does not generate masks; set"
                                + " 'segment.model.folder' to a segmentation model.")
                            .formatted(answer.audit().model())));
    return GenericRowData.of(
        service.encode(mask, answer.audit(), Composition.MASK),
        answer
            .uncertainty()
            .map(spread -> service.encode(spread, answer.audit(), Composition.UNCERTAINTY))
            .orElse(null));
  }
}
