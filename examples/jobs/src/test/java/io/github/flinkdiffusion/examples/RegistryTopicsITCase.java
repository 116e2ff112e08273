/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpServer;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code examples/run --no-job} on the topics of a job that runs already, framed by a registry. */
class RegistryTopicsITCase {
  private static final Path MODEL =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1");

  @TempDir private Path folder;

  @Test
  void promptsAndResultsAreFramedAsTheJobsOptionsSay() throws Exception {
    List<String> registered = new ArrayList<>();
    HttpServer registry = registry(registered);
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      String url = "http://127.0.0.1:" + registry.getAddress().getPort();
      Topics topics = Topics.withPrefix("posters-");
      topics.createMissing(kafka.bootstrapServers(), 1);
      Configuration settings = new Configuration();
      settings.setString("diffusion.kafka.source.format", "registry-json");
      settings.setString("diffusion.kafka.sink.format", "registry-avro");
      settings.setString("diffusion.kafka.registry.url", url);
      List<String> options =
          new ArrayList<>(settings.toMap().entrySet().stream().map(o -> "-D" + o).toList());
      settings.set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers());
      settings.set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "posters");
      settings.set(DiffusionOptions.MODEL_FOLDER, MODEL.toAbsolutePath().toString());
      settings.set(DiffusionOptions.DEVICE, "cpu");
      settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300));
      StreamExecutionEnvironment env =
          StreamExecutionEnvironment.createLocalEnvironment(1, settings);
      TextToImageJob.create().define(env, topics);
      JobClient job = env.executeAsync("posters");
      try {
        options.addAll(
            List.of(
                "--no-job",
                "--bootstrap-servers",
                kafka.bootstrapServers(),
                "--topic-prefix",
                "posters-",
                "--out",
                folder.resolve("out").toString(),
                "--steps",
                "1",
                "a cat"));
        assertThat(TextToImageDemo.run(options.toArray(String[]::new))).isZero();
      } finally {
        job.cancel().get();
        job.getJobExecutionResult().handle((result, cancelled) -> null).get();
      }

      JsonNode pictures =
          new ObjectMapper().readTree(folder.resolve("out/summary.json").toFile()).path("pictures");
      assertThat(pictures).hasSize(1);
      assertThat(folder.resolve("out").resolve(pictures.path(0).path("file").asText())).exists();
      byte[] prompt = kafka.readCommitted("posters-prompts").get(0).value();
      assertThat(prompt[0]).isZero();
      assertThat(new String(prompt, 5, prompt.length - 5, UTF_8)).contains("\"prompt\":\"a cat\"");
      assertThat(kafka.readCommitted("posters-images").get(0).value()).startsWith(0, 0, 0, 0);
      assertThat(registered)
          .contains(
              "/subjects/posters-prompts-value/versions",
              "/subjects/posters-images-value/versions");
    } finally {
      registry.stop(0);
    }
  }

  /** Confluent's API as far as a client registers schemas and asks for them. */
  private static HttpServer registry(List<String> registered) throws IOException {
    ObjectMapper json = new ObjectMapper();
    List<JsonNode> schemas = new ArrayList<>();
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          String path = exchange.getRequestURI().getPath();
          ObjectNode answer = json.createObjectNode();
          synchronized (schemas) {
            if (exchange.getRequestMethod().equals("POST")) {
              JsonNode schema = json.readTree(exchange.getRequestBody());
              if (!schemas.contains(schema)) {
                schemas.add(schema);
              }
              registered.add(path);
              answer.put("id", schemas.indexOf(schema) + 1);
            } else {
              int id = Integer.parseInt(path.substring(path.lastIndexOf('/') + 1));
              answer.setAll((ObjectNode) schemas.get(id - 1));
            }
          }
          byte[] bytes = json.writeValueAsBytes(answer);
          exchange.sendResponseHeaders(200, bytes.length);
          exchange.getResponseBody().write(bytes);
          exchange.close();
        });
    server.start();
    return server;
  }
}
