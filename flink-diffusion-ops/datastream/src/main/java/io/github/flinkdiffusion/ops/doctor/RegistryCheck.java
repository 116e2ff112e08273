/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.connector.format.Framing;
import io.github.flinkdiffusion.connector.format.RegistrySettings;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import org.apache.flink.configuration.Configuration;

/** The schema registry: that it answers, as the API that the options name. */
final class RegistryCheck implements Check {
  private static final int OK = 200;
  private static final int UNAUTHORIZED = 401;
  private static final int FORBIDDEN = 403;

  @Override
  public String name() {
    return "registry";
  }

  @Override
  public List<Finding> examine(Setup setup) throws InterruptedException {
    Configuration config = setup.config();
    boolean needed =
        config.get(KafkaOptions.SOURCE_FORMAT).usesRegistry()
            || config.get(KafkaOptions.SINK_FORMAT).usesRegistry();
    Optional<String> url = config.getOptional(KafkaOptions.REGISTRY_URL);
    if (url.isEmpty()) {
      return List.of(
          needed
              ? Finding.error(
                  name(),
                  "A format needs the schema registry, and %s is not set."
                      .formatted(KafkaOptions.REGISTRY_URL.key()),
                  "Set it, such as to http://registry:8081.")
              : Finding.skipped(name(), "no format uses a schema registry"));
    }
    try {
      return List.of(ask(settings(config, url.get())));
    } catch (IllegalArgumentException e) {
      return List.of(
          Finding.error(
              name(), Reason.of(e), "Correct %s.".formatted(KafkaOptions.REGISTRY_URL.key())));
    }
  }

  private static RegistrySettings settings(Configuration config, String url) {
    return new RegistrySettings(
        url,
        config.get(KafkaOptions.REGISTRY_FRAMING),
        false,
        config.get(KafkaOptions.REGISTRY_TIMEOUT),
        config.get(KafkaOptions.REGISTRY_USER),
        config.get(KafkaOptions.REGISTRY_PASSWORD));
  }

  private Finding ask(RegistrySettings registry) throws InterruptedException {
    String path = registry.framing() == Framing.CONFLUENT ? "/subjects" : "/system/info";
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(registry.url() + path)).timeout(registry.timeout());
    if (registry.user() != null) {
      byte[] login = (registry.user() + ":" + registry.password()).getBytes(StandardCharsets.UTF_8);
      request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString(login));
    }
    HttpClient client = HttpClient.newBuilder().connectTimeout(registry.timeout()).build();
    int status;
    try {
      status = client.send(request.build(), HttpResponse.BodyHandlers.discarding()).statusCode();
    } catch (IOException e) {
      return Finding.error(
          name(),
          "The schema registry at %s does not answer: %s".formatted(registry.url(), Reason.of(e)),
          "Start it, or correct %s.".formatted(KafkaOptions.REGISTRY_URL.key()));
    }
    return switch (status) {
      case OK -> Finding.ok(name(), "answers at " + registry.url());
      case UNAUTHORIZED, FORBIDDEN ->
          Finding.error(
              name(),
              "The schema registry at %s answers %d: it does not allow this user."
                  .formatted(registry.url(), status),
              "Set %s and %s."
                  .formatted(
                      KafkaOptions.REGISTRY_USER.key(), KafkaOptions.REGISTRY_PASSWORD.key()));
      default ->
          Finding.error(
              name(),
              "%s%s answers %d.".formatted(registry.url(), path, status),
              "Correct %s or %s: this is not the root of the API that the framing asks for."
                  .formatted(KafkaOptions.REGISTRY_URL.key(), KafkaOptions.REGISTRY_FRAMING.key()));
    };
  }
}
