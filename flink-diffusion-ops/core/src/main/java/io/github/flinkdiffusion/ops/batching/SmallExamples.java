/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ImageLabels;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Requests like those that will come, but of one or two steps and small, to measure a pipeline's
 * calls with. What a model cannot do without and the example does not say is made up: gray images,
 * masks of ones, the first class.
 *
 * <p>Sizes are a quarter and a half of the model's own, or a half and the whole where that is
 * small. A model that takes one size only is asked for that one.
 */
final class SmallExamples {
  /** A model's own side from which halves and quarters of it are measured, in pixels. */
  private static final int LARGE_SIDE = 256;

  /** What sides are multiples of, where models ask for that. */
  private static final int GRID = 64;

  /** What makes a text longer, and how often. */
  private static final String MORE = " and a cat";

  private static final int[] MORE_WORDS = {10, 40};

  private static final float GRAY = 0.5f;
  private static final long FIRST_CLASS = 0;

  /** A strength at which a request of two steps makes one, and still begins from its image. */
  private static final double HALF = 0.5;

  private final Model model;
  private final Signature signature;

  /** What the example says, as far as the model takes it, without a size. */
  private final GenerationSpec example;

  private final Arguments asked;

  SmallExamples(Model model, GenerationSpec example) {
    this.model = model;
    this.signature = model.signature();
    this.asked = example.arguments();
    this.example = completed(example);
  }

  private boolean requires(Parameter<?> parameter) {
    return signature.entries().stream()
        .anyMatch(entry -> entry.required() && entry.parameter() == parameter);
  }

  private GenerationSpec completed(GenerationSpec spec) {
    Parameter<?>[] unknown =
        asked.parameters().stream()
            .filter(parameter -> !signature.takes(parameter))
            .toArray(Parameter<?>[]::new);
    Arguments taken = asked.without(unknown).without(Parameters.WIDTH, Parameters.HEIGHT);
    if (requires(Parameters.CLASS_LABEL) && !taken.has(Parameters.CLASS_LABEL)) {
      taken = taken.with(Parameters.CLASS_LABEL, FIRST_CLASS);
    }
    if (requires(Parameters.PROMPT) && !taken.has(Parameters.PROMPT)) {
      taken = taken.with(Parameters.PROMPT, "");
    }
    if (requires(Parameters.CANDIDATE_LABELS) && !taken.has(Parameters.CANDIDATE_LABELS)) {
      taken = taken.with(Parameters.CANDIDATE_LABELS, ImageLabels.format(List.of("a", "b")));
    }
    return new GenerationSpec(
        spec.id(), signature.takes(Parameters.STEPS) ? taken.with(Parameters.STEPS, 1L) : taken);
  }

  /**
   * From the smallest to the largest.
   *
   * @return none where the model refuses all of them
   * @throws InvalidRequestException why it does
   */
  List<GenerationRequest> requests() {
    if (requires(Parameters.IMAGE)) {
      return withImage(this::image);
    }
    try {
      return texts();
    } catch (InvalidRequestException e) {
      // A refiner takes an image by its signature, and refuses to begin without one.
      List<GenerationRequest> withImage = requestsWithImage();
      if (withImage.isEmpty()) {
        throw e;
      }
      return withImage;
    }
  }

  /**
   * The same with an image, of a model that may get one but need not.
   *
   * @return none where it takes none
   */
  List<GenerationRequest> requestsWithImage() {
    if (requires(Parameters.IMAGE) || !signature.takes(Parameters.IMAGE)) {
      return List.of();
    }
    try {
      return withImage(side -> begun(image(side)));
    } catch (InvalidRequestException e) {
      if (!example.arguments().has(Parameters.PROMPT) || requires(Parameters.PROMPT)) {
        throw e;
      }
      // A model that reads a text or looks at an image, not both.
      return withImage(side -> begun(withoutPrompt(image(side))));
    }
  }

  private static GenerationSpec withoutPrompt(GenerationSpec spec) {
    return new GenerationSpec(spec.id(), spec.arguments().without(Parameters.PROMPT));
  }

  /**
   * A request's with longer texts, none of which was encoded before: a text encoder keeps what it
   * has encoded. From the shortest to the longest; one where all have as many tokens.
   *
   * @return none where the model takes no text
   */
  List<GenerationRequest> requestsWithTexts(GenerationRequest like) {
    if (!like.arguments().has(Parameters.PROMPT)) {
      return List.of();
    }
    List<GenerationRequest> accepted = new ArrayList<>();
    for (int words : MORE_WORDS) {
      String prompt = like.get(Parameters.PROMPT) + MORE.repeat(words);
      accept(
          new GenerationSpec(like.id(), like.arguments()).with(Parameters.PROMPT, prompt),
          accepted);
    }
    boolean alike = accepted.stream().mapToLong(model::encodedTokens).distinct().count() == 1;
    return alike ? accepted.subList(0, 1) : accepted;
  }

  // ------------------------------------------------------------------ without an image

  private List<GenerationRequest> texts() {
    GenerationSpec whole =
        example
            .with(Parameters.WIDTH, asked.get(Parameters.WIDTH))
            .with(Parameters.HEIGHT, asked.get(Parameters.HEIGHT));
    GenerationRequest own = model.prepare(whole);
    if (!own.arguments().has(Parameters.WIDTH) || !own.arguments().has(Parameters.HEIGHT)) {
      return List.of(own);
    }
    boolean large = Math.min(own.width(), own.height()) >= LARGE_SIDE;
    List<GenerationRequest> accepted = new ArrayList<>();
    for (int part : parts(large)) {
      accept(
          whole
              .with(Parameters.WIDTH, part(own.width(), part, large ? GRID : 1))
              .with(Parameters.HEIGHT, part(own.height(), part, large ? GRID : 1)),
          accepted);
    }
    return accepted.isEmpty() ? List.of(own) : accepted;
  }

  private static int[] parts(boolean large) {
    return large ? new int[] {4, 2} : new int[] {2, 1};
  }

  /** A part of a side, as a multiple of the grid. */
  private static long part(int side, int part, int grid) {
    return Math.max(grid, side / part / grid * grid);
  }

  private void accept(GenerationSpec spec, List<GenerationRequest> accepted) {
    try {
      accepted.add(model.prepare(spec));
    } catch (InvalidRequestException e) {
      // A size that the model does not make: there are others.
    }
  }

  // ------------------------------------------------------------------ with one

  /** A request with a square image of a side. */
  private interface WithImage {
    GenerationSpec of(int side);
  }

  private List<GenerationRequest> withImage(WithImage image) {
    int own = ownSide(image);
    int scale = model.tiling().map(Tiling::scale).orElse(1);
    int alignment = model.tiling().map(Tiling::alignment).orElse(1);
    boolean large = own * scale >= LARGE_SIDE;
    int grid = large ? Math.max(alignment, GRID / scale) : alignment;
    Set<Long> sides = new LinkedHashSet<>();
    Arrays.stream(parts(large)).forEach(part -> sides.add(part(own, part, grid)));
    List<GenerationRequest> accepted = new ArrayList<>();
    for (long side : sides) {
      accept(sized(image.of((int) side), side), accepted);
    }
    return accepted.isEmpty() ? List.of(model.prepare(image.of(own))) : accepted;
  }

  /** The image's side that the model works on, as far as it says so. */
  private int ownSide(WithImage image) {
    if (model.tiling().isPresent()) {
      return model.tiling().get().tile();
    }
    Arguments resolved = model.prepare(image.of(GRID)).arguments();
    if (!requires(Parameters.PROCESSING_RESOLUTION)) {
      Long processing =
          signature.resolve(withImageOf(example, GRID)).get(Parameters.PROCESSING_RESOLUTION);
      if (processing != null && processing > 0) {
        return processing.intValue();
      }
    }
    return resolved.has(Parameters.WIDTH) ? resolved.get(Parameters.WIDTH).intValue() : GRID;
  }

  /** The result is as large as the image unless the model says that it follows it otherwise. */
  private GenerationSpec sized(GenerationSpec spec, long side) {
    GenerationSpec both = spec.with(Parameters.WIDTH, side).with(Parameters.HEIGHT, side);
    if (!signature.takes(Parameters.WIDTH) || !signature.takes(Parameters.HEIGHT)) {
      return spec;
    }
    try {
      model.prepare(both);
      return both;
    } catch (InvalidRequestException e) {
      return spec;
    }
  }

  private GenerationSpec image(int side) {
    GenerationSpec with = withImageOf(example, side);
    return signature.takes(Parameters.PROCESSING_RESOLUTION)
        ? with.with(Parameters.PROCESSING_RESOLUTION, 0L)
        : with;
  }

  private GenerationSpec withImageOf(GenerationSpec spec, int side) {
    GenerationSpec with = spec.with(Parameters.IMAGE, filled(model.imageChannels(), side, GRAY));
    return requires(Parameters.MASK) ? with.with(Parameters.MASK, filled(1, side, 1)) : with;
  }

  /** One step, from the image. */
  private GenerationSpec begun(GenerationSpec spec) {
    return signature.takes(Parameters.STRENGTH)
        ? spec.with(Parameters.STRENGTH, HALF).with(Parameters.STEPS, 2L)
        : spec;
  }

  private static Raster filled(int channels, int side, float value) {
    float[] values = new float[channels * side * side];
    Arrays.fill(values, value);
    return new Raster(channels, side, side, values);
  }
}
