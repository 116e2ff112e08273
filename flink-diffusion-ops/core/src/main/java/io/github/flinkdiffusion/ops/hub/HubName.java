/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.flink.annotation.Internal;

/**
 * A model, or one file of it, on the hub: {@code hf://owner/name}, {@code
 * hf://owner/name@revision}, {@code hf://owner/name@revision/folder/file.safetensors}.
 *
 * @param repository {@code owner/name}
 * @param revision branch, tag or commit; {@code main} where the text has none
 * @param file path within the repository; empty for the model as a whole
 */
@Internal
public record HubName(String repository, String revision, Optional<String> file) {
  private static final String SCHEME = "hf://";
  private static final String DEFAULT_REVISION = "main";
  private static final String EXPECTED =
      "expected hf://owner/name, hf://owner/name@revision, or the same with /file.safetensors";
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,95}");
  private static final Pattern REVISION =
      Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,254}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,254}){0,7}");
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

  /** Revisions with slashes that need no escapes: pull requests and converted files. */
  private static final Pattern REF = Pattern.compile("(refs/(?:pr|convert)/[^/]+)(?:/(.*))?");

  public HubName {
    Objects.requireNonNull(file, "file");
    List<String> parts = Arrays.asList(repository.split("/", -1));
    if (parts.size() != 2
        || !parts.stream().allMatch(part -> NAME.matcher(part).matches())
        || repository.contains("--")
        || repository.contains("..")) {
      throw invalid(repository, "'" + repository + "' is not owner/name");
    }
    if (!REVISION.matcher(revision).matches() || revision.contains("..")) {
      throw invalid(repository, "'" + revision + "' is not a branch, tag or commit");
    }
    file.ifPresent(
        path -> {
          if (!isPath(path)) {
            throw invalid(repository, "'" + path + "' is not the path of a file");
          }
        });
  }

  /** Whether a text is meant as the name of something on the hub, rather than as a path. */
  public static boolean isOne(String text) {
    return text.regionMatches(true, 0, "hf:", 0, 3);
  }

  /**
   * Reads a name.
   *
   * @throws HubException if it is not of the forms above
   */
  public static HubName parse(String text) {
    if (!text.startsWith(SCHEME)) {
      throw invalid(text, "it does not begin with hf://");
    }
    String rest = text.substring(SCHEME.length());
    if (rest.startsWith("datasets/") || rest.startsWith("spaces/")) {
      throw invalid(text, "only models are read, not datasets or spaces");
    }
    if (rest.startsWith("models/")) {
      rest = rest.substring("models/".length());
    }
    int at = rest.indexOf('@');
    if (at >= 0) {
      String after = rest.substring(at + 1);
      var ref = REF.matcher(after);
      if (ref.matches()) {
        return new HubName(rest.substring(0, at), ref.group(1), nonEmpty(ref.group(2)));
      }
      int slash = after.indexOf('/');
      String revision = slash < 0 ? after : after.substring(0, slash);
      return new HubName(
          rest.substring(0, at),
          revision.replace("%2F", "/").replace("%2f", "/"),
          nonEmpty(slash < 0 ? null : after.substring(slash + 1)));
    }
    String[] parts = rest.split("/", 3);
    if (parts.length < 2) {
      throw invalid(text, "it has no owner");
    }
    return new HubName(
        parts[0] + "/" + parts[1], DEFAULT_REVISION, nonEmpty(parts.length < 3 ? null : parts[2]));
  }

  private static Optional<String> nonEmpty(String text) {
    return Optional.ofNullable(text).filter(path -> !path.isEmpty());
  }

  private static HubException invalid(String text, String why) {
    return HubException.lasting(
        "Invalid name of a model on the hub '%s': %s; %s".formatted(text, why, EXPECTED));
  }

  /** Whether a path, seen from a folder, leads to a place inside of it. */
  static boolean isPath(String path) {
    return path.length() <= 1_000
        && path.chars().noneMatch(c -> c < ' ' || c == '\\' || c == 0x7f)
        && Arrays.stream(path.split("/", -1))
            .noneMatch(part -> part.isEmpty() || part.equals(".") || part.equals(".."));
  }

  static boolean isCommit(String revision) {
    return COMMIT.matcher(revision).matches();
  }

  /** Whether it names a safetensors file, rather than a model as a whole. */
  public boolean isFile() {
    return file.isPresent();
  }

  @Override
  public String toString() {
    return SCHEME
        + repository
        + (revision.equals(DEFAULT_REVISION)
            ? ""
            : "@" + (REF.matcher(revision).matches() ? revision : revision.replace("/", "%2F")))
        + file.map(path -> "/" + path).orElse("");
  }

  boolean isSafetensors() {
    return file.orElse("").toLowerCase(Locale.ROOT).endsWith(".safetensors");
  }
}
