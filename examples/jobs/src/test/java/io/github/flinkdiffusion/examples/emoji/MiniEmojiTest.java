/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary.Background;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The embedded model as it is committed. */
class MiniEmojiTest {
  private static final Path MODEL = Path.of("../models/mini-emoji");
  private static final long MAX_BYTES = 25_000_000;

  @Test
  void isSmallEnoughForARepository() throws IOException {
    try (Stream<Path> files = Files.walk(MODEL)) {
      long bytes =
          files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
      assertThat(bytes).isLessThanOrEqualTo(MAX_BYTES);
    }
  }

  @Test
  void theCommittedConfigsAreThoseThatTheTrainingProgramWrites() throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    JsonNode vae = mapper.readTree(MODEL.resolve("vae/config.json").toFile());
    JsonNode text = mapper.readTree(MODEL.resolve("text_encoder/config.json").toFile());
    Map<String, Map<String, Object>> written =
        Map.of(
            "scheduler/scheduler_config.json", MiniEmojiModel.MODEL.schedulerJson(),
            "unet/config.json", MiniEmojiModel.MODEL.unetJson(),
            "text_encoder/config.json",
                MiniEmojiModel.MODEL.textEncoderJson(text.get("vocab_size").asInt()),
            "vae/config.json",
                MiniEmojiModel.MODEL.autoencoderJson(vae.get("scaling_factor").asDouble()));
    for (Map.Entry<String, Map<String, Object>> file : written.entrySet()) {
      JsonNode expected = mapper.readTree(mapper.writeValueAsString(file.getValue()));
      assertThat(mapper.readTree(MODEL.resolve(file.getKey()).toFile()))
          .as(file.getKey())
          .isEqualTo(expected);
    }
  }

  @Test
  void whatIsWrittenBesideTheNetworksIsWhatIsCommitted(@TempDir Path written) throws IOException {
    MiniEmojiModel.MODEL.writeIndex(
        written, EmojiVocabulary.file(), EmojiVocabulary.words(), MiniEmojiModel.MAX_MERGES);
    List<Path> files;
    try (Stream<Path> all = Files.walk(written)) {
      files = all.filter(Files::isRegularFile).map(written::relativize).toList();
    }
    assertThat(files).hasSizeGreaterThan(3);
    for (Path file : files) {
      assertThat(written.resolve(file)).hasSameTextualContentAs(MODEL.resolve(file));
    }
  }

  /**
   * alpha^2 is the product of 1 - beta up to a timestep, betas rising linearly (Ho et al. 2020).
   */
  @Test
  void trainingSeesEveryTimestepAtDdpmsNoiseLevel() {
    TrainingLevels levels = MiniEmojiModel.MODEL.levels();
    assertThat(levels.count()).isEqualTo(1000);
    double product = 1;
    for (int t = 0; t < 1000; t++) {
      product *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999);
      assertThat(levels.timestep(t)).isEqualTo(t);
      assertThat(levels.signal(t)).isCloseTo(Math.sqrt(product), within(1e-5));
      assertThat(levels.noise(t)).isCloseTo(Math.sqrt(1 - product), within(1e-4));
    }
  }

  @Test
  void drawsAnEmojiOnTheBackgroundThatWasAskedFor() {
    List<Background> backgrounds = EmojiVocabulary.backgrounds();
    try (DiffusionPipeline pipeline = Pipelines.open(MODEL, PipelineSettings.on(DeviceSpec.CPU))) {
      List<GenerationRequest> requests = new ArrayList<>();
      for (Background background : backgrounds) {
        String prompt = "a small red apple on a " + background.name() + " background";
        requests.add(
            pipeline
                .model()
                .prepare(
                    GenerationSpec.of(background.name())
                        .with(Parameters.PROMPT, prompt)
                        .with(Parameters.SEED, 3L)
                        .with(Parameters.STEPS, 10L)
                        .with(Parameters.GUIDANCE_SCALE, 2.0)));
      }
      List<Trajectory> trajectories = pipeline.start(requests);
      while (!trajectories.get(0).done()) {
        pipeline.step(trajectories);
      }
      List<GeneratedImage> pictures = pipeline.finish(trajectories);
      for (int i = 0; i < backgrounds.size(); i++) {
        Raster picture = pictures.get(i).image();
        Background background = backgrounds.get(i);
        float[] colour = {
          background.red() / 255f, background.green() / 255f, background.blue() / 255f
        };
        for (int channel = 0; channel < 3; channel++) {
          assertThat(picture.at(channel, 4, 32))
              .as("%s, channel %d", background.name(), channel)
              .isCloseTo(colour[channel], within(0.12f));
        }
        // The middle of a red apple: far more red than green.
        assertThat(picture.at(0, 36, 32) - picture.at(1, 36, 32))
            .as(background.name())
            .isGreaterThan(0.4f);
      }
    }
  }
}
