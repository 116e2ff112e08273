/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GeneratedText;
import io.github.flinkdiffusion.ops.pipeline.ImageLabels;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;

/**
 * {@code LABEL(image, ARRAY['cat', 'dog'] [, MAP[...]])}: the label that fits the image best, its
 * score from 0 to 1, and the scores of all labels, which are 1 together.
 */
@Internal
@FunctionHint(
    output =
        @DataTypeHint(
            value = "ROW<label STRING, score FLOAT, scores MAP<STRING, FLOAT>>",
            bridgedTo = RowData.class))
public final class LabelFunction extends ImageFunction<RowData> {
  private static final long serialVersionUID = 1L;

  LabelFunction(FunctionSettings settings) {
    super("LABEL", settings);
  }

  /** With the module's values for everything else. */
  public void eval(CompletableFuture<RowData> result, byte[] image, String[] labels) {
    eval(result, image, labels, Map.of());
  }

  /** With other values for some parameters: keys are those of the module's options. */
  public void eval(
      CompletableFuture<RowData> result,
      byte[] image,
      String[] labels,
      @DataTypeHint("MAP<STRING, STRING>") Map<String, String> config) {
    if (image == null
        || labels == null
        || config == null
        || Arrays.stream(labels).anyMatch(Objects::isNull)) {
      result.complete(null);
      return;
    }
    generate(
        result,
        config,
        Arguments.NONE.with(Parameters.CANDIDATE_LABELS, ImageLabels.format(Arrays.asList(labels))),
        Map.of(Parameters.IMAGE, image));
  }

  @Override
  RowData value(GenerationService service, Answer answer) {
    GeneratedText label =
        answer
            .first()
            .text()
            .filter(text -> !text.shares().isEmpty())
            .orElseThrow(
                () ->
                    new InvalidRequestException(
                        "The model %s of LABEL does not label images; set 'label.model.folder' to a CLIPModel."
                            .formatted(answer.audit().model())));
    Map<StringData, Float> scores = new HashMap<>();
    label.shares().forEach((each, share) -> scores.put(StringData.fromString(each), share));
    return GenericRowData.of(
        StringData.fromString(label.text()),
        label.shares().get(label.text()),
        new GenericMapData(scores));
  }
}
