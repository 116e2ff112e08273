/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What the picture of a request says, and what is needed to read it.
 *
 * @param kind what it is
 * @param classes present for {@link ResultKind#MASK} alone
 * @param boxes present for {@link ResultKind#BOXES} alone
 * @param depths what they leave open; present for {@link ResultKind#DEPTH} alone
 */
@Internal
public record ResultMeaning(
    ResultKind kind,
    Optional<ClassMap> classes,
    Optional<BoxStyle> boxes,
    Optional<DepthFreedom> depths) {

  public static final ResultMeaning PICTURE = plain(ResultKind.PICTURE);
  public static final ResultMeaning NORMALS = plain(ResultKind.NORMALS);
  public static final ResultMeaning TEXT = plain(ResultKind.TEXT);

  public ResultMeaning {
    Objects.requireNonNull(kind, "kind");
    if (classes.isPresent() != (kind == ResultKind.MASK)
        || boxes.isPresent() != (kind == ResultKind.BOXES)
        || depths.isPresent() != (kind == ResultKind.DEPTH)) {
      throw new IllegalArgumentException(
          kind + " with " + classes + ", " + boxes + " and " + depths);
    }
  }

  public static ResultMeaning classes(ClassMap map) {
    return new ResultMeaning(ResultKind.MASK, Optional.of(map), Optional.empty(), Optional.empty());
  }

  public static ResultMeaning boxes(BoxStyle style) {
    return new ResultMeaning(
        ResultKind.BOXES, Optional.empty(), Optional.of(style), Optional.empty());
  }

  public static ResultMeaning depth(DepthFreedom freedom) {
    return new ResultMeaning(
        ResultKind.DEPTH, Optional.empty(), Optional.empty(), Optional.of(freedom));
  }

  private static ResultMeaning plain(ResultKind kind) {
    return new ResultMeaning(kind, Optional.empty(), Optional.empty(), Optional.empty());
  }
}
