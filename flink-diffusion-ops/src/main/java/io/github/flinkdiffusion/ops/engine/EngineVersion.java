package io.github.flinkdiffusion.ops.engine;

/** Which library computes: another version of it may round otherwise. */
public final class EngineVersion {
  private EngineVersion() {}

  /** Such as {@code libtorch 2.7.1}; loads the library. */
  public static String current() {
    return "libtorch " + Torch.engine().getVersion();
  }
}
