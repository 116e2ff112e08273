/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static java.util.stream.Collectors.joining;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What must be equal for progress on the parts of an image task to be worth anything: how the image
 * is cut, how its values are read, and what each part asks of the model.
 *
 * @param asked what all parts have in common
 */
record TaskFingerprint(TaskPlan plan, TaskSources sources, ImageSettings how, Arguments asked) {

  /** As a text; what is asked is in it as a digest, because nothing may log a prompt. */
  String text() {
    String cut =
        plan.fingerprint()
            + sources
                .channels()
                .map(channel -> ", a file of " + channel.version())
                .collect(joining());
    return TaskProgress.plan(
        cut, reading() + "request " + askedWithoutImages().digest().substring(0, 16));
  }

  /** Without the images, which are the request's own. */
  private Arguments askedWithoutImages() {
    return asked.without(
        asked.parameters().stream()
            .filter(parameter -> parameter.type() == Raster.class)
            .toArray(Parameter<?>[]::new));
  }

  /** The job's settings that decide which numbers the model sees. */
  private String reading() {
    Map<String, String> decisive = new TreeMap<>(how.parameters());
    decisive
        .keySet()
        .retainAll(
            List.of(
                ImageTaskOptions.BANDS.key(),
                ImageTaskOptions.VALUE_RANGE.key(),
                ImageTaskOptions.NOT_FINITE_AS.key()));
    if (sources.image().selection().bands().isPresent()) {
      decisive.remove(ImageTaskOptions.BANDS.key());
    }
    if (sources.image().selection().range().isPresent()) {
      decisive.remove(ImageTaskOptions.VALUE_RANGE.key());
    }
    return decisive.entrySet().stream()
        .map(each -> each.getKey() + " " + each.getValue() + ", ")
        .collect(joining());
  }
}
