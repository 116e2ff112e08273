/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Which frame of which stream an image task is, as its parameters say.
 *
 * @param stream name of the stream, unique in the job
 * @param number of the frame; numbers of a stream rise, and may leave some out
 */
record FrameId(String stream, long number) {
  static final String STREAM = "stream";
  static final String FRAME = "frame";

  private static final String PREFIX = "stream ";
  private static final int LONGEST_NAME = 512;

  /**
   * @return empty for a task that is no frame
   * @throws InvalidRequestException when it says one without the other, or something else
   */
  static Optional<FrameId> of(ImageTaskEvent task) {
    Map<String, String> parameters = task.getParameters();
    String stream = parameters.get(STREAM);
    String frame = parameters.get(FRAME);
    if (stream == null && frame == null) {
      return Optional.empty();
    }
    if (stream == null || frame == null) {
      throw new InvalidRequestException(
          "The request has the parameter '%s' without '%s'. A frame of a stream has both."
              .formatted(stream == null ? FRAME : STREAM, stream == null ? STREAM : FRAME));
    }
    if (stream.isEmpty() || stream.length() > LONGEST_NAME) {
      throw new InvalidRequestException(
          "The name of the stream has %d characters; 1 to %d are accepted."
              .formatted(stream.length(), LONGEST_NAME));
    }
    try {
      long number = Long.parseLong(frame.strip());
      if (number >= 0) {
        return Optional.of(new FrameId(stream, number));
      }
    } catch (NumberFormatException e) {
      // said below
    }
    throw new InvalidRequestException(
        "%s is '%s'; a whole number from 0 is expected.".formatted(FRAME, frame));
  }

  /**
   * What decides which subtask works on a task: its stream, or, for one that is no frame of a
   * stream, its id, so that such tasks are spread.
   */
  static String key(ImageTaskEvent task) {
    String stream = task.getParameters().get(STREAM);
    return stream == null ? "task " + task.getId() : key(stream);
  }

  private static String key(String stream) {
    return PREFIX + stream;
  }

  /** The frame of this number of the stream that has this key. */
  static FrameId ofKey(String key, long number) {
    return new FrameId(key.substring(PREFIX.length()), number);
  }

  String key() {
    return key(stream);
  }

  /** What a task asks of its model, without what it says of its stream. */
  static Map<String, String> withoutStream(Map<String, String> parameters) {
    Map<String, String> others = new TreeMap<>(parameters);
    others.keySet().removeAll(List.of(STREAM, FRAME));
    return others;
  }
}
