/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * Where a network runs: the CPU or one GPU. {@link Engine#device} says which are there.
 *
 * @param gpu index of the GPU, or -1 for the CPU
 */
@Internal
public record DeviceSpec(int gpu) {
  public static final DeviceSpec CPU = new DeviceSpec(-1);

  static final Pattern GPU = Pattern.compile("gpu:(\\d{1,4})");

  /** Whether {@link Engine#device} may accept the text on some machine. Loads no native library. */
  public static boolean isName(String text) {
    return text.equals("cpu") || text.equals("auto") || GPU.matcher(text).matches();
  }

  public boolean isGpu() {
    return gpu >= 0;
  }

  @Override
  public String toString() {
    return isGpu() ? "gpu:" + gpu : "cpu";
  }
}
