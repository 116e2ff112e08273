/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.examples.gallery.Gallery;
import io.github.flinkdiffusion.examples.gallery.GalleryTopics;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The gallery's server on a real broker, and a client of it. */
abstract class GalleryOnKafka {
  private static final AtomicInteger RUNS = new AtomicInteger();
  static final ObjectMapper JSON = new ObjectMapper();

  @RegisterExtension static final JobOnKafka CLUSTER = new JobOnKafka();

  @TempDir private Path real;

  final HttpClient http = HttpClient.newHttpClient();
  final GalleryTopics topics = GalleryTopics.withPrefix("gallery" + RUNS.incrementAndGet() + "-");
  Gallery gallery;
  String token;

  @BeforeEach
  void start() throws Exception {
    kafka().createTopics(1, topics.ofTheJob().toArray(new String[0]));
    Files.write(real.resolve("photograph.png"), png(0.9f, Map.of()));
    Properties client = client();
    gallery =
        Gallery.start(
            new Gallery.Settings(
                client,
                topics,
                null,
                new PayloadStore(PayloadSettings.of(new Configuration())),
                real,
                Gallery.Hints.NONE,
                new GalleryResender(client, topics.failures(), null),
                (name, event, image) ->
                    new Gallery.Replayed("IDENTICAL", "made again from " + (image == null)),
                0));
    Matcher inPage = Pattern.compile("csrf-token\" content=\"([^\"]+)\"").matcher(get("/").body());
    assertThat(inPage.find()).isTrue();
    token = inPage.group(1);
  }

  @AfterEach
  void end() {
    gallery.close();
  }

  static EmbeddedKafka kafka() {
    return CLUSTER.kafka();
  }

  static Properties client() {
    Properties client = new Properties();
    client.setProperty("bootstrap.servers", kafka().bootstrapServers());
    return client;
  }

  static PromptEvent prompt(String id) {
    return PromptEvent.newBuilder().setId(id).setPrompt("a heart").build();
  }

  static ImageEvent image(String id, String prompt, float level) {
    byte[] file = png(level, Map.of("model", "secret-model"));
    return ImageEvent.newBuilder()
        .setId(id)
        .setImage(ByteBuffer.wrap(file))
        .setDigest(Payloads.sha256(file))
        .setWidth(8)
        .setHeight(8)
        .setPrompt(prompt)
        .setModel("secret-model")
        .setAudit(
            AuditRecord.newBuilder()
                .setModel("secret-model")
                .setModelDigest("d")
                .setTask("text-to-image")
                .setScheduler("DDIMScheduler")
                .setSteps(4)
                .setSeed(1)
                .setSoftwareVersion("1")
                .build())
        .build();
  }

  static byte[] png(float level, Map<String, String> texts) {
    return PngCodec.encode(
        Raster.filled(1, 8, 8, level).withMetadata(ImageMetadata.NONE.withTexts(texts)));
  }

  static void send(String topic, byte[] value) {
    kafka().send(List.of(new ProducerRecord<>(topic, value)));
  }

  static <T extends SpecificRecord> List<T> read(String topic, EventCodec<T> codec)
      throws Exception {
    List<T> events = new ArrayList<>();
    for (ConsumerRecord<byte[], byte[]> record : kafka().readCommitted(topic)) {
      events.add(codec.decode(record.value()));
    }
    return events;
  }

  interface Expected {
    boolean holds(JsonNode wall);
  }

  /** The wall, once it is as expected. */
  JsonNode wall(Expected expected) {
    return await()
        .until(() -> JSON.readTree(get("/api/wall").body()), wall -> expected.holds(wall));
  }

  URI address(String path) {
    return URI.create("http://localhost:" + gallery.address().getPort() + path);
  }

  HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return http.send(HttpRequest.newBuilder(address(path)).build(), BodyHandlers.ofString());
  }

  byte[] bytes(String path) throws IOException, InterruptedException {
    HttpResponse<byte[]> answer =
        http.send(HttpRequest.newBuilder(address(path)).build(), BodyHandlers.ofByteArray());
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(answer.headers().firstValue("Content-Type")).hasValue("image/png");
    return answer.body();
  }

  HttpResponse<String> post(String path, String body) throws Exception {
    return post(path, body, Map.of("X-CSRF-Token", token));
  }

  HttpResponse<String> post(String path, String body, Map<String, String> headers)
      throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(address(path))
            .setHeader("Content-Type", "application/json")
            .POST(BodyPublishers.ofString(body));
    headers.forEach(request::setHeader);
    return http.send(request.build(), BodyHandlers.ofString());
  }

  HttpResponse<String> postFile(byte[] file) throws Exception {
    return http.send(
        HttpRequest.newBuilder(address("/api/images/image?name=0042"))
            .setHeader("X-CSRF-Token", token)
            .setHeader("Content-Type", "application/octet-stream")
            .POST(BodyPublishers.ofByteArray(file))
            .build(),
        BodyHandlers.ofString());
  }
}
