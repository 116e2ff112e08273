/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.AutoencoderDC;
import io.github.flinkdiffusion.ops.network.AutoencoderDCConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderQwenImage;
import io.github.flinkdiffusion.ops.network.AutoencoderQwenImageConfig;
import io.github.flinkdiffusion.ops.network.AutoencoderTiny;
import io.github.flinkdiffusion.ops.network.AutoencoderTinyConfig;
import io.github.flinkdiffusion.ops.network.CausalText;
import io.github.flinkdiffusion.ops.network.CausalTextConfig;
import io.github.flinkdiffusion.ops.network.CausalTextConfig.Type;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextProjection;
import io.github.flinkdiffusion.ops.network.ClipVision;
import io.github.flinkdiffusion.ops.network.ClipVisionConfig;
import io.github.flinkdiffusion.ops.network.ControlNet;
import io.github.flinkdiffusion.ops.network.ControlNetConfig;
import io.github.flinkdiffusion.ops.network.DiT;
import io.github.flinkdiffusion.ops.network.DiTConfig;
import io.github.flinkdiffusion.ops.network.FluxTransformer;
import io.github.flinkdiffusion.ops.network.FluxTransformerConfig;
import io.github.flinkdiffusion.ops.network.Lumina2;
import io.github.flinkdiffusion.ops.network.Lumina2Config;
import io.github.flinkdiffusion.ops.network.PixArt;
import io.github.flinkdiffusion.ops.network.PixArtConfig;
import io.github.flinkdiffusion.ops.network.QwenImage;
import io.github.flinkdiffusion.ops.network.QwenImageConfig;
import io.github.flinkdiffusion.ops.network.Sana;
import io.github.flinkdiffusion.ops.network.SanaConfig;
import io.github.flinkdiffusion.ops.network.Sd3Transformer;
import io.github.flinkdiffusion.ops.network.Sd3TransformerConfig;
import io.github.flinkdiffusion.ops.network.T5Config;
import io.github.flinkdiffusion.ops.network.T5Encoder;
import io.github.flinkdiffusion.ops.network.TextDecoder;
import io.github.flinkdiffusion.ops.network.TextDecoderConfig;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.network.UniDiffuser;
import io.github.flinkdiffusion.ops.network.UniDiffuserConfig;
import io.github.flinkdiffusion.ops.network.VQModel;
import io.github.flinkdiffusion.ops.network.VQModelConfig;
import io.github.flinkdiffusion.ops.network.ZImage;
import io.github.flinkdiffusion.ops.network.ZImageConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * A class of diffusers or transformers: how its graph is made, the order of its inputs, and which
 * method gives an output that is not the called method's own.
 */
record DiffusersNetwork(
    Function<Config, Graph> graph, List<String> inputs, Map<String, String> methods) {
  private static final Map<String, DiffusersNetwork> CLASSES =
      Map.ofEntries(
          Map.entry(
              "CLIPTextModel",
              new DiffusersNetwork(
                  config -> new ClipText(ClipTextConfig.from(config)).graph(77),
                  List.of("input_ids"),
                  Map.of(
                      "penultimate_hidden_state",
                      ClipText.PENULTIMATE,
                      "pooler_output",
                      ClipText.POOLED))),
          Map.entry(
              "CLIPTextModelWithProjection",
              new DiffusersNetwork(
                  config -> new ClipTextProjection(ClipTextConfig.from(config)).graph(77),
                  List.of("input_ids"),
                  Map.of(
                      "penultimate_hidden_state",
                      ClipText.PENULTIMATE,
                      "text_embeds",
                      ClipText.POOLED))),
          Map.entry(
              "CLIPVisionModelWithProjection",
              new DiffusersNetwork(
                  config -> new ClipVision(ClipVisionConfig.from(config)).graph(),
                  List.of("pixel_values"),
                  Map.of("last_hidden_state", ClipVision.HIDDEN))),
          Map.entry(
              "UNet2DConditionModel",
              new DiffusersNetwork(
                  DiffusersNetwork::conditionedUnet,
                  "sample",
                  "timestep",
                  "encoder_hidden_states",
                  "class_labels",
                  "timestep_cond",
                  "text_embeds",
                  "time_ids",
                  "image_embeds",
                  "hint",
                  "boxes",
                  "masks",
                  "positive_embeddings",
                  "phrases_embeddings",
                  "phrases_masks",
                  "image_embeddings",
                  "image_masks",
                  "gate")),
          Map.entry(
              "ControlNetModel",
              new DiffusersNetwork(
                  config -> new ControlNet(ControlNetConfig.from(config)).graph(),
                  "sample",
                  "timestep",
                  "encoder_hidden_states",
                  "text_embeds",
                  "time_ids",
                  "controlnet_cond",
                  "scales")),
          Map.entry(
              "UniDiffuserModel",
              new DiffusersNetwork(
                  config -> new UniDiffuser(UniDiffuserConfig.from(config)).graph(),
                  "sample",
                  "image_embeds",
                  "prompt_embeds",
                  "timestep_img",
                  "timestep_text",
                  "data_type")),
          Map.entry(
              "UniDiffuserTextDecoder",
              new DiffusersNetwork(
                  config -> new TextDecoder(TextDecoderConfig.from(config)).graph(),
                  "states",
                  "prefix",
                  "ids",
                  "last")),
          Map.entry(
              "UNet2DModel",
              new DiffusersNetwork(
                  config -> new UNet2D(UNet2DConfig.from(config)).graph(),
                  "sample",
                  "timestep",
                  "class_labels")),
          Map.entry(
              "DiTTransformer2DModel",
              new DiffusersNetwork(
                  config -> new DiT(DiTConfig.from(config)).graph(),
                  "hidden_states",
                  "timestep",
                  "class_labels")),
          Map.entry(
              "T5EncoderModel",
              new DiffusersNetwork(
                  config -> new T5Encoder(T5Config.from(config)).graph(),
                  "input_ids",
                  "buckets",
                  "mask")),
          Map.entry(
              "SD3Transformer2DModel",
              new DiffusersNetwork(
                  config -> new Sd3Transformer(Sd3TransformerConfig.from(config)).graph(),
                  "hidden_states",
                  "timestep",
                  "encoder_hidden_states",
                  "pooled_projections",
                  "kept")),
          Map.entry(
              "FluxTransformer2DModel",
              new DiffusersNetwork(
                  config -> new FluxTransformer(FluxTransformerConfig.from(config)).graph(),
                  "hidden_states",
                  "timestep",
                  "encoder_hidden_states",
                  "pooled_projections",
                  "guidance")),
          Map.entry(
              "Qwen3Model",
              new DiffusersNetwork(
                  config -> {
                    CausalTextConfig text = CausalTextConfig.from(config, Type.QWEN3);
                    return new CausalText(text).graphOfInner(text.layers() - 1);
                  },
                  "input_ids")),
          Map.entry(
              "Qwen2_5_VLForConditionalGeneration",
              new DiffusersNetwork(
                  config -> new CausalText(CausalTextConfig.from(config, Type.QWEN2)).graph(),
                  "input_ids")),
          Map.entry(
              "ZImageTransformer2DModel",
              new DiffusersNetwork(
                  config -> new ZImage(ZImageConfig.from(config)).graph(),
                  "sample",
                  "timestep",
                  "text",
                  "length")),
          Map.entry(
              "Lumina2Transformer2DModel",
              new DiffusersNetwork(
                  config -> new Lumina2(Lumina2Config.from(config)).graph(),
                  "sample",
                  "timestep",
                  "text",
                  "length")),
          Map.entry(
              "QwenImageTransformer2DModel",
              new DiffusersNetwork(
                  config -> new QwenImage(QwenImageConfig.from(config)).graph(),
                  "sample",
                  "timestep",
                  "text",
                  "length")),
          Map.entry(
              "PixArtTransformer2DModel",
              new DiffusersNetwork(
                  config -> new PixArt(PixArtConfig.from(config)).graph(),
                  "sample",
                  "timestep",
                  "text",
                  "length",
                  "sides")),
          Map.entry(
              "SanaTransformer2DModel",
              new DiffusersNetwork(
                  config -> new Sana(SanaConfig.from(config)).graph(),
                  "sample",
                  "timestep",
                  "text",
                  "length")),
          Map.entry(
              "Gemma2Model",
              new DiffusersNetwork(
                  config -> new CausalText(CausalTextConfig.from(config, Type.GEMMA2)).graph(),
                  "input_ids")),
          Map.entry(
              "AutoencoderDC",
              new DiffusersNetwork(
                  config -> new AutoencoderDC(AutoencoderDCConfig.from(config)).graph(), "x", "z")),
          Map.entry(
              "AutoencoderKLQwenImage",
              new DiffusersNetwork(
                  config ->
                      new AutoencoderQwenImage(AutoencoderQwenImageConfig.from(config)).graph(),
                  "x",
                  "z")),
          Map.entry(
              "AutoencoderKL",
              new DiffusersNetwork(
                  config -> new AutoencoderKL(AutoencoderKLConfig.from(config)).graph(), "x", "z")),
          Map.entry(
              "AutoencoderTiny",
              new DiffusersNetwork(
                  config -> new AutoencoderTiny(AutoencoderTinyConfig.from(config)).graph(), "x")),
          Map.entry(
              "VQModel",
              new DiffusersNetwork(
                  config -> new VQModel(VQModelConfig.from(config)).graph(), "x", "h")));

  DiffusersNetwork(Function<Config, Graph> graph, String... inputs) {
    this(graph, List.of(inputs), Map.of());
  }

  static DiffusersNetwork named(String className) {
    return CLASSES.get(className);
  }

  private static Graph conditionedUnet(Config config) {
    UNet2DCondition unet = new UNet2DCondition(UNet2DConditionConfig.from(config));
    return config.string("attention_type", "default").equals("default")
        ? unet.graph()
        : unet.groundedGraph();
  }
}
