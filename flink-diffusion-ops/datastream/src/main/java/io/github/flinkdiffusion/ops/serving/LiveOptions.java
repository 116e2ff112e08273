/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.time.Duration;
import java.util.List;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.jspecify.annotations.NullMarked;

/**
 * Settings of image tasks that are frames of streams. Each can be set in Flink's configuration and
 * by a method of the operator's builder, which wins.
 */
@NullMarked
@Experimental
public final class LiveOptions {

  /** Whether image tasks may be frames of streams. */
  public static final ConfigOption<Boolean> ENABLED =
      ConfigOptions.key("diffusion.live.enabled")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Accept image tasks that are frames of streams. A frame names its stream by the"
                  + " parameter stream and its number by the parameter frame. Frames of a stream"
                  + " are generated one after the other, with one seed, and their results are"
                  + " emitted in order. Tasks without these parameters are processed as always.");

  /** Share of the previous result in what a frame is generated from. */
  public static final ConfigOption<Double> BLEND =
      ConfigOptions.key("diffusion.live.blend")
          .doubleType()
          .defaultValue(0.0)
          .withDescription(
              "Share of the previous result in the image that a frame is generated from, from 0 and"
                  + " below 1. A small share can reduce flicker. With a large one, results follow"
                  + " the frames slowly, and a model works on its own traces. Only for models whose"
                  + " result is an image, and for images of 8 bits that are not cut into tiles.");

  /** Cosine similarity above which a frame may be answered with the previous result. */
  public static final ConfigOption<Double> SIMILARITY =
      ConfigOptions.key("diffusion.live.similarity")
          .doubleType()
          .noDefaultValue()
          .withDescription(
              "Cosine similarity to the last generated frame, from 0 and below 1, above which a"
                  + " frame may be answered with that frame's result. The probability rises to 1"
                  + " for equal frames (StreamDiffusion's stochastic similarity filter, which uses"
                  + " 0.98). Default: every frame is generated.");

  /** Maximum frames in a row that are answered with one result. */
  public static final ConfigOption<Integer> MAX_REPEATS =
      ConfigOptions.key("diffusion.live.max-repeats")
          .intType()
          .defaultValue(10)
          .withDescription(
              "Maximum frames in a row that are answered with the same result, from 1. The next one"
                  + " is generated, however similar it is.");

  /** How long a stream without frames is remembered. */
  public static final ConfigOption<Duration> TTL =
      ConfigOptions.key("diffusion.live.ttl")
          .durationType()
          .defaultValue(Duration.ofMinutes(10))
          .withDescription(
              "How long a stream without frames is remembered, by the task manager's clock. After"
                  + " that, its next frame begins a new stream, whose numbers may begin again.");

  /** Maximum streams that a subtask remembers. */
  public static final ConfigOption<Integer> MAX_STREAMS =
      ConfigOptions.key("diffusion.live.max-streams")
          .intType()
          .defaultValue(1000)
          .withDescription(
              "Maximum streams that a subtask remembers at once, from 1. Frames of further streams"
                  + " fail with reason QUOTA_EXCEEDED. State holds the last frame and the last"
                  + " result of each stream, or where they are stored.");

  /** All of them, in the order in which they are documented. */
  @Internal
  public static final List<ConfigOption<?>> ALL =
      List.of(ENABLED, BLEND, SIMILARITY, MAX_REPEATS, TTL, MAX_STREAMS);

  private LiveOptions() {}
}
