/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/**
 * What {@code docker compose} would refuse of deploy/container/compose.yaml, and what would not
 * work.
 */
class ComposeTest {
  private static final Path FOLDER = Path.of("../container");

  /** Of the Compose Specification, those that the file uses. */
  private static final Set<String> KEYS =
      Set.of(
          "cap_drop",
          "command",
          "depends_on",
          "environment",
          "healthcheck",
          "image",
          "network_mode",
          "networks",
          "ports",
          "read_only",
          "security_opt",
          "tmpfs",
          "volumes");

  private final JsonNode file = read();
  private final Map<String, JsonNode> services = fields(file.path("services"));

  @Test
  void everyKeyIsOfTheSpecification() {
    assertThat(fields(file).keySet())
        .allMatch(
            key ->
                Set.of("name", "services", "networks", "volumes").contains(key)
                    || key.startsWith("x-"));
    services.forEach(
        (name, service) -> {
          assertThat(KEYS).as(name).containsAll(fields(service).keySet());
          assertThat(service.path("image").asText()).as(name).contains(":");
        });
  }

  @Test
  void everyNameLeadsToSomething() {
    services.forEach(
        (name, service) -> {
          assertThat(fields(file.path("networks")).keySet())
              .as(name)
              .containsAll(texts(service.path("networks")));
          assertThat(service.has("network_mode") && service.has("networks")).as(name).isFalse();
          for (String volume : texts(service.path("volumes"))) {
            String source = volume.substring(0, volume.indexOf(':'));
            if (source.startsWith(".")) {
              assertThat(FOLDER.resolve(source)).as(name).exists();
            } else {
              assertThat(fields(file.path("volumes"))).as(name).containsKey(source);
            }
          }
        });
  }

  @Test
  void whatIsWaitedForComes() throws IOException {
    String dockerfile = Files.readString(FOLDER.resolve("Dockerfile"));
    for (Map.Entry<String, JsonNode> service : services.entrySet()) {
      JsonNode needed = service.getValue().path("depends_on");
      if (needed.isArray()) {
        assertThat(services.keySet()).containsAll(texts(needed));
      }
      for (Map.Entry<String, JsonNode> each : fields(needed).entrySet()) {
        JsonNode other = services.get(each.getKey());
        assertThat(other).as(service.getKey() + " needs " + each.getKey()).isNotNull();
        switch (each.getValue().path("condition").asText()) {
          case "service_healthy" ->
              assertThat(
                      other.has("healthcheck")
                          || other.path("image").asText().endsWith("-cpu")
                              && dockerfile.contains("\nHEALTHCHECK "))
                  .as("health of " + each.getKey())
                  .isTrue();
          case "service_completed_successfully" ->
              assertThat(texts(other.path("command"))).contains("--detached");
          default -> throw new AssertionError("condition of " + service.getKey());
        }
      }
    }
  }

  @Test
  void portsArePublishedOnceAndOnThisMachineOnly() {
    List<String> ports = new ArrayList<>();
    services.values().forEach(service -> ports.addAll(texts(service.path("ports"))));
    assertThat(ports)
        .isNotEmpty()
        .doesNotHaveDuplicates()
        .allMatch(p -> p.startsWith("127.0.0.1:"));
  }

  @Test
  void ourContainersHaveNoRights() {
    services.values().stream()
        .filter(service -> service.path("image").asText().startsWith("flink-diffusion"))
        .forEach(
            service -> {
              assertThat(texts(service.path("cap_drop"))).containsExactly("ALL");
              assertThat(texts(service.path("security_opt")))
                  .containsExactly("no-new-privileges:true");
            });
  }

  @Test
  void partsFindEachOther() throws IOException {
    JsonNode kafka = services.get("kafka").path("environment");
    List<String> gallery = texts(services.get("gallery").path("command"));
    String servers = gallery.get(gallery.indexOf("--bootstrap-servers") + 1);
    assertThat(kafka.path("KAFKA_ADVERTISED_LISTENERS").asText())
        .contains("://" + servers)
        .contains("://" + flink().get("diffusion.kafka.bootstrap-servers"));
    assertThat(texts(services.get("submit").path("command")))
        .contains(gallery.get(gallery.indexOf("--topic-prefix") + 1))
        .contains(flink().get("jobmanager.rpc.address") + ":8081");
    assertThat(services).containsKey(flink().get("jobmanager.rpc.address"));

    String port = flink().get("metrics.reporter.prometheus.port");
    JsonNode prometheus = yaml(Path.of("../observe/prometheus.yaml"));
    assertThat(texts(prometheus.at("/scrape_configs/0/static_configs/0/targets")))
        .containsExactly("jobmanager:" + port, "taskmanager:" + port);
    JsonNode grafana = yaml(Path.of("../observe/grafana/provisioning/datasources/prometheus.yaml"));
    assertThat(grafana.at("/datasources/0/url").asText()).isEqualTo("http://prometheus:9090");
  }

  @Test
  void commandsAreThoseOfTheImage() throws IOException {
    assertThat(Files.readString(FOLDER.resolve("flink-diffusion")))
        .contains("\n  " + texts(services.get("gallery").path("command")).get(0) + ") ");
    assertThat(Path.of("../../examples/models", "mini-emoji")).exists();
    assertThat(flink().get("diffusion.model.folder")).isEqualTo("/models/mini-emoji");
  }

  private static Map<String, String> flink() {
    return Manifests.flinkPropertiesOfCompose(FOLDER.resolve("compose.yaml"));
  }

  /** With anchors and merged keys, which Jackson does not read. */
  private static JsonNode read() {
    try (var in = Files.newBufferedReader(FOLDER.resolve("compose.yaml"))) {
      Object value = new Yaml(new SafeConstructor(new LoaderOptions())).load(in);
      return new ObjectMapper().valueToTree(value);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read compose.yaml", e);
    }
  }

  private static JsonNode yaml(Path path) throws IOException {
    return new ObjectMapper(new YAMLFactory()).readTree(path.toFile());
  }

  private static Map<String, JsonNode> fields(JsonNode object) {
    Map<String, JsonNode> fields = new LinkedHashMap<>();
    object.properties().forEach(field -> fields.put(field.getKey(), field.getValue()));
    return fields;
  }

  private static List<String> texts(JsonNode list) {
    List<String> texts = new ArrayList<>();
    list.forEach(each -> texts.add(each.asText()));
    return texts;
  }
}
