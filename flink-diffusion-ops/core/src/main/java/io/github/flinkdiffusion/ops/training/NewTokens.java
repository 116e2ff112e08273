/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * New tokens of a text encoder, for textual inversion (Gal et al. 2022): rows behind its table of
 * embeddings. They alone are trained, so the others stay what they are to the bit.
 *
 * <p>A new token's id is the size of the table plus its index.
 *
 * @param table the embeddings' parameter in the graph, such as {@code
 *     text_encoder.text_model.embeddings.token_embedding.weight}
 * @param count how many
 */
@Internal
public record NewTokens(String table, int count) {
  public NewTokens {
    if (count < 1) {
      throw new IllegalArgumentException(
          "The number of new tokens is %d; at least 1 is needed.".formatted(count));
    }
  }

  /** The parameter of the new rows, [count, size]. */
  public String parameter() {
    return table + ".new_tokens";
  }

  /**
   * A graph with the new rows in it.
   *
   * @throws IllegalArgumentException if it does not look up the table
   */
  public Graph in(Graph graph) {
    long[] shape = graph.parameterShapes().get(table);
    if (shape == null) {
      throw new IllegalArgumentException("The graph has no table of embeddings " + table + ".");
    }
    return graph.rewritten(
        (m, operation, inputs) -> {
          if (operation.op() != Op.EMBEDDING
              || !LayerInputs.parameter(operation.inputs().get(1)).equals(Optional.of(table))) {
            return Optional.empty();
          }
          Value rows = m.graph().parameter(parameter(), count, shape[1]);
          return Optional.of(m.embedding(inputs.get(0), m.concatenate(0, inputs.get(1), rows)));
        });
  }

  /**
   * Weights of the graph with new rows.
   *
   * @param base of all other parameters
   * @param first what each new row begins as: mostly a known word's embedding
   */
  public ParameterSource weights(ParameterSource base, float[] first) {
    return (name, shape, out) -> {
      if (!name.equals(parameter())) {
        base.write(name, shape, out);
        return;
      }
      ByteBuffer bytes =
          ByteBuffer.allocate(count * first.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < count; i++) {
        bytes.asFloatBuffer().put(first);
        bytes.position(bytes.position() + first.length * Float.BYTES);
      }
      out.write(bytes.array());
    };
  }

  /**
   * Writes the trained rows as diffusers' {@code load_textual_inversion} reads them.
   *
   * @param token the word that they stand for
   * @throws WeightsException if it cannot be written
   */
  public void write(Path file, List<NamedWeight> trained, String token) {
    HostTensor.Floats rows = rows(trained);
    SafetensorsWriter.write(
        file,
        HeapTensors.builder().add(token, rows.data(), rows.shape()).build(),
        Map.of("format", "pt"));
  }

  /** The new rows among trained weights. */
  HostTensor.Floats rows(List<NamedWeight> trained) {
    return trained.stream()
        .filter(weight -> weight.name().equals(parameter()))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException(parameter() + " was not trained."))
        .value();
  }
}
