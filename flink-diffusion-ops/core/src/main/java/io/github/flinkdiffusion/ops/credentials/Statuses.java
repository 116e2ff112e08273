/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import io.github.flinkdiffusion.ops.credentials.Verdict.Kind;
import io.github.flinkdiffusion.ops.credentials.Verdict.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Collects what was checked, of the active manifest and then of ingredients. */
final class Statuses {
  private final List<Status> all = new ArrayList<>();
  private Optional<String> about = Optional.empty();

  /** What comes now concerns this ingredient's assertion. */
  Optional<String> about(Optional<String> ingredient) {
    Optional<String> before = about;
    about = ingredient;
    return before;
  }

  void success(String code, String uri, String explanation) {
    all.add(new Status(Kind.SUCCESS, code, uri, explanation, about));
  }

  void informational(String code, String uri, String explanation) {
    all.add(new Status(Kind.INFORMATIONAL, code, uri, explanation, about));
  }

  void failure(String code, String uri, String explanation) {
    all.add(new Status(Kind.FAILURE, code, uri, explanation, about));
  }

  List<Status> all() {
    return List.copyOf(all);
  }
}
