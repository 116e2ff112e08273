/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.tokenizer.TokenizerFiles.Model;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * GPT-2's tokenizer in one direction: tokens to text, equal to transformers 5's {@code
 * GPT2Tokenizer.decode}. Tokens are bytes of UTF-8; bytes that make no character become U+FFFD.
 * Immutable, for any number of threads.
 */
@Internal
public final class GptTokenizer {
  private static final String END = "<|endoftext|>";

  /** The bytes of each token that is shown. */
  private final Map<Integer, byte[]> bytes = new HashMap<>();

  private final int end;
  private final int size;

  /**
   * A model's tokenizer: {@code tokenizer.json} or {@code vocab.json}, and as far as there {@code
   * tokenizer_config.json}, {@code special_tokens_map.json} and {@code added_tokens.json}.
   *
   * @throws TokenizerException or {@link io.github.flinkdiffusion.ops.weights.WeightsException} if
   *     files are missing, malformed or not supported
   */
  public static GptTokenizer load(ModelComponent component) {
    return new GptTokenizer(
        component
            .folder()
            .orElseThrow(
                () ->
                    new TokenizerException(
                        "The model has no folder %s with a tokenizer's files"
                            .formatted(component.name()))));
  }

  private GptTokenizer(Path folder) {
    Map<String, String> defaults = new LinkedHashMap<>();
    for (String key : List.of("bos_token", "eos_token", "unk_token")) {
      defaults.put(key, END);
    }
    Path json = folder.resolve("tokenizer.json");
    Model model =
        Files.isRegularFile(json)
            ? model(Config.read(json), defaults)
            : new Model(
                TokenizerFiles.vocabulary(Config.read(folder.resolve("vocab.json"))),
                List.of(),
                new TreeMap<>(),
                defaults);
    Config config = TokenizerFiles.config(folder);
    TokenizerFiles files = TokenizerFiles.readWhole(folder, model);
    Map<String, Integer> ids = files.vocabulary();
    Set<Integer> special = new HashSet<>();
    files.special().values().forEach(token -> special.add(ids.get(token)));
    model
        .listed()
        .forEach(
            (id, token) -> {
              if (!token.normalized()) {
                special.add(id);
              }
            });
    config.strings("additional_special_tokens", List.of()).forEach(t -> special.add(ids.get(t)));
    config.strings("extra_special_tokens", List.of()).forEach(t -> special.add(ids.get(t)));
    Map<Character, Integer> alphabet = new HashMap<>();
    for (int b = 0; b < 256; b++) {
      alphabet.put(ByteAlphabet.character(b), b);
    }
    ids.forEach(
        (token, id) -> {
          if (!special.contains(id)) {
            bytes.put(id, bytes(token, alphabet));
          }
        });
    end = ids.get(files.special().get("eos_token"));
    size = ids.values().stream().mapToInt(Integer::intValue).max().orElseThrow() + 1;
  }

  private static Model model(Config file, Map<String, String> defaults) {
    Config model = TokenizerJson.model(file, "BPE");
    String suffix = model.string("end_of_word_suffix", "");
    if (!suffix.isEmpty()) {
      throw model.unsupported("end_of_word_suffix", suffix, "none, as GPT-2 has it");
    }
    JsonNode decoder = file.node().path("decoder").path("type");
    if (!decoder.asText().equals("ByteLevel")) {
      throw file.unsupported("decoder", file.node().get("decoder"), "ByteLevel");
    }
    Config vocabulary =
        model.section("vocab").orElseThrow(() -> model.unsupported("vocab", null, "an object"));
    return new Model(
        TokenizerFiles.vocabulary(vocabulary), List.of(), TokenizerFiles.listed(file), defaults);
  }

  /** What is not written in the alphabet of bytes, such as an added token, stands for itself. */
  private static byte[] bytes(String token, Map<Character, Integer> alphabet) {
    byte[] all = new byte[token.length()];
    for (int i = 0; i < all.length; i++) {
      Integer value = alphabet.get(token.charAt(i));
      if (value == null) {
        return token.getBytes(StandardCharsets.UTF_8);
      }
      all[i] = value.byteValue();
    }
    return all;
  }

  /** The token that ends a text. */
  public int end() {
    return end;
  }

  /** One more than the largest id: the rows that an embedding needs. */
  public int vocabularySize() {
    return size;
  }

  /**
   * The text of ids, as {@code decode(ids, skip_special_tokens=True)} gives it. Ids that the
   * vocabulary does not have are left out.
   */
  public String decode(int[] tokens) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    for (int token : tokens) {
      byte[] own = bytes.get(token);
      if (own != null) {
        text.writeBytes(own);
      }
    }
    return text.toString(StandardCharsets.UTF_8);
  }
}
