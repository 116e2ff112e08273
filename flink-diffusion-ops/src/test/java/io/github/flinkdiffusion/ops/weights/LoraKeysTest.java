/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.weights.SingleFileKeys.Key;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every linear layer and convolution of the real models is found by the names that LoRAs give it:
 * "_" for "." makes no two of them the same.
 */
class LoraKeysTest {
  private static final String UNET = "model.diffusion_model.";

  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource({
    "v1, kohya", "v1, peft", "v2, kohya", "v2, peft",
    "xl_base, kohya", "xl_base, peft", "xl_base, original", "xl_refiner, original"
  })
  void everyLayerIsFound(String kind, String style) throws IOException {
    List<Key> keys = SingleFileKeys.of(kind);
    ModelFolder model =
        ModelFolder.open(SingleFileKeys.hollow(temp.resolve("model.safetensors"), keys));
    Map<String, Map<String, String>> expected = new TreeMap<>();
    List<Key> factors = new ArrayList<>();
    for (Key key : keys) {
      long[] shape = key.targetShape();
      boolean unet = key.component().equals("unet");
      boolean layer = shape.length >= 2 && key.original().matches(".*(weight|projection)$");
      if (!layer
          || key.component().equals("vae")
          || key.component().isEmpty()
          || style.equals("original") && !unet) {
        continue;
      }
      for (String target : key.targets()) {
        String path = target.substring(0, target.length() - ".weight".length());
        String originalPath = key.original().replace(UNET, "").replace(".weight", "");
        String down = name(style, key.component(), style.equals("original") ? originalPath : path);
        expected.computeIfAbsent(key.component(), c -> new TreeMap<>()).put(target, down);
        long[] downShape = shape.clone();
        downShape[0] = 1;
        long[] upShape =
            shape.length == 4 ? new long[] {shape[0], 1, 1, 1} : new long[] {shape[0], 1};
        String up = down.replace("lora_A", "lora_B").replace("lora_down", "lora_up");
        factors.add(new Key(down, downShape, "same", "", List.of()));
        factors.add(new Key(up, upShape, "same", "", List.of()));
      }
    }
    Path file = SingleFileKeys.hollow(temp.resolve("lora.safetensors"), factors);
    LoraFile lora = LoraFile.open(new Lora(file, 1), new FileDigests());

    for (String component : expected.keySet()) {
      List<String> unmatched = new ArrayList<>();
      Map<String, String> found = new TreeMap<>();
      try (TensorStore weights = model.component(component).open()) {
        lora.changes(model.component(component), weights, unmatched)
            .forEach(change -> found.put(change.weight(), change.down()));
      }
      assertThat(unmatched).isEmpty();
      assertThat(found).as(component).isEqualTo(expected.get(component));
    }
    assertThat(lora.components(expected.keySet())).containsExactlyElementsOf(expected.keySet());
  }

  private static String name(String style, String component, String path) {
    if (style.equals("peft")) {
      return component + "." + path + ".lora_A.weight";
    }
    String prefix =
        switch (component) {
          case "unet" -> "lora_unet_";
          case "text_encoder" -> "lora_te1_";
          default -> "lora_te2_";
        };
    return prefix + path.replace('.', '_') + ".lora_down.weight";
  }

  @Test
  void aModelWithLorasOfRealSizeOpensWithoutReadingIt() throws IOException {
    Path file =
        SingleFileKeys.hollow(temp.resolve("model.safetensors"), SingleFileKeys.of("xl_base"));
    String down = "lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_0_proj.lora_down.weight";
    Path lora = temp.resolve("lora.safetensors");
    SafetensorsWriter.write(
        lora,
        HeapTensors.builder()
            .add(down, new float[640], 1, 640)
            .add(down.replace("down", "up"), new float[5120], 5120, 1)
            .build());
    ModelFolder merged = ModelFolder.open(file).withLoras(List.of(new Lora(lora, 1)));
    String weight = "up_blocks.1.attentions.2.transformer_blocks.1.ff.net.0.proj.weight";
    try (TensorStore unet = merged.component("unet").open()) {
      assertThat(unet.info(weight).dtype()).isEqualTo(DType.F32);
      assertThat(unet.info(weight).shape()).containsExactly(5120, 640);
      assertThat(unet.floats(weight)).containsOnly(0f);
    }
  }
}
