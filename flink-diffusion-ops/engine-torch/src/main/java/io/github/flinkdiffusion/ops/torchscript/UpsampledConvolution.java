/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.call;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A convolution, 3 x 3, of what is twice as large only because each pixel stands there twice. */
final class UpsampledConvolution {
  static final String METHOD = "upsampled_convolution";

  /** Pixels before upsampling from which summing up the weights takes less than it saves. */
  private static final int SUMMED_FROM_PIXELS = 256;

  private UpsampledConvolution() {}

  /** Whether a value is one, if nothing else reads the upsampled image. */
  static boolean is(Graph graph, Value value) {
    if (value.op() != Op.CONV2D) {
      return false;
    }
    Value image = value.inputs().get(0);
    Value weight = value.inputs().get(1);
    Value bias = value.inputs().get(2);
    boolean upsampled =
        image.op() == Op.UPSAMPLE_NEAREST_AS
            || image.op() == Op.UPSAMPLE_NEAREST && image.attributes().get(0).equals(2);
    return upsampled
        && value.attributes().equals(List.of(1, 1, 1))
        && weight.op() == Op.PARAMETER
        && graph.parameterShapes().get((String) weight.attributes().get(0))[2] == 3
        && bias != null
        && !FewPixelsConvolution.mayBe(graph, value);
  }

  /**
   * What an upsampled convolution reads: what is upsampled, weight, bias, and what tells a size.
   */
  static List<Value> inputs(Value convolution) {
    List<Value> values = new ArrayList<>(convolution.inputs());
    List<Value> before = values.get(0).inputs();
    values.set(0, before.get(0));
    values.addAll(before.subList(1, before.size()));
    return values;
  }

  static String expression(Value convolution, Map<Value, String> names) {
    List<String> in = inputs(convolution).stream().map(names::get).toList();
    String like = in.size() > 3 ? in.get(3) : in.get(0);
    int times = in.size() > 3 ? 1 : 2;
    return "(self).%s(%s, %s, %s, %s, %s)"
        .formatted(
            METHOD,
            in.get(0),
            call("mul", times, call("size", like, 2)),
            call("mul", times, call("size", like, 3)),
            in.get(1),
            in.get(2));
  }

  /**
   * Where each pixel stands twice in both directions, the nine products of a result are of four
   * pixels only: four convolutions of 2 x 2, one for each place of a result in its square, with
   * sums of the weights, take 4/9 of the products and need no upsampled image.
   */
  static String method(boolean channelsLast) {
    StringBuilder places = new StringBuilder();
    for (int place = 0; place < 4; place++) {
      int right = place / 2;
      int below = place % 2;
      String part = call("narrow", "parts", 1, call("mul", place, "channels"), "channels");
      part = call("narrow", part, 2, below, "height");
      part = call("narrow", part, 3, right, "width");
      String to =
          channelsLast
              ? call("select", call("select", "squares", 4, right), 2, below)
              : call("select", call("select", "squares", 5, right), 3, below);
      places.append(
          "      copied%d = %s\n"
              .formatted(
                  place,
                  call("copy_", to, channelsLast ? call("permute", part, "[0, 2, 3, 1]") : part)));
    }
    String flat =
        channelsLast
            ? call("flatten", call("flatten", "squares", 3, 4), 1, 2)
            : call("flatten", call("flatten", "squares", 4, 5), 2, 3);
    return """
      def %s(self: __torch__.Net,
        x: Tensor,
        full_height: int,
        full_width: int,
        weight: Tensor,
        bias: Tensor) -> Tensor:
        rows = torch.size(x, 0)
        height = torch.size(x, 2)
        width = torch.size(x, 3)
        channels = torch.size(weight, 0)
        doubled = torch.__and__(torch.eq(full_height, torch.mul(2, height)), torch.eq(full_width, torch.mul(2, width)))
        if torch.__and__(doubled, torch.ge(torch.mul(height, width), %d)):
          above = torch.narrow(weight, 2, 0, 1)
          middle = torch.narrow(weight, 2, 1, 1)
          below = torch.narrow(weight, 2, 2, 1)
          upper = torch.cat([above, torch.add(middle, below)], 2)
          lower = torch.cat([torch.add(above, middle), below], 2)
          both = torch.cat([upper, lower], 0)
          left = torch.narrow(both, 3, 0, 1)
          center = torch.narrow(both, 3, 1, 1)
          right = torch.narrow(both, 3, 2, 1)
          first = torch.cat([left, torch.add(center, right)], 3)
          second = torch.cat([torch.add(left, center), right], 3)
          sums = torch.cat([first, second], 0)
          parts = torch.conv2d(x, sums, torch.cat([bias, bias, bias, bias], 0), [1, 1], [1, 1], [1, 1], 1)
          squares = torch.new_empty(parts, %s)
    %s      result = %s
        else:
          image = torch.upsample_nearest2d(x, [full_height, full_width], None)
          result = torch.conv2d(image, weight, bias, [1, 1], [1, 1], [1, 1], 1)
        return result
    """
        .formatted(
            METHOD,
            SUMMED_FROM_PIXELS,
            channelsLast
                ? "[rows, height, 2, width, 2, channels]"
                : "[rows, channels, height, 2, width, 2]",
            places,
            channelsLast ? call("permute", flat, "[0, 3, 1, 2]") : flat);
  }
}
