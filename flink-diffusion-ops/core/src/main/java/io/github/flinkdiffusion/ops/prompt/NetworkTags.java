/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * LoRAs that a prompt names, as AUTOMATIC1111's web UI reads them ({@code parse_prompt} of {@code
 * extra_networks}): {@code <lora:name:0.8>} is no text, wherever it stands.
 *
 * @param text the prompt without them
 * @param loras in the prompt's order
 */
@Internal
public record NetworkTags(String text, List<Lora> loras) {
  /**
   * One of them.
   *
   * @param scale as it is written; 1 where none is
   */
  public record Lora(String name, String scale) {}

  private static final Pattern TAG =
      Pattern.compile("<(\\w+):([^>]+)>", Pattern.UNICODE_CHARACTER_CLASS);

  public NetworkTags {
    loras = List.copyOf(loras);
  }

  /**
   * @throws PromptSyntaxException for a tag of another kind, or with more than a name and a scale
   */
  public static NetworkTags of(String prompt) {
    List<Lora> loras = new ArrayList<>();
    Matcher matcher = TAG.matcher(prompt);
    StringBuilder text = new StringBuilder();
    while (matcher.find()) {
      loras.add(lora(matcher));
      matcher.appendReplacement(text, "");
    }
    return new NetworkTags(matcher.appendTail(text).toString(), loras);
  }

  private static Lora lora(Matcher tag) {
    String[] parts = tag.group(2).split(":", -1);
    String kind = tag.group(1);
    if (!kind.equals("lora") || parts.length > 2 || tag.group(2).indexOf('=') >= 0) {
      throw new PromptSyntaxException(
          "The prompt has '%s'; accepted is <lora:name:0.8>, with one scale or none. Write other text without < and >."
              .formatted(tag.group()));
    }
    return new Lora(parts[0], parts.length == 1 ? "1" : parts[1].strip());
  }
}
