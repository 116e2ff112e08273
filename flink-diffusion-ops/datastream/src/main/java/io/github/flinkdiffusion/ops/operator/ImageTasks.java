/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.util.List;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.MemorySize;

/**
 * Builds the operator that makes pictures from pictures: larger ones, masks, changed ones. What it
 * does is the model's to say.
 *
 * <pre>{@code
 * DiffusionStreams results =
 *     Diffusion.imageTasks()
 *         .model("/models/mini-satellite-x4")
 *         .payloadStore("s3://bucket/payloads")
 *         .ensembleSize(8)
 *         .uid("enlarge")
 *         .apply(scenes);
 * }</pre>
 */
@PublicEvolving
public final class ImageTasks extends DiffusionBuilder<ImageTaskEvent, ImageTasks> {

  ImageTasks() {
    super(RequestKind.IMAGE_TASKS, "image to image");
  }

  /** {@link ImageTaskOptions#ENSEMBLE_SIZE}. */
  public ImageTasks ensembleSize(int samples) {
    return option(ImageTaskOptions.ENSEMBLE_SIZE, samples);
  }

  /** {@link ImageTaskOptions#TILE_SIZE}. */
  public ImageTasks tileSize(int pixels) {
    return option(ImageTaskOptions.TILE_SIZE, pixels);
  }

  /** {@link ImageTaskOptions#TILE_OVERLAP}. */
  public ImageTasks tileOverlap(int pixels) {
    return option(ImageTaskOptions.TILE_OVERLAP, pixels);
  }

  /** {@link ImageTaskOptions#BANDS}. */
  public ImageTasks bands(List<Integer> numbersFromOne) {
    return option(ImageTaskOptions.BANDS, numbersFromOne);
  }

  /** {@link ImageTaskOptions#VALUE_RANGE}. */
  public ImageTasks valueRange(double black, double white) {
    return option(ImageTaskOptions.VALUE_RANGE, black + ".." + white);
  }

  /** {@link ImageTaskOptions#FORMAT}. */
  public ImageTasks format(ResultFormat format) {
    return option(ImageTaskOptions.FORMAT, format);
  }

  /** {@link ImageTaskOptions#NOT_FINITE_AS}. */
  public ImageTasks notFiniteAs(double value) {
    return option(ImageTaskOptions.NOT_FINITE_AS, value);
  }

  /** {@link ImageTaskOptions#PATIENT_DATA}. */
  public ImageTasks patientData(boolean copied) {
    return option(ImageTaskOptions.PATIENT_DATA, copied);
  }

  /** {@link ImageTaskOptions#MAX_PIXELS}. */
  public ImageTasks maxPixels(long pixels) {
    return option(ImageTaskOptions.MAX_PIXELS, pixels);
  }

  /** {@link ImageTaskOptions#MAX_SLICES}. */
  public ImageTasks maxSlices(int slices) {
    return option(ImageTaskOptions.MAX_SLICES, slices);
  }

  /** {@link ImageTaskOptions#MEMORY}. */
  public ImageTasks imageMemory(MemorySize size) {
    return option(ImageTaskOptions.MEMORY, size);
  }

  /** {@link ImageTaskOptions#PARTS_IN_FLIGHT}. */
  public ImageTasks partsInFlight(int parts) {
    return option(ImageTaskOptions.PARTS_IN_FLIGHT, parts);
  }
}
