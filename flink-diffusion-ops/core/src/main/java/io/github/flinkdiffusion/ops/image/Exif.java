package io.github.flinkdiffusion.ops.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What is needed of EXIF data, which is laid out as a TIFF file: how the image stands upright. */
final class Exif {
  private static final int ORIENTATION = 274;
  private static final int SHORT = 3;

  private Exif() {}

  /**
   * The orientation, 1 to 8; 1, upright, if the data do not say it, or not so that it makes sense.
   *
   * @param begin first byte of the data in the array
   * @param end after their last
   */
  static int orientation(byte[] bytes, int begin, int end) {
    if (end - begin < 8) {
      return 1;
    }
    ByteBuffer data = ByteBuffer.wrap(bytes, begin, end - begin).slice();
    if (data.get(0) == 'I' && data.get(1) == 'I') {
      data.order(ByteOrder.LITTLE_ENDIAN);
    } else if (data.get(0) != 'M' || data.get(1) != 'M') {
      return 1;
    }
    long directory = data.getInt(4) & 0xFFFFFFFFL;
    if (directory + 2 > data.capacity()) {
      return 1;
    }
    int tags = data.getShort((int) directory) & 0xFFFF;
    for (int i = 0; i < tags; i++) {
      long at = directory + 2 + 12L * i;
      if (at + 12 > data.capacity()) {
        return 1;
      }
      if ((data.getShort((int) at) & 0xFFFF) == ORIENTATION
          && data.getShort((int) at + 2) == SHORT) {
        int orientation = data.getShort((int) at + 8) & 0xFFFF;
        return orientation >= 1 && orientation <= 8 ? orientation : 1;
      }
    }
    return 1;
  }
}
