/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.CountedFileSystem;
import io.github.flinkdiffusion.ops.hub.RemoteModels;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A job's model is in one of Flink's file systems; {@link CountedFileSystem} is that. */
class RemoteModelTest {
  private static final Path MODEL =
      Path.of("src/test/resources/fixtures/models/tiny-concat-upscale");

  @TempDir Path folder;
  private Path model;

  @BeforeEach
  void copyModel() throws IOException {
    System.setProperty(RemoteModels.CACHE, folder.resolve("cache").toString());
    model = folder.resolve("store/tiny");
    try (Stream<Path> files = Files.walk(MODEL)) {
      for (Path file : files.toList()) {
        Path target = model.resolve(MODEL.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else {
          Files.copy(file, target);
        }
      }
    }
    CountedFileSystem.reset();
  }

  @AfterEach
  void leaveCache() {
    System.clearProperty(RemoteModels.CACHE);
  }

  private static ModelSettings settings(String address) {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, address);
    return ModelSettings.of(config);
  }

  private ModelFolderPipelines remote() {
    return new ModelFolderPipelines(settings("counted://" + model + "/"));
  }

  private String localDigest() {
    return new ModelFolderPipelines(settings(model.toString())).digest();
  }

  @Test
  void aModelIsFetchedOnceForEachMachine() throws Exception {
    ModelFolderPipelines first = remote();
    assertThat(CountedFileSystem.bytes()).as("before it is asked for").isZero();
    assertThat(first.model()).isEqualTo("counted://" + model);
    assertThat(first.digest()).isEqualTo(localDigest());
    long bytes = CountedFileSystem.bytes();
    assertThat(bytes).isPositive();

    ModelFolderPipelines second = remote();
    assertThat(second.files()).isEqualTo(first.files());
    assertThat(second.bytes("cpu")).isPositive();
    try (DiffusionPipeline pipeline = second.open("cpu")) {
      assertThat(pipeline.model().info().name()).isEqualTo("tiny");
      assertThat(pipeline.model().info().digest()).isEqualTo(localDigest());
    }
    assertThat(CountedFileSystem.bytes()).isEqualTo(bytes);
  }

  @Test
  void ofAModelThatWasReplacedTheChangedFileAloneIsFetched() throws Exception {
    String before = remote().digest();
    Path weights = model.resolve("unet/diffusion_pytorch_model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[bytes.length - 1] ^= (byte) 0x80; // the sign of the last number
    Files.write(weights, bytes);
    Files.setLastModifiedTime(weights, FileTime.fromMillis(System.currentTimeMillis() + 5_000));
    CountedFileSystem.reset();

    assertThat(remote().digest()).isNotEqualTo(before).isEqualTo(localDigest());
    assertThat(CountedFileSystem.bytes()).isEqualTo(bytes.length);
  }

  @Test
  void anAddressOfLocalFilesIsReadWhereItIs() {
    ModelFolderPipelines local = new ModelFolderPipelines(settings(model.toUri().toString()));
    assertThat(local.digest()).isEqualTo(localDigest());
    assertThat(folder.resolve("cache")).doesNotExist();
  }

  @Test
  void whatIsNotThereOrNoModelEndsTheJob() throws IOException {
    assertThatThrownBy(
            () -> new ModelFolderPipelines(settings("counted://" + model + "-2")).files())
        .isInstanceOf(UnusableModelException.class)
        .hasMessageContaining("tiny-2 does not exist");
    Files.delete(model.resolve("model_index.json"));
    assertThatThrownBy(() -> remote().files())
        .isInstanceOf(UnusableModelException.class)
        .hasMessageContaining("it has no model_index.json");
    assertThatThrownBy(() -> new ModelFolderPipelines(settings("nowhere://a/b")).files())
        .isInstanceOf(UnusableModelException.class)
        .hasMessageContaining("Flink has no file system for 'nowhere'")
        .hasMessageContaining("plugins");
  }

  @Test
  void anAddressThatIsNoneIsRefusedBeforeTheJobRuns() {
    assertThatThrownBy(() -> settings("counted:///models/../secret"))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.model.folder")
        .hasMessageContaining("s3://bucket/models/emoji");
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/x");
    config.set(DiffusionOptions.MODELS, List.of("a=s3://bucket/x?version=2"));
    assertThatThrownBy(() -> ModelList.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.models");
  }
}
