/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import static io.github.flinkdiffusion.ops.torchscript.TorchScriptText.FLOAT32;

/** The methods of rotary embedding: of neighbours as pairs, or of a head's two halves. */
final class RotaryMethods {
  static final String PAIRS = "rotated_pairs";
  static final String HALVES = "rotated_halves";

  private RotaryMethods() {}

  /** Rotary embedding: the angles are float32, so the products are, too. */
  static String method(String name) {
    boolean pairs = name.equals(PAIRS);
    return """
      def %s(self: __torch__.Net,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        half: int) -> Tensor:
        precise = torch.to(x, %d)
        c = torch.unsqueeze(cos, 1)
        s = torch.unsqueeze(sin, 1)
    %s    first = torch.sub(torch.mul(a, c), torch.mul(b, s))
        second = torch.add(torch.mul(b, c), torch.mul(a, s))
        return torch.type_as(%s, x)
    """
        .formatted(
            name,
            FLOAT32,
            pairs
                ? """
                    split = torch.unflatten(precise, -1, [half, 2])
                    a = torch.select(split, -1, 0)
                    b = torch.select(split, -1, 1)
                """
                : """
                    a = torch.narrow(precise, -1, 0, half)
                    b = torch.narrow(precise, -1, half, half)
                """,
            pairs
                ? "torch.flatten(torch.stack([first, second], -1), -2, -1)"
                : "torch.cat([first, second], -1)");
  }
}
