package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.examples.Topics;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionOptions;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** The text-to-image job on a {@link SlowDevice}; its topics must exist. */
public final class SlowDeviceJob {
  private SlowDeviceJob() {}

  /**
   * For {@code flink run}.
   *
   * @param args the topics' prefix, and by how many milliseconds each call is longer
   */
  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    Topics topics = Topics.withPrefix(args[0]);
    Decoded.Split<PromptEvent> prompts =
        Decoded.split(
            env.fromSource(
                    DiffusionSources.prompts().topics(topics.requests()).build(env),
                    WatermarkStrategy.noWatermarks(),
                    "prompts")
                .uid("prompts"));
    DiffusionStreams images =
        Diffusion.textToImage()
            .uid("text-to-image")
            .pipeline(
                new SlowDevice(
                    env.getConfiguration().toMap().get(DiffusionOptions.MODEL_FOLDER.key()),
                    Long.parseLong(args[1])))
            .apply(prompts.events());
    images
        .images()
        .sinkTo(
            DiffusionSinks.images()
                .topic(topics.images())
                .failuresTopic(topics.failures())
                .build(env))
        .uid("images");
    prompts
        .failures()
        .union(images.failures())
        .sinkTo(DiffusionSinks.failures().topic(topics.failures()).build(env))
        .uid("failures");
    images
        .progress()
        .sinkTo(DiffusionSinks.progress().topic(topics.progress()).build(env))
        .uid("progress");
    env.execute(args[0] + "slow-device");
  }
}
