/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is said of a job's model before the job is submitted. */
class SubmittedModelTest {
  @TempDir private Path folder;

  private static Configuration cluster(String target, String host, Object model) {
    Configuration config = new Configuration();
    config.set(DeploymentOptions.TARGET, target);
    config.set(RestOptions.ADDRESS, host);
    config.set(DiffusionOptions.MODEL_FOLDER, model.toString());
    return config;
  }

  @Test
  void aModelThatIsThereNeedsNoWords() {
    assertThat(SubmittedModel.check(cluster("remote", "127.0.0.1", folder))).isEmpty();
    assertThat(SubmittedModel.check(cluster("remote", "jobmanager", folder))).isEmpty();
    assertThat(SubmittedModel.check(new Configuration())).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"localhost", "127.0.0.1", "::1"})
  void aModelThatIsNotThereIsRefusedForAClusterOnThisMachine(String host) {
    Path absent = folder.resolve("none");
    assertThatThrownBy(() -> SubmittedModel.check(cluster("remote", host, absent)))
        .isInstanceOf(DemoException.class)
        .hasMessage(
            "There is no model at %s (diffusion.model.folder). The job was not submitted. Put the model there, or set diffusion.model.folder to where it is."
                .formatted(absent));
    assertThatThrownBy(() -> SubmittedModel.check(cluster("local", host, absent)))
        .isInstanceOf(DemoException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"remote", "kubernetes-application", "yarn-application"})
  void forOtherMachinesANoteSaysThatItWasNotChecked(String target) {
    assertThat(SubmittedModel.check(cluster(target, "jobmanager", folder.resolve("none"))))
        .get()
        .asString()
        .contains("TaskManagers' folders could not be checked");
  }

  @ParameterizedTest
  @ValueSource(strings = {"hf://owner/model", "s3://models/sd", "https://models.example/sd"})
  void anAddressIsNotChecked(String model) {
    assertThat(SubmittedModel.check(cluster("remote", "localhost", model)))
        .get()
        .asString()
        .startsWith("The model " + model + " (diffusion.model.folder) is not a folder");
  }

  @Test
  void aJobWithoutItsModelCreatesNoTopics() {
    // Nobody listens there, so anything that is asked of Kafka would fail by another message.
    String absent = folder.resolve("none").toString();
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, absent);
    config.set(KafkaOptions.BOOTSTRAP_SERVERS, "127.0.0.1:1");
    assertThatThrownBy(
            () ->
                KafkaJob.submit(
                    StreamExecutionEnvironment.getExecutionEnvironment(config),
                    new String[] {"posters-"},
                    "text-to-image",
                    Topics::withPrefix,
                    TextToImageJob.create()::define))
        .hasMessageContaining("The job was not submitted");
  }
}
