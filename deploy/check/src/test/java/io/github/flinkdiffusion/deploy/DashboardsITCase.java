/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.examples.TextToImageJob;
import io.github.flinkdiffusion.examples.Topics;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RpcOptions;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every query of the dashboards and of the alert rules names metrics and labels that a running job
 * reports to Prometheus.
 */
class DashboardsITCase {
  private static final Path OBSERVE = Path.of("../observe");

  /** A metric of Flink's reporter in a query, with its label matchers. */
  private static final Pattern METRIC = Pattern.compile("(flink_\\w+)(?:\\{([^}]*)})?");

  private static final Pattern MATCHER = Pattern.compile("(\\w+)\\s*[=!]~?\\s*\"");
  private static final Pattern BY = Pattern.compile("\\bby \\(([^)]*)\\)");
  private static final Pattern SAMPLE = Pattern.compile("(flink_\\w+)\\{([^}]*)} .*");
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  @TempDir private static Path folder;
  private static EmbeddedKafka kafka;
  private static JobClient job;
  private static int port;

  @BeforeAll
  static void aJobThatReports() throws Exception {
    kafka = EmbeddedKafka.builder().folder(folder).start();
    Topics topics = Topics.withPrefix("seen-");
    kafka.createTopics(1, topics.requests(), topics.images(), topics.failures(), topics.progress());
    try (ServerSocket socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    Configuration config =
        new Configuration()
            .set(RpcOptions.ASK_TIMEOUT_DURATION, PATIENCE) // of a busy machine
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
            .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "seen")
            .set(
                DiffusionOptions.MODEL_FOLDER,
                Path.of("../../examples/models/mini-emoji").toAbsolutePath().toString())
            .set(DiffusionOptions.BATCH_ROWS, 2) // measures nothing
            .set(DiffusionOptions.DEVICE, "cpu");
    Map<String, String> reporter = Manifests.flinkConfiguration("cpu");
    reporter.keySet().removeIf(key -> !key.startsWith("metrics."));
    reporter.forEach(config::setString);
    config.setString("metrics.reporter.prometheus.port", Integer.toString(port));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, config);
    TextToImageJob.create().define(env, topics);
    job = env.executeAsync("seen");
    byte[] prompt =
        EventCodec.prompts()
            .encode(
                PromptEvent.newBuilder()
                    .setId("p1")
                    .setPrompt("a cat")
                    .setSteps(2)
                    .setGuidanceScale(1.0)
                    .build());
    kafka.send(List.of(new ProducerRecord<>(topics.requests(), prompt)));
    kafka.readCommitted(topics.images(), 1, PATIENCE);
  }

  @AfterAll
  static void end() throws Exception {
    if (job != null) {
      job.cancel().get();
      job.getJobExecutionResult().handle((result, cancelled) -> null).get();
    }
    kafka.close();
  }

  @Test
  void everyQueryNamesMetricsThatAreReported() throws Exception {
    Map<String, String> queries = queries();
    assertThat(queries).hasSizeGreaterThan(20);
    Map<String, Set<String>> reported = reported();
    if (Boolean.getBoolean("metrics.print")) {
      reported.forEach((name, labels) -> System.out.println(name + " " + labels));
    }
    List<String> faults = new ArrayList<>();
    queries.forEach((where, query) -> faults(where, query, reported, faults));
    assertThat(faults).isEmpty();
  }

  private static void faults(
      String where, String query, Map<String, Set<String>> reported, List<String> faults) {
    Set<String> labels = new TreeSet<>();
    Matcher metrics = METRIC.matcher(query);
    boolean any = false;
    while (metrics.find()) {
      any = true;
      Set<String> known = reported.get(metrics.group(1));
      if (known == null) {
        faults.add("%s: no metric %s".formatted(where, metrics.group(1)));
        continue;
      }
      labels.addAll(known);
      Matcher matchers = MATCHER.matcher(metrics.group(2) == null ? "" : metrics.group(2));
      while (matchers.find()) {
        if (!known.contains(matchers.group(1))) {
          faults.add(
              "%s: %s has no label %s".formatted(where, metrics.group(1), matchers.group(1)));
        }
      }
    }
    if (!any) {
      faults.add(where + ": no metric of Flink in " + query);
    }
    Matcher groups = BY.matcher(query);
    while (groups.find()) {
      for (String label : groups.group(1).split(",\\s*")) {
        if (!labels.contains(label)) {
          faults.add("%s: no label %s to group by".formatted(where, label));
        }
      }
    }
  }

  private static Map<String, String> queries() throws IOException {
    Map<String, String> queries = new HashMap<>();
    ObjectMapper json = new ObjectMapper();
    try (Stream<Path> dashboards = Files.list(OBSERVE.resolve("grafana/dashboards"))) {
      for (Path dashboard : dashboards.toList()) {
        for (JsonNode panel : json.readTree(dashboard.toFile()).path("panels")) {
          for (JsonNode target : panel.path("targets")) {
            queries.put(
                dashboard.getFileName()
                    + ", "
                    + panel.path("title").asText()
                    + target.path("refId"),
                target.path("expr").asText());
          }
        }
      }
    }
    JsonNode rules =
        new ObjectMapper(new YAMLFactory()).readTree(OBSERVE.resolve("alerts.yaml").toFile());
    for (JsonNode group : rules.path("groups")) {
      for (JsonNode rule : group.path("rules")) {
        queries.put("alert " + rule.path("alert").asText(), rule.path("expr").asText());
      }
    }
    return queries;
  }

  /** Names of metrics with their labels' names. */
  private static Map<String, Set<String>> reported() throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://localhost:" + port + "/metrics")).build();
    String text =
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
    Map<String, Set<String>> reported = new HashMap<>();
    for (String line : text.split("\n")) {
      Matcher sample = SAMPLE.matcher(line);
      if (sample.matches()) {
        Set<String> labels = reported.computeIfAbsent(sample.group(1), name -> new TreeSet<>());
        MATCHER.matcher(sample.group(2)).results().forEach(label -> labels.add(label.group(1)));
      }
    }
    return reported;
  }
}
