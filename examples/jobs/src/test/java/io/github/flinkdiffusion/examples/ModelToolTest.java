/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.embedded.LocalHub;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelToolTest {
  private static final Path MINI_EMOJI = Path.of("../models/mini-emoji");
  private static final PrintStream OUT = System.out;
  private static final PrintStream ERR = System.err;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  @TempDir Path temporary;
  private LocalHub hub;

  @BeforeEach
  void start() throws IOException {
    Path other = Files.createDirectory(temporary.resolve("other"));
    Files.writeString(
        other.resolve("model_index.json"),
        "{\"_class_name\": \"WanPipeline\", \"transformer\": [\"diffusers\","
            + " \"WanTransformer3DModel\"]}");
    Files.createDirectory(other.resolve("transformer"));
    Files.writeString(other.resolve("transformer/config.json"), "{}");
    Files.writeString(
        other.resolve("transformer/diffusion_pytorch_model.safetensors"), "gigabytes");
    hub = LocalHub.start(0, Map.of("owner/emoji", MINI_EMOJI, "owner/other", other));
    System.setProperty("HF_ENDPOINT", hub.endpoint().toString());
    System.setProperty("HF_HOME", temporary.resolve("home").toString());
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
  }

  @AfterEach
  void stop() {
    System.setOut(OUT);
    System.setErr(ERR);
    System.clearProperty("HF_ENDPOINT");
    System.clearProperty("HF_HOME");
    hub.close();
  }

  @Test
  void quantizesAFolderOnce() {
    Path int8 = temporary.resolve("int8");
    assertThat(ModelTool.run("quantize", MINI_EMOJI.toString(), int8.toString())).isZero();
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("unet: 9.", "was 18.0 MB");
    assertThat(ModelTool.run("inspect", int8.toString())).isZero();
    assertThat(ModelTool.run("quantize", MINI_EMOJI.toString(), int8.toString())).isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("is not empty");
    String int4 = temporary.resolve("int4").toString();
    assertThat(ModelTool.run("quantize", MINI_EMOJI.toString(), int4, "--type", "int2"))
        .isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("int2", "int8 and int4");
    assertThat(ModelTool.run("quantize", MINI_EMOJI.toString(), int4, "--type", "int4")).isZero();
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("unet: 6.0 MB");
  }

  @Test
  void downloadsAndSaysWhere() {
    assertThat(ModelTool.run("download", "hf://owner/emoji")).isZero();

    Path folder = Path.of(out().strip());
    assertThat(folder.resolve("unet/diffusion_pytorch_model.safetensors"))
        .hasSameBinaryContentAs(MINI_EMOJI.resolve("unet/diffusion_pytorch_model.safetensors"));
    assertThat(err()).contains("Downloading 21 MiB", "100 % done").doesNotContain("of 100");
  }

  @Test
  void saysWhatAModelIs() {
    assertThat(ModelTool.run("inspect", MINI_EMOJI.toString())).isZero();

    assertThat(out())
        .contains("mini-emoji: StableDiffusionPipeline")
        .containsPattern("unet +UNet2DConditionModel +8.97 M parameters, F16")
        .contains("weights on disk: 21.4 MiB in 3 files")
        .containsPattern(
            "weights in memory: 42\\.\\d MiB in float32, 2\\d\\.\\d in float16 or bfloat16")
        .contains("The class is supported");
  }

  @Test
  void downloadsNoWeightsOfAModelThatIsNotSupported() {
    assertThat(ModelTool.run("inspect", "hf://owner/other")).isEqualTo(3);

    assertThat(out()).contains("NOT SUPPORTED: the pipeline WanPipeline of other");
    assertThat(hub.requests()).noneMatch(request -> request.path().contains(".safetensors"));
  }

  @Test
  void measuresARequest() {
    assertThat(ModelTool.run("check", MINI_EMOJI.toString(), "--device", "cpu", "--steps", "1"))
        .isZero();

    assertThat(out())
        .containsPattern("loaded on cpu in FLOAT32 +\\d+\\.\\d{3} s")
        .containsPattern("a step of one request, 64 x 64 +\\d+\\.\\d{3} s")
        .contains("The model is supported and works here.");
  }

  @Test
  void saysInOneLineWhatIsWrong() {
    assertThat(ModelTool.run("download", "hf://owner/none")).isEqualTo(1);
    assertThat(err()).contains("error: hf://owner/none").contains("there is no such repository");

    assertThat(ModelTool.run("inspect", "/no/such/model")).isEqualTo(1);
    assertThat(err()).contains("error: There is no model at /no/such/model.");
    assertThat(ModelTool.run("inspect", "owner/emoji")).isEqualTo(1);
    assertThat(err()).contains("There is no folder owner/emoji.", "write hf://owner/emoji.");

    assertThat(ModelTool.run()).isEqualTo(1);
    assertThat(err()).contains("inspect, download, check, quantize or serve");
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String err() {
    return err.toString(StandardCharsets.UTF_8);
  }
}
