/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A model file of SentencePiece ({@code spiece.model}), a message of Protocol Buffers: its pieces
 * and rules of normalization.
 *
 * @param scores of the pieces, in their order
 * @param added ids of pieces that are found in a text as they are written (control and user-defined
 *     ones)
 * @param charsmap {@code precompiled_charsmap}; empty for none
 */
record SentencePieceFile(
    List<String> pieces, double[] scores, List<Integer> added, byte[] charsmap) {
  private static final long MAX_BYTES = 64L << 20;

  // Field numbers of sentencepiece_model.proto.
  private static final int PIECES = 1;
  private static final int TRAINER = 2;
  private static final int NORMALIZER = 3;
  private static final int PIECE = 1;
  private static final int SCORE = 2;
  private static final int TYPE = 3;
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int MODEL_TYPE = 3;
  private static final int UNIGRAM = 1;
  private static final int BYTE_FALLBACK = 35;
  private static final int UNKNOWN_ID = 40;
  private static final int CHARSMAP = 2;

  private static final int VARINT = 0;
  private static final int FIXED_64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED_32 = 5;

  /**
   * @throws TokenizerException if the file is not a unigram model whose unknown token is {@code
   *     unknown}
   */
  static SentencePieceFile read(Path file, int unknown) {
    byte[] bytes;
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw new TokenizerException(
            "Tokenizer %s is %d bytes long; at most %d are read"
                .formatted(file, Files.size(file), MAX_BYTES));
      }
      bytes = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new TokenizerException("Cannot read the tokenizer " + file + ": " + e, e);
    }
    Message model = new Message(file, ByteBuffer.wrap(bytes));
    List<String> pieces = new ArrayList<>();
    List<Double> scores = new ArrayList<>();
    List<Integer> added = new ArrayList<>();
    byte[] charsmap = {};
    while (model.next()) {
      if (model.field == PIECES && model.type == BYTES) {
        Message piece = model.message();
        String text = "";
        double score = 0;
        long type = 1;
        while (piece.next()) {
          if (piece.field == PIECE && piece.type == BYTES) {
            text = new String(piece.bytes(), StandardCharsets.UTF_8);
          } else if (piece.field == SCORE && piece.type == FIXED_32) {
            score = Float.intBitsToFloat((int) piece.value);
          } else if (piece.field == TYPE && piece.type == VARINT) {
            type = piece.value;
          }
        }
        if (type == CONTROL || type == USER_DEFINED) {
          added.add(pieces.size());
        }
        pieces.add(text);
        scores.add(score);
      } else if (model.field == TRAINER && model.type == BYTES) {
        checkTrainer(file, model.message(), unknown);
      } else if (model.field == NORMALIZER && model.type == BYTES) {
        Message normalizer = model.message();
        while (normalizer.next()) {
          if (normalizer.field == CHARSMAP && normalizer.type == BYTES) {
            charsmap = normalizer.bytes();
          }
        }
      }
    }
    return new SentencePieceFile(
        pieces, scores.stream().mapToDouble(Double::doubleValue).toArray(), added, charsmap);
  }

  private static void checkTrainer(Path file, Message trainer, int unknown) {
    long type = UNIGRAM;
    long id = 0;
    while (trainer.next()) {
      if (trainer.type != VARINT) {
        continue;
      }
      if (trainer.field == MODEL_TYPE) {
        type = trainer.value;
      } else if (trainer.field == UNKNOWN_ID) {
        id = trainer.value;
      } else if (trainer.field == BYTE_FALLBACK && trainer.value != 0) {
        throw unsupported(file, "byte_fallback", "true", "false");
      }
    }
    if (type != UNIGRAM) {
      throw unsupported(file, "model_type", type, "1 (unigram)");
    }
    if (id != unknown) {
      throw unsupported(file, "unk_id", id, String.valueOf(unknown));
    }
  }

  private static TokenizerException unsupported(
      Path file, String key, Object value, String supported) {
    return new TokenizerException(
        "Tokenizer %s: '%s' is %s; supported: %s".formatted(file, key, value, supported));
  }

  /** One message's fields, one after the other. */
  private static final class Message {
    private final Path file;
    private final ByteBuffer bytes;
    private int field;
    private int type;

    /** A number's bits. */
    private long value;

    private ByteBuffer content;

    Message(Path file, ByteBuffer bytes) {
      this.file = file;
      this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Goes to the next field; false after the last. */
    boolean next() {
      if (!bytes.hasRemaining()) {
        return false;
      }
      long tag = varint();
      field = (int) (tag >>> 3);
      type = (int) (tag & 7);
      switch (type) {
        case VARINT -> value = varint();
        case FIXED_64 -> value = require(Long.BYTES).getLong();
        case FIXED_32 -> value = require(Integer.BYTES).getInt();
        case BYTES -> {
          long length = varint();
          require(length);
          content = bytes.slice(bytes.position(), (int) length);
          bytes.position(bytes.position() + (int) length);
        }
        default -> throw corrupt();
      }
      return true;
    }

    Message message() {
      return new Message(file, content);
    }

    byte[] bytes() {
      byte[] copy = new byte[content.remaining()];
      content.get(copy);
      return copy;
    }

    private long varint() {
      long result = 0;
      for (int shift = 0; shift < Long.SIZE; shift += 7) {
        byte b = require(1).get();
        result |= (long) (b & 0x7F) << shift;
        if (b >= 0) {
          return result;
        }
      }
      throw corrupt();
    }

    private ByteBuffer require(long count) {
      if (count < 0 || count > bytes.remaining()) {
        throw corrupt();
      }
      return bytes;
    }

    private TokenizerException corrupt() {
      return new TokenizerException(
          "Tokenizer %s is not a model file of SentencePiece, or is corrupt".formatted(file));
    }
  }
}
