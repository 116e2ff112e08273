package io.github.flinkdiffusion.ops.operator;

/** Where a job that makes pictures begins. */
public final class Diffusion {
  private Diffusion() {}

  /** Pictures from prompts. */
  public static TextToImage textToImage() {
    return new TextToImage();
  }
}
