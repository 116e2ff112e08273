/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class AuditTest {
  private static final ModelInfo MODEL =
      new ModelInfo(
          "satellite",
          "d1",
          new TreeMap<>(
              Map.of("pipeline", "StableDiffusionUpscalePipeline", "precision", "FLOAT32")));

  private static final Raster PICTURE = Raster.filled(3, 2, 5, 0.25f);

  /** Everything that a request can say, of every type. */
  private static final Arguments ARGUMENTS =
      Arguments.NONE
          .with(Parameters.IMAGE, PICTURE)
          .with(Parameters.PROMPT, "a \"red\" <apple>, \u82f9\u679c \ud83c\udf4e\n\u0000 & more")
          .with(Parameters.SEED, -7L)
          .with(Parameters.SCHEDULER, "DDIMScheduler")
          .with(Parameters.STEPS, 3L)
          .with(Parameters.GUIDANCE_SCALE, 7.1)
          .with(Parameters.SIGMAS, new Numbers(14.6, 0.1, 0))
          .with(Parameters.NOISE_LEVEL, 20L)
          .with(Parameters.TEMPERATURE, 0.5);

  private static Audit audit() {
    return Audit.of(
        MODEL,
        "super-resolution",
        new GenerationRequest("patient Smith", ARGUMENTS),
        Map.of("image", Sha256.hex(new byte[] {1, 2, 3})),
        Map.of("ensembleSize", "4"));
  }

  @Example
  void itSaysWhatMakesTheResult() {
    assertThat(audit())
        .isEqualTo(
            new Audit(
                "satellite",
                "d1",
                "super-resolution",
                "DDIMScheduler",
                3,
                -7,
                new TreeMap<>(
                    Map.of(
                        "prompt", ARGUMENTS.get(Parameters.PROMPT),
                        "guidanceScale", "7.1",
                        "sigmas", "14.6,0.1,0.0",
                        "noiseLevel", "20",
                        "temperature", "0.5",
                        "model.pipeline", "StableDiffusionUpscalePipeline",
                        "model.precision", "FLOAT32",
                        "ensembleSize", "4")),
                new TreeMap<>(
                    Map.of(
                        "image",
                        "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81")),
                SoftwareVersion.CURRENT));
  }

  @Example
  void nobodysNameGetsIntoIt() {
    assertThat(audit().toJson()).doesNotContain("Smith");
  }

  @Example
  void theRequestCanBeMadeOfItAgainButForItsPictures() {
    assertThat(Audit.parse(audit().toJson()).arguments().with(Parameters.IMAGE, PICTURE))
        .isEqualTo(ARGUMENTS);
    assertThat(audit().loadedAs()).isEqualTo(MODEL.loadedAs());
  }

  @Example
  void pngAndTiffFilesHoldIt() {
    for (String type : new String[] {"image/png", "image/tiff"}) {
      byte[] file = Images.write(audit().in(PICTURE), type);
      Raster read = Images.read(file, ReadOptions.DEFAULT);

      assertThat(Audit.of(read.metadata())).as(type).contains(audit());
      assertThat(read.data()).hasSameSizeAs(PICTURE.data());
      assertThat(Images.write(audit().in(PICTURE), type)).as("written again").isEqualTo(file);
    }
  }

  @Example
  void aResultThatIsWorkedOnGetsARecordOfItsOwnInPlaceOfTheOldOne() {
    Raster before =
        new Audit("old", "d0", "t", "s", 1, 1, map(), map(), "0.0.1")
            .in(
                PICTURE.withMetadata(
                    ImageMetadata.NONE.withTexts(Map.of("instrument", "radiometer"))));

    Raster after = audit().in(before);
    assertThat(Audit.of(after.metadata())).contains(audit());
    assertThat(after.metadata().texts()).containsEntry("instrument", "radiometer");
  }

  @Example
  void aPictureWithoutOneHasNone() {
    assertThat(Audit.of(PICTURE.metadata())).isEmpty();
  }

  @Example
  void ofALongTextItHoldsTheDigestAlone() {
    String longest = "x".repeat(Audit.MOST_TEXT);
    String tooLong = "\u00e9" + longest;
    Audit audit =
        Audit.of(
            MODEL,
            "super-resolution",
            new GenerationRequest(
                "1",
                ARGUMENTS
                    .with(Parameters.PROMPT, tooLong)
                    .with(Parameters.NEGATIVE_PROMPT, longest)),
            Map.of(),
            Map.of());

    assertThat(audit.arguments().has(Parameters.PROMPT)).isFalse();
    assertThat(audit.arguments().get(Parameters.NEGATIVE_PROMPT)).isEqualTo(longest);
    assertThat(audit.omittedTexts())
        .isEqualTo(Map.of("prompt", Sha256.hex(tooLong.getBytes(StandardCharsets.UTF_8))));
    assertThat(audit.parameters()).containsEntry("prompt.length", "4097");
  }

  @Test
  void theLastControlCharacterIsEscapedToo() {
    Audit audit =
        new Audit(
            "m", "d", "t", "s", 1, 0, map("prompt", "a\u007fb"), map(), SoftwareVersion.CURRENT);

    assertThat(Audit.parse(audit.toJson())).isEqualTo(audit);
    assertThat(audit.toJson()).contains("a\\u007fb").matches("[ -~]*");
  }

  @Property(tries = 200)
  void whatIsWrittenIsReadBackAndIsAscii(@ForAll String prompt, @ForAll long seed) {
    Audit audit =
        new Audit(
            "m", "d", "t", "s", 1, seed, map("prompt", prompt), map(), SoftwareVersion.CURRENT);

    assertThat(Audit.parse(audit.toJson())).isEqualTo(audit);
    assertThat(audit.toJson()).matches("[ -~]*");
  }

  @Example
  void aDamagedRecordIsRefusedWithWhatIsWrong() {
    String json = audit().toJson();
    assertThatThrownBy(() -> Audit.parse(json.substring(0, 40)))
        .isInstanceOf(AuditException.class)
        .hasMessageContaining("The audit record is not JSON");
    assertThatThrownBy(() -> Audit.parse("[]"))
        .hasMessageContaining("field 'format' is missing; a whole number is expected");
    assertThatThrownBy(() -> Audit.parse(json.replace("\"format\":1", "\"format\":2")))
        .hasMessageContaining("has format 2; this version reads format 1");
    assertThatThrownBy(() -> Audit.parse(json.replace("\"seed\":-7", "\"seed\":0.5")))
        .hasMessageContaining("field 'seed' is 0.5; a whole number is expected");
    assertThatThrownBy(() -> Audit.parse(json.replace("\"20\"", "20")))
        .hasMessageContaining("field 'noiseLevel' is 20; a text is expected");
    assertThatThrownBy(() -> Audit.parse(json.replace("\"20\"", "\"many\"")).arguments())
        .hasMessageContaining("noiseLevel is 'many'; it must be a whole number from 0");
    assertThatThrownBy(() -> Audit.parse(" ".repeat((1 << 20) + 1)))
        .hasMessageContaining("at most 1048576 are accepted");
  }

  @Example
  void whateverStandsInItsPlaceIsARecordOrRefused() {
    Random random = new Random(5);
    String json = audit().toJson();
    for (int i = 0; i < 2_000; i++) {
      StringBuilder damaged = new StringBuilder(json);
      for (int j = random.nextInt(4); j >= 0; j--) {
        damaged.setCharAt(random.nextInt(damaged.length()), (char) (32 + random.nextInt(95)));
      }
      assertThatCode(
              () -> {
                try {
                  Audit.parse(damaged.toString()).arguments();
                } catch (AuditException e) {
                  assertThat(e).hasMessageContaining("audit record");
                }
              })
          .as(damaged.toString())
          .doesNotThrowAnyException();
    }
  }

  @Example
  void parametersThatBothRecordsHoldAreCompared() {
    Audit first = record(map("eta", "0.0", "tiles", "2 x 2", "width", "8"));
    Audit again = record(map("eta", "0.0", "tiles", "3 x 3", "inputWidth", "2"));
    assertThat(first.differences(again)).containsExactly("tiles: 2 x 2, then 3 x 3");
    assertThat(first.differences(first)).isEmpty();
  }

  private static Audit record(SortedMap<String, String> parameters) {
    return new Audit("m", "d", "t", "s", 1, 1, parameters, map(), "1");
  }

  @Example
  void theVersionIsTheBuilds() {
    assertThat(SoftwareVersion.CURRENT).matches("\\d+\\.\\d+\\.\\d+.*");
  }

  private static SortedMap<String, String> map(String... entries) {
    SortedMap<String, String> map = new TreeMap<>();
    for (int i = 0; i < entries.length; i += 2) {
      map.put(entries[i], entries[i + 1]);
    }
    return map;
  }
}
