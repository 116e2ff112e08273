/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.conditions.ArchConditions.have;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Holds the order of the rooms that docs/ARCHITECTURE.md describes. */
class ArchitectureTest {
  private static final String ROOT = "io.github.flinkdiffusion.ops";

  /**
   * Each room imports only rooms before it. A room may not exist yet, but none may exist that is
   * not here.
   */
  static final List<String> ROOMS =
      List.of(
          "failure",
          "credentials",
          "image",
          "noise",
          "scheduler",
          "weights",
          "hub",
          "tokenizer",
          "prompt",
          "graph",
          "network",
          "engine",
          "pipeline",
          "quality",
          "evaluation",
          "imaging",
          "batching",
          "serving",
          "operator",
          "doctor",
          "table",
          "training",
          "torchscript",
          "torch",
          "onnx",
          "onnxruntime");

  /**
   * The Maven module of each room that is not in core, whose class path has no Flink and no DJL.
   */
  private static final Map<String, String> OTHER_MODULES =
      Map.of(
          "serving",
          "datastream",
          "operator",
          "datastream",
          "doctor",
          "datastream",
          "table",
          "sql",
          "torchscript",
          "engine-torch",
          "torch",
          "engine-torch",
          "onnx",
          "engine-onnx",
          "onnxruntime",
          "engine-onnx");

  /** A jar of annotations, not there at run time. */
  private static final String MARKS_OF_STABILITY =
      "<groupId>org.apache.flink</groupId><artifactId>flink-annotations</artifactId>"
          + "<scope>provided</scope>";

  private static JavaClasses all;

  @BeforeAll
  static void readClasses() {
    all =
        new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages(ROOT);
    assertThat(all).isNotEmpty();
  }

  @Test
  void everyClassIsInARoom() {
    Set<String> rooms =
        all.stream().map(ArchitectureTest::room).collect(Collectors.toCollection(TreeSet::new));
    assertThat(ROOMS).containsAll(rooms);
  }

  @ParameterizedTest
  @FieldSource("ROOMS")
  void roomImportsOnlyRoomsAboveIt(String room) {
    List<String> below = ROOMS.subList(ROOMS.indexOf(room) + 1, ROOMS.size());
    noClasses()
        .that(areIn(room))
        .should()
        .dependOnClassesThat(areIn(below.toArray(String[]::new)))
        .because("rooms come in the order " + ROOMS)
        .allowEmptyShould(true)
        .check(all);
  }

  @ParameterizedTest
  @CsvSource({"torch, ai.djl..", "onnxruntime, ai.onnxruntime.."})
  void anEnginesRoomAloneKnowsItsLibrary(String room, String library) {
    noClasses()
        .that(DescribedPredicate.not(areIn(room)))
        .should()
        .dependOnClassesThat(resideInAnyPackage(library))
        .because(
            "another engine is then one room, and every other room is testable without native code")
        .check(all);
  }

  @Test
  void servingOperatorDoctorAndTableAloneKnowFlinkAndTheConnector() {
    noClasses()
        .that(DescribedPredicate.not(areIn("serving", "operator", "doctor", "table")))
        .should()
        .dependOnClassesThat(
            resideInAnyPackage(
                    "org.apache.flink..",
                    "org.apache.kafka..",
                    "io.github.flinkdiffusion.connector..")
                // Marks of stability, which nothing reads at run time.
                .and(not(resideInAPackage("org.apache.flink.annotation"))))
        .because("pictures are made without a cluster, in a test, a notebook or another framework")
        .allowEmptyShould(true)
        .check(all);
  }

  @Test
  void tableDoesNotKnowTheOperators() {
    noClasses()
        .that(areIn("table"))
        .should()
        .dependOnClassesThat(areIn("operator", "doctor"))
        .because("what both need is the room serving")
        .check(all);
  }

  @ParameterizedTest
  @FieldSource("ROOMS")
  void roomExplainsItself(String room) {
    // package-info is compiled only where it has annotations, so its source is looked for.
    boolean exists = all.stream().anyMatch(type -> room(type).equals(room));
    boolean explained =
        Files.isRegularFile(
            Path.of(
                module(room), "src/main/java", ROOT.replace('.', '/'), room, "package-info.java"));
    assertThat(explained).as("%s/package-info.java", room).isEqualTo(exists);
  }

  @Test
  void noMutableStaticState() {
    classes()
        .should(
            have(
                describe(
                    "only final static fields",
                    type ->
                        type.getFields().stream()
                            .filter(field -> field.getModifiers().contains(JavaModifier.STATIC))
                            .allMatch(field -> field.getModifiers().contains(JavaModifier.FINAL)))))
        .because("a task manager runs many jobs in one virtual machine")
        .check(all);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"org.apache.flink", "ai.djl", "org.apache.kafka", "flink-diffusion-connector"})
  void theClassPathOfCoreHasNeitherFlinkNorATensorLibrary(String group) throws IOException {
    assertThat(Files.readString(Path.of("core/pom.xml")).replace(MARKS_OF_STABILITY, ""))
        .doesNotContain(group);
  }

  private static String module(String room) {
    return OTHER_MODULES.getOrDefault(room, "core");
  }

  private static DescribedPredicate<JavaClass> areIn(String... rooms) {
    Set<String> names = Set.of(rooms);
    return describe("in room " + String.join(", ", rooms), type -> names.contains(room(type)));
  }

  /** The first part of the package below the root; empty for other libraries' classes. */
  private static String room(JavaClass type) {
    String name = type.getPackageName();
    return name.startsWith(ROOT + ".")
        ? name.substring(ROOT.length() + 1).replaceAll("\\..*", "")
        : "";
  }
}
