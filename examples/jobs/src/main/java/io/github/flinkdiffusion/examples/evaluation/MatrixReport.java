/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Images;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;

/** What a model can draw, by skill, information flow and use case: {@code README.md} and sheets. */
public final class MatrixReport {
  private static final int SHEET_PICTURE = 80;
  private static final int SHEET_IMAGES = 4;

  private final MatrixPlan plan;
  private final Optional<Path> drawings;

  private MatrixReport(MatrixPlan plan, Optional<Path> drawings) {
    this.plan = plan;
    this.drawings = drawings;
  }

  /**
   * Reads a plan.
   *
   * @param drawings the folder of mini-emoji's drawings, for attributes of its scenes
   * @throws EvaluationException naming the file, the key, the value and what is accepted
   */
  public static MatrixReport of(Path file, Optional<Path> drawings) {
    return new MatrixReport(MatrixPlan.read(file), drawings);
  }

  /**
   * Images of a task.
   *
   * @param right how many have all that is expected; meaningless if nothing is
   * @param wrong what was read of the first one that has not
   */
  private record Result(MatrixPlan.Task task, List<Drawn> images, int right, String wrong) {
    boolean isJudged() {
      return !task.expect().isEmpty();
    }
  }

  /** Images that are right, of so many. */
  record Rate(int right, int images) {
    Rate plus(Rate other) {
      return new Rate(right + other.right, images + other.images);
    }

    String text() {
      return images == 0 ? "" : Proportion.of(right, images).percent() + ", " + images + " images";
    }
  }

  /**
   * Draws, reads and writes.
   *
   * @param out an existing folder
   */
  public void write(Path out) throws IOException {
    try (AttributeReaders opened = AttributeReaders.open(plan.attributes(), drawings)) {
      Map<String, AttributeReader> readers = new LinkedHashMap<>();
      opened.all().forEach((attribute, reader) -> readers.put(attribute.name(), reader));
      requireClasses(readers);
      Drawing drawing = draw();
      List<Result> results = new ArrayList<>();
      for (int i = 0; i < plan.tasks().size(); i++) {
        results.add(
            judged(
                plan.tasks().get(i),
                drawing.images().subList(i * plan.images(), (i + 1) * plan.images()),
                readers));
      }
      Files.writeString(out.resolve("README.md"), text(out, drawing, results, readers));
    }
  }

  private void requireClasses(Map<String, AttributeReader> readers) {
    for (MatrixPlan.Task task : plan.tasks()) {
      task.expect()
          .forEach(
              (attribute, expected) -> {
                if (!readers.get(attribute).classes().contains(expected)) {
                  throw new EvaluationException(
                      "Task '%s' expects %s '%s'; expected one of %s"
                          .formatted(
                              task.name(), attribute, expected, readers.get(attribute).classes()));
                }
              });
    }
  }

  /** Images that are changed are drawn first. */
  private Drawing draw() {
    List<Drawing.Request> first = new ArrayList<>();
    for (MatrixPlan.Task task : plan.tasks()) {
      for (int i = 0; task.from() != null && i < plan.images(); i++) {
        first.add(Drawing.Request.of(task.from(), plan.seed() + i));
      }
    }
    List<Drawn> origins = first.isEmpty() ? List.of() : Drawing.of(plan.sampler(), first).images();
    List<Drawing.Request> requests = new ArrayList<>();
    int at = 0;
    for (MatrixPlan.Task task : plan.tasks()) {
      for (int i = 0; i < plan.images(); i++) {
        requests.add(
            task.from() == null
                ? Drawing.Request.of(task.prompt(), plan.seed() + i)
                : new Drawing.Request(
                    task.prompt(), plan.seed() + i, origins.get(at++).image(), task.strength()));
      }
    }
    return Drawing.of(plan.sampler(), requests);
  }

  private static Result judged(
      MatrixPlan.Task task, List<Drawn> images, Map<String, AttributeReader> readers) {
    boolean[] wrong = new boolean[images.size()];
    String first = "";
    for (Map.Entry<String, String> expected : task.expect().entrySet()) {
      AttributeReader reader = readers.get(expected.getKey());
      int[] read = reader.read(images.stream().map(Drawn::image).toList());
      for (int i = 0; i < read.length; i++) {
        String seen = reader.classes().get(read[i]);
        if (!seen.equals(expected.getValue())) {
          wrong[i] = true;
          first =
              first.isEmpty()
                  ? "%s is '%s', not '%s'".formatted(expected.getKey(), seen, expected.getValue())
                  : first;
        }
      }
    }
    int right = 0;
    for (boolean each : wrong) {
      right += each ? 0 : 1;
    }
    return new Result(task, images, right, first);
  }

  private String text(
      Path out, Drawing drawing, List<Result> results, Map<String, AttributeReader> readers)
      throws IOException {
    StringBuilder text = new StringBuilder();
    text.append("# ").append(plan.title()).append("\n\n");
    text.append(
        String.format(
            Locale.ROOT,
            "%d tasks of %d images each, by the Flink operator: model `%s` (SHA-256 `%s`), %s, %d"
                + " steps, guidance %s, seeds from %d. Tasks are sorted as in"
                + " [HEMM](https://arxiv.org/abs/2407.03418): by skill, information flow and use"
                + " case.\n\n",
            results.size(),
            plan.images(),
            drawing.model(),
            drawing.modelDigest(),
            drawing.scheduler(),
            drawing.steps(),
            drawing.guidance(),
            plan.seed()));
    if (!readers.isEmpty()) {
      text.append(
          "An image is right if everything that its task expects is read of it. Intervals are"
              + " Wilson's, of 95 %. Who reads:\n\n");
      readers.forEach(
          (name, reader) ->
              text.append("- ")
                  .append(name)
                  .append(": ")
                  .append(reader.description())
                  .append('\n'));
      text.append('\n');
    }
    matrix(text, results);
    rates(text, "use case", results, result -> result.task().use());
    long open = results.stream().filter(result -> !result.isJudged()).count();
    text.append(
        "Tasks without an answer that a reader sees: %d. They count in no rate. What a note says is for people: look at the images. Images of one task are more alike than those of several, so the intervals are too narrow where the seed hardly matters.\n"
            .formatted(open));
    Map<String, List<Result>> bySkill = new LinkedHashMap<>();
    results.forEach(
        result ->
            bySkill.computeIfAbsent(result.task().skill(), key -> new ArrayList<>()).add(result));
    int number = 0;
    for (Map.Entry<String, List<Result>> skill : bySkill.entrySet()) {
      number++;
      text.append("\n## ").append(skill.getKey()).append("\n\n");
      text.append(
          "| task | prompt | flow | use case | right | |\n| --- | --- | --- | --- | --- | --- |\n");
      for (Result result : skill.getValue()) {
        text.append(row(result));
      }
      String sheet = "skill-" + number + ".jpg";
      Files.write(out.resolve(sheet), sheet(skill.getValue()));
      text.append("\n![Images of each task](").append(sheet).append(")\n");
    }
    return text.toString();
  }

  private String row(Result result) {
    MatrixPlan.Task task = result.task();
    String remark = task.note();
    if (result.isJudged() && result.right() < result.images().size()) {
      remark = (remark.isEmpty() ? "" : remark + " ") + "First miss: " + result.wrong() + ".";
    }
    return "| %s | `%s`%s | %s | %s | %s | %s |\n"
        .formatted(
            task.name(),
            task.prompt(),
            task.from() == null ? "" : " of `" + task.from() + "`",
            task.flow().name().toLowerCase(Locale.ROOT),
            task.use(),
            result.isJudged() ? result.right() + " of " + result.images().size() : "by people",
            remark);
  }

  private static void matrix(StringBuilder text, List<Result> results) {
    Map<String, Map<MatrixPlan.Flow, Rate>> cells = new LinkedHashMap<>();
    Set<MatrixPlan.Flow> flows = new LinkedHashSet<>();
    for (Result result : results) {
      flows.add(result.task().flow());
      Rate rate =
          result.isJudged() ? new Rate(result.right(), result.images().size()) : new Rate(0, 0);
      cells
          .computeIfAbsent(result.task().skill(), key -> new TreeMap<>())
          .merge(result.task().flow(), rate, Rate::plus);
    }
    text.append("| skill |");
    flows.forEach(
        flow -> text.append(' ').append(flow.name().toLowerCase(Locale.ROOT)).append(" |"));
    text.append("\n| --- |").append(" --- |".repeat(flows.size())).append('\n');
    cells.forEach(
        (skill, byFlow) -> {
          text.append("| ").append(skill).append(" |");
          for (MatrixPlan.Flow flow : flows) {
            Rate rate = byFlow.get(flow);
            String cell = rate == null ? "" : rate.images() == 0 ? "by people" : rate.text();
            text.append(' ').append(cell).append(" |");
          }
          text.append('\n');
        });
    text.append('\n');
  }

  private static void rates(
      StringBuilder text, String name, List<Result> results, Function<Result, String> of) {
    Map<String, Rate> rates = new LinkedHashMap<>();
    results.stream()
        .filter(Result::isJudged)
        .forEach(
            result ->
                rates.merge(
                    of.apply(result),
                    new Rate(result.right(), result.images().size()),
                    Rate::plus));
    text.append("| ").append(name).append(" | right |\n| --- | --- |\n");
    rates.forEach(
        (key, rate) ->
            text.append("| ").append(key).append(" | ").append(rate.text()).append(" |\n"));
    text.append('\n');
  }

  private static byte[] sheet(List<Result> results) {
    int shown = Math.min(SHEET_IMAGES, results.get(0).images().size());
    ContactSheet sheet = ContactSheet.columns(2 * shown).pictureSize(SHEET_PICTURE);
    for (Result result : results) {
      for (int i = 0; i < shown; i++) {
        sheet.add(result.images().get(i).image(), i == 0 ? result.task().name() : "");
      }
    }
    return Images.write(sheet.render(), "image/jpeg");
  }
}
