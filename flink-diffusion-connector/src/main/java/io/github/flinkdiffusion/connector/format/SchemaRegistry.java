/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A client of a schema registry: schemas by id, ids by schema. What it learned it keeps, within a
 * bound; what a registry does not know it asks again after a while. An attempt that fails is
 * repeated a few times, then it is a {@link RegistryException}.
 *
 * <p>Speaks the API of Confluent's registry, which Karapace, Redpanda and Apicurio ({@code
 * /apis/ccompat/v7}) have, too; for ids of eight bytes, Apicurio's core API. Not for use by several
 * threads.
 */
final class SchemaRegistry {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MAX_KEPT = 1_000;
  private static final int MAX_ANSWER_BYTES = 4 << 20;
  private static final int ATTEMPTS = 4;
  private static final Duration FIRST_PAUSE = Duration.ofMillis(200);
  private static final Duration ASK_AGAIN = Duration.ofSeconds(30);
  private static final int SUBJECT_NOT_FOUND = 40401;
  private static final int SCHEMA_NOT_FOUND = 40403;

  /** How Apicurio's names of such errors end. */
  private static final String NOT_FOUND = "NotFoundException";

  /**
   * A schema as it is registered.
   *
   * @param type AVRO, JSON, PROTOBUF; empty where the registry does not say
   * @param text of the schema
   * @param hasReferences whether it is incomplete without others
   */
  record Registered(String type, String text, boolean hasReferences) {}

  private record Known(Optional<Registered> schema, long nanoTime) {}

  private record Answer(int status, String body) {
    JsonNode json() {
      try {
        return JSON.readTree(body);
      } catch (JsonProcessingException e) {
        return JSON.missingNode();
      }
    }
  }

  private final RegistrySettings settings;
  private final HttpClient client;
  private final Map<Long, Known> byId =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, Known> eldest) {
          return size() > MAX_KEPT;
        }
      };

  SchemaRegistry(RegistrySettings settings) {
    this.settings = settings;
    this.client =
        HttpClient.newBuilder()
            .connectTimeout(settings.timeout())
            .followRedirects(HttpClient.Redirect.NORMAL)
            .build();
  }

  /**
   * The schema with this id; empty when the registry has none.
   *
   * @throws RegistryException when it cannot be asked
   */
  Optional<Registered> schema(long id) {
    Known known = byId.get(id);
    if (known == null
        || known.schema.isEmpty() && System.nanoTime() - known.nanoTime > ASK_AGAIN.toNanos()) {
      known = new Known(ask(id), System.nanoTime());
      byId.put(id, known);
    }
    return known.schema;
  }

  private Optional<Registered> ask(long id) {
    return settings.framing() == Framing.CONFLUENT ? askConfluent(id) : askApicurio(id);
  }

  private Optional<Registered> askConfluent(long id) {
    Answer answer = send("GET", "/schemas/ids/" + id, null, Map.of());
    JsonNode json = answer.json();
    if (answer.status == 404 && json.path("error_code").asInt() == SCHEMA_NOT_FOUND) {
      return Optional.empty();
    }
    if (answer.status != 200 || !json.path("schema").isTextual()) {
      throw unexpected("look up the schema with id " + id, answer);
    }
    return Optional.of(
        new Registered(
            json.path("schemaType").asText("AVRO"),
            json.get("schema").asText(),
            !json.path("references").isEmpty()));
  }

  private Optional<Registered> askApicurio(long id) {
    Answer answer = send("GET", "/ids/globalIds/" + id, null, Map.of());
    if (answer.status == 404 && answer.json().path("name").asText().endsWith(NOT_FOUND)) {
      return Optional.empty();
    }
    if (answer.status != 200) {
      throw unexpected("look up the schema with global id " + id, answer);
    }
    return Optional.of(new Registered("", answer.body, false));
  }

  /**
   * The id of a schema, which is registered if it is not and that is allowed.
   *
   * @param subject under which
   * @param type AVRO or JSON
   * @throws RegistryException when that is refused or cannot be asked
   */
  long idOf(String subject, String type, String schema) {
    return settings.framing() == Framing.CONFLUENT
        ? confluentIdOf(subject, type, schema)
        : apicurioIdOf(subject, type, schema);
  }

  private long confluentIdOf(String subject, String type, String schema) {
    ObjectNode body = JSON.createObjectNode().put("schema", schema);
    if (!type.equals("AVRO")) {
      body.put("schemaType", type);
    }
    String path = "/subjects/" + encoded(subject) + (settings.register() ? "/versions" : "");
    Answer answer =
        send(
            "POST",
            path,
            body.toString(),
            Map.of("Content-Type", "application/vnd.schemaregistry.v1+json"));
    JsonNode json = answer.json();
    int error = json.path("error_code").asInt();
    if (!settings.register() && (error == SUBJECT_NOT_FOUND || error == SCHEMA_NOT_FOUND)) {
      throw new RegistryException(
          "The registry at %s has no such schema under %s. Register it, or set diffusion.kafka.registry.auto-register to true."
              .formatted(settings.url(), subject));
    }
    if (answer.status == 409) {
      throw new RegistryException(
          ("The registry at %s refuses the %s schema under %s, which is not compatible with the"
                  + " registered ones: %s. Write to another topic, or change the subject's"
                  + " compatibility.")
              .formatted(settings.url(), type, subject, json.path("message").asText()));
    }
    if (answer.status != 200 || !json.path("id").canConvertToInt()) {
      throw unexpected("register a schema under " + subject, answer);
    }
    return json.get("id").asLong();
  }

  /** Versions 2 and 3 of the API take the same in different words. */
  private long apicurioIdOf(String artifact, String type, String schema) {
    boolean v2 = settings.url().endsWith("/v2");
    String how = v2 ? "RETURN_OR_UPDATE" : "FIND_OR_CREATE_VERSION";
    Answer answer;
    if (!settings.register()) {
      throw new RegistryException(
          "diffusion.kafka.registry.auto-register is false, and Apicurio's core API cannot find"
              + " the id of a schema by its text. Set it to true, or"
              + " diffusion.kafka.registry.framing to 'confluent' with the URL of the ccompat"
              + " API.");
    } else if (v2) {
      answer =
          send(
              "POST",
              "/groups/default/artifacts?ifExists=" + how,
              schema,
              Map.of(
                  "Content-Type", "application/json; artifactType=" + type,
                  "X-Registry-ArtifactId", artifact,
                  "X-Registry-ArtifactType", type));
    } else {
      ObjectNode body = JSON.createObjectNode();
      body.put("artifactId", artifact).put("artifactType", type);
      body.putObject("firstVersion")
          .putObject("content")
          .put("content", schema)
          .put("contentType", "application/json");
      answer =
          send(
              "POST",
              "/groups/default/artifacts?ifExists=" + how,
              body.toString(),
              Map.of("Content-Type", "application/json"));
    }
    JsonNode json = answer.json();
    JsonNode id =
        json.has("globalId") ? json.get("globalId") : json.path("version").path("globalId");
    if (answer.status != 200 || !id.canConvertToLong()) {
      throw unexpected("register a schema as artifact " + artifact, answer);
    }
    return id.asLong();
  }

  private static String encoded(String subject) {
    return URLEncoder.encode(subject, StandardCharsets.UTF_8).replace("+", "%20");
  }

  private RegistryException unexpected(String what, Answer answer) {
    String hint =
        switch (answer.status) {
          case 401, 403 ->
              "Set diffusion.kafka.registry.user and diffusion.kafka.registry.password to a user"
                  + " that may do that.";
          case 404, 405 -> "Is diffusion.kafka.registry.url that of the registry's API?";
          default -> "The registry's log may say more.";
        };
    String said = answer.json().path("message").asText("");
    return new RegistryException(
        "Cannot %s: the registry at %s answered with status %d%s. %s"
            .formatted(
                what,
                settings.url(),
                answer.status,
                said.isEmpty() ? "" : " (" + said.substring(0, Math.min(300, said.length())) + ")",
                hint));
  }

  /** Asks a few times while the trouble may pass. */
  private Answer send(String method, String path, String body, Map<String, String> headers) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(settings.url() + path))
            .timeout(settings.timeout())
            .header("Accept", "application/vnd.schemaregistry.v1+json, application/json, */*")
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
    headers.forEach(request::header);
    if (settings.user() != null) {
      byte[] credentials =
          (settings.user() + ":" + settings.password()).getBytes(StandardCharsets.UTF_8);
      request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString(credentials));
    }
    Duration pause = FIRST_PAUSE;
    for (int attempt = 1; ; attempt++) {
      String trouble;
      IOException cause = null;
      try {
        Answer answer = sendOnce(request.build());
        if (answer.status != 429 && answer.status < 500) {
          return answer;
        }
        trouble = "it answered with status " + answer.status;
      } catch (IOException e) {
        trouble = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        cause = e;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new RegistryException("Interrupted while asking the registry.", e);
      }
      if (attempt == ATTEMPTS) {
        throw new RegistryException(
            "Cannot reach the registry at %s (%s %s), tried %d times: %s."
                .formatted(settings.url(), method, path, ATTEMPTS, trouble),
            cause);
      }
      try {
        Thread.sleep(pause.toMillis());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new RegistryException("Interrupted while asking the registry.", e);
      }
      pause = pause.multipliedBy(2);
    }
  }

  private Answer sendOnce(HttpRequest request) throws IOException, InterruptedException {
    HttpResponse<InputStream> response =
        client.send(request, HttpResponse.BodyHandlers.ofInputStream());
    try (InputStream in = response.body()) {
      byte[] bytes = in.readNBytes(MAX_ANSWER_BYTES + 1);
      if (bytes.length > MAX_ANSWER_BYTES) {
        throw new IOException("an answer of more than %d bytes".formatted(MAX_ANSWER_BYTES));
      }
      return new Answer(response.statusCode(), new String(bytes, StandardCharsets.UTF_8));
    }
  }
}
