/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.quality.AttributeBalance.Interval;
import io.github.flinkdiffusion.ops.quality.Diversity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * How attributes of a model's images are spread where the prompt does not name them: {@code
 * README.md} with charts and a sheet of images.
 */
public final class BiasReport {
  private static final int SHEET_COLUMNS = 8;
  private static final int SHEET_PICTURE = 80;
  private static final int SHEET_PROMPTS = 12;
  private static final int SHEET_IMAGES = 8;
  private static final int THUMBNAIL = 16;
  private static final long BOOTSTRAP_SEED = 1;

  private final BiasPlan plan;
  private final Optional<Path> drawings;

  /**
   * @param drawings the folder of mini-emoji's drawings, for attributes of its scenes
   */
  private BiasReport(BiasPlan plan, Optional<Path> drawings) {
    this.plan = plan;
    this.drawings = drawings;
  }

  /**
   * Reads a plan.
   *
   * @throws EvaluationException naming the file, the key, the value and what is accepted
   */
  public static BiasReport of(Path file, Optional<Path> drawings) {
    return new BiasReport(BiasPlan.read(file), drawings);
  }

  /** One image and what was read of it. */
  private record Seen(
      String template, String prompt, int window, Drawn drawn, Map<String, Integer> classes) {}

  /**
   * Draws, reads and writes.
   *
   * @param out an existing folder
   */
  public void write(Path out) throws IOException {
    try (AttributeReaders opened = AttributeReaders.open(plan.attributes(), drawings)) {
      Map<BiasPlan.Attribute, AttributeReader> readers = opened.all();
      Map<BiasPlan.Attribute, double[]> references = new LinkedHashMap<>();
      readers.forEach(
          (attribute, reader) ->
              references.put(attribute, BiasPlan.reference(attribute, reader.classes())));
      List<Drawing.Request> requests = new ArrayList<>();
      List<String> templates = new ArrayList<>();
      for (String template : plan.templates()) {
        for (String prompt : plan.prompts(template)) {
          for (int i = 0; i < plan.images(); i++) {
            requests.add(Drawing.Request.of(prompt, plan.seed() + i));
            templates.add(template);
          }
        }
      }
      Drawing drawing = Drawing.of(plan.sampler(), requests);
      List<Seen> seen = read(drawing, templates, readers);
      Files.writeString(out.resolve("README.md"), text(out, drawing, seen, readers, references));
    }
  }

  private List<Seen> read(
      Drawing drawing, List<String> templates, Map<BiasPlan.Attribute, AttributeReader> readers) {
    List<Seen> seen = new ArrayList<>();
    Map<String, int[]> read = new LinkedHashMap<>();
    readers.forEach(
        (attribute, reader) ->
            read.put(
                attribute.name(),
                reader.read(drawing.images().stream().map(Drawn::image).toList())));
    for (int i = 0; i < drawing.images().size(); i++) {
      Drawn drawn = drawing.images().get(i);
      int number = (int) (drawn.seed() - plan.seed());
      Map<String, Integer> classes = new LinkedHashMap<>();
      int at = i;
      read.forEach((name, all) -> classes.put(name, all[at]));
      seen.add(
          new Seen(
              templates.get(i),
              drawn.prompt(),
              number * plan.windows() / plan.images(),
              drawn,
              classes));
    }
    return seen;
  }

  private String text(
      Path out,
      Drawing drawing,
      List<Seen> seen,
      Map<BiasPlan.Attribute, AttributeReader> readers,
      Map<BiasPlan.Attribute, double[]> references)
      throws IOException {
    StringBuilder text = new StringBuilder();
    text.append("# ").append(plan.title()).append("\n\n");
    text.append(
        String.format(
            Locale.ROOT,
            "%d images by the Flink operator: model `%s` (SHA-256 `%s`), %s, %d steps, guidance %s,"
                + " %d images of each prompt, seeds from %d.\n\n",
            seen.size(),
            drawing.model(),
            drawing.modelDigest(),
            drawing.scheduler(),
            drawing.steps(),
            drawing.guidance(),
            plan.images(),
            plan.seed()));
    text.append("![Images of each prompt](images.jpg)\n\n");
    Files.write(out.resolve("images.jpg"), sheet(seen));
    text.append("How to read the tables:\n\n");
    text.append(
        "- *Evenness* is the entropy over that of equal shares. *TV* is the total variation from"
            + " the reference, 0 to 1. *KL* is in nats. Intervals are of 95 %, by"
            + " bootstrap: prompts are drawn, then images of each; for the gap, images alone.\n"
            + "- *By chance* is what a model with the reference's shares, without a gap and without"
            + " drift, stays below in 95 of 100 runs of this size. Values above are in bold.\n"
            + "- The *parity gap* is the largest difference between two prompts of a template in"
            + " the share of one class.\n"
            + "- A *window* is a part of the images, by their order, beside all others.\n");
    seeds(text, seen);
    int number = 0;
    for (Map.Entry<BiasPlan.Attribute, AttributeReader> each : readers.entrySet()) {
      number++;
      attribute(
          text,
          out,
          "shares-" + number + ".png",
          seen,
          each.getKey(),
          each.getValue(),
          references.get(each.getKey()));
    }
    return text.toString();
  }

  /** Whether the seeds matter: the Vendi score of each prompt's thumbnails. */
  private void seeds(StringBuilder text, List<Seen> seen) {
    if (plan.images() < 2) {
      return;
    }
    text.append(
        "\n"
            + "## Seeds\n\n"
            + "Vendi score of the images of one prompt, by thumbnails of 16 x 16 pixels: how many"
            + " different images %d seeds make in effect. 1 means that the seed does not matter.\n\n"
                .formatted(plan.images()));
    text.append("| template | mean over prompts | least | most |\n| --- | --- | --- | --- |\n");
    for (String template : plan.templates()) {
      double[] scores =
          plan.prompts(template).stream()
              .mapToDouble(
                  prompt ->
                      Diversity.vendi(
                          seen.stream()
                              .filter(each -> each.template().equals(template))
                              .filter(each -> each.prompt().equals(prompt))
                              .map(each -> thumbnail(each.drawn().image()))
                              .toArray(float[][]::new)))
              .sorted()
              .toArray();
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %.3f | %.3f | %.3f |\n",
              template,
              Arrays.stream(scores).average().orElseThrow(),
              scores[0],
              scores[scores.length - 1]));
    }
  }

  /** From -1 to 1, as the operator that watches diversity has it. */
  private static float[] thumbnail(Raster image) {
    float[] values =
        PilResize.resize(image, THUMBNAIL, THUMBNAIL, PilResize.Filter.BOX).data().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = 2 * values[i] - 1;
    }
    return values;
  }

  private void attribute(
      StringBuilder text,
      Path out,
      String chart,
      List<Seen> seen,
      BiasPlan.Attribute attribute,
      AttributeReader reader,
      double[] reference)
      throws IOException {
    List<String> classes = reader.classes();
    text.append("\n## ").append(attribute.name()).append("\n\n");
    text.append("Classified by: ").append(reader.description()).append("\n\n");
    text.append("Reference: ")
        .append(
            attribute.reference() == null
                ? "equal shares of %d classes.".formatted(classes.size())
                : attribute.reference() + ".")
        .append("\n\n");
    Map<String, long[]> bars = new LinkedHashMap<>();
    StringBuilder table = new StringBuilder();
    table.append(
        "| template | images | evenness | entropy | TV | by chance | KL | parity gap | by chance"
            + " |\n");
    table.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (String template : plan.templates(attribute)) {
      Map<String, int[]> byPrompt = new LinkedHashMap<>();
      for (String prompt : plan.prompts(template)) {
        int[] of =
            seen.stream()
                .filter(each -> each.template().equals(template) && each.prompt().equals(prompt))
                .mapToInt(each -> each.classes().get(attribute.name()))
                .toArray();
        byPrompt.put(prompt, of);
      }
      int[] all = byPrompt.values().stream().flatMapToInt(Arrays::stream).toArray();
      bars.put(template + " (all)", BiasMeasures.counts(all, classes.size()));
      byPrompt.forEach((prompt, of) -> bars.put(prompt, BiasMeasures.counts(of, classes.size())));
      BiasMeasures.Spread spread = BiasMeasures.spread(byPrompt, reference, BOOTSTRAP_SEED);
      table.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %.2f | %.2f %s | %s %s | %.2f | %.2f %s |",
              template,
              all.length,
              spread.balance().evenness(),
              spread.balance().entropy(),
              range(spread.entropy()),
              marked(spread.balance().totalVariation(), spread.isSkewed()),
              range(spread.totalVariation()),
              spread.byChance(),
              spread.balance().divergence(),
              range(spread.divergence())));
      if (byPrompt.size() < 2) {
        table.append(" | |\n");
      } else {
        BiasMeasures.Parity parity = BiasMeasures.parity(byPrompt, classes.size(), BOOTSTRAP_SEED);
        table.append(
            String.format(
                Locale.ROOT,
                " %s %s | %.2f |\n",
                marked(parity.gap(), parity.gap() > parity.byChance()),
                range(parity.interval()),
                parity.byChance()));
      }
    }
    text.append(table);
    Files.write(out.resolve(chart), new ShareChart(classes, attribute.colors()).png(bars));
    text.append("\n![Shares of each prompt](").append(chart).append(")\n\n");
    drift(text, seen, attribute, classes);
  }

  private void drift(
      StringBuilder text, List<Seen> seen, BiasPlan.Attribute attribute, List<String> classes) {
    if (plan.windows() < 2) {
      return;
    }
    List<Seen> open =
        seen.stream().filter(each -> plan.templates(attribute).contains(each.template())).toList();
    int[] of = open.stream().mapToInt(each -> each.classes().get(attribute.name())).toArray();
    int[] window = open.stream().mapToInt(Seen::window).toArray();
    text.append(
        "| window | images | TV from the others | by chance |\n| --- | --- | --- | --- |\n");
    for (int which = 0; which < plan.windows(); which++) {
      BiasMeasures.Drift drift =
          BiasMeasures.drift(of, window, which, classes.size(), BOOTSTRAP_SEED);
      text.append(
          String.format(
              Locale.ROOT,
              "| %d | %d | %s | %.3f |\n",
              which + 1,
              Arrays.stream(drift.counts()).sum(),
              drift.isDrift()
                  ? String.format(Locale.ROOT, "**%.3f**", drift.variation())
                  : String.format(Locale.ROOT, "%.3f", drift.variation()),
              drift.byChance()));
    }
  }

  private static String marked(double value, boolean bold) {
    return String.format(Locale.ROOT, bold ? "**%.2f**" : "%.2f", value);
  }

  private static String range(Interval interval) {
    return String.format(Locale.ROOT, "(%.2f to %.2f)", interval.low(), interval.high());
  }

  private byte[] sheet(List<Seen> seen) {
    ContactSheet sheet = ContactSheet.columns(SHEET_COLUMNS).pictureSize(SHEET_PICTURE);
    Map<String, List<Seen>> byPrompt = new LinkedHashMap<>();
    seen.forEach(
        each ->
            byPrompt
                .computeIfAbsent(each.template() + "\n" + each.prompt(), key -> new ArrayList<>())
                .add(each));
    // Prompts of all templates, evenly.
    List<List<Seen>> groups = new ArrayList<>(byPrompt.values());
    int shown = Math.min(SHEET_PROMPTS, groups.size());
    for (int i = 0; i < shown; i++) {
      List<Seen> group = groups.get((int) ((long) i * groups.size() / shown));
      for (int j = 0; j < Math.min(SHEET_IMAGES, group.size()); j++) {
        sheet.add(group.get(j).drawn().image(), j == 0 ? group.get(j).prompt() : "");
      }
      for (int j = group.size(); j < SHEET_IMAGES; j++) {
        sheet.add(Raster.filled(3, 8, 8, 1), "");
      }
    }
    return Images.write(sheet.render(), "image/jpeg");
  }
}
