/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.DocumentationTool;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Each type of the public API, and each member of one that users can call, has a comment, and the
 * Javadoc tool has nothing to say about any. Comments are prose: tags for each parameter and each
 * result are not asked for.
 */
class PublicApiDocsTest {
  private static final List<Path> SOURCES =
      List.of(
          Path.of("../flink-diffusion-connector/src/main/java"),
          Path.of("core/src/main/java"),
          Path.of("datastream/src/main/java"),
          Path.of("sql/src/main/java"));

  private static final Pattern TAG = Pattern.compile("no @(param|return|throws)\\b.*");

  @TempDir private Path folder;

  @Test
  void everyTypeAndMemberOfThePublicApiIsDescribed() throws IOException {
    List<Path> files =
        PublicApi.read().types().stream()
            .filter(type -> !PublicApi.isEvent(type) && type.getEnclosingClass().isEmpty())
            .map(PublicApiDocsTest::source)
            .toList();

    assertThat(files).hasSizeGreaterThan(30);
    assertThat(warnings(files)).isEmpty();
  }

  @Test
  void aMemberWithoutACommentAndALinkToNothingAreFound() throws IOException {
    Path file = folder.resolve("Wrong.java");
    Files.writeString(
        file,
        """
        /** Sees {@link Nothing}. */
        public class Wrong {
          /** Never. */
          private Wrong() {}

          public int undescribed() {
            return 0;
          }

          /** Described, without tags. */
          public int described(int value) {
            return value;
          }
        }
        """);

    assertThat(warnings(List.of(file)))
        .hasSize(2)
        .anyMatch(warning -> warning.contains("reference not found"))
        .anyMatch(warning -> warning.endsWith("no comment"));
  }

  private static Path source(JavaClass type) {
    String name = type.getName().replace('.', '/') + ".java";
    return SOURCES.stream()
        .map(root -> root.resolve(name))
        .filter(Files::exists)
        .findFirst()
        .orElseThrow(() -> new AssertionError("No source of " + type.getName() + " in " + SOURCES));
  }

  private List<String> warnings(List<Path> files) throws IOException {
    DocumentationTool javadoc = ToolProvider.getSystemDocumentationTool();
    DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
    StringWriter output = new StringWriter();
    try (StandardJavaFileManager manager =
        javadoc.getStandardFileManager(found, Locale.ENGLISH, StandardCharsets.UTF_8)) {
      List<String> options =
          List.of(
              "-quiet",
              "-Xdoclint:all",
              "-Xmaxwarns",
              "10000",
              "-encoding",
              "UTF-8",
              "-d",
              folder.resolve("apidocs").toString(),
              "-cp",
              System.getProperty("java.class.path"));
      javadoc
          .getTask(
              output, manager, found, null, options, manager.getJavaFileObjectsFromPaths(files))
          .call();
    }
    List<String> warnings = new ArrayList<>();
    for (Diagnostic<? extends JavaFileObject> each : found.getDiagnostics()) {
      String message = each.getMessage(Locale.ENGLISH);
      String text = message.substring(message.indexOf("warning: ") + 1).strip();
      if (!TAG.matcher(text.lines().findFirst().orElse("")).matches() && isOfASource(each)) {
        warnings.add(each.getSource().getName() + ":" + each.getLineNumber() + ": " + text);
      }
    }
    return warnings;
  }

  private static boolean isOfASource(Diagnostic<? extends JavaFileObject> diagnostic) {
    return diagnostic.getSource() != null;
  }
}
