package io.github.flinkdiffusion.ops.torchscript;

/** The dtype of an archive's parameters. */
public enum StorageType {
  FLOAT32("FloatStorage", 4),
  FLOAT16("HalfStorage", 2),
  BFLOAT16("BFloat16Storage", 2);

  private final String pickleName;
  private final int bytes;

  StorageType(String pickleName, int bytes) {
    this.pickleName = pickleName;
    this.bytes = bytes;
  }

  /** The class in module {@code torch} that names it in a pickle. */
  String pickleName() {
    return pickleName;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
