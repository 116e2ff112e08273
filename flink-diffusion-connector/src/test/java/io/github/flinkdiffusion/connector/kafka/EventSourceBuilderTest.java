/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.internal.DecodedTypeInfo;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.junit.jupiter.api.Test;

class EventSourceBuilderTest {
  private final StreamExecutionEnvironment env =
      StreamExecutionEnvironment.getExecutionEnvironment(new Configuration());

  private static EventSourceBuilder<PromptEvent> source() {
    return DiffusionSources.prompts().setBootstrapServers("broker:9092").setTopics("prompts");
  }

  private void assertRefused(EventSourceBuilder<?> source, String... says) {
    assertThatThrownBy(() -> source.build(env))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageStartingWith("A source of PromptEvent")
        .hasMessageContainingAll(says);
  }

  @Test
  void yieldsDecodedEventsForEverUnlessItIsBounded() {
    assertThat(source().build(env).getProducedType())
        .isEqualTo(DecodedTypeInfo.forEvent(PromptEvent.class));
    assertThat(source().build(env).getBoundedness()).isEqualTo(Boundedness.CONTINUOUS_UNBOUNDED);
    assertThat(source().setBounded(OffsetsInitializer.latest()).build(env).getBoundedness())
        .isEqualTo(Boundedness.BOUNDED);
  }

  @Test
  void readsFromFlinksConfigurationWhatNoMethodSets() {
    StreamExecutionEnvironment configured =
        StreamExecutionEnvironment.getExecutionEnvironment(
            new Configuration().set(KafkaOptions.BOOTSTRAP_SERVERS, "configured:9092"));
    assertThat(DiffusionSources.prompts().setTopics("prompts").build(configured)).isNotNull();
  }

  @Test
  void refusesNoServersAndNoTopics() {
    assertRefused(DiffusionSources.prompts().setTopics("prompts"), "call setBootstrapServers(...)");
    assertRefused(source().setTopics(), "call setTopics(...)");
  }

  @Test
  void refusesToReadWhatMayBeTakenBack() {
    assertRefused(
        source().setProperty("isolation.level", "read_uncommitted"),
        "isolation.level=read_uncommitted",
        "set read_committed");
    source().setProperty("isolation.level", "read_committed").build(env);
  }

  @Test
  void refusesToCommitOffsetsAheadOfTheWork() {
    assertRefused(source().setProperty("enable.auto.commit", "true"), "with each checkpoint");
  }

  @Test
  void refusesPropertiesThatHaveASettingOfTheirOwn() {
    assertRefused(source().setProperty("group.id", "x"), "call setGroupId(...)");
    assertRefused(
        source().setProperty("auto.offset.reset", "latest"), "call setStartingOffsets(...)");
    assertRefused(source().setProperty("bootstrap.servers", "x"), "call setBootstrapServers(...)");
    assertRefused(source().setProperty("value.deserializer", "x"), "the source reads bytes");
  }
}
