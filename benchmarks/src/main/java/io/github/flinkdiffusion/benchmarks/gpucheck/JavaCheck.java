/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.Tensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The part of gpu-check in Java: the project's own engines on the device, compared with the same
 * network in float32 on the CPU, and how fast they are. Each line on the standard output is a JSON
 * object; check.py starts it and reads them.
 *
 * <p>Arguments: the manifest, the folder of weights and unpacked networks, an engine, a device, the
 * device's precision, seconds, and the networks' names, separated by commas.
 */
public final class JavaCheck {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int STEPS = 20;
  private static final int WARM_UP = 2;
  private static final int LEAST_CALLS = 3;
  private static final int MOST_CALLS = 20;
  private static final Duration ENOUGH = Duration.ofSeconds(2);

  private final Path work;
  private final Engine engine;
  private final DeviceSpec device;
  private final Precision precision;
  private final long ends;

  private JavaCheck(
      Path work, Engine engine, DeviceSpec device, Precision precision, Duration time) {
    this.work = work;
    this.engine = engine;
    this.device = device;
    this.precision = precision;
    this.ends = System.nanoTime() + time.toNanos();
  }

  public static void main(String[] arguments) throws IOException {
    Engine engine = Engines.standard().named(arguments[2]);
    say("engine " + engine.name() + ": " + engine.version() + ", GPUs: " + engine.gpuCount());
    DeviceSpec device = engine.device(arguments[3]);
    JavaCheck check =
        new JavaCheck(
            Path.of(arguments[1]),
            engine,
            device,
            Precision.valueOf(arguments[4].toUpperCase(Locale.ROOT)),
            Duration.ofSeconds(Long.parseLong(arguments[5])));
    List<String> names = List.of(arguments[6].split(","));
    for (JsonNode network : JSON.readTree(Path.of(arguments[0]).toFile()).get("networks")) {
      if (names.contains(network.get("name").asText())) {
        check.check(network);
      }
    }
  }

  private void check(JsonNode network) {
    String name = network.get("name").asText();
    if (!has(Duration.ofSeconds(3), name + " in Java")) {
      return;
    }
    Config config = Config.read(work.resolve(network.get("config").asText()));
    Graph graph = NetworkKind.of(network.get("kind").asText()).graph(config);
    try {
      compare(network, graph);
      measure(network, graph);
    } catch (DeviceMemoryException e) {
      say(name + ": out of memory: " + e.getMessage());
    } catch (RuntimeException e) {
      event("wrong", name + ": " + e);
      e.printStackTrace();
    }
  }

  private Path file(JsonNode network, Precision in) {
    return work.resolve(
        "%s-%s.safetensors"
            .formatted(network.get("name").asText(), in.name().toLowerCase(Locale.ROOT)));
  }

  private Network load(JsonNode network, Graph graph, Precision in, DeviceSpec on) {
    TensorStore store = Safetensors.open(file(network, in));
    try (store) {
      ParameterSource source =
          new ParameterSource() {
            @Override
            public void write(String name, long[] shape, OutputStream out) throws IOException {
              store.writeTo(name, in.type(), out);
            }

            @Override
            public Optional<TensorPlace> place(String name) {
              return store.place(name);
            }
          };
      return engine.load(Program.of(network.get("name").asText(), graph, in, source), on);
    }
  }

  private void compare(JsonNode network, Graph graph) {
    if (!Files.exists(file(network, Precision.FLOAT32))) {
      return;
    }
    JsonNode call = network.get("methods").get(0);
    String method = call.get("name").asText();
    Tensor[] inputs = Arguments.of(call, 2, "check");
    float[] expected;
    try (Network reference = load(network, graph, Precision.FLOAT32, DeviceSpec.CPU)) {
      expected = reference.call(method, inputs).data();
    }
    for (Precision in :
        precision == Precision.FLOAT32
            ? List.of(precision)
            : List.of(Precision.FLOAT32, precision)) {
      try (Network there = load(network, graph, in, device)) {
        double differs = difference(there.call(method, inputs).data(), expected);
        String text =
            "%s.%s in %s by %s on %s: differs from float32 on the CPU by %.1e"
                .formatted(
                    network.get("name").asText(), method, in, engine.name(), device, differs);
        // TF32, which libtorch's convolutions use on GPUs, keeps three digits.
        boolean fits = differs <= (in == Precision.FLOAT32 && !device.isGpu() ? 1e-3 : 3e-2);
        event(fits ? "fact" : "wrong", text);
      }
    }
  }

  private void measure(JsonNode network, Graph graph) {
    String name = network.get("name").asText();
    JsonNode call = network.get("methods").get(0);
    String method = call.get("name").asText();
    long begin = System.nanoTime();
    try (Network there = load(network, graph, precision, device)) {
      say("%s: opened in %.2f s".formatted(name, (System.nanoTime() - begin) / 1e9));
      for (JsonNode rows : network.get("rows")) {
        String what = "%s, %d rows in Java by %s".formatted(name, rows.asInt(), engine.name());
        if (!has(Duration.ofSeconds(3), what)) {
          return;
        }
        try {
          Tensor[] inputs = Arguments.of(call, rows.asInt(), "speed");
          speed(what, rows.asInt(), network, median(there, method, inputs));
        } catch (DeviceMemoryException e) {
          say(what + ": out of memory: " + e.getMessage());
        }
      }
    }
  }

  private void speed(String what, int rows, JsonNode network, double milliseconds) {
    String text = "%s: %.1f ms a call, copies included".formatted(what, milliseconds);
    if (network.get("guided").asBoolean() && rows % 2 == 0) {
      text +=
          ", %.2f images/s at %d steps with guidance"
              .formatted(rows / 2.0 / (STEPS * milliseconds / 1000), STEPS);
    }
    ObjectNode event = JSON.createObjectNode();
    event.put("kind", "fact").put("text", text).put("what", what).put("rows", rows);
    print(event.put("ms", milliseconds));
  }

  private static double median(Network network, String method, Tensor[] inputs) {
    double[] times = new double[MOST_CALLS];
    int calls = 0;
    for (int i = 0; i < WARM_UP; i++) {
      network.call(method, inputs);
    }
    long begin = System.nanoTime();
    while (calls < LEAST_CALLS
        || (calls < MOST_CALLS && System.nanoTime() - begin < ENOUGH.toNanos())) {
      long start = System.nanoTime();
      network.call(method, inputs);
      times[calls++] = (System.nanoTime() - start) / 1e6;
    }
    double[] sorted = Arrays.copyOf(times, calls);
    Arrays.sort(sorted);
    return sorted[calls / 2];
  }

  /** The largest difference, as a part of the reference's largest number; NaN if any is. */
  private static double difference(float[] result, float[] reference) {
    double largest = 0;
    double difference = 0;
    for (int i = 0; i < reference.length; i++) {
      largest = Math.max(largest, Math.abs(reference[i]));
      difference = Math.max(difference, Math.abs((double) result[i] - reference[i]));
    }
    return difference / largest;
  }

  private boolean has(Duration time, String what) {
    boolean has = System.nanoTime() + time.toNanos() < ends;
    if (!has) {
      event("left out", what);
    }
    return has;
  }

  private static void say(String text) {
    event("fact", text);
  }

  private static void event(String kind, String text) {
    print(JSON.createObjectNode().put("kind", kind).put("text", text));
  }

  private static void print(ObjectNode event) {
    try {
      System.out.println(JSON.writeValueAsString(event));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
