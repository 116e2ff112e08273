/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.call;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * A convolution of many channels that is one product of matrices for all rows of a call where these
 * have few pixels, as {@link Convolutions#FOR_X86_FLOAT32} says.
 */
final class FewPixelsConvolution {
  static final String METHOD = "few_pixels_convolution";

  /** Elements of a weight from which a product is faster: 640 x 640 channels, 3 x 3. */
  private static final long PRODUCTS_FROM = 3 << 20;

  /** Pixels of a result, of all rows of a call together, up to which a product is faster. */
  private static final int PRODUCTS_UP_TO_PIXELS = 128;

  private FewPixelsConvolution() {}

  /** Kernels of one pixel are products in the library, too. */
  static boolean mayBe(Graph graph, Value convolution) {
    Value weight = convolution.inputs().get(1);
    Value bias = convolution.inputs().get(2);
    if (!convolution.attributes().get(2).equals(1) || weight.op() != Op.PARAMETER || bias == null) {
      return false;
    }
    long[] shape = graph.parameterShapes().get((String) weight.attributes().get(0));
    return shape[2] > 1 && Graph.elements(shape) >= PRODUCTS_FROM;
  }

  static String expression(String[] in, Object stride, Object padding) {
    return "(self)."
        + METHOD
        + "(%s, %s, %s, %s, %s)".formatted(in[0], in[1], in[2], stride, padding);
  }

  /** The method that decides by the sizes of a call, which the graph does not know. */
  static String method() {
    return """
      def %s(self: __torch__.Net,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        padding: int) -> Tensor:
        rows = torch.size(x, 0)
        kernel_height = torch.size(weight, 2)
        kernel_width = torch.size(weight, 3)
        height = %s
        width = %s
        if torch.le(torch.mul(torch.mul(rows, height), width), %d):
          patches = torch.im2col(x, [kernel_height, kernel_width], [1, 1], [padding, padding], [stride, stride])
          columns = torch.flatten(torch.transpose(patches, 0, 1), 1)
          product = torch.addmm(torch.unsqueeze(bias, 1), torch.flatten(weight, 1), columns)
          pixels = torch.transpose(torch.unflatten(product, 1, [rows, height, width]), 0, 1)
          result = torch.contiguous(pixels)
        else:
          result = torch.conv2d(x, weight, bias, [stride, stride], [padding, padding], [1, 1], 1)
        return result
    """
        .formatted(
            METHOD,
            convolvedSize(2, "kernel_height"),
            convolvedSize(3, "kernel_width"),
            PRODUCTS_UP_TO_PIXELS);
  }

  private static String convolvedSize(int dimension, String kernel) {
    String padded = call("add", call("size", "x", dimension), call("mul", 2, "padding"));
    return call("add", call("floordiv", call("sub", padded, kernel), "stride"), 1);
  }
}
