package io.github.flinkdiffusion.ops.graph;

import java.io.IOException;
import java.io.OutputStream;

/** Where an archive's weights come from. Asked once for each tensor. */
@FunctionalInterface
public interface ParameterSource {
  /**
   * Writes the tensor's elements, little-endian, in C order, in the parameter's type ({@link
   * Graph#type}).
   *
   * @param name the parameter
   * @param shape the shape the graph declared; an implementation refuses a tensor of another shape
   */
  void write(String name, long[] shape, OutputStream out) throws IOException;
}
