/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.List;

/** How many things a scene shows, and where. */
enum Arrangement {
  /** One thing, about the middle. */
  CENTER(Kind.ONE, List.of(""), at(0.5, 0.5)),
  LEFT(Kind.ONE, List.of("on the left", "on the left side"), at(0.25, 0.5)),
  RIGHT(Kind.ONE, List.of("on the right", "on the right side"), at(0.75, 0.5)),
  TOP(Kind.ONE, List.of("at the top"), at(0.5, 0.25)),
  BOTTOM(Kind.ONE, List.of("at the bottom"), at(0.5, 0.75)),
  TWO(Kind.SAME, List.of("two"), at(0.25, 0.5), at(0.75, 0.5)),
  THREE(Kind.SAME, List.of("three"), at(0.5, 0.25), at(0.25, 0.75), at(0.75, 0.75)),
  FOUR(Kind.SAME, List.of("four"), at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75));

  /** Less than half of a side, so that things do not touch. */
  private static final int CELLS_OF_A_QUARTER = 11;

  /** What the things are. */
  enum Kind {
    ONE,
    /** Several of a kind. */
    SAME
  }

  /**
   * Where the middle of a thing is.
   *
   * @param x share of the image's side
   * @param y share of the image's side
   */
  record Place(double x, double y) {}

  private final Kind kind;
  private final List<String> phrases;
  private final List<Place> places;

  Arrangement(Kind kind, List<String> phrases, Place... places) {
    this.kind = kind;
    this.phrases = phrases;
    this.places = List.of(places);
  }

  private static Place at(double x, double y) {
    return new Place(x, y);
  }

  Kind kind() {
    return kind;
  }

  /** Cells of the latents that a thing has in a scene of this arrangement. */
  int cells(SceneSize size) {
    return this == CENTER ? size.cells() : CELLS_OF_A_QUARTER;
  }

  /** How prompts say it, the usual phrase first. */
  List<String> phrases() {
    return phrases;
  }

  /** Where the things are. */
  List<Place> places() {
    return places;
  }
}
