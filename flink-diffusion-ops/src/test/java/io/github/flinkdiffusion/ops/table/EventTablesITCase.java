/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.DiffusionSinks;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The ready statements of examples/sql/events.sql on a real broker, beside DataStream jobs. */
class EventTablesITCase {
  private static final Path STATEMENTS = Path.of("../examples/sql/events.sql");
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final String TO_THE_END = " /*+ OPTIONS('scan.bounded.mode' = 'latest-offset') */";

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private static EmbeddedKafka kafka;

  @TempDir private Path store;

  private TableEnvironment sql;

  @BeforeAll
  static void startKafka() {
    kafka = EmbeddedKafka.builder().start();
    kafka.createTopics(
        1, "prompts", "image-tasks", "images", "failures", "progress", "cancellations", "broken");
  }

  @AfterAll
  static void stopKafka() {
    kafka.close();
  }

  @BeforeEach
  void newSession() throws Exception {
    sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.getConfig().set("execution.checkpointing.interval", "200 ms");
    sql.getConfig().set("restart-strategy.type", "none");
    sql.getConfig().set(PayloadOptions.STORE.key(), store.toUri().toString());
    sql.executeSql("LOAD MODULE diffusion WITH ('on-error' = 'FAIL')");
    String statements =
        Files.readString(STATEMENTS).replace("localhost:9092", kafka.bootstrapServers());
    for (String statement : statements.split(";\\n")) {
      if (statement.contains("CREATE TABLE")) {
        sql.executeSql(statement);
      }
    }
  }

  private List<Row> query(String statement) throws Exception {
    return SqlOnFlink.query(sql, statement);
  }

  private static List<ConsumerRecord<byte[], byte[]>> written(String topic, int records) {
    return kafka.readCommitted(topic, records, PATIENCE);
  }

  @Test
  void requestsWrittenBySqlAreEventsOfTheJobs() throws Exception {
    sql.executeSql(
            "INSERT INTO prompt_events (id, prompt, seed, attributes) VALUES"
                + " ('p1', 'a red apple', 7, MAP['tenant', 'a']),"
                + " ('p2', 'a blue moon', CAST(NULL AS BIGINT), CAST(NULL AS MAP<STRING, STRING>))")
        .await();
    List<ConsumerRecord<byte[], byte[]>> prompts = written("prompts", 2);
    assertThat(prompts).extracting(each -> new String(each.key(), UTF_8)).contains("p1", "p2");
    assertThat(EventCodec.prompts().decode(prompts.get(0).value()))
        .isEqualTo(
            PromptEvent.newBuilder()
                .setId("p1")
                .setPrompt("a red apple")
                .setSeed(7L)
                .setAttributes(Map.of("tenant", "a"))
                .build());
    assertThat(EventCodec.prompts().decode(prompts.get(1).value()))
        .isEqualTo(PromptEvent.newBuilder().setId("p2").setPrompt("a blue moon").build());

    sql.executeSql(
            "INSERT INTO image_task_events (id, image, strength) SELECT 't1', ROW(x'0405',"
                + " CAST(NULL AS ROW<uri STRING, sha256 STRING, `length` BIGINT>), 'image/png'),"
                + " 0.5e0")
        .await();
    assertThat(EventCodec.imageTasks().decode(written("image-tasks", 1).get(0).value()))
        .isEqualTo(
            ImageTaskEvent.newBuilder()
                .setId("t1")
                .setImage(Payloads.inline(new byte[] {4, 5}, "image/png"))
                .setStrength(0.5)
                .build());

    sql.executeSql("INSERT INTO cancel_events VALUES ('p1', CAST(NULL AS STRING))").await();
    assertThat(EventCodec.cancellations().decode(written("cancellations", 1).get(0).value()))
        .isEqualTo(CancelEvent.newBuilder().setId("p1").build());
  }

  @Test
  void resultsOfADataStreamJobAreRowsAndTheirPicturesAreRead() throws Exception {
    byte[] small = {1, 2, 3};
    byte[] large = "a picture that is kept beside Kafka".repeat(100).getBytes(UTF_8);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setParallelism(1);
    env.enableCheckpointing(200);
    env.fromData(
            picture("i1", Payloads.inline(small, "image/png")),
            picture("i2", new PayloadStore(smallInline()).write(large, "image/tiff")))
        .sinkTo(
            DiffusionSinks.images()
                .setBootstrapServers(kafka.bootstrapServers())
                .setTopic("images")
                .setFailuresTopic("failures")
                .setTransactionalIdPrefix("job")
                .build(env));
    env.execute();

    List<Row> rows =
        query(
            "SELECT id, width, media_type, uncertainty.content,"
                + " CASE WHEN image_reference IS NULL THEN image ELSE PAYLOAD(image_reference) END"
                + " FROM image_events"
                + TO_THE_END);
    assertThat(rows)
        .containsExactly(
            Row.of("i1", 64, "image/png", null, small),
            Row.of("i2", 64, "image/tiff", new byte[] {9}, large));
  }

  private PayloadSettings smallInline() {
    Configuration payloads = new Configuration();
    payloads.set(PayloadOptions.STORE, store.toUri().toString());
    payloads.set(PayloadOptions.INLINE_LIMIT, new MemorySize(1000));
    return PayloadSettings.of(payloads);
  }

  private static ImageEvent picture(String id, Payload picture) {
    ImageEvent.Builder event =
        ImageEvent.newBuilder()
            .setId(id)
            .setWidth(64)
            .setHeight(32)
            .setUncertainty(
                Payloads.reference(picture).isEmpty()
                    ? null
                    : Payloads.inline(new byte[] {9}, "image/png"));
    return Payloads.setPicture(event, picture).build();
  }

  @Test
  void aFailureWithoutAnIdIsARow() throws Exception {
    FailureEvent failure =
        FailureEvent.newBuilder()
            .setReason(FailureReason.UNDECODABLE)
            .setMessage("no event")
            .setOriginal(ByteBuffer.wrap(new byte[] {9}))
            .setPartition(3)
            .build();
    kafka.send(
        List.of(
            new ProducerRecord<>(
                "failures",
                null,
                1_700_000_000_000L,
                null,
                EventCodec.failures().encode(failure))));
    assertThat(
            query(
                "SELECT id, reason, original, `partition`, CAST(event_time AS TIMESTAMP_LTZ(3)) >="
                    + " TO_TIMESTAMP_LTZ(1700000000000, 3) FROM failure_events"
                    + TO_THE_END))
        .containsExactly(Row.of(null, "UNDECODABLE", new byte[] {9}, 3, true));
  }

  @Test
  void aRecordThatIsNoEventFailsTheQueryOrIsLeftOut() throws Exception {
    kafka.send(
        List.of(
            new ProducerRecord<>("broken", new byte[] {1, 2, 3}),
            new ProducerRecord<>(
                "broken",
                EventCodec.cancellations().encode(CancelEvent.newBuilder().setId("c").build()))));
    String query =
        "SELECT id FROM cancel_events /*+ OPTIONS('topic' = 'broken', 'scan.bounded.mode' ="
            + " 'latest-offset', 'diffusion-avro.ignore-parse-errors' = '%s') */";
    assertThatThrownBy(() -> query(query.formatted(false)))
        .hasStackTraceContaining("Cannot read a record as event 'cancel': 3 bytes that start with");
    assertThat(query(query.formatted(true))).containsExactly(Row.of("c"));
  }

  @Test
  void aTableThatDoesNotFitTheEventIsRefusedWithASentence() {
    define("id STRING, prompt STRING, seed STRING", "prompt");
    assertThatThrownBy(() -> query("SELECT * FROM mine"))
        .hasStackTraceContaining("'seed' of the event 'prompt' is STRING; it must be BIGINT");
    define("id STRING", "picture");
    assertThatThrownBy(() -> query("SELECT * FROM mine"))
        .hasStackTraceContaining(
            "[[prompt, image-task, image, text, failure, progress, cancel, model, vote]]");
    define("id STRING", "prompt");
    assertThatThrownBy(() -> sql.executeSql("INSERT INTO mine VALUES ('p1')"))
        .hasStackTraceContaining("has no column 'prompt'");
  }

  private void define(String columns, String event) {
    sql.executeSql("DROP TEMPORARY TABLE IF EXISTS mine");
    sql.executeSql(
        "CREATE TEMPORARY TABLE mine (%s) WITH ('connector' = 'kafka', 'topic' = 'prompts', 'properties.bootstrap.servers' = '%s', 'format' = 'diffusion-avro', 'diffusion-avro.event' = '%s')"
            .formatted(columns, kafka.bootstrapServers(), event));
  }
}
