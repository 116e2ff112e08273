/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaMember;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Holds the line between what users may rely on and what may change with any version, and keeps
 * docs/API.md equal to the former. After a deliberate change of the API, write the page anew and
 * say in the commit what users have to change:
 *
 * <pre>mvn -pl flink-diffusion-ops -am test -Dtest=PublicApiTest \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Ddocs.write=true</pre>
 */
class PublicApiTest {
  private static final Path DOCUMENT = Path.of("../docs/API.md");

  private static final String HEAD =
      """
      # Public API

      The types that jobs may use. Written by `PublicApiTest`; do not edit.

      - `@PublicEvolving`: stable within a minor version. A change is announced in CHANGELOG.md, and the old form stays, deprecated, for one minor version.
      - `@Experimental`: may change with any version.
      - Everything else is `@Internal` or package-private, also where Java lets you call it. A member marked `@Internal` of a public type is not listed here.

      The first release fixes this list. Until then it may change, and each change shows as a difference of this page.

      """;

  private static PublicApi api;

  @BeforeAll
  static void readClasses() {
    api = PublicApi.read();
  }

  @Test
  void everyPublicTypeCarriesOneMark() {
    Map<String, List<String>> wrong = new TreeMap<>();
    api.visibleTopLevelTypes()
        .filter(type -> PublicApi.marks(type).size() != 1)
        .forEach(type -> wrong.put(type.getName(), PublicApi.marks(type)));
    assertThat(wrong)
        .as(
            "public types without exactly one of @PublicEvolving, @Experimental and @Internal;"
                + " make the type package-private, or @Internal, unless users need it")
        .isEmpty();
  }

  @Test
  void noSignatureOfThePublicApiShowsAnInternalType() {
    assertThat(api.leaks())
        .as("mark the member @Internal, or hide the type, or make it part of the API")
        .isEmpty();
  }

  @Test
  void everyTypeOfThePublicApiSaysWhatCanBeNull() {
    assertThat(
            api.types().stream()
                .filter(type -> !PublicApi.isEvent(type) && type.getEnclosingClass().isEmpty())
                .filter(type -> !type.isAnnotatedWith("org.jspecify.annotations.NullMarked"))
                .map(JavaClass::getName))
        .as("types without @NullMarked; mark with @Nullable what can be null")
        .isEmpty();
  }

  @Test
  void thePublicApiIsWhatItsPageSays() throws IOException {
    String expected = page();
    if (Boolean.getBoolean("docs.write")) {
      Files.writeString(DOCUMENT, expected);
    }
    assertThat(DOCUMENT)
        .as("the public API has changed; if that is meant, run this test with -Ddocs.write=true")
        .hasContent(expected);
  }

  private static String page() {
    StringBuilder page = new StringBuilder(HEAD);
    List<JavaClass> types = api.types();
    page.append("## Types\n\n| type | package | |\n| --- | --- | --- |\n");
    types.stream()
        .filter(type -> !PublicApi.isEvent(type) && type.getEnclosingClass().isEmpty())
        .forEach(
            type ->
                page.append(
                    "| `%s` | `%s` | `@%s` |\n"
                        .formatted(
                            type.getSimpleName(),
                            type.getPackageName(),
                            PublicApi.marks(type).get(0))));
    page.append(
        types.stream()
            .filter(type -> PublicApi.isEvent(type) && type.getEnclosingClass().isEmpty())
            .map(type -> "`" + type.getSimpleName() + "`")
            .collect(
                Collectors.joining(
                    ", ",
                    "\nBeside them the events, which Avro generates from the schemas in"
                        + " `flink-diffusion-connector/src/main/avro`: ",
                    ".\n")));
    page.append("\n## Signatures\n");
    for (JavaClass type : types) {
      if (!PublicApi.isEvent(type)) {
        page.append("\n```java\n// ").append(type.getPackageName()).append('\n');
        page.append(PublicApi.declaration(type)).append('\n');
        for (JavaMember member : PublicApi.members(type)) {
          page.append("  ").append(PublicApi.declaration(member)).append('\n');
        }
        page.append("```\n");
      }
    }
    page.append("\n## Names in the signatures\n\n```java\n");
    api.names().values().stream()
        .filter(name -> !name.startsWith("java.lang."))
        .sorted()
        .forEach(name -> page.append("import %s;\n".formatted(name.replace('$', '.'))));
    return page.append("```\n").toString();
  }

  /** What the checks above find, on types that are wrong on purpose. */
  @Test
  void aLeakInAnyPlaceOfASignatureIsFound() {
    assertThat(PublicApi.of(Shown.class, Hidden.class, Shown.Kept.class).leaks())
        .extracting(leak -> leak.substring(leak.lastIndexOf("Shown")))
        .containsExactlyInAnyOrder(
            "Shown.FIELD: " + Hidden.class.getName(),
            "Shown.inAList(): " + Hidden.class.getName(),
            "Shown.taking([L" + Hidden.class.getName() + ";): " + Hidden.class.getName(),
            "Shown.throwing(): " + Hidden.class.getName());
  }

  /** Not part of the API. */
  @Internal
  public static class Hidden extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /** Shows what it must not. */
  @PublicEvolving
  public static final class Shown {
    public static final Hidden FIELD = null;

    private Shown() {}

    public List<? extends Hidden> inAList() {
      return List.of();
    }

    public void taking(Hidden... hidden) {}

    public void throwing() throws Hidden {}

    @Internal
    public Hidden allowed() {
      return null;
    }

    /** Part of the API, as what it is in. */
    public static final class Kept {
      private Kept() {}
    }
  }
}
