/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.examples.Topics;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** What models that stand in for others have in common: mini-emoji with something before a call. */
final class StandIns {
  private StandIns() {}

  /** The same pipeline, with this done on the device's thread before each network call. */
  @SuppressWarnings("unchecked")
  static DiffusionPipeline beforeSteps(
      DiffusionPipeline pipeline, Consumer<List<Trajectory>> before) {
    return (DiffusionPipeline)
        Proxy.newProxyInstance(
            DiffusionPipeline.class.getClassLoader(),
            new Class<?>[] {DiffusionPipeline.class},
            (self, method, arguments) -> {
              if (method.getName().equals("step")) {
                before.accept((List<Trajectory>) arguments[0]);
              }
              try {
                return method.invoke(pipeline, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  /**
   * The text-to-image job on a stand-in; its topics must exist.
   *
   * @param factory of the stand-in, by mini-emoji's folder
   */
  static void run(String prefix, String name, Function<String, PipelineFactory> factory)
      throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    Topics topics = Topics.withPrefix(prefix);
    Decoded.Split<PromptEvent> prompts =
        Decoded.split(
            env.fromSource(
                    DiffusionSources.prompts().setTopics(topics.requests()).build(env),
                    WatermarkStrategy.noWatermarks(),
                    "prompts")
                .uid("prompts"));
    DiffusionStreams images =
        Diffusion.textToImage()
            .uid("text-to-image")
            .setPipeline(
                factory.apply(
                    env.getConfiguration().toMap().get(DiffusionOptions.MODEL_FOLDER.key())))
            .apply(prompts.events());
    images
        .images()
        .sinkTo(
            DiffusionSinks.images()
                .setTopic(topics.images())
                .setFailuresTopic(topics.failures())
                .build(env))
        .uid("images");
    prompts
        .failures()
        .union(images.failures())
        .sinkTo(DiffusionSinks.failures().setTopic(topics.failures()).build(env))
        .uid("failures");
    images
        .progress()
        .sinkTo(DiffusionSinks.progress().setTopic(topics.progress()).build(env))
        .uid("progress");
    env.execute(prefix + name);
  }
}
