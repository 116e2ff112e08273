package io.github.flinkdiffusion.ops.weights;

import java.util.regex.Pattern;

/** A LoRA in one safetensors file. */
final class LoraFile {
  private static final Pattern NAME =
      Pattern.compile(
          "lora_(?:unet|te\\d?)_.+|.+\\.lora(?:_[AB]|_(?:up|down)|_linear_layer)?\\..+|.+_lora\\..+");

  private LoraFile() {}

  static boolean isLoraName(String tensor) {
    return NAME.matcher(tensor).matches();
  }
}
