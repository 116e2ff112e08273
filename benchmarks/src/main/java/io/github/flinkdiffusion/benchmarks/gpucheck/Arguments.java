/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * What methods are called with: the manifest says of each argument the shape of a row, small for
 * comparisons and full for speed, and what its numbers are.
 */
final class Arguments {
  static final int TOKENS = 77;

  private static final int TIMESTEPS = 1000;
  private static final int PIXELS_PER_LATENT = 8;

  /** Sides and positions of SDXL's crop, in pixels. */
  private static final int SIZES = 1024;

  private static final long SEED = 7;

  private Arguments() {}

  /**
   * Describes an argument.
   *
   * @param into gets {@code name}, {@code check} and {@code speed} (a row's shapes), {@code values}
   *     ({@code normal}, {@code real} from zero to {@code limit}, {@code integer} below it)
   * @param check side of the latents in comparisons
   * @param speed side of the latents where speed is measured
   */
  static void describe(Value argument, Config config, int check, int speed, ObjectNode into) {
    String name = (String) argument.attributes().get(0);
    into.put("name", name);
    switch (name) {
      case "sample" -> images(into, config.integer("in_channels"), check, speed);
      case "latent" -> images(into, config.integer("latent_channels"), check, speed);
      case "image" ->
          images(
              into,
              config.integer("in_channels"),
              PIXELS_PER_LATENT * check,
              PIXELS_PER_LATENT * speed);
      case "timestep" -> limited(into, "real", TIMESTEPS);
      case "context" -> numbers(into, "normal", TOKENS, config.integer("cross_attention_dim"));
      case "text_embeds" ->
          numbers(
              into,
              "normal",
              config.integer("projection_class_embeddings_input_dim")
                  - 6 * config.integer("addition_time_embed_dim"));
      case "time_ids" -> limited(into, "real", SIZES, 6);
      case "class_labels" -> limited(into, "integer", config.integer("num_embeds_ada_norm"));
      case "ids" -> limited(into, "integer", config.integer("vocab_size"), TOKENS);
      default ->
          throw new IllegalStateException("gpu-check knows no values for an argument " + name);
    }
  }

  private static void images(ObjectNode into, int channels, int check, int speed) {
    into.put("values", "normal");
    shape(into, "check", channels, check, check);
    shape(into, "speed", channels, speed, speed);
  }

  private static void limited(ObjectNode into, String values, int limit, int... shape) {
    into.put("limit", limit);
    numbers(into, values, shape);
  }

  private static void numbers(ObjectNode into, String values, int... shape) {
    into.put("values", values);
    shape(into, "check", shape);
    shape(into, "speed", shape);
  }

  private static void shape(ObjectNode into, String name, int... shape) {
    var array = into.putArray(name);
    Arrays.stream(shape).forEach(array::add);
  }

  /**
   * Makes a call's arguments, each row's its own whatever the rows beside it.
   *
   * @param call as the manifest has it
   * @param size {@code check} or {@code speed}
   */
  static Tensor[] of(JsonNode call, int rows, String size) {
    List<Tensor> arguments = new ArrayList<>();
    for (JsonNode argument : call.get("inputs")) {
      JsonNode declared = argument.get(size);
      long[] shape = new long[1 + declared.size()];
      shape[0] = rows;
      for (int i = 0; i < declared.size(); i++) {
        shape[1 + i] = declared.get(i).asLong();
      }
      int elements = Math.toIntExact(Graph.elements(shape));
      boolean integers = argument.get("values").asText().equals("integer");
      arguments.add(
          integers
              ? new HostTensor.Longs(integers(argument, rows, elements), shape)
              : new HostTensor.Floats(floats(argument, rows, elements), shape));
    }
    return arguments.toArray(Tensor[]::new);
  }

  private static long[] integers(JsonNode argument, int rows, int elements) {
    long[] data = new long[elements];
    int each = elements / rows;
    for (int i = 0; i < elements; i += each) {
      Random random = new Random(SEED + i / each);
      for (int j = i; j < i + each; j++) {
        data[j] = random.nextInt(argument.get("limit").asInt());
      }
    }
    return data;
  }

  private static float[] floats(JsonNode argument, int rows, int elements) {
    float[] data = new float[elements];
    int each = elements / rows;
    boolean normal = argument.get("values").asText().equals("normal");
    for (int i = 0; i < elements; i += each) {
      Random random = new Random(SEED + i / each);
      for (int j = i; j < i + each; j++) {
        data[j] =
            normal
                ? (float) random.nextGaussian()
                : random.nextFloat() * argument.get("limit").asInt();
      }
    }
    return data;
  }
}
