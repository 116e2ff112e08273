/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Complete models, and then one missing part after another. */
class ModelCheckTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");

  @TempDir private Path folder;
  private final Configuration config = new Configuration();

  static Stream<Path> completeModels() throws IOException {
    List<Path> models;
    try (Stream<Path> files = Files.list(MODELS)) {
      models = files.filter(file -> Files.isRegularFile(file.resolve("model_index.json"))).toList();
    }
    return models.stream();
  }

  @ParameterizedTest
  @MethodSource("completeModels")
  void findsNothingInACompleteModel(Path model) {
    config.setString("diffusion.model.folder", model.toString());
    assertThat(examine())
        .singleElement()
        .satisfies(
            finding -> {
              assertThat(finding.level()).as("%s", finding).isEqualTo(Finding.Level.OK);
              assertThat(finding.found()).contains("MiB of weights");
            });
  }

  /** Each file or sub-folder is deleted; several of them are separated by spaces. */
  @ParameterizedTest
  @CsvSource({
    "unet/diffusion_pytorch_model.safetensors, No weights in MODEL/unet",
    "vae/diffusion_pytorch_model.safetensors, No weights in MODEL/vae",
    "text_encoder/model.safetensors, No weights in MODEL/text_encoder",
    "unet/config.json, 'unet (diffusers.UNet2DConditionModel) in MODEL/unet has no file'",
    "scheduler/scheduler_config.json, scheduler_config.json",
    "tokenizer/vocab.json, MODEL/tokenizer/vocab.json",
    "tokenizer/merges.txt, MODEL/tokenizer/merges.txt",
    "vae, sub-folder 'vae' is missing",
    "tokenizer, sub-folder 'tokenizer' is missing",
    "model_index.json, MODEL has no model_index.json"
  })
  void findsAModelWithoutOneOfItsFiles(String deleted, String found) throws IOException {
    Path copy = copyOfModel();
    if (Files.isDirectory(copy.resolve(deleted))) {
      try (Stream<Path> files = Files.list(copy.resolve(deleted))) {
        for (Path file : (Iterable<Path>) files::iterator) {
          Files.delete(file);
        }
      }
    }
    Files.delete(copy.resolve(deleted));
    assertFound(found.replace("MODEL", copy.toString()), "download the model again");
  }

  @Test
  void findsATokenizerWithoutAnyFile() throws IOException {
    Path copy = copyOfModel();
    for (String file :
        List.of("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")) {
      Files.delete(copy.resolve("tokenizer").resolve(file));
    }
    assertFound(copy.resolve("tokenizer/vocab.json").toString(), "download the model");
    assertWarned(
        "Tokenizer %s has no vocabulary".formatted(copy.resolve("tokenizer")),
        "copy all files of this sub-folder");
  }

  @Test
  void findsAComponentThatIsMisspeltInTheIndex() throws IOException {
    Path copy = copyOfModel();
    Path index = copy.resolve("model_index.json");
    Files.writeString(
        index, Files.readString(index).replace("\"text_encoder\"", "\"txt_encoder\""));
    assertFound("has no component 'text_encoder'", "correct it");
    assertWarned(
        "names 'txt_encoder', which is not there. Sub-folders that it does not name: text_encoder.",
        "correct the name in model_index.json");
  }

  @Test
  void findsAllThatIsMissingAtOnce() throws IOException {
    Path copy = copyOfModel();
    Files.delete(copy.resolve("unet/diffusion_pytorch_model.safetensors"));
    Files.delete(copy.resolve("vae/diffusion_pytorch_model.safetensors"));
    Files.delete(copy.resolve("text_encoder/model.safetensors"));
    assertThat(examine())
        .extracting(Finding::found)
        .hasSize(3)
        .anyMatch(found -> found.contains("No weights in " + copy.resolve("unet")))
        .anyMatch(found -> found.contains("No weights in " + copy.resolve("vae")))
        .anyMatch(found -> found.contains("No weights in " + copy.resolve("text_encoder")));
  }

  @Test
  void findsASafetyCheckerThatIsMisspeltThoughThePipelineRunsWithoutIt() throws IOException {
    Path copy = copyOfModel();
    Path index = copy.resolve("model_index.json");
    Files.writeString(
        index,
        Files.readString(index)
            .replace(
                "\"scheduler\"",
                "\"safty_checker\": [\"stable_diffusion\", \"StableDiffusionSafetyChecker\"],\n"
                    + "  \"scheduler\""));
    assertThat(examine()).filteredOn(finding -> finding.level() == Finding.Level.ERROR).isEmpty();
    assertWarned("'safty_checker' is missing", "[null, null]");
  }

  @Test
  void leavesAModelAtAnAddressToTheJob() {
    config.setString("diffusion.model.folder", "s3://models/sd-1.5");
    assertThat(examine())
        .singleElement()
        .satisfies(
            finding -> {
              assertThat(finding.level()).isEqualTo(Finding.Level.SKIPPED);
              assertThat(finding.found()).contains("s3://models/sd-1.5");
            });
  }

  private void assertFound(String found, String advice) {
    assertOne(Finding.Level.ERROR, found, advice);
  }

  private void assertWarned(String found, String advice) {
    assertOne(Finding.Level.WARNING, found, advice);
  }

  private void assertOne(Finding.Level level, String found, String advice) {
    assertThat(examine())
        .filteredOn(finding -> finding.level() == level)
        .singleElement()
        .satisfies(
            finding -> {
              assertThat(finding.found()).contains(found);
              assertThat(finding.advice()).contains(advice);
            });
  }

  private List<Finding> examine() {
    return new ModelCheck().examine(Setup.here(config, List.of()));
  }

  /** What tests then damage, as the model that is examined. */
  private Path copyOfModel() throws IOException {
    Path copy = folder.resolve("model");
    copy(MODELS.resolve("tiny-sd1"), copy);
    config.setString("diffusion.model.folder", copy.toString());
    return copy;
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
  }
}
