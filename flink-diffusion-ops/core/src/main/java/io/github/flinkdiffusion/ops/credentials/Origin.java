/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.credentials;

import java.util.List;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * What an image's credentials say of it.
 *
 * @param generator name of the software
 * @param version of it
 * @param audit how the image came about, as JSON
 * @param inputs what it was made of; at most one is its parent
 */
@Internal
public record Origin(String generator, String version, String audit, List<Input> inputs) {

  /**
   * An image that another was made of.
   *
   * @param title such as the request's parameter
   * @param parent whether the result is a changed form of it; otherwise it was only looked at, such
   *     as a pose or a mask
   * @param prior its format and its own credentials
   */
  public record Input(String title, boolean parent, PriorCredentials prior) {}

  public Origin {
    Objects.requireNonNull(generator, "generator");
    Objects.requireNonNull(version, "version");
    Objects.requireNonNull(audit, "audit");
    inputs = List.copyOf(inputs);
    if (inputs.stream().filter(Input::parent).count() > 1) {
      throw new IllegalArgumentException("An image has one parent at most.");
    }
  }
}
