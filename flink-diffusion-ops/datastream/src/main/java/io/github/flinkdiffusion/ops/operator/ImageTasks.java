/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.connector.kafka.EventSourceBuilder;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import java.util.List;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.jspecify.annotations.NullMarked;

/**
 * Builds the operator that generates images from images: larger ones, masks, changed ones. The
 * model decides which.
 *
 * <pre>{@code
 * DiffusionStreams results =
 *     Diffusion.imageTasks()
 *         .setModel("/models/mini-satellite-x4")
 *         .setPayloadStore("s3://bucket/payloads")
 *         .setEnsembleSize(8)
 *         .uid("enlarge")
 *         .apply(scenes);
 * }</pre>
 */
@NullMarked
@PublicEvolving
public final class ImageTasks extends DiffusionBuilder<ImageTaskEvent, ImageTasks> {

  ImageTasks() {
    super(RequestKind.IMAGE_TASKS, "image to image");
  }

  /** {@link ImageTaskOptions#ENSEMBLE_SIZE}. */
  public ImageTasks setEnsembleSize(int samples) {
    return setOption(ImageTaskOptions.ENSEMBLE_SIZE, samples);
  }

  /** {@link ImageTaskOptions#TILE_SIZE}. */
  public ImageTasks setTileSize(int pixels) {
    return setOption(ImageTaskOptions.TILE_SIZE, pixels);
  }

  /** {@link ImageTaskOptions#TILE_OVERLAP}. */
  public ImageTasks setTileOverlap(int pixels) {
    return setOption(ImageTaskOptions.TILE_OVERLAP, pixels);
  }

  /** {@link ImageTaskOptions#BANDS}. */
  public ImageTasks setBands(List<Integer> numbersFromOne) {
    return setOption(ImageTaskOptions.BANDS, numbersFromOne);
  }

  /** {@link ImageTaskOptions#VALUE_RANGE}. */
  public ImageTasks setValueRange(double black, double white) {
    return setOption(ImageTaskOptions.VALUE_RANGE, black + ".." + white);
  }

  /** {@link ImageTaskOptions#FORMAT}. */
  public ImageTasks setFormat(ResultFormat format) {
    return setOption(ImageTaskOptions.FORMAT, format);
  }

  /** {@link ImageTaskOptions#NOT_FINITE_AS}. */
  public ImageTasks setNotFiniteAs(double value) {
    return setOption(ImageTaskOptions.NOT_FINITE_AS, value);
  }

  /** {@link ImageTaskOptions#PATIENT_DATA}. */
  public ImageTasks setPatientData(boolean copied) {
    return setOption(ImageTaskOptions.PATIENT_DATA, copied);
  }

  /** {@link ImageTaskOptions#MAX_PIXELS}. */
  public ImageTasks setMaxPixels(long pixels) {
    return setOption(ImageTaskOptions.MAX_PIXELS, pixels);
  }

  /** {@link ImageTaskOptions#MAX_SLICES}. */
  public ImageTasks setMaxSlices(int slices) {
    return setOption(ImageTaskOptions.MAX_SLICES, slices);
  }

  /** {@link ImageTaskOptions#MEMORY}. */
  public ImageTasks setImageMemory(MemorySize size) {
    return setOption(ImageTaskOptions.MEMORY, size);
  }

  /** {@link ImageTaskOptions#PARTS_IN_FLIGHT}. */
  public ImageTasks setPartsInFlight(int parts) {
    return setOption(ImageTaskOptions.PARTS_IN_FLIGHT, parts);
  }

  /** {@link LiveOptions#ENABLED}. */
  public ImageTasks setLive(boolean frames) {
    return setOption(LiveOptions.ENABLED, frames);
  }

  @Override
  boolean takesFrames() {
    return true;
  }

  @Override
  DataStream<ImageTaskEvent> arranged(
      DataStream<ImageTaskEvent> requests, DiffusionSettings settings) {
    return settings.live().enabled() ? requests.keyBy(FrameId::key, Types.STRING) : requests;
  }

  @Override
  EventSourceBuilder<ImageTaskEvent> source() {
    return DiffusionSources.imageTasks();
  }
}
