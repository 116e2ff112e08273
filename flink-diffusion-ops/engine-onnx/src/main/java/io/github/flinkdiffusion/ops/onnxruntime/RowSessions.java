/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.onnx.OnnxEmitter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Splits tensors into their rows and joins rows, in the library's memory: by models of one
 * operation, made when a number of rows comes for the first time. Any thread.
 */
final class RowSessions implements AutoCloseable {
  private record Kind(boolean splits, int rows, int rank) {}

  private final OrtEnvironment environment;
  private final Map<Kind, OrtSession> sessions = new HashMap<>();

  RowSessions(OrtEnvironment environment) {
    this.environment = environment;
  }

  /** The rows of a tensor of more than one, each of its own memory. */
  List<OnnxTensor> split(OnnxTensor tensor) throws OrtException {
    long[] shape = tensor.getInfo().getShape();
    OrtSession session = session(new Kind(true, Math.toIntExact(shape[0]), shape.length));
    OrtSession.Result result = session.run(Map.of(name(0), tensor));
    List<OnnxTensor> rows = new ArrayList<>();
    for (int i = 0; i < result.size(); i++) {
      rows.add((OnnxTensor) result.get(i));
    }
    return rows;
  }

  /** Two or more tensors of one row as one tensor. */
  OnnxTensor join(List<OnnxTensor> rows) throws OrtException {
    int rank = rows.get(0).getInfo().getShape().length;
    Map<String, OnnxTensor> inputs = new HashMap<>();
    for (int i = 0; i < rows.size(); i++) {
      inputs.put(name(i), rows.get(i));
    }
    return (OnnxTensor) session(new Kind(false, rows.size(), rank)).run(inputs).get(0);
  }

  private synchronized OrtSession session(Kind kind) throws OrtException {
    OrtSession session = sessions.get(kind);
    if (session == null) {
      Graph graph = new Graph();
      Method method = graph.method("rows");
      if (kind.splits()) {
        Value whole = method.input(name(0), kind.rank());
        Value[] rows = new Value[kind.rows()];
        for (int i = 0; i < rows.length; i++) {
          rows[i] = method.narrow(whole, 0, i, 1);
        }
        method.returns(rows);
      } else {
        Value[] rows = new Value[kind.rows()];
        for (int i = 0; i < rows.length; i++) {
          rows[i] = method.input(name(i), kind.rank());
        }
        method.returns(method.concatenate(0, rows));
      }
      byte[] model =
          new OnnxEmitter(graph, Precision.FLOAT32, name -> null, place -> null).model(method);
      try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
        options.setIntraOpNumThreads(1);
        session = environment.createSession(model, options);
      }
      sessions.put(kind, session);
    }
    return session;
  }

  private static String name(int row) {
    return "row" + row;
  }

  @Override
  public synchronized void close() {
    try {
      for (OrtSession session : sessions.values()) {
        session.close();
      }
    } catch (OrtException e) {
      throw OnnxRuntime.translate("Closing a session", e);
    } finally {
      sessions.clear();
    }
  }
}
