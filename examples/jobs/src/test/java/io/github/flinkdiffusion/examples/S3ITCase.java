/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.hub.RemoteModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.DefaultPluginManager;
import org.apache.flink.core.plugin.DirectoryBasedPluginFinder;
import org.apache.flink.core.plugin.PluginManager;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A job whose model, images and checkpoints are in S3, by Flink's own plugin, as a cluster loads
 * it: from a folder of its own, by a class loader of its own.
 */
class S3ITCase {
  private static final Path MODEL =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1");

  /** The build puts the plugin there. */
  private static final Path PLUGINS = Path.of("target/plugins");

  @TempDir private Path folder;

  private S3Server s3;

  S3Server start(Path folder) throws IOException {
    return new S3StandIn();
  }

  @BeforeEach
  void loadsThePlugin() throws Exception {
    s3 = start(Files.createDirectory(folder.resolve("s3")));
    System.setProperty(RemoteModels.CACHE, folder.resolve("cache").toString());
    Configuration cluster = new Configuration();
    cluster.setString("s3.endpoint", s3.endpoint());
    cluster.setString("s3.region", "us-east-1");
    cluster.setString("s3.path-style-access", "true");
    cluster.setString("s3.access-key", "key");
    cluster.setString("s3.secret-key", "secret");
    PluginManager plugins =
        new DefaultPluginManager(
            new DirectoryBasedPluginFinder(PLUGINS).findPlugins(),
            CoreOptions.getPluginParentFirstLoaderPatterns(cluster));
    FileSystem.initialize(cluster, plugins);
  }

  @AfterEach
  void forgetsIt() {
    FileSystem.initialize(new Configuration(), null);
    System.clearProperty(RemoteModels.CACHE);
    s3.close();
  }

  @Test
  void holdsModelImagesAndCheckpoints() throws Exception {
    try (Stream<Path> files = Files.walk(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        s3.put("bucket/models/tiny/" + MODEL.relativize(file), Files.readAllBytes(file));
      }
    }
    Path out = folder.resolve("out");

    int exitCode =
        TextToImageDemo.run(
            "--model",
            MODEL.toString(),
            "--device",
            "cpu",
            "--out",
            out.toString(),
            "--steps",
            "2",
            "--size",
            "64",
            "-Ddiffusion.models=remote=s3://bucket/models/tiny",
            "-Ddiffusion.payload.store=s3://bucket/images",
            "-Ddiffusion.payload.inline-limit=1 kb",
            "-Dexecution.checkpointing.dir=s3://bucket/checkpoints",
            "-Dexecution.checkpointing.interval=200 ms",
            "{\"prompt\": \"a cat\", \"seed\": 7}",
            "{\"prompt\": \"a cat\", \"seed\": 7, \"parameters\": {\"model\": \"remote\"}}");

    assertThat(exitCode).isZero();
    JsonNode pictures =
        new ObjectMapper().readTree(out.resolve("summary.json").toFile()).path("pictures");
    assertThat(pictures).hasSize(2);
    List<String> images = s3.names().stream().filter(n -> n.startsWith("bucket/images/")).toList();
    assertThat(images).isNotEmpty();
    for (JsonNode picture : pictures) {
      byte[] file = Files.readAllBytes(out.resolve(picture.path("file").asText()));
      assertThat(images)
          .as("%s is in the store", picture.path("file"))
          .anySatisfy(name -> assertThat(s3.get(name)).isEqualTo(file));
    }
    assertThat(s3.calls("GET", "bucket/models/tiny/unet")).isPositive();
    assertThat(s3.calls("PUT", "bucket/checkpoints/")).isPositive();
    try (Stream<Path> cached = Files.walk(folder.resolve("cache"))) {
      assertThat(cached.filter(file -> file.endsWith("model_index.json"))).isNotEmpty();
    }
  }
}
