/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** A job whose model cannot be opened fails once, though it may restart for ever. */
class UnusableModelITCase {
  private static final Path TINY = Path.of("src/test/resources/fixtures/models/tiny-sd1");

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(1)
              .build());

  private static void assertFailsOnce(Path folder, String... says) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(
            new Configuration()
                .set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay")
                .set(
                    RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, Integer.MAX_VALUE)
                .set(
                    RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY,
                    Duration.ofMillis(1)));
    env.setParallelism(1);
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setModel(folder.toString())
            .setDevice("cpu")
            .setBatchRows(1)
            .apply(
                env.fromData(
                    new AvroTypeInfo<>(PromptEvent.class),
                    PromptEvent.newBuilder().setId("a").setPrompt("a cat").build()));
    streams.images().sinkTo(new DiscardingSink<>());
    JobClient job = env.executeAsync("unusable model");
    assertThatThrownBy(() -> job.getJobExecutionResult().get(90, TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .satisfies(
            failure -> {
              for (String each : says) {
                assertThat(failure).hasStackTraceContaining(each);
              }
            });
    assertThat(job.getJobStatus().get()).isEqualTo(JobStatus.FAILED);
  }

  @Test
  void aFolderThatIsNotThere() throws Exception {
    assertFailsOnce(
        Path.of("/nonexist"),
        "Model folder /nonexist does not exist on this machine; every task manager must find it under this path.");
  }

  @Test
  void aFolderWithoutItsWeights(@TempDir Path folder) throws Exception {
    copy(TINY, folder);
    Files.delete(folder.resolve("unet/diffusion_pytorch_model.safetensors"));
    assertFailsOnce(folder, "The model in " + folder + " cannot be used: ");
  }

  @Test
  void aFileThatIsCutShort(@TempDir Path folder) throws Exception {
    copy(TINY, folder);
    Path weights = folder.resolve("unet/diffusion_pytorch_model.safetensors");
    byte[] whole = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(whole, whole.length / 2));
    assertFailsOnce(folder, "The model in " + folder + " cannot be used: ");
  }

  /** Every byte is read by a thread beside the first calls. */
  @Test
  void aWeightThatIsNotANumber(@TempDir Path folder) throws Exception {
    copy(TINY, folder);
    Path weights = folder.resolve("unet/diffusion_pytorch_model.safetensors");
    byte[] content = Files.readAllBytes(weights);
    ByteBuffer.wrap(content)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putFloat(content.length - Float.BYTES, Float.NaN);
    Files.write(weights, content);
    assertFailsOnce(folder, "The model in " + folder + " cannot be used: ", "holds NaN at element");
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path target = to.resolve(from.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.copy(file, target);
      }
    }
  }
}
