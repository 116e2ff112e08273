/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The layers of {@link OriginalTransformers} as LoRAs name them, which have no tensors of the
 * network at hand.
 */
final class OriginalLayers {
  /** Flattened words of these names that have a "_" of their own. */
  private static final List<String> WORDS =
      List.of(
          "double_blocks",
          "single_blocks",
          "joint_blocks",
          "x_block",
          "context_block",
          "final_layer",
          "adaLN_modulation",
          "img_in",
          "txt_in",
          "time_in",
          "vector_in",
          "guidance_in",
          "in_layer",
          "out_layer",
          "img_attn",
          "txt_attn",
          "img_mlp",
          "txt_mlp",
          "img_mod",
          "txt_mod",
          "x_embedder",
          "t_embedder",
          "y_embedder",
          "context_embedder",
          "csize_embedder",
          "ar_embedder",
          "t_block",
          "y_proj",
          "cross_attn",
          "q_linear",
          "kv_linear");

  private OriginalLayers() {}

  /**
   * A part of a layer of the authors.
   *
   * @param weight the network's parameter
   * @param firstRow the layer's row that is the parameter's first; the next ones follow, and after
   *     the last one the first
   */
  record Part(String weight, long firstRow) {}

  /**
   * The parameters that a layer of the authors is.
   *
   * @param path of the layer
   * @param flattened whether the path has "_" for "."
   * @param names of the network's parameters
   * @param rows of the layer's weight
   * @param columns of the layer's weight
   * @return none for a layer that is not theirs
   */
  static List<Part> parts(
      String className,
      String path,
      boolean flattened,
      Set<String> names,
      long rows,
      long columns) {
    String layer = flattened ? unflattened(path) : path;
    String weight = layer + ".weight";
    MappedTensors.Builder mapped =
        new MappedTensors.Builder(new Shapes(TensorInfo.of(weight, DType.F32, rows, columns)));
    Pattern numbered = Pattern.compile("transformer_blocks\\.(\\d{1,4})\\..*");
    int layers =
        names.stream()
            .map(numbered::matcher)
            .filter(Matcher::matches)
            .mapToInt(found -> Integer.parseInt(found.group(1)) + 1)
            .max()
            .orElse(0);
    return OriginalTransformers.add(className, mapped, mapped.store(), weight, weight, layers)
        ? mapped.parts()
        : List.of();
  }

  private static String unflattened(String path) {
    String marked = path;
    for (String word : WORDS) {
      marked = marked.replaceAll("(?<![A-Za-z])" + word + "(?![A-Za-z])", word.replace('_', '-'));
    }
    return marked.replace('_', '.').replace('-', '_');
  }

  /** A store of one tensor, of which there is the shape alone. */
  private record Shapes(TensorInfo tensor) implements TensorStore {
    @Override
    public Set<String> names() {
      return Set.of(tensor.name());
    }

    @Override
    public TensorInfo info(String name) {
      if (!name.equals(tensor.name())) {
        throw TensorReads.noSuchTensor(source(), name, names());
      }
      return tensor;
    }

    @Override
    public List<ByteBuffer> data(String name) {
      throw new UnsupportedOperationException("There is no tensor.");
    }

    @Override
    public String source() {
      return "a LoRA's layer";
    }

    @Override
    public String digest() {
      throw new UnsupportedOperationException("There is no tensor.");
    }

    @Override
    public void close() {}
  }
}
