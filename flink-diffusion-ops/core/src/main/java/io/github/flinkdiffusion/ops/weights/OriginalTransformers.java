/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The names that the authors of diffusion transformers gave to their tensors (Black Forest Labs'
 * Flux.1, Stability's Stable Diffusion 3, Alibaba's Z-Image and Qwen-Image, PixArt), and which of
 * diffusers' tensors they are: whole, parts of their rows, or with the halves of their rows
 * exchanged. The final layer's modulation is shift and scale there, scale and shift here.
 * Qwen-Image's authors have diffusers' names.
 */
final class OriginalTransformers {
  private static final String QWEN_IMAGE = "QwenImageTransformer2DModel";

  /** How the network of a class is recognized: names of its tensors. */
  private static final Map<String, List<String>> MARKS =
      Map.of(
          "FluxTransformer2DModel",
          List.of("double_blocks.0.img_attn.qkv.weight"),
          "SD3Transformer2DModel",
          List.of("joint_blocks.0.x_block.attn.qkv.weight"),
          "ZImageTransformer2DModel",
          List.of("layers.0.attention.qkv.weight"),
          QWEN_IMAGE,
          List.of("transformer_blocks.0.img_mod.1.weight"),
          // Sana's authors have the first one, too.
          "PixArtTransformer2DModel",
          List.of("blocks.0.cross_attn.kv_linear.weight", "blocks.0.mlp.fc1.weight"));

  private static final String LEAF = "\\.(weight|bias)";
  private static final List<String> QKV = List.of("attn.to_q", "attn.to_k", "attn.to_v");
  private static final List<String> ADDED_QKV =
      List.of("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj");

  private OriginalTransformers() {}

  /** The class whose transformer has these tensors, under names of the authors; null for none. */
  static String classOf(Set<String> names) {
    for (String className : MARKS.keySet()) {
      for (String prefix : OriginalComponent.NETWORK_PREFIXES) {
        if (isOf(className, prefix, names)) {
          return className;
        }
      }
    }
    return null;
  }

  private static boolean isOf(String className, String prefix, Set<String> names) {
    return MARKS.get(className).stream().allMatch(mark -> names.contains(prefix + mark));
  }

  /** Whether a network's tensors have diffusers' names already. */
  static boolean hasDiffusersNames(String className, Set<String> names) {
    return className.equals(QWEN_IMAGE) && isOf(className, "", names);
  }

  static boolean isOne(String className) {
    return MARKS.containsKey(className);
  }

  /**
   * Adds the tensors that one of the authors' is.
   *
   * @param original its name in the store
   * @param name the same without prefix
   * @param layers of the network, by the names that it has
   * @return false if a network of the class has no such tensor
   */
  static boolean add(
      String className,
      MappedTensors.Builder to,
      TensorStore store,
      String original,
      String name,
      int layers) {
    return switch (className) {
      case "FluxTransformer2DModel" -> flux(to, store, original, name);
      case "SD3Transformer2DModel" -> stableDiffusion3(to, original, name, layers);
      case "ZImageTransformer2DModel" -> zImage(to, original, name);
      case "PixArtTransformer2DModel" -> pixArt(to, original, name);
      case QWEN_IMAGE -> {
        to.add(name, original, false);
        yield true;
      }
      default -> false;
    };
  }

  /** Layers of a network, counted in the names of its tensors. */
  static int layers(Set<String> names) {
    Pattern numbered = Pattern.compile(".*joint_blocks\\.(\\d{1,4})\\..*");
    return names.stream()
        .map(numbered::matcher)
        .filter(Matcher::matches)
        .mapToInt(found -> Integer.parseInt(found.group(1)) + 1)
        .max()
        .orElse(0);
  }

  private static final Map<String, String> FLUX_OUTSIDE =
      Map.of(
          "time_in.in_layer", "time_text_embed.timestep_embedder.linear_1",
          "time_in.out_layer", "time_text_embed.timestep_embedder.linear_2",
          "vector_in.in_layer", "time_text_embed.text_embedder.linear_1",
          "vector_in.out_layer", "time_text_embed.text_embedder.linear_2",
          "guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1",
          "guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2",
          "txt_in", "context_embedder",
          "img_in", "x_embedder",
          "final_layer.linear", "proj_out");
  private static final Pattern STEM = Pattern.compile("(.+)" + LEAF);
  private static final Pattern FLUX_DOUBLE =
      Pattern.compile(
          "double_blocks\\.(\\d{1,4})\\.(img|txt)_(mod\\.lin|attn\\.qkv|attn\\.proj|mlp\\.0|mlp\\.2)"
              + LEAF);
  private static final Pattern FLUX_DOUBLE_NORM =
      Pattern.compile(
          "double_blocks\\.(\\d{1,4})\\.(img|txt)_attn\\.norm\\.(query|key)_norm\\.scale");
  private static final Pattern FLUX_SINGLE =
      Pattern.compile("single_blocks\\.(\\d{1,4})\\.(modulation\\.lin|linear1|linear2)" + LEAF);
  private static final Pattern FLUX_SINGLE_NORM =
      Pattern.compile("single_blocks\\.(\\d{1,4})\\.norm\\.(query|key)_norm\\.scale");

  private static boolean flux(
      MappedTensors.Builder to, TensorStore store, String original, String name) {
    Matcher twice = FLUX_DOUBLE.matcher(name);
    if (twice.matches()) {
      String block = "transformer_blocks." + twice.group(1) + ".";
      boolean image = twice.group(2).equals("img");
      String leaf = "." + twice.group(4);
      switch (twice.group(3)) {
        case "mod.lin" ->
            to.add(block + (image ? "norm1" : "norm1_context") + ".linear" + leaf, original, false);
        case "attn.qkv" -> addParts(to, block, image ? QKV : ADDED_QKV, leaf, original);
        case "attn.proj" ->
            to.add(block + (image ? "attn.to_out.0" : "attn.to_add_out") + leaf, original, false);
        default ->
            to.add(
                block
                    + (image ? "ff" : "ff_context")
                    + (twice.group(3).equals("mlp.0") ? ".net.0.proj" : ".net.2")
                    + leaf,
                original,
                false);
      }
      return true;
    }
    Matcher norm = FLUX_DOUBLE_NORM.matcher(name);
    if (norm.matches()) {
      to.add(
          "transformer_blocks.%s.attn.norm_%s%s.weight"
              .formatted(
                  norm.group(1),
                  norm.group(2).equals("img") ? "" : "added_",
                  norm.group(3).charAt(0)),
          original,
          false);
      return true;
    }
    Matcher single = FLUX_SINGLE.matcher(name);
    if (single.matches()) {
      String block = "single_transformer_blocks." + single.group(1) + ".";
      String leaf = "." + single.group(3);
      switch (single.group(2)) {
        case "modulation.lin" -> to.add(block + "norm.linear" + leaf, original, false);
        case "linear2" -> to.add(block + "proj_out" + leaf, original, false);
        default -> {
          long width = width(store, original, leaf);
          for (int i = 0; i < QKV.size(); i++) {
            to.addRowRange(block + QKV.get(i) + leaf, original, i * width, width);
          }
          long rows = store.info(original).shape()[0];
          to.addRowRange(block + "proj_mlp" + leaf, original, 3 * width, rows - 3 * width);
        }
      }
      return true;
    }
    Matcher singleNorm = FLUX_SINGLE_NORM.matcher(name);
    if (singleNorm.matches()) {
      to.add(
          "single_transformer_blocks.%s.attn.norm_%s.weight"
              .formatted(singleNorm.group(1), singleNorm.group(2).charAt(0)),
          original,
          false);
      return true;
    }
    return outside(to, FLUX_OUTSIDE, original, name);
  }

  /** The network's width: the columns of the weight, beside which the bias lies. */
  private static long width(TensorStore store, String original, String leaf) {
    String weight = original.substring(0, original.length() - leaf.length()) + ".weight";
    long[] shape = store.info(weight).shape();
    long[] own = store.info(original).shape();
    if (shape.length != 2 || own.length == 0 || own[0] <= 3 * shape[1]) {
      throw new WeightsException(
          "Weights %s: tensor %s has the shape of no single block: queries, keys and values are [width, width] each, and the rest is more rows"
              .formatted(store.source(), store.info(weight)));
    }
    return shape[1];
  }

  private static final Map<String, String> SD3_OUTSIDE =
      Map.of(
          "x_embedder.proj", "pos_embed.proj",
          "t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1",
          "t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2",
          "y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1",
          "y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2",
          "context_embedder", "context_embedder",
          "final_layer.linear", "proj_out");
  private static final Pattern SD3_BLOCK =
      Pattern.compile(
          "joint_blocks\\.(\\d{1,4})\\.(x|context)_block\\.(adaLN_modulation\\.1|mlp\\.fc1|mlp\\.fc2|attn2?\\.qkv|attn2?\\.proj)"
              + LEAF);
  private static final Pattern SD3_NORM =
      Pattern.compile(
          "joint_blocks\\.(\\d{1,4})\\.(x|context)_block\\.(attn2?)\\.ln_([qk])\\.weight");

  private static boolean stableDiffusion3(
      MappedTensors.Builder to, String original, String name, int layers) {
    if (name.equals("pos_embed")) {
      to.add("pos_embed.pos_embed", original, false);
      return true;
    }
    Matcher norm = SD3_NORM.matcher(name);
    if (norm.matches()) {
      boolean sample = norm.group(2).equals("x");
      to.add(
          "transformer_blocks.%s.%s.norm_%s%s.weight"
              .formatted(norm.group(1), norm.group(3), sample ? "" : "added_", norm.group(4)),
          original,
          false);
      return sample || norm.group(3).equals("attn");
    }
    Matcher block = SD3_BLOCK.matcher(name);
    if (!block.matches()) {
      return outside(to, SD3_OUTSIDE, original, name);
    }
    String prefix = "transformer_blocks." + block.group(1) + ".";
    boolean sample = block.group(2).equals("x");
    String leaf = "." + block.group(4);
    switch (block.group(3)) {
      case "adaLN_modulation.1" -> {
        // The last block leaves the text with a scale and a shift, as the final layer the image.
        boolean last = Integer.parseInt(block.group(1)) == layers - 1;
        if (!sample && last) {
          to.addExchanged(prefix + "norm1_context.linear" + leaf, original);
        } else {
          to.add(prefix + (sample ? "norm1" : "norm1_context") + ".linear" + leaf, original, false);
        }
      }
      case "mlp.fc1" ->
          to.add(prefix + (sample ? "ff" : "ff_context") + ".net.0.proj" + leaf, original, false);
      case "mlp.fc2" ->
          to.add(prefix + (sample ? "ff" : "ff_context") + ".net.2" + leaf, original, false);
      case "attn.qkv" -> addParts(to, prefix, sample ? QKV : ADDED_QKV, leaf, original);
      case "attn.proj" ->
          to.add(prefix + (sample ? "attn.to_out.0" : "attn.to_add_out") + leaf, original, false);
      case "attn2.qkv" ->
          addParts(to, prefix, List.of("attn2.to_q", "attn2.to_k", "attn2.to_v"), leaf, original);
      default -> to.add(prefix + "attn2.to_out.0" + leaf, original, false);
    }
    return sample || !block.group(3).startsWith("attn2");
  }

  private static final Pattern Z_QKV = Pattern.compile("(.+\\.)attention\\.qkv\\.weight");

  private static boolean zImage(MappedTensors.Builder to, String original, String name) {
    Matcher fused = Z_QKV.matcher(name);
    if (fused.matches()) {
      addParts(
          to,
          fused.group(1),
          List.of("attention.to_q", "attention.to_k", "attention.to_v"),
          ".weight",
          original);
      return true;
    }
    // What the authors' network has and does not use.
    if (!name.equals("norm_final.weight")) {
      to.add(
          name.replaceFirst("^final_layer\\.", "all_final_layer.2-1.")
              .replaceFirst("^x_embedder\\.", "all_x_embedder.2-1.")
              .replace(".attention.out.", ".attention.to_out.0.")
              .replace(".attention.k_norm.", ".attention.norm_k.")
              .replace(".attention.q_norm.", ".attention.norm_q."),
          original,
          false);
    }
    return true;
  }

  private static final Map<String, String> PIXART_OUTSIDE =
      Map.ofEntries(
          Map.entry("x_embedder.proj", "pos_embed.proj"),
          Map.entry("y_embedder.y_proj.fc1", "caption_projection.linear_1"),
          Map.entry("y_embedder.y_proj.fc2", "caption_projection.linear_2"),
          Map.entry("t_embedder.mlp.0", "adaln_single.emb.timestep_embedder.linear_1"),
          Map.entry("t_embedder.mlp.2", "adaln_single.emb.timestep_embedder.linear_2"),
          Map.entry("csize_embedder.mlp.0", "adaln_single.emb.resolution_embedder.linear_1"),
          Map.entry("csize_embedder.mlp.2", "adaln_single.emb.resolution_embedder.linear_2"),
          Map.entry("ar_embedder.mlp.0", "adaln_single.emb.aspect_ratio_embedder.linear_1"),
          Map.entry("ar_embedder.mlp.2", "adaln_single.emb.aspect_ratio_embedder.linear_2"),
          Map.entry("t_block.1", "adaln_single.linear"),
          Map.entry("final_layer.linear", "proj_out"));

  /** Positions, which are computed, and the states of no text, which training used. */
  private static final Set<String> PIXART_UNUSED = Set.of("pos_embed", "y_embedder.y_embedding");

  private static final Pattern PIXART_TABLE =
      Pattern.compile("blocks\\.(\\d{1,4})\\.scale_shift_table");
  private static final Pattern PIXART_BLOCK =
      Pattern.compile(
          "blocks\\.(\\d{1,4})\\.(attn\\.qkv|attn\\.proj|mlp\\.fc1|mlp\\.fc2|cross_attn\\.(?:q_linear|kv_linear|proj))"
              + LEAF);

  private static boolean pixArt(MappedTensors.Builder to, String original, String name) {
    if (PIXART_UNUSED.contains(name)) {
      return true;
    }
    Matcher table = PIXART_TABLE.matcher(name);
    if (name.equals("final_layer.scale_shift_table") || table.matches()) {
      String block = table.matches() ? "transformer_blocks." + table.group(1) + "." : "";
      to.add(block + "scale_shift_table", original, false);
      return true;
    }
    Matcher block = PIXART_BLOCK.matcher(name);
    if (!block.matches()) {
      return outside(to, PIXART_OUTSIDE, original, name);
    }
    String prefix = "transformer_blocks." + block.group(1) + ".";
    String leaf = "." + block.group(3);
    switch (block.group(2)) {
      case "attn.qkv" ->
          addParts(to, prefix, List.of("attn1.to_q", "attn1.to_k", "attn1.to_v"), leaf, original);
      case "cross_attn.kv_linear" ->
          addParts(to, prefix, List.of("attn2.to_k", "attn2.to_v"), leaf, original);
      case "attn.proj" -> to.add(prefix + "attn1.to_out.0" + leaf, original, false);
      case "cross_attn.q_linear" -> to.add(prefix + "attn2.to_q" + leaf, original, false);
      case "cross_attn.proj" -> to.add(prefix + "attn2.to_out.0" + leaf, original, false);
      case "mlp.fc1" -> to.add(prefix + "ff.net.0.proj" + leaf, original, false);
      default -> to.add(prefix + "ff.net.2" + leaf, original, false);
    }
    return true;
  }

  private static boolean outside(
      MappedTensors.Builder to, Map<String, String> names, String original, String name) {
    Matcher stem = STEM.matcher(name);
    if (!stem.matches()) {
      return false;
    }
    if (stem.group(1).equals("final_layer.adaLN_modulation.1")) {
      to.addExchanged("norm_out.linear." + stem.group(2), original);
      return true;
    }
    String renamed = names.get(stem.group(1));
    if (renamed != null) {
      to.add(renamed + "." + stem.group(2), original, false);
    }
    return renamed != null;
  }

  private static void addParts(
      MappedTensors.Builder to, String block, List<String> parts, String leaf, String original) {
    for (int i = 0; i < parts.size(); i++) {
      to.addRows(block + parts.get(i) + leaf, original, i, parts.size());
    }
  }
}
