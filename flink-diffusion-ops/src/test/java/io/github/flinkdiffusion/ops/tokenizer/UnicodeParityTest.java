/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The reference's tokens for every code point there is and for random texts, on any Java: {@code
 * src/test/python/make_unicode_tables.py}.
 */
class UnicodeParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final int BLOCK = 256;
  private static final int TEXTS_PER_DIGEST = 50;

  private static JsonNode expected;
  private static ClipTokenizer tokenizer;

  @BeforeAll
  static void open() throws IOException {
    expected = new ObjectMapper().readTree(FIXTURES.resolve("tokenizer/unicode.json").toFile());
    tokenizer = ClipTokenizer.load(FIXTURES.resolve("models/tiny-sd1/tokenizer"));
  }

  @Test
  void everyCodePointBetweenTwoLettersIsCutAsInTheReference() {
    JsonNode digests = expected.get("blocks");
    assertThat(digests).hasSize(0x110000 / BLOCK);
    List<String> wrong = new ArrayList<>();
    for (int block = 0; block < digests.size(); block++) {
      int start = block * BLOCK;
      if (start >= Character.MIN_SURROGATE && start <= Character.MAX_SURROGATE) {
        continue;
      }
      Digest digest = new Digest();
      for (int point = start; point < start + BLOCK; point++) {
        digest.add(withoutFrame("a" + Character.toString(point) + "b"));
      }
      if (digest.value() != digests.get(block).asLong()) {
        wrong.add("U+%04X..%04X".formatted(start, start + BLOCK - 1));
      }
    }
    assertThat(wrong).isEmpty();
  }

  @Test
  void fiveThousandRandomTextsHaveTheReferencesTokens() {
    JsonNode digests = expected.get("texts");
    assertThat(digests).hasSize(5000 / TEXTS_PER_DIGEST);
    Numbers numbers = new Numbers(7);
    List<Integer> wrong = new ArrayList<>();
    for (int i = 0; i < digests.size(); i++) {
      Digest digest = new Digest();
      for (int text = 0; text < TEXTS_PER_DIGEST; text++) {
        digest.add(tokenizer.encode(randomText(numbers)).ids());
      }
      if (digest.value() != digests.get(i).asLong()) {
        wrong.add(i);
      }
    }
    assertThat(wrong).isEmpty();
  }

  /** The ids between start and end token. */
  private static int[] withoutFrame(String text) {
    int[] ids = tokenizer.encode(text).ids();
    int end = 1;
    while (ids[end] != ids[ids.length - 1]) {
      end++;
    }
    return Arrays.copyOfRange(ids, 1, end);
  }

  /** CRC-32 of the ids, each 32 bits, and of a -1 behind each text. */
  private static final class Digest {
    private final CRC32 crc = new CRC32();

    void add(int[] ids) {
      ByteBuffer bytes = ByteBuffer.allocate(4 * (ids.length + 1)).order(ByteOrder.LITTLE_ENDIAN);
      for (int id : ids) {
        bytes.putInt(id);
      }
      crc.update(bytes.putInt(-1).array());
    }

    long value() {
      return crc.getValue();
    }
  }

  /** SplitMix64. */
  private static final class Numbers {
    private long state;

    Numbers(long seed) {
      state = seed;
    }

    int below(int bound) {
      state += 0x9E3779B97F4A7C15L;
      long z = state;
      z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
      z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
      return (int) (((z ^ (z >>> 31)) >>> 33) % bound);
    }
  }

  private static String randomText(Numbers numbers) {
    StringBuilder text = new StringBuilder();
    int length = 1 + numbers.below(40);
    for (int i = 0; i < length; i++) {
      int kind = numbers.below(8);
      int point;
      if (kind <= 2) {
        point = 0x20 + numbers.below(0x5F);
      } else if (kind == 3) {
        point = 0x300 + numbers.below(0x70);
      } else if (kind == 4) {
        point = 0xA0 + numbers.below(0x2F60);
      } else if (kind == 5) {
        point = 0x3000 + numbers.below(0xA800);
      } else if (kind == 6) {
        point = 0x10000 + numbers.below(0x20000);
      } else {
        int[] some = {
          0x1100 + numbers.below(0x100),
          0xAC00 + numbers.below(11172),
          0x1E00 + numbers.below(0x200),
          0x0900 + numbers.below(0x500)
        };
        point = some[numbers.below(4)];
      }
      text.appendCodePoint(point);
    }
    return text.toString();
  }
}
