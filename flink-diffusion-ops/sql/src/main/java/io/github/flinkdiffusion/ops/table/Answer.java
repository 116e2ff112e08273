/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.AnswerRasters;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.imaging.Decision;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/**
 * What a model answers to a request: one sample, or those of an ensemble taken together, as the
 * operator for image tasks does it; without data where the request's image has none.
 *
 * @param first the sample that an ensemble of one would be
 * @param picture the answer; null where it is a text, which {@code first} has
 * @param mask of a segmentation
 * @param uncertainty of an ensemble: how much its samples differ
 * @param flagged whether the safety checker blackened a sample
 * @param audit how the answer came about
 */
record Answer(
    GeneratedImage first,
    Raster picture,
    Optional<Raster> mask,
    Optional<Raster> uncertainty,
    boolean flagged,
    Audit audit) {

  /**
   * @param samples from 1
   * @param digests SHA-256 of the request's image files, by their parameters
   * @return completed exceptionally as {@link GenerationService.Served#generate} does
   */
  static CompletableFuture<Answer> of(
      GenerationService.Served model,
      GenerationSpec spec,
      int samples,
      Map<String, String> digests) {
    List<CompletableFuture<GeneratedImage>> made =
        IntStream.range(0, samples)
            .mapToObj(sample -> model.generate(Seeds.ofSample(spec, sample)))
            .toList();
    return CompletableFuture.allOf(made.toArray(CompletableFuture[]::new))
        .thenApplyAsync(
            all -> of(model, made.stream().map(CompletableFuture::join).toList(), digests),
            model.workers());
  }

  private static Answer of(
      GenerationService.Served model, List<GeneratedImage> samples, Map<String, String> digests) {
    GeneratedImage first = samples.get(0);
    ResultMeaning meaning = model.model().result(first.request().arguments());
    if (meaning.kind() == ResultKind.TEXT) {
      if (samples.size() > 1) {
        throw new InvalidRequestException(
            "The ensemble size is %d, but model %s writes texts, which have no mean; expected 1."
                .formatted(samples.size(), model.model().info().name()));
      }
      return new Answer(
          first,
          null,
          Optional.empty(),
          Optional.empty(),
          false,
          Audit.of(model.model(), first.request(), digests, model.furtherParameters()));
    }
    Raster seen = first.request().arguments().get(Parameters.IMAGE);
    Optional<NoDataMask> noData =
        Optional.ofNullable(seen)
            .flatMap(Raster::noData)
            .flatMap(mask -> mask.resized(first.image().height(), first.image().width()));
    Ensemble answer =
        Ensemble.answer(
            samples.stream().map(GeneratedImage::image).toList(),
            meaning,
            noData.map(NoDataMask::pixels).orElseGet(BitSet::new));
    Map<String, String> further = new TreeMap<>(model.furtherParameters());
    if (samples.size() > 1) {
      further.put("ensembleSize", Integer.toString(samples.size()));
    }
    Raster picture = AnswerRasters.picture(answer.mean(), meaning, noData);
    return new Answer(
        first,
        picture,
        meaning
            .classes()
            .map(
                classes ->
                    AnswerRasters.mask(Decision.of(classes, answer.mean()), classes, noData)),
        samples.size() == 1
            ? Optional.empty()
            : Optional.of(AnswerRasters.uncertainty(answer.spread(), noData)),
        samples.stream().anyMatch(GeneratedImage::flagged),
        model.marked(Audit.of(model.model(), first.request(), digests, further), picture, meaning));
  }
}
