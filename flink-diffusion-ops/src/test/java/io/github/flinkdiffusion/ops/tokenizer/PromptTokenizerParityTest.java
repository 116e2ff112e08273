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
import java.util.List;
import java.util.function.Function;
import java.util.zip.CRC32;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * 5,000 random texts each against transformers' tokenizers, {@code
 * make_prompt_tokenizer_fixtures.py}; the texts are drawn here as there.
 */
class PromptTokenizerParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/tokenizer");
  private static final int TEXTS_PER_DIGEST = 50;
  private static final int LENGTH = 64;

  private static final String[] WORDS =
      ("a photo of an astronaut riding a horse on mars red apple green wooden "
              + "table watercolor painting of the sea at night stars moon over "
              + "mountains the cat's hat isn't there they're here we've gone i'll stay "
              + "i'd rather not i'm the best highly detailed 4k 8k trending on "
              + "artstation cinematic lighting it's raining don't can't won't banana "
              + "strawberry dog cat house tree flower sunset snow winter summer città "
              + "straße naïve café über 山 水 日本 你好 привет мир 😀 🍎 the of and in to is on "
              + "that by photograph photographs photographer painted paints rides rider "
              + "highest higher nights lights A Photo OF THE Sea NIGHT System user "
              + "assistant")
          .split(" ");
  private static final String[] SPACES = {
    " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\u00A0", "\u3000", "\u2028", "\u0085",
    "\u000B", " \n ", "\u200B", "\u2003", "    x"
  };
  private static final String[] LITERALS = {
    "'s",
    "'S",
    "'LL",
    "'ve",
    "'\u017F",
    "'re'",
    "''t",
    "'d",
    "</s>",
    "<pad>",
    "<unk>",
    " <extra_id_0> ",
    "<extra_id_99>x",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    " <|vision_pad|>",
    "<bos>",
    "<eos>",
    "<mask>",
    "\u2581",
    "a\u2581\u2581b",
    "e\u0301",
    "fi\uFB01",
    "\u00A9\u200D\u00A9\u0301",
    "\u0915\u094D\u0937\u0301",
    "\u1100\u1161\u0301",
    "\uD83D\uDC68\u200D\uD83D\uDC69\u200D\uD83D\uDC67",
    "\uD83C\uDDE9\uD83C\uDDEA",
    "\u2764\uFE0F",
    "1\uFE0F\u20E3",
    "\u0000",
    "\u0007",
    "\u007F",
    "\uFEFF",
    "\uFFFD",
    "\uFFFE",
    "\u00AD",
    "...",
    "---",
    "123",
    "3.14",
    "\u0600a",
    "\u06DD12",
    "\u0D4E\u0D15",
    "<0x0A>",
    "<0xF0>"
  };
  private static final int[][] RANGES = {
    {0x20, 0x5F},
    {0x300, 0x70},
    {0xA0, 0x2F60},
    {0x3000, 0xA800},
    {0x10000, 0x20000},
    {0x1F300, 0x700},
    {0x1100, 0x100},
    {0xAC00, 0x2BA4},
    {0x1E00, 0x200},
    {0x900, 0x500},
    {0xF900, 0x700},
    {0x590, 0x100},
    {0xA1, 0x5F}
  };

  private static JsonNode expected;

  @BeforeAll
  static void read() throws IOException {
    expected = new ObjectMapper().readTree(FIXTURES.resolve("digests.json").toFile());
  }

  @ParameterizedTest
  @ValueSource(strings = {"t5", "t5-spiece", "qwen2", "qwen2-two", "gemma"})
  void fiveThousandRandomTextsHaveTheReferencesTokens(String folder) {
    PromptTokenizer tokenizer = opener(folder).apply(FIXTURES.resolve(folder));
    JsonNode digests = expected.get(folder);
    assertThat(digests).hasSize(5000 / TEXTS_PER_DIGEST);
    Numbers numbers = new Numbers(22);
    List<Integer> wrong = new ArrayList<>();
    for (int i = 0; i < digests.size(); i++) {
      CRC32 crc = new CRC32();
      for (int text = 0; text < TEXTS_PER_DIGEST; text++) {
        String drawn = randomText(numbers);
        MaskedTokens padded = tokenizer.encode(drawn, LENGTH);
        add(crc, tokenizer.ids(drawn));
        add(crc, padded.ids());
        add(crc, padded.mask());
      }
      if (crc.getValue() != digests.get(i).asLong()) {
        wrong.add(i);
      }
    }
    assertThat(wrong).isEmpty();
  }

  private static Function<Path, PromptTokenizer> opener(String folder) {
    return switch (folder.split("-")[0]) {
      case "t5" -> PromptTokenizer::t5;
      case "qwen2" -> PromptTokenizer::qwen2;
      default -> PromptTokenizer::gemma;
    };
  }

  /** CRC-32 of the ids, each 32 bits, and of a -1 after them. */
  private static void add(CRC32 crc, int[] ids) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * (ids.length + 1)).order(ByteOrder.LITTLE_ENDIAN);
    for (int id : ids) {
      bytes.putInt(id);
    }
    crc.update(bytes.putInt(-1).array());
  }

  private static String randomText(Numbers numbers) {
    StringBuilder text = new StringBuilder();
    boolean isLong = numbers.below(100) == 0;
    int length = 1 + numbers.below(isLong ? 2000 : 40);
    for (int i = 0; i < length; i++) {
      int kind = numbers.below(16);
      if (kind <= 4) {
        text.append(WORDS[numbers.below(WORDS.length)]);
        if (numbers.below(3) != 0) {
          text.append(' ');
        }
      } else if (kind == 5) {
        text.append(SPACES[numbers.below(SPACES.length)]);
      } else if (kind == 6) {
        text.append(LITERALS[numbers.below(LITERALS.length)]);
      } else if (kind == 7) {
        text.append((char) (0x41 + numbers.below(58)));
        text.append((char) (0x300 + numbers.below(0x70)));
      } else {
        int[] range = RANGES[numbers.below(RANGES.length)];
        text.appendCodePoint(range[0] + numbers.below(range[1]));
      }
    }
    return text.toString();
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
}
