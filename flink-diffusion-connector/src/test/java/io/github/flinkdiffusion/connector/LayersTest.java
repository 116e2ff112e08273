/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The rooms of this module: each knows only those above it. */
@AnalyzeClasses(
    packages = "io.github.flinkdiffusion.connector",
    importOptions = ImportOption.DoNotIncludeTests.class)
class LayersTest {
  private static final String OPTIONS = "io.github.flinkdiffusion.connector.options..";
  private static final String EVENT = "io.github.flinkdiffusion.connector.event..";
  private static final String FORMAT = "io.github.flinkdiffusion.connector.format..";
  private static final String PAYLOAD = "io.github.flinkdiffusion.connector.payload..";
  private static final String TABLE = "io.github.flinkdiffusion.connector.table..";
  private static final String KAFKA = "io.github.flinkdiffusion.connector.kafka..";

  @ArchTest
  static final ArchRule eachRoomKnowsOnlyThoseAboveIt =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("options")
          .definedBy(OPTIONS)
          .layer("event")
          .definedBy(EVENT)
          .layer("format")
          .definedBy(FORMAT)
          .layer("payload")
          .definedBy(PAYLOAD)
          .layer("kafka")
          .definedBy(KAFKA)
          .layer("table")
          .definedBy(TABLE)
          .whereLayer("table")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("kafka")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("payload")
          .mayOnlyBeAccessedByLayers("kafka")
          .whereLayer("format")
          .mayOnlyBeAccessedByLayers("payload", "kafka", "table")
          .whereLayer("options")
          .mayOnlyBeAccessedByLayers("format", "payload", "kafka", "table")
          .whereLayer("event")
          .mayOnlyBeAccessedByLayers("format", "payload", "kafka", "table");

  @ArchTest
  static final ArchRule formatsAreUsableWithoutKafka =
      noClasses()
          .that()
          .resideInAPackage(FORMAT)
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.kafka..");

  @ArchTest
  static final ArchRule eventsAreUsableWithoutFlinkAndKafka =
      noClasses()
          .that()
          .resideInAPackage(EVENT)
          .should()
          .dependOnClassesThat(
              resideInAnyPackage("org.apache.flink..", "org.apache.kafka..")
                  // Java ignores annotations whose classes are missing.
                  .and(not(resideInAPackage("org.apache.flink.annotation"))));
}
