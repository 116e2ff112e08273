/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/** Images as square patches, and back. Networks differ in which of a patch's numbers come first. */
final class Patches {
  private Patches() {}

  /** [N,C,h*p,w*p] as [N,h,w,p,p,C]. */
  static Value channelsLast(Method m, Value image, int patch) {
    return m.permute(split(m, image, patch), 0, 2, 4, 3, 5, 1);
  }

  /** [N,C,h*p,w*p] as [N,h,w,C,p,p]. */
  static Value channelsFirst(Method m, Value image, int patch) {
    return m.permute(split(m, image, patch), 0, 2, 4, 1, 3, 5);
  }

  private static Value split(Method m, Value image, int patch) {
    return m.unflatten(m.unflatten(image, 2, -1, patch), 4, -1, patch);
  }

  /** Patches [N,h,w,a,b,c] as tokens [N,h*w,a*b*c]. */
  static Value tokens(Method m, Value patches) {
    return m.flatten(m.flatten(patches, 3, 5), 1, 2);
  }

  /** [N,h,w,p*p*C] as [N,C,h*p,w*p]. */
  static Value joinedChannelsLast(Method m, Value grid, int patch, int channels) {
    Value all = m.unflatten(grid, 3, patch, patch, channels);
    return joined(m, m.permute(all, 0, 5, 1, 3, 2, 4));
  }

  /** [N,h,w,C*p*p] as [N,C,h*p,w*p]. */
  static Value joinedChannelsFirst(Method m, Value grid, int patch, int channels) {
    Value all = m.unflatten(grid, 3, channels, patch, patch);
    return joined(m, m.permute(all, 0, 3, 1, 4, 2, 5));
  }

  private static Value joined(Method m, Value all) {
    return m.flatten(m.flatten(all, 4, 5), 2, 3);
  }
}
