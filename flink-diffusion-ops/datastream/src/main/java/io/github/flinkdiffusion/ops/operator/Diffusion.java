/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** The entry point: builds the operators, and whole jobs, of this project. */
@NullMarked
@PublicEvolving
public final class Diffusion {
  private Diffusion() {}

  /**
   * The usual job: requests from Kafka, one operator, images and failures to Kafka.
   *
   * @param <E> the requests' event
   * @param name unique in the Flink and Kafka clusters, the same for as long as the job lives; see
   *     {@link DiffusionJob}
   * @param operator with its model set, e.g. {@code textToImage().setModel(folder)}
   */
  public static <E extends SpecificRecord> DiffusionJob<E> job(
      String name, DiffusionBuilder<E, ?> operator) {
    return new DiffusionJob<>(name, operator);
  }

  /** The operator that generates images from prompts. */
  public static TextToImage textToImage() {
    return new TextToImage();
  }

  /** The operator that processes images: enlarges, segments or changes them. */
  public static ImageTasks imageTasks() {
    return new ImageTasks();
  }

  /** The operator that writes texts about images: captions, answers, labels. */
  public static ImageToText imageToText() {
    return new ImageToText();
  }

  /** The operators that gather the files of a DICOM series into one image task for its volume. */
  public static SeriesGathering series() {
    return new SeriesGathering();
  }

  /** The operator that finds a model whose seeds no longer matter. */
  public static DiversityWatch diversity() {
    return new DiversityWatch();
  }

  /** The operator that looks at finished images with classifiers, and blocks or blurs some. */
  public static ImageScreening screening() {
    return new ImageScreening();
  }

  /** The operator that makes control images of images that requests bring. */
  public static ControlImages controlImages() {
    return new ControlImages();
  }

  /** The operator that asks for a consent where an input shows a person. */
  public static InputConsent consent() {
    return new InputConsent();
  }

  /**
   * The operator that looks for the watermark in images.
   *
   * @param keyFile on every task manager, as {@code diffusion.watermark.key-file}
   */
  public static WatermarkDetection watermarks(String keyFile) {
    return new WatermarkDetection(keyFile);
  }
}
