/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * Where the hub and its cache are, as environment variables tell Python's {@code huggingface_hub}.
 *
 * @param endpoint of the hub, without a slash at its end (HF_ENDPOINT)
 * @param cache folder of the cache (HF_HUB_CACHE, or {@code hub} in HF_HOME)
 * @param token that is sent to the endpoint, and to nobody else (HF_TOKEN, or the file {@code
 *     token} in HF_HOME)
 * @param offline whether the network is never asked (HF_HUB_OFFLINE)
 * @param attempts of each request before it fails, at least 1
 * @param firstPause before the second attempt; doubled for each further one
 * @param patience how long a server may send nothing
 */
record HubSettings(
    URI endpoint,
    Path cache,
    Optional<String> token,
    boolean offline,
    int attempts,
    Duration firstPause,
    Duration patience) {
  private static final String ENDPOINT = "https://huggingface.co";
  private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");
  private static final int ATTEMPTS = 6;
  private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  HubSettings {
    Objects.requireNonNull(cache, "cache");
    Objects.requireNonNull(token, "token");
  }

  /**
   * @param environment of the process
   * @param home the user's folder
   * @throws HubException naming the variable that is wrong
   */
  static HubSettings of(Map<String, String> environment, Path home) {
    Path hubHome =
        path(environment, "HF_HOME", home)
            .orElseGet(
                () ->
                    path(environment, "XDG_CACHE_HOME", home)
                        .orElse(home.resolve(".cache"))
                        .resolve("huggingface"));
    Path cache =
        path(environment, "HF_HUB_CACHE", home)
            .or(() -> path(environment, "HUGGINGFACE_HUB_CACHE", home))
            .orElse(hubHome.resolve("hub"));
    Optional<String> token =
        text(environment, "HF_TOKEN")
            .or(() -> text(environment, "HUGGING_FACE_HUB_TOKEN"))
            .or(
                () ->
                    read(path(environment, "HF_TOKEN_PATH", home).orElse(hubHome.resolve("token"))))
            .map(String::strip)
            .filter(text -> !text.isEmpty());
    token.ifPresent(
        text -> {
          if (!text.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
            throw HubException.lasting(
                "The hub's token (HF_TOKEN, or the file token in HF_HOME) holds a blank or a character that is not ASCII. Set it to the token alone, such as hf_...");
          }
        });
    return new HubSettings(
        endpoint(text(environment, "HF_ENDPOINT").orElse(ENDPOINT)),
        cache.toAbsolutePath().normalize(),
        token,
        text(environment, "HF_HUB_OFFLINE")
            .or(() -> text(environment, "TRANSFORMERS_OFFLINE"))
            .map(value -> TRUE.contains(value.toUpperCase(Locale.ROOT)))
            .orElse(false),
        ATTEMPTS,
        FIRST_PAUSE,
        PATIENCE);
  }

  HubSettings withAttempts(int other) {
    return new HubSettings(endpoint, cache, token, offline, other, firstPause, patience);
  }

  private static URI endpoint(String text) {
    String bare = text.replaceFirst("/+$", "");
    try {
      URI uri = URI.create(bare);
      if (uri.getHost() != null
          && ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))
          && uri.getRawUserInfo() == null
          && uri.getRawQuery() == null
          && uri.getRawFragment() == null) {
        return uri;
      }
    } catch (IllegalArgumentException e) {
      // Said below.
    }
    throw HubException.lasting(
        "Invalid HF_ENDPOINT '%s': expected the address of a hub, such as %s"
            .formatted(text, ENDPOINT));
  }

  private static Optional<String> text(Map<String, String> environment, String name) {
    return Optional.ofNullable(environment.get(name)).filter(value -> !value.isBlank());
  }

  private static Optional<Path> path(Map<String, String> environment, String name, Path home) {
    return text(environment, name)
        .map(
            value ->
                value.equals("~") || value.startsWith("~/")
                    ? home.resolve(value.substring(Math.min(2, value.length())))
                    : Path.of(value));
  }

  private static Optional<String> read(Path file) {
    try {
      return Optional.of(Files.readString(file));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (IOException e) {
      throw HubException.passing("Cannot read the hub's token from %s: %s".formatted(file, e), e);
    }
  }

  /** Without the token. */
  @Override
  public String toString() {
    return "%s, cached in %s%s".formatted(endpoint, cache, offline ? ", offline" : "");
  }
}
