/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.PlacedWeights;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.onnx.OnnxEmitter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a user might run the same network with. */
enum UNetPeer {
  EAGER("diffusers"),
  COMPILE("diffusers, torch.compile"),
  ONNXRUNTIME("ONNX Runtime from Python"),
  OPENVINO("OpenVINO from Python"),
  OPENVINO_BFLOAT16("OpenVINO from Python, bfloat16");

  private final String subject;

  UNetPeer(String subject) {
    this.subject = subject;
  }

  /** Whether it is a measure of networks in that precision. */
  boolean takes(Precision precision, DeviceSpec device) {
    return switch (this) {
      case EAGER, COMPILE -> true;
      case ONNXRUNTIME, OPENVINO -> precision == Precision.FLOAT32 && !device.isGpu();
      case OPENVINO_BFLOAT16 -> precision == Precision.BFLOAT16 && !device.isGpu();
    };
  }

  String subject() {
    return subject;
  }

  /** How fast ours should be beside it; null where that is open. */
  Goal goal() {
    return switch (this) {
      case EAGER -> Goal.atLeast(1.0);
      case ONNXRUNTIME -> Goal.atLeast(0.97);
      default -> null;
    };
  }

  /** Loads the network in Python. */
  void open(MeasuredNetwork network, Program program, DeviceSpec device, PythonPeer python)
      throws IOException {
    Map<String, Object> command = new LinkedHashMap<>();
    command.put("name", subject);
    if (this == ONNXRUNTIME) {
      Path model = Files.createTempFile("unet", ".onnx");
      PlacedWeights weights = PlacedWeights.of(program);
      Files.write(
          model,
          new OnnxEmitter(
                  program.graph(),
                  program.precision(),
                  weights::place,
                  place -> place.file().toString().substring(1))
              .model(program.graph().methods().get(0)));
      command.put("path", model.toString());
      python.ask("open_onnx", command);
      return;
    }
    command.put("folder", network.folder().toAbsolutePath().toString());
    command.put("dtype", program.precision().name());
    command.put("device", torchDevice(device));
    switch (this) {
      case EAGER, COMPILE -> {
        command.put("compiled", this == COMPILE);
        python.ask("open_unet", command);
      }
      default -> {
        command.putAll(network.shapes(1));
        python.ask("open_openvino", command);
      }
    }
  }

  /**
   * What Python is asked for a call.
   *
   * @param output file for the result; empty for none
   */
  Map<String, Object> call(MeasuredNetwork network, int batch, String output) {
    Map<String, Object> command = new LinkedHashMap<>(network.shapes(batch));
    command.put("name", subject);
    command.put("output", output);
    return command;
  }

  /** The result of one call. */
  float[] output(MeasuredNetwork network, int batch, PythonPeer python) throws IOException {
    Path file = Files.createTempFile("prediction", ".f32");
    try {
      python.seconds("call_unet", call(network, batch, file.toString()));
      FloatBuffer values =
          ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      float[] output = new float[values.remaining()];
      values.get(output);
      return output;
    } finally {
      Files.delete(file);
    }
  }

  private static String torchDevice(DeviceSpec device) {
    return device.isGpu() ? "cuda:" + device.gpu() : "cpu";
  }
}
