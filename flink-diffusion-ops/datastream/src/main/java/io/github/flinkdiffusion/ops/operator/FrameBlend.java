/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import java.util.List;

/**
 * The previous result of a stream, which a frame is mixed with before the model sees it.
 *
 * @param previous as it is in its file
 * @param digest of the file
 * @param share of the previous result, above 0 and below 1
 */
record FrameBlend(Raster previous, String digest, double share) {
  /** The previous result among a record's inputs. */
  static final String PREVIOUS = "previous";

  /** The share among a record's parameters. */
  static final String BLEND = "blend";

  /**
   * @throws InvalidRequestException when the previous result is no image that a frame can be mixed
   *     with
   */
  void require(PixelFormat frame, TaskPlan plan, Model model, ResultMeaning meaning) {
    String why = null;
    if (meaning.kind() != ResultKind.PICTURE) {
      why = "the result of model %s is no image".formatted(model.info().name());
    } else if (plan.isTiled() || plan.slices() > 1) {
      why = "the frame is cut into parts";
    } else if (frame.type() != SampleType.UINT8 || previous.format().type() != SampleType.UINT8) {
      why =
          "the frame has samples of type %s and the previous result of type %s, and only UINT8 can be mixed"
              .formatted(frame.type(), previous.format().type());
    }
    if (why != null) {
      throw new InvalidRequestException(
          "A frame of a stream cannot be mixed with the previous result (%s): %s."
              .formatted(LiveOptions.BLEND.key(), why));
    }
  }

  /**
   * The frame and the previous result as one image.
   *
   * @param frame with the bands that the model sees
   */
  Raster mixedInto(Raster frame, Model model) {
    Raster other =
        ModelBands.fit(
                previous.format().bands(), previous.channels(), model.imageChannels(), List.of())
            .toModel(previous);
    if (other.height() != frame.height() || other.width() != frame.width()) {
      other =
          FloatResize.resize(other, frame.height(), frame.width(), PilResize.Filter.BICUBIC)
              .like(other);
    }
    float[] ofFrame = frame.data();
    float[] ofOther = other.data();
    float[] mixed = new float[ofFrame.length];
    for (int i = 0; i < mixed.length; i++) {
      mixed[i] = (float) ((1 - share) * ofFrame[i] + share * Math.min(1, Math.max(0, ofOther[i])));
    }
    return new Raster(
        frame.channels(), frame.height(), frame.width(), mixed, frame.format(), frame.metadata());
  }
}
