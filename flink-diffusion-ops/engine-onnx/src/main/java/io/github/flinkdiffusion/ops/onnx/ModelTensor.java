/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnx;

import io.github.flinkdiffusion.ops.weights.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A tensor of a model.
 *
 * @param name of the value in the model
 */
record ModelTensor(String name, DType type, int rank) {
  /** A value of this one's type and rank. */
  ModelTensor like(String value) {
    return new ModelTensor(value, type, rank);
  }

  static List<String> names(ModelTensor... tensors) {
    return Arrays.stream(tensors).map(ModelTensor::name).toList();
  }

  /** Names of all inputs; what is absent at the end is left out, what is absent before is empty. */
  static List<String> present(List<ModelTensor> in) {
    List<String> names = new ArrayList<>();
    in.forEach(tensor -> names.add(tensor == null ? "" : tensor.name()));
    while (names.get(names.size() - 1).isEmpty()) {
      names.remove(names.size() - 1);
    }
    return names;
  }
}
