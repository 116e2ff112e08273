/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.ops.operator.Diffusion;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** Images from a topic become texts on another one. */
public final class CaptionJob {
  private CaptionJob() {}

  /**
   * For {@code flink run}.
   *
   * @param args the prefix of the topics, which exist: those of {@code Topics.ofImageTasks}
   */
  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    // In Flink's lib/, where the examples' classes cannot be seen.
    String prefix = args[0];
    Diffusion.job(prefix + "captions", Diffusion.imageToText())
        .setTopics(prefix + "image-tasks", prefix + "images", prefix + "failures")
        .setProgressTopic(prefix + "progress")
        .addTo(env);
    env.execute(prefix + "captions");
  }
}
