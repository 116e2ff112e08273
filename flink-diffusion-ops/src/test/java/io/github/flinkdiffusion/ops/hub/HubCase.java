/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import io.github.flinkdiffusion.embedded.LocalHub;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A tiny model on {@link LocalHub}, a small server of the hub's protocol, and an empty cache. */
abstract class HubCase {
  private static final Path TINY =
      Path.of("src/test/resources/fixtures/models/tiny-concat-upscale");
  static final String WEIGHTS = "unet/diffusion_pytorch_model.safetensors";
  static final HubName NAME = HubName.parse("hf://owner/tiny");

  @TempDir private Path temporary;
  Path model;
  Path cache;
  LocalHub server;

  @BeforeEach
  void start() throws IOException {
    model = temporary.resolve("model");
    copy(TINY, model);
    Files.writeString(model.resolve("unet/diffusion_pytorch_model.bin"), "pickled");
    Files.writeString(model.resolve("README.md"), "# Tiny");
    cache = temporary.resolve("cache");
    server = LocalHub.start(0, Map.of("owner/tiny", model));
  }

  @AfterEach
  void stop() {
    server.close();
  }

  Hub hub() {
    return hub(Optional.empty(), false);
  }

  Hub hub(Optional<String> token, boolean offline) {
    return new Hub(settings(token, offline, 4), (what, done, total) -> {});
  }

  HubSettings settings(Optional<String> token, boolean offline, int attempts) {
    return new HubSettings(
        server.endpoint(),
        cache,
        token,
        offline,
        attempts,
        Duration.ofMillis(1),
        Duration.ofSeconds(20));
  }

  static List<String> files(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(Files::isRegularFile)
          .map(file -> folder.relativize(file).toString())
          .toList();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path path : all.toList()) {
        Files.copy(path, to.resolve(from.relativize(path)));
      }
    }
  }
}
