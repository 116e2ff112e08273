/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.image.SliceOrder;
import io.github.flinkdiffusion.ops.image.SlicePlace;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.util.List;
import java.util.stream.IntStream;

/** What results of several slices can be: refused before anything is computed, if it is known. */
final class VolumeResults {
  /** Bytes of a DICOM element, whose length takes 32 bits. */
  private static final long MOST_DICOM_BYTES = 0xFFFFFFFEL;

  private VolumeResults() {}

  /** The kind of files of a volume. */
  static ResultFormat format(ImageSettings how) {
    return how.format() == ResultFormat.AUTO ? ResultFormat.NIFTI : how.format();
  }

  /**
   * @param places of the slices, where they are known
   * @throws InvalidRequestException if the job cannot write a volume of the request's slices
   */
  static void require(
      TaskPlan plan, ResultMeaning meaning, ImageSettings how, List<SlicePlace> places) {
    ResultFormat format = format(how);
    boolean segments = meaning.kind() == ResultKind.MASK;
    if (meaning.kind() == ResultKind.BOXES
        || format != ResultFormat.NIFTI && !(format == ResultFormat.DICOM && segments)) {
      throw new InvalidRequestException(
          ("The request has %d slices, but %s results cannot be written as a volume of type %s."
                  + " Volumes are NIFTI, or DICOM for segmentations (%s). Send a request for each"
                  + " slice, or set the option.")
              .formatted(plan.slices(), meaning.kind(), format, ImageTaskOptions.FORMAT.key()));
    }
    if (format == ResultFormat.DICOM) {
      double scale = plan.tiles().scale();
      double bytes =
          scale
              * plan.width()
              * scale
              * plan.height()
              * plan.slices()
              * meaning.classes().orElseThrow().shareChannels();
      if (bytes > MOST_DICOM_BYTES) {
        throw new InvalidRequestException(
            "The DICOM file of the shares of %d slices would have %.0f bytes of pixels; at most %d are possible. Name a smaller range."
                .formatted(plan.slices(), bytes, MOST_DICOM_BYTES));
      }
    }
    boolean placed = places.size() == plan.slices();
    List<String> faults =
        placed && format == ResultFormat.NIFTI
            ? SliceOrder.faults(
                places, IntStream.range(0, places.size()).mapToObj(i -> "slice " + i).toList())
            : List.of();
    if (!faults.isEmpty()) {
      throw new InvalidRequestException(
          ("The request's slices do not form a volume: %s. Send a request for each, or name a range"
                  + " that is one.")
              .formatted(faults.get(0)));
    }
  }
}
