/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.tokenizer;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * A vocabulary of CLIP's kind, as {@link BpeTrainer} learns it.
 *
 * @param tokens all tokens; a token's id is its index. The last one, with the highest id, is the
 *     end token: CLIP's text encoder finds the end of a text by that
 * @param merges pairs of tokens with a space between, the first learned first
 */
@Internal
public record BpeVocabulary(List<String> tokens, List<String> merges) {
  private static final ObjectMapper JSON = new ObjectMapper();

  public BpeVocabulary {
    tokens = List.copyOf(tokens);
    merges = List.copyOf(merges);
  }

  /** The number of tokens: {@code vocab_size} of the text encoder. */
  public int size() {
    return tokens.size();
  }

  /**
   * Writes a tokenizer folder that {@link ClipTokenizer} and transformers read: {@code vocab.json},
   * {@code merges.txt}, {@code tokenizer_config.json}, {@code special_tokens_map.json}. Texts are
   * padded with the end token, as Stable Diffusion 1 does.
   *
   * @param folder is made if it does not exist
   * @param maxLength {@code model_max_length}: the ids of one text, start and end token included
   */
  public void write(Path folder, int maxLength) {
    ObjectNode vocabulary = JSON.createObjectNode();
    for (int id = 0; id < tokens.size(); id++) {
      vocabulary.put(tokens.get(id), id);
    }
    ObjectNode special = JSON.createObjectNode();
    special.set("bos_token", token(TokenizerFiles.START));
    special.set("eos_token", token(TokenizerFiles.END));
    special.put("pad_token", TokenizerFiles.END);
    special.set("unk_token", token(TokenizerFiles.END));
    ObjectNode config = JSON.createObjectNode();
    special.properties().forEach(e -> config.set(e.getKey(), e.getValue().deepCopy()));
    for (String key : new String[] {"bos_token", "eos_token", "unk_token"}) {
      ((ObjectNode) config.get(key)).put("__type", "AddedToken");
    }
    config.put("do_lower_case", true).put("errors", "replace").put("model_max_length", maxLength);
    config.put("tokenizer_class", "CLIPTokenizer");
    try {
      Files.createDirectories(folder);
      writeJson(folder.resolve("vocab.json"), vocabulary);
      Files.writeString(
          folder.resolve("merges.txt"),
          "#version: 0.2\n" + String.join("\n", merges) + "\n",
          StandardCharsets.UTF_8);
      writeJson(folder.resolve("tokenizer_config.json"), config);
      writeJson(folder.resolve("special_tokens_map.json"), special);
    } catch (IOException e) {
      throw new TokenizerException("Cannot write the tokenizer to " + folder + ": " + e, e);
    }
  }

  private static ObjectNode token(String content) {
    return JSON.createObjectNode()
        .put("content", content)
        .put("lstrip", false)
        .put("normalized", true)
        .put("rstrip", false)
        .put("single_word", false);
  }

  private static void writeJson(Path file, ObjectNode json) throws IOException {
    Files.writeString(
        file,
        JSON.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n",
        StandardCharsets.UTF_8);
  }
}
