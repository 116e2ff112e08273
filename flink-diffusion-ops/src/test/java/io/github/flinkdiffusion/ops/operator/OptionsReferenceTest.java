/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.SeriesOptions;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.description.HtmlFormatter;
import org.junit.jupiter.api.Test;

/**
 * Keeps docs/OPTIONS.md equal to what the code says. After a change of options, write it anew:
 *
 * <pre>mvn -pl flink-diffusion-ops -am test -Dtest=OptionsReferenceTest \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Ddocs.write=true</pre>
 */
class OptionsReferenceTest {
  private static final Path DOCUMENT = Path.of("../docs/OPTIONS.md");

  private static final String HEAD =
      """
      # Options

      Each can be set in Flink's configuration (`-Ddiffusion.device=gpu:0`, `config.yaml`).
      Written by `OptionsReferenceTest` from the classes named below; do not edit.
      """;

  private static final String TABLE =
      """

      | option | default | type | |
      | --- | --- | --- | --- |
      """;

  private static final String IN_FLIGHT =
      """

      ## When a job starts again with other values
      A checkpoint or savepoint holds each request at the step that it has reached. This is what becomes of it when the job
      starts again with another value of an option. With another value of any option that is not in this table, the request
      continues at its step, to the same image. `InFlightChangesTest` tries each.

      | option | change | a prompt | an image task |
      | --- | --- | --- | --- |
      """;

  private record Section(
      String title, String text, Class<?> declaring, List<ConfigOption<?>> options) {}

  private static final List<Section> SECTIONS =
      List.of(
          new Section(
              "Diffusion operator",
              "A method of `TextToImage` or `ImageTasks` sets the same, and wins."
                  + " `DiffusionOptions`.",
              DiffusionOptions.class,
              DiffusionOptions.ALL),
          new Section(
              "Image tasks",
              "Of operators that work on images. A method of `ImageTasks` sets the same, and wins."
                  + " `ImageTaskOptions`.",
              ImageTaskOptions.class,
              ImageTaskOptions.ALL),
          new Section(
              "Frame streams",
              "Of operators that work on images, for tasks that are frames of streams."
                  + " `ImageTasks.setOption` sets the same, and wins. `LiveOptions`.",
              LiveOptions.class,
              LiveOptions.ALL),
          new Section(
              "Series",
              "Of the operator that gathers DICOM series into volumes. A method of"
                  + " `SeriesGathering` sets the same, and wins. `SeriesOptions`.",
              SeriesOptions.class,
              SeriesOptions.ALL),
          new Section(
              "Payloads",
              "Images that are too large for an event. `PayloadOptions`.",
              PayloadOptions.class,
              PayloadOptions.ALL),
          new Section(
              "Kafka sources and sinks",
              "A method of the source's or sink's builder sets the same, and wins. `KafkaOptions`.",
              KafkaOptions.class,
              KafkaOptions.ALL));

  @Test
  void theReferenceSaysWhatTheCodeSays() throws IOException {
    String expected = reference();
    if (Boolean.getBoolean("docs.write")) {
      Files.createDirectories(DOCUMENT.getParent());
      Files.writeString(DOCUMENT, expected);
    }
    assertThat(DOCUMENT).hasContent(expected);
  }

  @Test
  void allOptionsAreListed() throws IllegalAccessException {
    for (Section section : SECTIONS) {
      List<ConfigOption<?>> declared = new ArrayList<>();
      for (Field field : section.declaring.getDeclaredFields()) {
        if (Modifier.isPublic(field.getModifiers()) && field.getType() == ConfigOption.class) {
          declared.add((ConfigOption<?>) field.get(null));
        }
      }
      assertThat(section.options).containsExactlyElementsOf(declared);
    }
  }

  private static String reference() {
    StringBuilder page = new StringBuilder(HEAD);
    for (Section section : SECTIONS) {
      page.append("\n## ").append(section.title).append("\n").append(section.text).append("\n");
      page.append(TABLE);
      append(section.options, page);
    }
    page.append(IN_FLIGHT);
    for (ImageDeciders.Change change : ImageDeciders.all()) {
      if (change.prompt() != ImageDeciders.Effect.NOTHING
          || change.task() != ImageDeciders.Effect.NOTHING) {
        page.append("| `")
            .append(change.key())
            .append("` | ")
            .append(change.when())
            .append(" | ")
            .append(change.prompt().text)
            .append(" | ")
            .append(change.task().text)
            .append(" |\n");
      }
    }
    return page.toString();
  }

  private static void append(List<ConfigOption<?>> options, StringBuilder table) {
    HtmlFormatter html = new HtmlFormatter();
    for (ConfigOption<?> option : options) {
      table
          .append("| `")
          .append(option.key())
          .append("` | ")
          .append(defaultValue(option))
          .append(" | ")
          .append(type(option))
          .append(" | ")
          .append(html.format(option.description()))
          .append(" |\n");
    }
  }

  private static String defaultValue(ConfigOption<?> option) {
    boolean none =
        !option.hasDefaultValue()
            || option.defaultValue() instanceof Collection<?> list && list.isEmpty()
            || option.defaultValue() instanceof Map<?, ?> map && map.isEmpty();
    return none ? "none" : "`" + text(option.defaultValue()) + "`";
  }

  private static String text(Object value) {
    return value instanceof Duration duration ? duration.toSeconds() + " s" : value.toString();
  }

  /** The option's type, which Flink keeps to itself, as its own documentation finds it. */
  private static String type(ConfigOption<?> option) {
    try {
      Field clazz = ConfigOption.class.getDeclaredField("clazz");
      clazz.setAccessible(true);
      Class<?> type = (Class<?>) clazz.get(option);
      Field isList = ConfigOption.class.getDeclaredField("isList");
      isList.setAccessible(true);
      String name = type.isEnum() ? "one of " + values(type) : type.getSimpleName();
      return isList.getBoolean(option) ? "list of " + name : name;
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }

  private static String values(Class<?> type) {
    return String.join(
        ", ", java.util.Arrays.stream(type.getEnumConstants()).map(Object::toString).toList());
  }
}
