/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.internal.DecodedTypeInfo;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.core.LogEvent;
import org.apache.logging.log4j.core.LoggerContext;
import org.apache.logging.log4j.core.appender.AbstractAppender;
import org.apache.logging.log4j.core.config.LoggerConfig;
import org.apache.logging.log4j.core.config.Property;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A job whose parts have no uid says, when it is built, what a change of it would lose. */
class MissingUidTest {
  private static final String OURS = "io.github.flinkdiffusion";

  private final List<String> warnings = new ArrayList<>();

  private final AbstractAppender appender =
      new AbstractAppender("captured", null, null, true, Property.EMPTY_ARRAY) {
        @Override
        public void append(LogEvent event) {
          warnings.add(event.getMessage().getFormattedMessage());
        }
      };

  private static LoggerContext logging() {
    return (LoggerContext) LogManager.getContext(false);
  }

  @BeforeEach
  void capture() {
    appender.start();
    LoggerConfig ours = new LoggerConfig(OURS, Level.WARN, false);
    ours.addAppender(appender, Level.WARN, null);
    logging().getConfiguration().addLogger(OURS, ours);
    logging().updateLoggers();
  }

  @AfterEach
  void release() {
    logging().getConfiguration().removeLogger(OURS);
    logging().updateLoggers();
  }

  private static <T extends SpecificRecordBase> SingleOutputStreamOperator<T> events(
      Class<T> type, T event) {
    return StreamExecutionEnvironment.getExecutionEnvironment()
        .fromData(new AvroTypeInfo<>(type), event)
        .filter(each -> true);
  }

  private static SingleOutputStreamOperator<PromptEvent> prompts() {
    return events(
        PromptEvent.class, PromptEvent.newBuilder().setId("a").setPrompt("a heart").build());
  }

  private static SingleOutputStreamOperator<ImageTaskEvent> slices() {
    return events(
        ImageTaskEvent.class,
        ImageTaskEvent.newBuilder()
            .setId("a")
            .setImage(Payloads.inline(new byte[1], "application/dicom"))
            .build());
  }

  private static SingleOutputStreamOperator<Decoded<PromptEvent>> decoded() {
    return prompts()
        .map(Decoded::event, new DecodedTypeInfo<>(new AvroTypeInfo<>(PromptEvent.class)));
  }

  @Test
  void theOperatorsWarningNamesItAndTheRequestsInFlight() {
    Diffusion.textToImage().setPipeline(new FakePipelines()).name("posters").apply(prompts());
    assertThat(warnings)
        .singleElement()
        .asString()
        .contains("'posters' has no uid", "requests in flight", "Call uid(...)");
  }

  @Test
  void theWarningOfGatheringSeriesNamesIncompleteSeries() {
    Diffusion.series().apply(slices());
    assertThat(warnings)
        .singleElement()
        .asString()
        .contains("'gather series' has no uid", "series that are not complete");
  }

  @Test
  void theSourcesWarningNamesItAndItsPositions() {
    Decoded.split(decoded().name("prompts"));
    assertThat(warnings)
        .singleElement()
        .asString()
        .contains("'prompts' has no uid", "positions up to which its topics were read");
  }

  @Test
  void nothingIsSaidWhereAllHaveOne() {
    Diffusion.textToImage().setPipeline(new FakePipelines()).uid("a").apply(prompts());
    Diffusion.series().uid("b").apply(slices());
    Decoded.split(decoded().uid("c"));
    assertThat(warnings).isEmpty();
  }
}
