/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import org.apache.flink.annotation.Internal;

/** Looks whether bytes are UTF-8, where decoders would put a replacement for what is not. */
@Internal
public final class Utf8 {
  private static final int MAX_PIECE_CHARS = 4096;

  private Utf8() {}

  /** Decodes piece by piece, since a text may be as large as a record; the buffer stays as is. */
  public static boolean isValid(ByteBuffer text) {
    ByteBuffer bytes = text.duplicate();
    CharsetDecoder utf8 = StandardCharsets.UTF_8.newDecoder();
    CharBuffer piece = CharBuffer.allocate(Math.min(bytes.remaining() + 1, MAX_PIECE_CHARS));
    CoderResult result;
    do {
      result = utf8.decode(bytes, piece.clear(), true);
    } while (result.isOverflow());
    return !result.isError();
  }
}
