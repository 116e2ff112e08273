package io.github.flinkdiffusion.ops.torch;

import ai.djl.ndarray.NDManager;

/** How many native tensors this process holds: between two calls always the same, or one leaks. */
public final class NativeTensors {
  private NativeTensors() {}

  /** Of all networks and calls; a network's weights do not count, they are the library's own. */
  public static int count() {
    try (NDManager scope = Torch.engine().newBaseManager()) {
      return scope.getParentManager().getManagedArrays().size();
    }
  }
}
