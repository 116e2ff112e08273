/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/**
 * What the content credentials of a file are worth.
 *
 * @param state of all of it
 * @param manifest label of the active one
 * @param signer whose certificate it is
 * @param generator name and version of the software that says so
 * @param sourceTypes what the image is by its actions: the last parts of IPTC's names
 * @param ingredients what it was made of
 * @param audit the audit record, as JSON, if it has one
 * @param statuses each check by the code that C2PA has for it
 */
@Internal
public record Verdict(
    State state,
    Optional<String> manifest,
    Optional<String> signer,
    Optional<String> generator,
    List<String> sourceTypes,
    List<Ingredient> ingredients,
    Optional<String> audit,
    List<Status> statuses) {

  /** In C2PA's words. */
  public enum State {
    /** The file has no credentials. */
    NONE,
    /** They were changed, or the file was, or they do not follow the rules. */
    INVALID,
    /** They and the file are as they were signed, by somebody. */
    VALID,
    /** As {@link #VALID}, and the signer's certificate leads to an anchor that was given. */
    TRUSTED
  }

  /** How a check ended. */
  public enum Kind {
    SUCCESS,
    INFORMATIONAL,
    FAILURE
  }

  /**
   * A check.
   *
   * @param code of C2PA, such as {@code assertion.dataHash.mismatch}
   * @param uri of what was checked
   * @param explanation in words
   * @param about the assertion of the ingredient that it concerns, if it does not concern the
   *     active manifest
   */
  public record Status(
      Kind kind, String code, String uri, String explanation, Optional<String> about) {}

  /**
   * What an image was made of.
   *
   * @param title such as the request's parameter
   * @param relationship parentOf, inputTo or componentOf
   * @param manifest label of its own active manifest, if it had one
   */
  public record Ingredient(String title, String relationship, Optional<String> manifest) {}

  public Verdict {
    sourceTypes = List.copyOf(sourceTypes);
    ingredients = List.copyOf(ingredients);
    statuses = List.copyOf(statuses);
  }

  static Verdict none() {
    return new Verdict(
        State.NONE,
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        List.of(),
        List.of(),
        Optional.empty(),
        List.of());
  }

  /** Checks that failed. */
  public List<Status> failures() {
    return statuses.stream().filter(status -> status.kind() == Kind.FAILURE).toList();
  }

  /** In one line. */
  @Override
  public String toString() {
    return state
        + failures().stream()
            .map(Status::code)
            .distinct()
            .sorted()
            .collect(Collectors.joining(", ", " (", ")"))
            .replace(" ()", "");
  }
}
