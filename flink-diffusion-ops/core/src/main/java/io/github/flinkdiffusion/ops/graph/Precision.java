package io.github.flinkdiffusion.ops.graph;

/** The dtype in which a network's parameters are kept and its operations compute. */
public enum Precision {
  FLOAT32(4),
  FLOAT16(2),
  BFLOAT16(2);

  private final int bytes;

  Precision(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
