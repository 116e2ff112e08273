/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/**
 * Runs docs/SQL_RECIPES.md on the tables of examples/sql/events.sql, in one session, as it stands
 * there; but sources end with what is on their topics, so that jobs end, too.
 */
class SqlRecipesITCase {
  private static final Path RECIPES = Path.of("../docs/SQL_RECIPES.md");
  private static final Path TABLES = Path.of("../examples/sql/events.sql");
  private static final Path UPSCALER =
      Path.of("src/test/resources/fixtures/models/tiny-x4-upscaler").toAbsolutePath();

  private static final Path TEXTS = Path.of("src/test/resources/fixtures/text").toAbsolutePath();

  private static final Path CLIP =
      Path.of("src/test/resources/fixtures/classifier/tiny-clip").toAbsolutePath();

  private static final Pattern BLOCK = Pattern.compile("(?ms)^## ([^\n]*)$|^```sql\n(.*?)^```$");
  private static final Pattern SET = Pattern.compile("SET '(.*)' = '(.*)'");

  @RegisterExtension
  private static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  @TempDir private Path store;

  private final TableEnvironment sql =
      TableEnvironment.create(EnvironmentSettings.inStreamingMode());

  @Test
  void theRecipesDoWhatTheySay() throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(
          1,
          "prompts",
          "images",
          "failures",
          "thumbnails",
          "large-images",
          "frames",
          "images-json");
      sendPictures(kafka);
      sql.getConfig().set("parallelism.default", "1");
      sql.getConfig().set("restart-strategy.type", "none");
      run(
          Files.readString(TABLES)
              .replace("localhost:9092", kafka.bootstrapServers())
              .replace(
                  "'scan.startup.mode'",
                  "'scan.bounded.mode' = 'latest-offset', 'scan.startup.mode'"));
      Map<String, String> recipes = recipes();
      run(
          recipes
              .get("")
              .replace("s3://bucket/payloads", store.toUri().toString())
              .replace("'10 s'", "'200 ms'"));

      run(recipes.get("Prompts for a DataStream job"));
      assertThat(events(kafka, "prompts", EventCodec.prompts()))
          .containsExactly(
              PromptEvent.newBuilder()
                  .setId("poster-1")
                  .setPrompt("a lighthouse at dusk")
                  .setSteps(25)
                  .setAttributes(Map.of("customer", "17"))
                  .build());

      run(recipes.get("Prompts with a control image"));
      List<PromptEvent> controlled =
          events(kafka, "prompts", EventCodec.prompts()).stream()
              .filter(prompt -> !prompt.getImages().isEmpty())
              .toList();
      assertThat(controlled)
          .extracting(PromptEvent::getId)
          .containsExactly("again-inside", "again-beside");
      byte[] edges =
          Payloads.inlineBytes(controlled.get(1).getImages().get("controlImage")).orElseThrow();
      assertThat(PngCodec.decode(edges).width()).isEqualTo(24);

      run(recipes.get("Frames for a job of live frames"));
      assertThat(kafka.readCommitted("frames"))
          .singleElement()
          .satisfies(
              record -> {
                assertThat(record.key()).asString(StandardCharsets.UTF_8).isEqualTo("gate-7");
                ImageTaskEvent frame = EventCodec.imageTasks().decode(record.value());
                assertThat(frame.getParameters()).containsEntry("stream", "gate-7");
                assertThat(frame.getId()).isEqualTo("gate-7/" + frame.getParameters().get("frame"));
                assertThat(Payloads.inlineBytes(frame.getImage())).contains(checkerboard(16));
              });

      run(recipes.get("A stream of thumbnails"));
      assertThat(events(kafka, "thumbnails", EventCodec.images()))
          .extracting(ImageEvent::getId, SqlRecipesITCase::size)
          .containsExactly(tuple("inside", "128 x 128"), tuple("beside", "128 x 85"));

      run(
          recipes
              .get("A topic in another format")
              .replace("localhost:9092", kafka.bootstrapServers()));
      assertThat(kafka.readCommitted("images-json"))
          .extracting(record -> new String(record.value(), StandardCharsets.UTF_8))
          .satisfiesExactly(
              inside -> assertThat(inside).contains("\"id\":\"inside\"", "\"width\":16"),
              beside -> assertThat(beside).contains("\"id\":\"beside\"", "\"width\":24"),
              damaged -> assertThat(damaged).contains("\"id\":\"damaged\""));

      run(
          recipes
              .get("Enlarge the pictures of a topic")
              .replace("/models/stable-diffusion-x4-upscaler", UPSCALER.toString()));
      assertThat(events(kafka, "large-images", EventCodec.images()))
          .extracting(ImageEvent::getId, SqlRecipesITCase::size)
          .containsExactly(tuple("inside", "64 x 64"), tuple("beside", "96 x 64"));
      List<FailureEvent> failures = events(kafka, "failures", EventCodec.failures());
      assertThat(failures).hasSize(1);
      assertThat(failures.get(0).getId()).isEqualTo("damaged");
      assertThat(failures.get(0).getReason()).isEqualTo(FailureReason.INVALID_REQUEST);
      assertThat(failures.get(0).getMessage()).contains("1 bytes");

      run(
          recipes
              .get("A prompt from each picture")
              .replace("/models/blip-image-captioning-base", TEXTS + "/tiny-blip-caption"));
      assertThat(events(kafka, "prompts", EventCodec.prompts()))
          .extracting(PromptEvent::getId)
          .containsExactlyInAnyOrder(
              "poster-1", "again-inside", "again-beside", "inside", "beside");

      // This model's words do not include yes.
      assertThat(
              run(
                  recipes
                      .get("Pictures by an answer")
                      .replace("/models/blip-vqa-base", TEXTS + "/tiny-blip-vqa")))
          .isEmpty();

      List<Row> labelled =
          run(
              recipes
                  .get("Pictures by a label")
                  .replace("/models/clip-vit-base-patch32", CLIP.toString())
                  .replace("score > 0.8", "score > 0.01"));
      assertThat(labelled).extracting(row -> row.getField("id")).isSubsetOf("inside", "beside");
      assertThat(labelled).allMatch(row -> row.<Float>getFieldAs("score") > 0.01);

      // The model's weights are random: whatever it draws, it is not the checkerboard.
      List<Row> alarms = run(recipes.get("An alarm by window"));
      assertThat(alarms.stream().mapToLong(row -> row.<Long>getFieldAs("pictures")).sum())
          .isEqualTo(2);
      assertThat(alarms).allMatch(row -> row.<Double>getFieldAs("psnr") < 25);
    }
  }

  /** As the event says and as its picture is. */
  private static String size(ImageEvent event) {
    Raster picture = PngCodec.decode(Payloads.inlineBytes(Payloads.image(event)).orElseThrow());
    assertThat(List.of(event.getWidth(), event.getHeight()))
        .isEqualTo(List.of(picture.width(), picture.height()));
    return picture.width() + " x " + picture.height();
  }

  private void sendPictures(EmbeddedKafka kafka) {
    Configuration payloads = new Configuration();
    payloads.set(PayloadOptions.STORE, store.toUri().toString());
    payloads.set(PayloadOptions.INLINE_LIMIT, new MemorySize(1));
    PayloadStore beside = new PayloadStore(PayloadSettings.of(payloads));
    List<ImageEvent> events =
        List.of(
            event("inside", 16, Payloads.inline(checkerboard(16), "image/png")),
            event("beside", 24, beside.write(checkerboard(24), "image/png")),
            event("damaged", 16, Payloads.inline(new byte[1], "image/png")));
    kafka.send(
        events.stream()
            .map(
                event ->
                    new ProducerRecord<byte[], byte[]>("images", EventCodec.images().encode(event)))
            .toList());
  }

  private static ImageEvent event(String id, int width, Payload picture) {
    return Payloads.setPicture(
            ImageEvent.newBuilder().setId(id).setWidth(width).setHeight(16), picture)
        .build();
  }

  private static byte[] checkerboard(int width) {
    Raster picture = Raster.filled(3, 16, width, 0);
    for (int i = 0; i < picture.data().length; i++) {
      picture.data()[i] = (i % width + i / width) % 2;
    }
    return PngCodec.encode(picture);
  }

  private static <T extends SpecificRecord> List<T> events(
      EmbeddedKafka kafka, String topic, EventCodec<T> codec) throws Exception {
    List<T> events = new ArrayList<>();
    for (ConsumerRecord<byte[], byte[]> record : kafka.readCommitted(topic)) {
      events.add(codec.decode(record.value()));
    }
    return events;
  }

  /** Blocks by the heading above them; that before all headings has none. */
  private static Map<String, String> recipes() throws Exception {
    Map<String, String> recipes = new LinkedHashMap<>();
    String heading = "";
    for (MatchResult found : BLOCK.matcher(Files.readString(RECIPES)).results().toList()) {
      if (found.group(1) == null) {
        assertThat(recipes.put(heading, found.group(2))).as(heading).isNull();
      } else {
        heading = found.group(1);
      }
    }
    return recipes;
  }

  /** Runs statements, which a blank line parts, to their ends; the rows of the last one. */
  private List<Row> run(String statements) throws Exception {
    List<Row> rows = new ArrayList<>();
    for (String statement :
        statements.replaceAll("(?m)^--.*\n", "").strip().split(";\\s*(\n\n|$)")) {
      Matcher set = SET.matcher(statement.strip());
      rows.clear();
      if (set.matches()) {
        sql.getConfig().set(set.group(1), set.group(2));
      } else if (statement.strip().startsWith("SELECT")) {
        try (CloseableIterator<Row> found = sql.executeSql(statement).collect()) {
          found.forEachRemaining(rows::add);
        }
      } else {
        sql.executeSql(statement).await();
      }
    }
    return rows;
  }
}
