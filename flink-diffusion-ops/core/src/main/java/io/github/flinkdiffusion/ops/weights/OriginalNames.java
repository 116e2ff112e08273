/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The names that the networks' first authors gave to their tensors (CompVis' latent diffusion,
 * OpenAI's and LAION's CLIP), and what diffusers calls them.
 */
final class OriginalNames {
  private static final String LEAF = "\\.(weight|bias)";

  private OriginalNames() {}

  /** Renames what a pattern finds, by its first group. */
  private record Renaming(Pattern pattern, Map<String, String> names) {
    Renaming(String group, Map<String, String> names) {
      this(Pattern.compile("(" + group + ")" + LEAF), names);
    }

    Optional<String> apply(String name) {
      Matcher found = pattern.matcher(name);
      return found.matches()
          ? Optional.of(names.get(found.group(1)) + "." + found.group(2))
          : Optional.empty();
    }
  }

  private static Renaming renaming(Map<String, String> names) {
    return new Renaming(String.join("|", names.keySet()).replace(".", "\\."), names);
  }

  /** An autoencoder for videos, as the authors of Wan wrote it, from which Qwen-Image's is. */
  static final class VideoVae {
    private static final Map<String, String> OUTSIDE =
        Map.ofEntries(
            Map.entry("encoder.conv1", "encoder.conv_in"),
            Map.entry("decoder.conv1", "decoder.conv_in"),
            Map.entry("encoder.head.0", "encoder.norm_out"),
            Map.entry("decoder.head.0", "decoder.norm_out"),
            Map.entry("encoder.head.2", "encoder.conv_out"),
            Map.entry("decoder.head.2", "decoder.conv_out"),
            Map.entry("conv1", "quant_conv"),
            Map.entry("conv2", "post_quant_conv"));
    private static final Map<String, String> RESIDUAL =
        Map.of(
            "residual.0", "norm1",
            "residual.2", "conv1",
            "residual.3", "norm2",
            "residual.6", "conv2",
            "shortcut", "conv_shortcut");
    private static final Pattern NAME = Pattern.compile("(.+)\\.(weight|bias|gamma)");
    private static final Pattern MIDDLE =
        Pattern.compile("(encoder|decoder)\\.middle\\.([012])\\.(.+)");
    private static final Pattern DOWN =
        Pattern.compile("encoder\\.downsamples\\.(\\d{1,3})\\.(.+)");
    private static final Pattern UP = Pattern.compile("decoder\\.upsamples\\.(\\d{1,3})\\.(.+)");
    private static final Pattern RESAMPLER = Pattern.compile("resample\\.1|time_conv");
    private static final Pattern ATTENTION = Pattern.compile("norm|to_qkv|proj");

    /** Residual blocks of a level of the decoder, which has one more than the encoder. */
    private final int blocks;

    /**
     * @param blocksPerLevel of the encoder
     */
    VideoVae(int blocksPerLevel) {
      this.blocks = blocksPerLevel + 1;
    }

    Optional<String> diffusersName(String name) {
      Matcher parts = NAME.matcher(name);
      return parts.matches()
          ? layer(parts.group(1)).map(layer -> layer + "." + parts.group(2))
          : Optional.empty();
    }

    private Optional<String> layer(String path) {
      if (OUTSIDE.containsKey(path)) {
        return Optional.of(OUTSIDE.get(path));
      }
      Matcher middle = MIDDLE.matcher(path);
      if (middle.matches()) {
        String block = middle.group(1) + ".mid_block.";
        return switch (middle.group(2)) {
          case "0" -> residual(block + "resnets.0.", middle.group(3));
          case "1" -> kept(ATTENTION, block + "attentions.0.", middle.group(3));
          default -> residual(block + "resnets.1.", middle.group(3));
        };
      }
      Matcher down = DOWN.matcher(path);
      if (down.matches()) {
        String block = "encoder.down_blocks." + down.group(1) + ".";
        return residual(block, down.group(2)).or(() -> kept(RESAMPLER, block, down.group(2)));
      }
      Matcher up = UP.matcher(path);
      if (!up.matches()) {
        return Optional.empty();
      }
      // Blocks are numbered through there, and by level here; an upsampler ends a level.
      int number = Integer.parseInt(up.group(1));
      String level = "decoder.up_blocks." + number / (blocks + 1) + ".";
      int place = number % (blocks + 1);
      return place < blocks
          ? residual(level + "resnets." + place + ".", up.group(2))
          : kept(RESAMPLER, level + "upsamplers.0.", up.group(2));
    }

    private static Optional<String> residual(String block, String rest) {
      return Optional.ofNullable(RESIDUAL.get(rest)).map(name -> block + name);
    }

    private static Optional<String> kept(Pattern names, String block, String rest) {
      return names.matcher(rest).matches() ? Optional.of(block + rest) : Optional.empty();
    }
  }

  /** A UNet's tensors, less the prefix {@code model.diffusion_model.}. */
  static final class UNet {
    private static final Renaming OUTSIDE_BLOCKS =
        renaming(
            Map.of(
                "time_embed.0", "time_embedding.linear_1",
                "time_embed.2", "time_embedding.linear_2",
                "input_blocks.0.0", "conv_in",
                "out.0", "conv_norm_out",
                "out.2", "conv_out"));

    private static final Renaming RESNET =
        renaming(
            Map.of(
                "in_layers.0", "norm1",
                "in_layers.2", "conv1",
                "emb_layers.1", "time_emb_proj",
                "out_layers.0", "norm2",
                "out_layers.3", "conv2",
                "skip_connection", "conv_shortcut"));

    private static final Pattern ATTENTION =
        Pattern.compile("(norm|proj_in|proj_out|transformer_blocks\\.\\d+\\..+)" + LEAF);
    private static final Pattern BLOCK =
        Pattern.compile("(input|output)_blocks\\.(\\d{1,4})\\.(\\d)\\.(.+)");
    private static final Pattern MIDDLE = Pattern.compile("middle_block\\.([012])\\.(.+)");
    private static final Pattern LABEL = Pattern.compile("label_emb\\.0\\.([02])" + LEAF);
    private static final Pattern RESAMPLER = Pattern.compile("(?:op|conv)" + LEAF);

    private final int layersAndResampler;
    private final String labelEmbedding;

    /**
     * @param layersPerBlock blocks are numbered through there, and by level here
     * @param labelEmbedding what the embedding of labels is here: SDXL's {@code add_embedding}, or
     *     {@code class_embedding}
     */
    UNet(int layersPerBlock, String labelEmbedding) {
      this.layersAndResampler = layersPerBlock + 1;
      this.labelEmbedding = labelEmbedding;
    }

    Optional<String> diffusersName(String name) {
      Optional<String> outside = OUTSIDE_BLOCKS.apply(name);
      if (outside.isPresent()) {
        return outside;
      }
      Matcher block = BLOCK.matcher(name);
      if (block.matches()) {
        return inBlock(
            block.group(1).equals("input"),
            Integer.parseInt(block.group(2)),
            Integer.parseInt(block.group(3)),
            block.group(4));
      }
      Matcher middle = MIDDLE.matcher(name);
      if (middle.matches()) {
        return middle.group(1).equals("1")
            ? attention(middle.group(2)).map("mid_block.attentions.0."::concat)
            : RESNET
                .apply(middle.group(2))
                .map(("mid_block.resnets." + (middle.group(1).equals("0") ? 0 : 1) + ".")::concat);
      }
      Matcher label = LABEL.matcher(name);
      if (label.matches()) {
        return Optional.of(
            "%s.linear_%d.%s"
                .formatted(labelEmbedding, label.group(1).equals("0") ? 1 : 2, label.group(2)));
      }
      return name.equals("label_emb.weight")
          ? Optional.of("class_embedding.weight")
          : Optional.empty();
    }

    /**
     * @param number of the block, all levels counted through
     * @param part 0 is its residual layer (or, going down, a level's resampler); then an attention;
     *     then, going up, a resampler
     */
    private Optional<String> inBlock(boolean down, int number, int part, String rest) {
      int layer = down ? number - 1 : number; // the first going down is conv_in
      if (layer < 0) {
        return Optional.empty();
      }
      String level = (down ? "down_blocks." : "up_blocks.") + layer / layersAndResampler + ".";
      int inLevel = layer % layersAndResampler;
      Matcher resampler = RESAMPLER.matcher(rest);
      if (resampler.matches() && part == 0 == down) {
        return Optional.of(
            level + (down ? "downsamplers" : "upsamplers") + ".0.conv." + resampler.group(1));
      }
      return switch (part) {
        case 0 -> RESNET.apply(rest).map((level + "resnets." + inLevel + ".")::concat);
        case 1 -> attention(rest).map((level + "attentions." + inLevel + ".")::concat);
        default -> Optional.empty();
      };
    }

    private static Optional<String> attention(String rest) {
      return ATTENTION.matcher(rest).matches() ? Optional.of(rest) : Optional.empty();
    }
  }

  /** An autoencoder's tensors, less the prefix {@code first_stage_model.} or {@code vae.}. */
  static final class Vae {
    private static final Renaming ENDS =
        renaming(
            Map.of(
                "conv_in", "conv_in",
                "norm_out", "conv_norm_out",
                "conv_out", "conv_out"));

    private static final Renaming RESNET =
        renaming(
            Map.of(
                "norm1", "norm1",
                "conv1", "conv1",
                "norm2", "norm2",
                "conv2", "conv2",
                "nin_shortcut", "conv_shortcut"));

    private static final Renaming ATTENTION =
        renaming(
            Map.of(
                "norm", "group_norm",
                "q", "to_q",
                "k", "to_k",
                "v", "to_v",
                "proj_out", "to_out.0"));

    private static final Pattern QUANT = Pattern.compile("(?:post_)?quant_conv" + LEAF);
    private static final Pattern HALF = Pattern.compile("(encoder|decoder)\\.(.+)");
    private static final Pattern BLOCK =
        Pattern.compile("(down|up)\\.(\\d{1,4})\\.block\\.(\\d{1,4})\\.(.+)");
    private static final Pattern RESAMPLER =
        Pattern.compile("(down|up)\\.(\\d{1,4})\\.(?:down|up)sample\\.conv" + LEAF);
    private static final Pattern MIDDLE = Pattern.compile("mid\\.(?:block_([12])|(attn_1))\\.(.+)");

    private final int levels;

    /**
     * @param levels the decoder's are counted from the other end there
     */
    Vae(int levels) {
      this.levels = levels;
    }

    Optional<String> diffusersName(String name) {
      if (QUANT.matcher(name).matches()) {
        return Optional.of(name);
      }
      Matcher half = HALF.matcher(name);
      if (!half.matches()) {
        return Optional.empty();
      }
      return inHalf(half.group(2)).map((half.group(1) + ".")::concat);
    }

    private Optional<String> inHalf(String name) {
      Matcher block = BLOCK.matcher(name);
      if (block.matches()) {
        return RESNET
            .apply(block.group(4))
            .map(
                (level(block.group(1), block.group(2)) + "resnets." + block.group(3) + ".")
                    ::concat);
      }
      Matcher resampler = RESAMPLER.matcher(name);
      if (resampler.matches()) {
        return Optional.of(
            level(resampler.group(1), resampler.group(2))
                + resampler.group(1)
                + "samplers.0.conv."
                + resampler.group(3));
      }
      Matcher middle = MIDDLE.matcher(name);
      if (middle.matches()) {
        return middle.group(2) != null
            ? ATTENTION.apply(middle.group(3)).map("mid_block.attentions.0."::concat)
            : RESNET
                .apply(middle.group(3))
                .map(
                    ("mid_block.resnets." + (Integer.parseInt(middle.group(1)) - 1) + ".")::concat);
      }
      return ENDS.apply(name);
    }

    private String level(String direction, String number) {
      int level = Integer.parseInt(number);
      return direction + "_blocks." + (direction.equals("up") ? levels - 1 - level : level) + ".";
    }

    /** Whether a tensor that other conversions keep as a 1x1 convolution is a linear layer here. */
    static boolean isLinear(String diffusersName) {
      return diffusersName.matches(".*\\.attentions\\.\\d+\\.to_(q|k|v|out\\.0)\\.weight");
    }
  }

  /**
   * A text encoder's tensors as OpenCLIP has them, less the prefix; its projections of attention
   * are one tensor there and are not named here.
   */
  static final class OpenClip {
    private static final Map<String, String> OUTSIDE_LAYERS =
        Map.of(
            "positional_embedding", "text_model.embeddings.position_embedding.weight",
            "token_embedding.weight", "text_model.embeddings.token_embedding.weight",
            "ln_final.weight", "text_model.final_layer_norm.weight",
            "ln_final.bias", "text_model.final_layer_norm.bias");

    private static final Renaming IN_LAYER =
        renaming(
            Map.of(
                "ln_1", "layer_norm1",
                "ln_2", "layer_norm2",
                "mlp.c_fc", "mlp.fc1",
                "mlp.c_proj", "mlp.fc2",
                "attn.out_proj", "self_attn.out_proj"));

    private static final Pattern LAYER =
        Pattern.compile("transformer\\.resblocks\\.(\\d{1,4})\\.(.+)");

    private OpenClip() {}

    static Optional<String> diffusersName(String name) {
      Matcher layer = LAYER.matcher(name);
      return layer.matches()
          ? IN_LAYER.apply(layer.group(2)).map(layerPrefix(layer.group(1))::concat)
          : Optional.ofNullable(OUTSIDE_LAYERS.get(name));
    }

    /** The layer of {@code ...attn.in_proj_weight} or {@code ...attn.in_proj_bias}. */
    static Optional<String> fusedProjections(String name) {
      Matcher layer = LAYER.matcher(name);
      return layer.matches() && layer.group(2).matches("attn\\.in_proj_(weight|bias)")
          ? Optional.of(layerPrefix(layer.group(1)))
          : Optional.empty();
    }

    private static String layerPrefix(String number) {
      return "text_model.encoder.layers." + number + ".";
    }
  }

  /** T5's encoder as GGUF files name it. */
  static final class T5OfGgml {
    private static final Map<String, String> OUTSIDE_LAYERS =
        Map.of(
            "token_embd.weight", "shared.weight",
            "enc.output_norm.weight", "encoder.final_layer_norm.weight");

    private static final Map<String, String> IN_LAYER =
        Map.of(
            "attn_q", "layer.0.SelfAttention.q",
            "attn_k", "layer.0.SelfAttention.k",
            "attn_v", "layer.0.SelfAttention.v",
            "attn_o", "layer.0.SelfAttention.o",
            "attn_rel_b", "layer.0.SelfAttention.relative_attention_bias",
            "attn_norm", "layer.0.layer_norm",
            "ffn_gate", "layer.1.DenseReluDense.wi_0",
            "ffn_up", "layer.1.DenseReluDense.wi_1",
            "ffn_down", "layer.1.DenseReluDense.wo",
            "ffn_norm", "layer.1.layer_norm");

    private static final Pattern LAYER =
        Pattern.compile("enc\\.blk\\.(\\d{1,4})\\.(\\w+)\\.weight");

    private T5OfGgml() {}

    static Optional<String> transformersName(String name) {
      Matcher layer = LAYER.matcher(name);
      return layer.matches()
          ? Optional.ofNullable(IN_LAYER.get(layer.group(2)))
              .map(part -> "encoder.block.%s.%s.weight".formatted(layer.group(1), part))
          : Optional.ofNullable(OUTSIDE_LAYERS.get(name));
    }
  }
}
