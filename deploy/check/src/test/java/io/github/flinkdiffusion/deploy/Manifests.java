/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What {@code kubectl apply -k} would send for a folder of deploy/kubernetes, as far as its
 * kustomizations go: resources of other folders, and patches that are merged (RFC 7386, as
 * kustomize does for kinds that it does not know).
 */
record Manifests(List<JsonNode> resources) {
  private static final Path ROOT = Path.of("../kubernetes");
  private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

  static Manifests of(String folder) {
    return new Manifests(render(ROOT.resolve(folder)));
  }

  /** What a folder's one FlinkDeployment sets, as texts. */
  static Map<String, String> flinkConfiguration(String folder) {
    Map<String, String> entries = new HashMap<>();
    for (Map.Entry<String, JsonNode> entry :
        of(folder).only("FlinkDeployment").at("/spec/flinkConfiguration").properties()) {
      entries.put(entry.getKey(), entry.getValue().asText());
    }
    return entries;
  }

  /** What the containers of a compose file get as Flink's configuration. */
  static Map<String, String> flinkPropertiesOfCompose(Path file) {
    Map<String, String> entries = new HashMap<>();
    String properties = documents(file).get(0).at("/x-flink/environment/FLINK_PROPERTIES").asText();
    properties
        .lines()
        .forEach(
            line -> {
              int colon = line.indexOf(": ");
              entries.put(line.substring(0, colon), line.substring(colon + 2));
            });
    return entries;
  }

  /** The only one of a kind. */
  JsonNode only(String kind) {
    List<JsonNode> found = all(kind);
    if (found.size() != 1) {
      throw new AssertionError("%d resources of kind %s".formatted(found.size(), kind));
    }
    return found.get(0);
  }

  List<JsonNode> all(String kind) {
    return resources.stream().filter(each -> each.path("kind").asText().equals(kind)).toList();
  }

  private static List<JsonNode> render(Path folder) {
    JsonNode kustomization = documents(folder.resolve("kustomization.yaml")).get(0);
    kustomization
        .fieldNames()
        .forEachRemaining(
            name -> {
              if (!List.of("apiVersion", "kind", "resources", "patches").contains(name)) {
                throw new AssertionError(
                    "this test does not know '%s' of %s".formatted(name, folder));
              }
            });
    List<JsonNode> resources = new ArrayList<>();
    for (JsonNode resource : kustomization.path("resources")) {
      Path path = folder.resolve(resource.asText()).normalize();
      resources.addAll(path.toString().endsWith(".yaml") ? documents(path) : render(path));
    }
    for (JsonNode patch : kustomization.path("patches")) {
      for (JsonNode change : documents(folder.resolve(patch.path("path").asText()))) {
        ObjectNode target =
            (ObjectNode)
                resources.stream()
                    .filter(each -> identity(each).equals(identity(change)))
                    .findFirst()
                    .orElseThrow(() -> new AssertionError("a patch finds no " + identity(change)));
        merge(target, change);
      }
    }
    return resources;
  }

  static String identity(JsonNode resource) {
    JsonNode metadata = resource.path("metadata");
    return "%s %s/%s"
        .formatted(
            resource.path("kind").asText(),
            metadata.path("namespace").asText(),
            metadata.path("name").asText());
  }

  private static void merge(ObjectNode target, JsonNode change) {
    for (Map.Entry<String, JsonNode> field : change.properties()) {
      if (field.getValue().isNull()) {
        target.remove(field.getKey());
      } else if (field.getValue().isObject() && target.path(field.getKey()).isObject()) {
        merge((ObjectNode) target.get(field.getKey()), field.getValue());
      } else {
        target.set(field.getKey(), field.getValue());
      }
    }
  }

  private static List<JsonNode> documents(Path file) {
    try (MappingIterator<JsonNode> documents =
        YAML.readerFor(JsonNode.class).readValues(file.toFile())) {
      return documents.readAll();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read " + file, e);
    }
  }
}
